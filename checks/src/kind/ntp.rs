//! `ntp`: asks a time server (RFC 5905, client mode) and judges its clock against the probe's.

mod packet;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use crosscheck_model::{Cause, Family, Outcome, Phase, Place};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;
use tokio::time::Instant;

use self::packet::{Answer, LEAP_UNKNOWN, Stamp, UNSYNCHRONISED};
use super::{Check, Kind, SettingsError, causes};
use crate::clock;
use crate::datagram::Datagrams;
use crate::dial::Timer;
use crate::env::Env;
use crate::gather::Endpoint;
use crate::resolve::Failure;
use crate::text::{Address, HostPort, Span};

/// Asks a time server.
#[derive(Clone, Copy, Debug)]
pub struct Ntp;

/// RFC 5905 section 7.2.
const PORT: u16 = 123;

/// A server answers within one way there and back. A question is asked again only after this
/// long, and not often: servers take hurry for an attack (RFC 8633 section 3.1).
const RESEND: Duration = Duration::from_secs(2);

/// The most questions of one run.
const SENT_LIMIT: usize = 3;

/// The settings as people write them.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// The time server; port 123 when left out.
    address: HostPort,
    /// The address family of a name; v4 when left out.
    family: Option<Family>,
    /// Down when its clock and the probe's are further apart, either way. The probe's clock must
    /// be right itself for this.
    offset_above: Option<Span>,
    /// Down when it is further from a reference clock than this: 1 is a server with a clock of
    /// its own, 15 the furthest.
    #[schemars(range(min = 1, max = 15))]
    stratum_above: Option<u8>,
    /// Down when it is less sure of its time than this (root dispersion and half of the root
    /// delay together: RFC 5905's root distance, as of the server).
    root_distance_above: Option<Span>,
    /// Degraded when the way there and back takes longer.
    slower_than: Option<Span>,
}

impl Kind for Ntp {
    fn name(&self) -> &'static str {
        "ntp"
    }

    fn about(&self) -> &'static str {
        "Asks a time server, and judges whether it is synchronised and how far its clock is off."
    }

    fn causes(&self) -> &'static [&'static [Cause]] {
        &[
            causes::NAMES,
            &[
                Cause::Refused,
                Cause::Unreachable,
                Cause::SendTimeout,
                Cause::FirstByteTimeout,
                Cause::ClockOffset,
                Cause::ClockQuality,
                Cause::Unsynchronised,
                Cause::KissOfDeath,
                Cause::Throttled,
                Cause::Protocol,
                Cause::Slow,
            ],
        ]
    }

    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        Settings::json_schema(generator)
    }

    fn parse(&self, settings: &serde_json::Value) -> Result<Box<dyn Check>, Vec<SettingsError>> {
        let settings: Settings = super::read(settings)?;
        let mut errors = Vec::new();
        let mut refuse = |key: &str, message: String| {
            errors.push(SettingsError { path: vec![key.to_owned()], message, hint: None });
        };
        let address = settings.address.or_port(PORT);
        let family = address.family(settings.family).unwrap_or_else(|refused| {
            refuse("family", refused.to_string());
            Family::default()
        });
        if let Some(stratum) = settings.stratum_above.filter(|s| !(1..UNSYNCHRONISED).contains(s)) {
            refuse("stratum_above", format!("`{stratum}` is no stratum; write 1 to 15"));
        }
        if errors.is_empty() {
            Ok(Box::new(NtpCheck { address, family, settings }))
        } else {
            Err(errors)
        }
    }
}

struct NtpCheck {
    address: Address,
    family: Family,
    settings: Settings,
}

/// A question that was asked.
struct Asked {
    /// What the answer must repeat.
    cookie: Stamp,
    /// The probe's clock when it left.
    wall: Stamp,
    /// The same without jumps.
    at: Instant,
}

impl Check for NtpCheck {
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

impl NtpCheck {
    async fn observe(&self, env: &Env, deadline: Duration) -> Outcome {
        let mut timer = Timer::start(deadline);
        let asked = self.ask(env, &mut timer).await;
        let mut values = BTreeMap::new();
        let judged = asked.and_then(|(answer, asked, heard)| {
            let clock = Clock::of(&answer, &asked, heard);
            values = clock.values();
            self.judge(&answer, &clock)
        });
        let mut outcome = timer.outcome(&env.secrets, judged.err());
        outcome.values = values;
        outcome
    }

