//! The probe's side of a session with the coordinators: open it, report, listen to orders, and
//! find another coordinator when one fails. Pure: [`Effect`]s are carried out by a link.
//!
//! Reports stop and wait: one is under way at a time, and it keeps its number until it is
//! acknowledged. Live observations go before the backlog, which has reports of its own at a
//! bounded rate, so that today's votes never wait behind yesterday's.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crosscheck_model::wire::{
    Assignment, HEARTBEAT_SECONDS, Health, Hello, Order, Receipt, Refusal, Report, WIRE_VERSION,
    Welcome,
};
use crosscheck_model::{CheckId, Timestamp};

use crate::Mono;
use crate::anchor::Anchor;
use crate::jitter::Jitter;
use crate::spool::{DiskOp, Spool};

mod report;
mod route;
mod stream;

use report::Reports;
use route::Route;
use stream::Stream;

/// An attempt to open a session is given up after this; less than a third of the 15 s after which
/// a session is dead.
pub const OPEN_TIMEOUT: Duration = Duration::from_secs(4);

/// A report is sent again, elsewhere, after this: three attempts fit into the 15 s.
pub const REPORT_TIMEOUT: Duration = Duration::from_secs(4);

/// With no answer from any coordinator for this long, observations go to disk.
pub const SPILL_AFTER: Duration = Duration::from_secs(10);

/// A refusal that only people can lift is tried again this seldom.
const REFUSED_PAUSE: Duration = Duration::from_secs(15);

/// The stream of orders is dead when it is silent for three heartbeats.
pub const STREAM_SILENCE: Duration = Duration::from_secs(3 * HEARTBEAT_SECONDS);

/// What the link is to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Ask for a session; answered by [`Uplink::opened`].
    Open {
        /// Names the answer.
        attempt: u64,
        /// Which coordinator to ask.
        coordinator: usize,
        /// The question.
        hello: Hello,
    },
    /// Send a report; answered by [`Uplink::reported`].
    Report {
        /// Names the answer.
        attempt: u64,
        /// Which coordinator to send it to.
        coordinator: usize,
        /// The report.
        report: Arc<Report>,
    },
    /// Listen to orders instead of any stream before; answered by [`Uplink::order`] and
    /// [`Uplink::silent`].
    Listen {
        /// Names the answers.
        stream: u64,
        /// Which coordinator to listen to.
        coordinator: usize,
        /// The session.
        epoch: u64,
    },
    /// Listen to no orders.
    Hush,
    /// Ask the disk for some of the backlog.
    Disk(DiskOp),
}

/// Why a coordinator did not do as asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It says why.
    Refused(Refusal),
    /// It was not reached, or what it said was not understood.
    Unreachable(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(why) => write!(f, "not reached: {why}"),
            Self::Refused(Refusal::UnknownSession) => f.write_str("the session is not known"),
            Self::Refused(Refusal::UnknownSite(site)) => write!(
                f,
                "site `{site}` is not configured; add it to `sites:` and apply, or correct `site:` here"
            ),
            Self::Refused(Refusal::Version { wanted }) => write!(
                f,
                "the coordinator speaks version {wanted} and this probe {WIRE_VERSION}; install the same release"
            ),
            Self::Refused(Refusal::Forbidden) => f.write_str(
                "not let in: this probe was revoked, or its certificate is for another name or site",
            ),
            Self::Refused(Refusal::Unavailable) => {
                f.write_str("the cluster has no leader, or takes no more from this probe for now")
            }
        }
    }
}

/// An order that is not the uplink's own business.
#[derive(Clone, Debug, PartialEq)]
pub enum Task {
    /// Run these from now on.
    Assign(Box<Assignment>),
    /// Run this at once.
    Confirm(CheckId, u64),
}

/// What a report says besides observations.
#[derive(Clone, Debug)]
pub struct Status<'a> {
    /// How the probe itself is.
    pub health: &'a Health,
    /// How many checks it runs.
    pub running: u32,
}

#[derive(Debug)]
enum Phase {
    Closed { retry_at: Mono },
    Opening { attempt: u64, deadline: Mono },
    Open(Box<Session>),
}

#[derive(Debug)]
struct Session {
    epoch: u64,
    opened: Mono,
    reports: Reports,
    stream: Stream,
    assignment: Option<u64>,
}

