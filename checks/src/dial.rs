//! Opening connections: resolve, ask the guard, connect, each phase timed against one deadline.
//!
//! All network kinds pass through here, so that no connection is made to an address that the
//! guard has not seen, and no phase goes untimed. Nothing is pooled, cached or raced.

use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use crosscheck_model::{Cause, Family, Outcome, Phase, Phases, Status};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::unconstrained;
use tokio::time::{Instant, Sleep, sleep_until, timeout};

use crate::env::{Env, Secrets};
use crate::excerpt;
use crate::guard::Guard;
use crate::resolve::{self, Failure};

/// An open connection.
#[derive(Debug)]
pub struct Connected {
    /// The connection, with Nagle's algorithm off.
    pub stream: TcpStream,
    /// Its other end.
    pub address: SocketAddr,
}

/// One run's clock: its deadline, and what each phase took. It lives outside of the work that
/// it bounds, so what was measured outlasts a timeout.
#[derive(Debug)]
pub struct Timer {
    started: Instant,
    deadline: Instant,
    /// What the run was given, for its messages.
    limit: Duration,
    phases: Phases,
    address: Option<SocketAddr>,
    /// Rings at the deadline. One for all waits of the run: each of its own would be put into the
    /// runtime's list of timers and taken out again.
    alarm: Option<Pin<Box<Sleep>>>,
}

/// The longest detail: it is read on a telephone.
const DETAIL_LIMIT_BYTES: usize = 1024;

impl Timer {
    /// Starts a run that must end within `limit`.
    pub fn start(limit: Duration) -> Self {
        Self::since(Instant::now(), limit)
    }

    /// The clock of a run that has begun then.
    pub fn since(started: Instant, limit: Duration) -> Self {
        Self::new(started, started + limit, limit)
    }

    /// A clock for a part of the run, which begins now and ends `reserve` before the whole.
    pub fn part(&self, reserve: Duration) -> Self {
        let started = Instant::now();
        let deadline = self.deadline.checked_sub(reserve).unwrap_or(started);
        Self::new(started, deadline, self.limit.saturating_sub(reserve))
    }

    fn new(started: Instant, deadline: Instant, limit: Duration) -> Self {
        Self { started, deadline, limit, phases: Phases::default(), address: None, alarm: None }
    }

    /// Takes over what a part has measured.
    pub fn join(&mut self, part: &Self) {
        for (phase, time) in part.phases.iter() {
            self.phases.add(phase, time);
        }
        self.address = part.address.or(self.address);
    }

    /// The time left.
    pub fn remaining(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// The time since the start.
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// What the phases took so far.
    pub fn phases(&self) -> &Phases {
        &self.phases
    }

    /// When the run must have ended.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Notes the address that the run is about.
    pub fn reach(&mut self, address: SocketAddr) {
        self.address = Some(address);
    }

    /// Adds time to a phase that was measured elsewhere.
    pub fn add(&mut self, phase: Phase, time: Duration) {
        self.phases.add(phase, time);
    }

    /// Does the work as part of a phase, and adds its time to that phase if it ends.
    ///
    /// # Errors
    /// The deadline fell: the cause is the phase's timeout.
    pub async fn phase<T>(
        &mut self,
        phase: Phase,
        work: impl Future<Output = T>,
    ) -> Result<T, Failure> {
        let begun = Instant::now();
        match self.within(work).await {
            Some(done) => {
                self.phases.add(phase, begun.elapsed());
                Ok(done)
            }
            None => Err(self.ran_out(phase)),
        }
    }

    /// Does the work; `None`: the deadline fell.
    pub async fn within<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        let mut work = pin!(work);
        let (alarm, deadline) = (&mut self.alarm, self.deadline);
        poll_fn(|context| {
            if let Poll::Ready(done) = work.as_mut().poll(context) {
                return Poll::Ready(Some(done));
            }
            let alarm = alarm.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
            // Whoever has always more to say must not use up what the deadline needs to be seen.
            pin!(unconstrained(alarm.as_mut())).poll(context).map(|()| None)
        })
        .await
    }

    /// The outcome of the run: what was measured, and the failure if there is one. What is
    /// reported has the secrets blotted out.
    pub fn outcome(&self, secrets: &Secrets, failure: Option<Failure>) -> Outcome {
        let mut outcome = match failure {
            None => Outcome::new(Status::Up, None, ""),
            Some(Failure { cause, detail }) => {
                // Addresses of redirects and headers may be as long as the target likes.
                let detail = excerpt::harmless(&detail, secrets);
                let detail = excerpt::shorten(&detail, DETAIL_LIMIT_BYTES);
                Outcome::new(status_of(cause), Some(cause), detail)
            }
        };
        outcome.duration = self.elapsed();
        outcome.phases = self.phases;
        outcome.address = self.address.map(|address| address.to_string());
        outcome
    }