    /// Asks until an answer to one of the questions comes.
    async fn ask(
        &self,
        env: &Env,
        timer: &mut Timer,
    ) -> Result<(Answer, Asked, Duration), Failure> {
        let (host, port) = (self.address.host(), self.address.port());
        let mut socket = Datagrams::open(env, host, port, self.family, timer).await?;
        let mut asked: Vec<Asked> = Vec::new();
        let mut strange = None;
        loop {
            if asked.len() < SENT_LIMIT
                && asked.last().is_none_or(|last| last.at.elapsed() >= RESEND)
            {
                // Random instead of the probe's time: that is nobody's business, and whoever does
                // not see the question cannot forge its answer.
                let cookie = Stamp::random();
                let (wall, at) = (Stamp::of(clock::since_1970()), Instant::now());
                socket.send(&packet::question(cookie), timer).await?;
                asked.push(Asked { cookie, wall, at });
            }
            let again_at = match asked.last() {
                Some(last) if asked.len() < SENT_LIMIT => last.at + RESEND,
                _ => timer.deadline(),
            };
            let Some(datagram) = socket.receive(again_at, timer).await? else {
                if timer.remaining().is_zero() {
                    return Err(strange.unwrap_or_else(|| timer.ran_out(Phase::FirstByte)));
                }
                continue;
            };
            let answer = match Answer::read(&datagram) {
                Ok(answer) => answer,
                // Anybody may send to a port; the answer may still come.
                Err(why) => {
                    strange = Some(Failure::new(Cause::Protocol, why));
                    continue;
                }
            };
            if let Some(at) = asked.iter().position(|asked| asked.cookie == answer.origin) {
                let asked = asked.swap_remove(at);
                let heard = asked.at.elapsed();
                timer.add(Phase::FirstByte, heard);
                return Ok((answer, asked, heard));
            }
            let why = "the answer is to another question";
            strange = Some(Failure::new(Cause::Protocol, why));
        }
    }

    fn judge(&self, answer: &Answer, clock: &Clock) -> Result<(), Failure> {
        if answer.stratum == 0 {
            return Err(kiss(&answer.reference_word()));
        }
        if answer.leap == LEAP_UNKNOWN || answer.stratum >= UNSYNCHRONISED {
            let (leap, stratum) = (answer.leap, answer.stratum);
            let detail =
                format!("it is not synchronised (leap indicator {leap}, stratum {stratum})");
            return Err(Failure::new(Cause::Unsynchronised, detail));
        }
        if answer.transmit.is_zero() {
            let detail = "it does not tell its time: the transmit timestamp is 0";
            return Err(Failure::new(Cause::Protocol, detail));
        }
        let wanted = &self.settings;
        if let Some(most) = wanted.stratum_above.filter(|most| answer.stratum > *most) {
            let detail = format!("its stratum is {}, more than {most}", answer.stratum);
            return Err(Failure::new(Cause::ClockQuality, detail));
        }
        let beyond = |milliseconds: f64, most: Option<Span>| {
            most.filter(|most| milliseconds.abs() > most.get().as_secs_f64() * 1e3)
        };
        let distance = answer.root_dispersion_ms + answer.root_delay_ms / 2.0;
        if let Some(most) = beyond(distance, wanted.root_distance_above) {
            let detail = format!("its root distance is {distance:.1} ms, more than {most}");
            return Err(Failure::new(Cause::ClockQuality, detail));
        }
        if let Some(most) = beyond(clock.offset_ms, wanted.offset_above) {
            let (off, way) =
                (clock.offset_ms.abs(), if clock.offset_ms > 0.0 { "before" } else { "behind" });
            let detail = format!("its clock is {off:.1} ms {way} the probe's, more than {most}");
            return Err(Failure::new(Cause::ClockOffset, detail));
        }
        if let Some(most) = beyond(clock.delay_ms, wanted.slower_than) {
            let detail =
                format!("the way there and back took {:.1} ms, more than {most}", clock.delay_ms);
            return Err(Failure::new(Cause::Slow, detail));
        }
        Ok(())
    }
}

/// What a kiss-o'-death says (RFC 5905 section 7.4).
fn kiss(code: &str) -> Failure {
    match code {
        "RATE" => {
            let detail = "kiss-o'-death RATE: it is asked too often from here";
            Failure::new(Cause::Throttled, detail)
        }
        "INIT" | "STEP" | "" => {
            let detail = format!("it is not synchronised yet (stratum 0, `{code}`)");
            Failure::new(Cause::Unsynchronised, detail)
        }
        "DENY" | "RSTR" => {
            let detail = format!("kiss-o'-death {code}: it does not serve this probe");
            Failure::new(Cause::KissOfDeath, detail)
        }
        _ => Failure::new(Cause::KissOfDeath, format!("kiss-o'-death `{code}`")),
    }
}

/// The server's clock beside the probe's (RFC 5905 section 8).
struct Clock {
    /// The server's minus the probe's.
    offset_ms: f64,
    /// The way there and back, without the server's own time.
    delay_ms: f64,
    told: [(&'static str, f64); 4],
}

impl Clock {
    fn of(answer: &Answer, asked: &Asked, heard: Duration) -> Self {
        let elapsed = heard.as_secs_f64() * 1e3;
        // All against the moment of asking, so that small numbers are subtracted.
        let there = answer.receive.milliseconds_since(asked.wall);
        let back = answer.transmit.milliseconds_since(asked.wall) - elapsed;
        let served = answer.transmit.milliseconds_since(answer.receive);
        Self {
            offset_ms: f64::midpoint(there, back),
            delay_ms: (elapsed - served).max(0.0),
            told: [
                ("stratum", f64::from(answer.stratum)),
                ("leap", f64::from(answer.leap)),
                ("root_delay_ms", answer.root_delay_ms),
                ("root_dispersion_ms", answer.root_dispersion_ms),
            ],
        }
    }

    fn values(&self) -> BTreeMap<String, f64> {
        let measured = [("offset_ms", self.offset_ms), ("delay_ms", self.delay_ms)];
        let has_time = self.told[0].1 > 0.0; // A kiss tells no time.
        let measured = measured.into_iter().filter(|_| has_time);
        measured.chain(self.told).map(|(name, value)| (name.to_owned(), value)).collect()
    }
}