/// The probe's side of the conversation.
#[derive(Debug)]
pub struct Uplink {
    hello: Hello,
    jitter: Jitter,
    anchor: Anchor,
    route: Route,
    phase: Phase,
    attempts: u64,
    echo: Timestamp,
    answered: Mono,
    /// When a coordinator last said anything at all, be it a refusal.
    reached: Mono,
    round_trip: Option<Duration>,
    complaint: Option<Failure>,
}

impl Uplink {
    /// Closed; it will try the coordinators 0 to `coordinators` - 1 in turn.
    pub fn new(hello: Hello, coordinators: usize, jitter: Jitter, anchor: Anchor) -> Self {
        Self {
            hello,
            jitter,
            anchor,
            route: Route::new(coordinators),
            phase: Phase::Closed { retry_at: Mono::ZERO },
            attempts: 0,
            echo: Timestamp::ZERO,
            answered: Mono::ZERO,
            reached: Mono::ZERO,
            round_trip: None,
            complaint: None,
        }
    }

    /// Time has come to [`Self::wake`], or there is something new to report.
    pub fn time(&mut self, now: Mono, spool: &mut Spool, status: &Status<'_>) -> Vec<Effect> {
        if self.is_cut(now) {
            if let Phase::Open(session) = &mut self.phase {
                session.reports.abandon(spool);
            }
            spool.spill();
        }
        match &self.phase {
            Phase::Closed { retry_at } if now >= *retry_at => self.open(now),
            Phase::Opening { deadline, .. } if now >= *deadline => {
                self.fail(now, Failure::Unreachable("no answer in time".to_owned()));
                Vec::new()
            }
            Phase::Open(_) => self.talk(now, spool, status),
            _ => Vec::new(),
        }
    }

    /// The answer to an attempt to open a session.
    pub fn opened(&mut self, now: Mono, attempt: u64, answer: Result<Welcome, Failure>) {
        if !matches!(self.phase, Phase::Opening { attempt: open, .. } if open == attempt) {
            return;
        }
        self.note_reached(now, answer.as_ref().err());
        match answer {
            Ok(welcome) => {
                self.hear(now, welcome.now);
                self.answered = now;
                self.complaint = None;
                self.route.succeeded();
                self.phase = Phase::Open(Box::new(Session {
                    epoch: welcome.epoch,
                    opened: now,
                    reports: Reports::new(now, self.route.clone()),
                    stream: Stream::new(now, self.route.clone()),
                    assignment: None,
                }));
            }
            Err(failure) => self.fail(now, failure),
        }
    }

    /// The answer to an attempt to report.
    pub fn reported(
        &mut self,
        now: Mono,
        attempt: u64,
        answer: Result<Receipt, Failure>,
        spool: &mut Spool,
    ) -> Vec<Effect> {
        self.note_reached(now, answer.as_ref().err());
        let Phase::Open(session) = &mut self.phase else { return Vec::new() };
        match answer {
            Ok(receipt) => {
                if let Some(took) = session.reports.delivered(now, attempt, &receipt, spool) {
                    self.round_trip = Some(took);
                    self.answered = now;
                    self.complaint = None;
                    // An answer is no order, so it is no echo; but it tells the time.
                    self.anchor.hear(receipt.now, now);
                }
                Vec::new()
            }
            Err(failure) if !session.reports.is_of_this_session(attempt) => {
                drop(failure);
                Vec::new()
            }
            Err(Failure::Refused(Refusal::UnknownSession)) => self.close(now, spool),
            Err(failure @ (Failure::Unreachable(_) | Failure::Refused(Refusal::Unavailable))) => {
                session.reports.failed(now, attempt, &mut self.jitter);
                self.complaint = Some(failure);
                Vec::new()
            }
            Err(failure) => {
                let effects = self.close(now, spool);
                self.fail(now, failure);
                effects
            }
        }
    }

    /// An order has come.
    pub fn order(
        &mut self,
        now: Mono,
        stream: u64,
        order: Order,
        spool: &mut Spool,
    ) -> (Option<Task>, Vec<Effect>) {
        let Phase::Open(session) = &mut self.phase else { return (None, Vec::new()) };
        if !session.stream.heard(now, stream) {
            return (None, Vec::new());
        }
        self.reached = now;
        match order {
            Order::Heartbeat { now: log } => self.hear(now, log),
            Order::Renew => return (None, self.close(now, spool)),
            Order::Confirm { check, nonce } => {
                return (Some(Task::Confirm(check, nonce)), Vec::new());
            }
            // A coordinator that lags behind may repeat what is outdated.
            Order::Assignment(new) if session.assignment.is_none_or(|old| new.revision >= old) => {
                session.assignment = Some(new.revision);
                return (Some(Task::Assign(new)), Vec::new());
            }
            Order::Assignment(_) => {}
        }
        (None, Vec::new())
    }