    /// The failure of a run whose deadline fell in this phase.
    pub fn ran_out(&self, phase: Phase) -> Failure {
        let (cause, what) = match phase {
            Phase::Dns => (Cause::DnsTimeout, "no answer from the name server"),
            Phase::Connect => (Cause::ConnectTimeout, "no connection"),
            Phase::Tls => (Cause::TlsTimeout, "no end of the TLS handshake"),
            Phase::Send => (Cause::SendTimeout, "the request was not taken"),
            Phase::FirstByte => (Cause::FirstByteTimeout, "no answer"),
            Phase::Transfer => (Cause::TransferTimeout, "no end of the answer"),
        };
        Failure { cause, detail: format!("{what} within the run's {:?}", self.limit) }
    }
}

/// The status that a cause stands for: what says nothing about the target is Unknown, a flaw
/// that does not stop users is Degraded.
pub const fn status_of(cause: Cause) -> Status {
    match cause {
        Cause::Slow
        | Cause::CertificateExpiring
        | Cause::WeakTls
        | Cause::Heavy
        | Cause::DnssecExpiring
        | Cause::DomainExpiring
        | Cause::PluginWarning => Status::Degraded,
        // The probe may or could not look. A throttled probe is told nothing about other users
        // of the target, and a vote for Down would punish the target for defending itself.
        Cause::BlockedAddress
        | Cause::Throttled
        // The way through was closed before the target.
        | Cause::Proxy
        | Cause::ProbeUnfit
        | Cause::ProbeLate
        | Cause::Setup
        | Cause::PluginUnknown
        | Cause::ExecForbidden
        | Cause::ExecMissing
        | Cause::ExecNotExecutable
        | Cause::ExecSignal
        | Cause::ExecExitCode
        | Cause::ExecOutput => Status::Unknown,
        // A program that does not end (`ExecTimeout`) waits most often for its target: Nagios
        // calls that critical too (`service_check_timeout_state`).
        _ => Status::Down,
    }
}

/// Resolves `host` and connects to the first of its addresses that answers.
///
/// # Errors
/// The name has no address, the guard forbids all of them, or none answers in time.
pub async fn connect(
    env: &Env,
    host: &str,
    port: u16,
    family: Family,
    timer: &mut Timer,
) -> Result<Connected, Failure> {
    let addresses = find(env, host, port, family, timer).await?;
    connect_to(&env.guard, &addresses, timer).await
}

/// Resolves `host`: at least one address, whether or not it may be connected to.
///
/// # Errors
/// The name has no address of the family, or no name server says so in time.
pub async fn find(
    env: &Env,
    host: &str,
    port: u16,
    family: Family,
    timer: &mut Timer,
) -> Result<Vec<SocketAddr>, Failure> {
    if let Ok(address) = host.parse::<IpAddr>() {
        // An address is no name: there is no phase to time.
        return Ok(vec![SocketAddr::new(resolve::literal(address, family)?, port)]);
    }
    let lookup = env.resolver.lookup(host, family, timer.remaining());
    // Boxed: what asking a name server needs would lie in every run's memory.
    let addresses = timer.phase(Phase::Dns, Box::pin(lookup)).await??;
    if addresses.is_empty() {
        let detail = format!("`{host}` has no {} address", family_word(family));
        return Err(Failure { cause: Cause::DnsNoAddress, detail });
    }
    Ok(addresses.into_iter().map(|ip| SocketAddr::new(ip, port)).collect())
}

/// Connects to the first of these addresses that answers, one after the other: a race would
/// measure the race, and would knock at doors that the answer does not need.
///
/// # Errors
/// The guard forbids all addresses, or none answers in time.
pub async fn connect_to(
    guard: &Guard,
    addresses: &[SocketAddr],
    timer: &mut Timer,
) -> Result<Connected, Failure> {
    let (stream, address) = reach_one(guard, addresses, timer, open).await?;
    Ok(Connected { stream, address })
}

/// Opens something at the first of these addresses where that succeeds, and says which.
///
/// # Errors
/// The guard forbids all addresses, or none answers in time.
pub(crate) async fn reach_one<T, F>(
    guard: &Guard,
    addresses: &[SocketAddr],
    timer: &mut Timer,
    open: impl Fn(SocketAddr) -> F,
) -> Result<(T, SocketAddr), Failure>
where
    F: Future<Output = Result<T, Failure>>,
{
    let allowed = allowed(guard, addresses)?;
    let (deadline, mut last_tried) = (timer.deadline, None);
    let attempts = attempt_each(&allowed, deadline, &mut last_tried, open);
    let attempted = timer.phase(Phase::Connect, attempts).await;
    timer.address = last_tried;
    attempted?
}

