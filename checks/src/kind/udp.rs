//! `udp`: sends datagrams and judges those that come back.

mod settings;

#[cfg(test)]
mod tests;

use std::time::Duration;

use crosscheck_model::{Cause, Family, Outcome, Phase, Place, Status};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use tokio::time::Instant;

use self::settings::{Plan, Settings, Step};
use super::{Check, Defaults, Kind, SettingsError, causes};
use crate::datagram::Datagrams;
use crate::dial::Timer;
use crate::env::{Env, SecretError, Secrets};
use crate::excerpt;
use crate::gather::Endpoint;
use crate::resolve::Failure;

/// Asks over UDP.
#[derive(Clone, Copy, Debug)]
pub struct Udp;

impl Kind for Udp {
    fn name(&self) -> &'static str {
        "udp"
    }

    fn about(&self) -> &'static str {
        "Sends datagrams to a port and judges what comes back; nobody there is told from silence."
    }

    fn defaults(&self) -> Defaults {
        Defaults { after: 3, ..Defaults::default() }
    }

    fn causes(&self) -> &'static [&'static [Cause]] {
        &[
            causes::NAMES,
            &[
                Cause::Refused,
                Cause::Unreachable,
                Cause::SendTimeout,
                Cause::FirstByteTimeout,
                Cause::Body,
                Cause::Slow,
            ],
        ]
    }

    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        Settings::json_schema(generator)
    }

    fn parse(&self, settings: &serde_json::Value) -> Result<Box<dyn Check>, Vec<SettingsError>> {
        super::read::<Settings>(settings)?.into_plan().map(|plan| Box::new(plan) as Box<dyn Check>)
    }
}

impl Check for Plan {
    fn target(&self) -> String {
        self.address.to_string()
    }

    fn family(&self) -> Family {
        self.family
    }

    fn endpoint(&self) -> Option<Endpoint> {
        let (host, port) = (self.address.host().to_owned(), self.address.port());
        Some(Place::udp(host, port, self.family).into())
    }

    fn run<'a>(&'a self, env: &'a Env, deadline: Duration) -> BoxFuture<'a, Outcome> {
        self.observe(env, deadline).boxed()
    }
}

/// What came, for the outcome.
#[derive(Default)]
struct Seen {
    /// The beginning of what came in the step that is on.
    heard: Vec<u8>,
    bytes: usize,
    sent: u32,
    received: u32,
    /// Datagrams sent again: each may be answered once more, also later.
    again: u32,
}

impl Plan {
    async fn observe(&self, env: &Env, deadline: Duration) -> Outcome {
        let ready = self.read(&env.secrets); // Its time is not the target's.
        let mut timer = Timer::start(deadline);
        let mut seen = Seen::default();
        let result = match ready {
            Ok(said) => self.talk(env, &said, &mut timer, &mut seen).await,
            Err(error) => Err(Failure::new(Cause::Setup, error.to_string())),
        };
        let failure = result.err().or_else(|| self.too_slow(timer.elapsed()));
        let mut outcome = timer.outcome(&env.secrets, failure);
        for (name, value) in [
            ("bytes", seen.bytes as f64),
            ("sent", f64::from(seen.sent)),
            ("received", f64::from(seen.received)),
        ] {
            outcome.values.insert(name.to_owned(), value);
        }
        if outcome.status != Status::Up {
            outcome.excerpt = excerpt::of(&seen.heard, &env.secrets);
        }
        outcome
    }

    fn read(&self, secrets: &Secrets) -> Result<Vec<Option<Vec<u8>>>, SecretError> {
        let said = self.steps.iter().map(|step| &step.send);
        said.map(|send| send.as_ref().map(|send| send.bytes(secrets)).transpose()).collect()
    }

    async fn talk(
        &self,
        env: &Env,
        said: &[Option<Vec<u8>>],
        timer: &mut Timer,
        seen: &mut Seen,
    ) -> Result<(), Failure> {
        let (host, port) = (self.address.host(), self.address.port());
        let mut socket = Datagrams::open(env, host, port, self.family, timer).await?;
        for (step, said) in self.steps.iter().zip(said) {
            seen.heard.clear();
            let done = self.take(step, said.as_deref(), &mut socket, timer, seen).await;
            done.map_err(|failure| match step.title.as_str() {
                "" => failure,
                title => Failure::new(failure.cause, format!("{title}: {}", failure.detail)),
            })?;
        }
        Ok(())
    }

    /// Sends what the step has to say, again while nothing comes, and hears until what is
    /// expected has come.
    async fn take(
        &self,
        step: &Step,
        said: Option<&[u8]>,
        socket: &mut Datagrams,
        timer: &mut Timer,
        seen: &mut Seen,
    ) -> Result<(), Failure> {
        if let Some(said) = said {
            socket.send(said, timer).await?;
            seen.sent += 1;
        }
        let mut last = Instant::now();
        let mut heard = 0;
        loop {
            let again_at = match said {
                Some(_) if heard == 0 => last + self.resend,
                _ => timer.deadline(),
            };
            let Some(datagram) = socket.receive(again_at, timer).await? else {
                if timer.remaining().is_zero() {
                    return Err(self.out_of_time(step, heard, timer));
                }
                if let Some(said) = said {
                    socket.send(said, timer).await?;
                    (seen.sent, seen.again) = (seen.sent + 1, seen.again + 1);
                    last = Instant::now();
                }
                continue;
            };
            let phase = if heard == 0 { Phase::FirstByte } else { Phase::Transfer };
            timer.add(phase, last.elapsed());
            last = Instant::now();
            heard += 1;
            seen.note(&datagram);
            if step.expect.as_ref().is_none_or(|expect| expect.fits(&datagram)) {
                return Ok(());
            }
            if heard >= step.among.saturating_add(seen.again) {
                return Err(step.missing(heard));
            }
        }
    }

    fn out_of_time(&self, step: &Step, heard: u32, timer: &Timer) -> Failure {
        // Whoever waits for more has heard what the server has to say.
        if heard == 0 { timer.ran_out(Phase::FirstByte) } else { step.missing(heard) }
    }

    fn too_slow(&self, took: Duration) -> Option<Failure> {
        let limit = self.slower_than.filter(|limit| took > *limit)?;
        let detail = format!("took {} ms, more than {} ms", took.as_millis(), limit.as_millis());
        Some(Failure::new(Cause::Slow, detail))
    }
}

impl Seen {
    fn note(&mut self, datagram: &[u8]) {
        self.received += 1;
        self.bytes += datagram.len();
        let room = excerpt::KEEP_BYTES.saturating_sub(self.heard.len());
        self.heard.extend_from_slice(&datagram[..datagram.len().min(room)]);
    }
}