    /// A stream of orders has ended.
    pub fn silent(&mut self, now: Mono, stream: u64) {
        if let Phase::Open(session) = &mut self.phase {
            session.stream.ended(now, stream, &mut self.jitter);
        }
    }

    /// The process ends: what is under way counts as undelivered and goes to the backlog.
    pub fn stop(&mut self, spool: &mut Spool) {
        if let Phase::Open(session) = &mut self.phase {
            session.reports.abandon(spool);
        }
        spool.spill();
        self.phase = Phase::Closed { retry_at: Mono::MAX };
    }

    /// When [`Self::time`] is wanted next, not counting new observations.
    pub fn wake(&self, now: Mono, spool: &Spool) -> Mono {
        let spill = if spool.live() > 0 { self.answered + SPILL_AFTER } else { Mono::MAX };
        match &self.phase {
            Phase::Closed { retry_at } => spill.min(*retry_at),
            Phase::Opening { deadline, .. } => spill.min(*deadline),
            Phase::Open(session) => {
                let reports = session.reports.wake(spool, self.is_cut(now));
                spill.min(reports).min(session.stream.wake())
            }
        }
    }

    /// Turns monotonic moments into the leader's time.
    pub fn anchor(&self) -> &Anchor {
        &self.anchor
    }

    /// Since when the present session exists.
    pub fn session_since(&self) -> Option<Mono> {
        match &self.phase {
            Phase::Open(session) => Some(session.opened),
            _ => None,
        }
    }

    /// When a coordinator last said anything at all; zero: never.
    pub fn reached(&self) -> Mono {
        self.reached
    }

    /// How long the newest acknowledged report took.
    pub fn round_trip(&self) -> Option<Duration> {
        self.round_trip
    }

    /// What the coordinators said last, unless all is well.
    pub fn complaint(&self) -> Option<&Failure> {
        self.complaint.as_ref()
    }

    fn note_reached(&mut self, now: Mono, failure: Option<&Failure>) {
        if !matches!(failure, Some(Failure::Unreachable(_))) {
            self.reached = now;
        }
    }

    fn is_cut(&self, now: Mono) -> bool {
        now >= self.answered + SPILL_AFTER
    }

    fn hear(&mut self, now: Mono, log: Timestamp) {
        self.anchor.hear(log, now);
        self.echo = self.echo.max(log);
    }

    fn open(&mut self, now: Mono) -> Vec<Effect> {
        self.attempts += 1;
        let attempt = self.attempts;
        self.phase = Phase::Opening { attempt, deadline: now + OPEN_TIMEOUT };
        vec![Effect::Open { attempt, coordinator: self.route.at(), hello: self.hello.clone() }]
    }

    fn fail(&mut self, now: Mono, failure: Failure) {
        let pause = self.route.failed(&mut self.jitter);
        let passing = matches!(
            failure,
            Failure::Unreachable(_)
                | Failure::Refused(Refusal::Unavailable | Refusal::UnknownSession)
        );
        let pause = if passing { pause } else { self.jitter.some_of(REFUSED_PAUSE) };
        self.complaint = Some(failure);
        self.phase = Phase::Closed { retry_at: now + pause };
    }

    /// Ends the session; the next one is opened at once, where reports were taken last.
    fn close(&mut self, now: Mono, spool: &mut Spool) -> Vec<Effect> {
        if let Phase::Open(session) = &mut self.phase {
            session.reports.abandon(spool);
            self.route = session.reports.route().clone();
            // A coordinator that renews for ever must not be asked for ever without a pause.
            let pause = self.jitter.some_of(route::FIRST_PAUSE);
            self.phase = Phase::Closed { retry_at: now + pause };
        }
        vec![Effect::Hush]
    }

    fn talk(&mut self, now: Mono, spool: &mut Spool, status: &Status<'_>) -> Vec<Effect> {
        let cut = self.is_cut(now);
        let Phase::Open(session) = &mut self.phase else { return Vec::new() };
        let mut out = Vec::new();
        out.extend(session.stream.time(now, session.epoch, &mut self.attempts, &mut self.jitter));
        let frame = report::Frame {
            probe: &self.hello.probe,
            epoch: session.epoch,
            echo: self.echo,
            status,
            cut,
        };
        out.extend(session.reports.time(now, &frame, spool, &mut self.attempts, &mut self.jitter));
        out
    }
}

#[cfg(test)]
mod tests;