/// Those of the addresses that the guard lets through; none of none.
///
/// # Errors
/// The guard forbids all of them.
pub fn allowed(guard: &Guard, addresses: &[SocketAddr]) -> Result<Vec<SocketAddr>, Failure> {
    let mut allowed = Vec::with_capacity(addresses.len());
    let mut blocked = None;
    for address in addresses {
        match guard.allows_port(*address) {
            Ok(()) => allowed.push(*address),
            Err(why) => blocked = Some((address.ip(), why)),
        }
    }
    if let (true, Some((ip, why))) = (allowed.is_empty(), blocked) {
        let detail = format!("{ip} must not be connected to from this probe ({why})");
        return Err(Failure { cause: Cause::BlockedAddress, detail });
    }
    Ok(allowed)
}

/// Tries the addresses in order. While others wait, one gets an equal share of the time left
/// and one share is kept for what follows the connection; the last may take all.
async fn attempt_each<T, F>(
    addresses: &[SocketAddr],
    deadline: Instant,
    last_tried: &mut Option<SocketAddr>,
    open: impl Fn(SocketAddr) -> F,
) -> Result<(T, SocketAddr), Failure>
where
    F: Future<Output = Result<T, Failure>>,
{
    let mut failures = Vec::new();
    for (index, &address) in addresses.iter().enumerate() {
        *last_tried = Some(address);
        let waiting = u32::try_from(addresses.len() - index - 1).unwrap_or(u32::MAX);
        let attempt = open(address);
        let opened = if waiting == 0 {
            attempt.await
        } else {
            let left = deadline.saturating_duration_since(Instant::now());
            let share = left / waiting.saturating_add(2);
            match timeout(share, attempt).await {
                Ok(opened) => opened,
                Err(_) => Err(connect_failure(address, &io::ErrorKind::TimedOut.into())),
            }
        };
        match opened {
            Ok(opened) => return Ok((opened, address)),
            Err(failure) => failures.push(failure),
        }
    }
    Err(all_failed(failures))
}

async fn open(address: SocketAddr) -> Result<TcpStream, Failure> {
    let opened = async {
        let socket = match address {
            SocketAddr::V4(_) => TcpSocket::new_v4()?,
            SocketAddr::V6(_) => TcpSocket::new_v6()?,
        };
        // Waiting to fill a segment would be measured as the target's time.
        socket.set_nodelay(true)?;
        socket.connect(address).await
    };
    opened.await.map_err(|error| connect_failure(address, &error))
}

/// One failure of several: what a host said counts for more than silence.
fn all_failed(mut failures: Vec<Failure>) -> Failure {
    let spoke = failures.iter().position(|failure| failure.cause != Cause::ConnectTimeout);
    let count = failures.len();
    let mut failure = failures.swap_remove(spoke.unwrap_or(count - 1));
    if count > 1 {
        failure.detail = format!("none of {count} addresses answers; {}", failure.detail);
    }
    failure
}

/// The failure of an attempt to reach an address.
pub(crate) fn connect_failure(address: SocketAddr, error: &io::Error) -> Failure {
    let cause = match error.kind() {
        io::ErrorKind::ConnectionRefused => Cause::Refused,
        io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted => Cause::Reset,
        io::ErrorKind::TimedOut => Cause::ConnectTimeout,
        // A packet filter on the way or on this host, as EPERM and EACCES.
        io::ErrorKind::NetworkUnreachable
        | io::ErrorKind::HostUnreachable
        | io::ErrorKind::NetworkDown
        | io::ErrorKind::PermissionDenied => Cause::Unreachable,
        // Out of descriptors, ports or memory, or no such family here: the probe's own trouble.
        _ => Cause::Setup,
    };
    Failure { cause, detail: format!("{address}: {}", plain(error)) }
}

/// The cause of an error on an open connection.
pub fn broken(error: &io::Error) -> Cause {
    match error.kind() {
        io::ErrorKind::TimedOut => Cause::TransferTimeout,
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => Cause::Unreachable,
        io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => Cause::Protocol,
        _ => Cause::Reset,
    }
}

/// The error in words, without the operating system's number.
pub(crate) fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    let end = text.find(" (os error").unwrap_or(text.len());
    text[..end].to_lowercase()
}

/// The family as people say it.
const fn family_word(family: Family) -> &'static str {
    match family {
        Family::V4 => "IPv4",
        Family::V6 => "IPv6",
    }
}

#[cfg(test)]
mod tests;
