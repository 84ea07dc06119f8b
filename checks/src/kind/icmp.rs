//! `icmp`: echo requests (ping) to a host; loss and round-trip times.

mod echo;

use std::net::IpAddr;
use std::time::Duration;

use crosscheck_model::{Cause, Family, Outcome, Phase, Place};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join_all};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;
use tokio::time::sleep;

use self::echo::{Echo, Miss, Shared};
use super::{Check, Defaults, Kind, SettingsError, causes};
use crate::dial::Timer;
use crate::env::Env;
use crate::gather::Endpoint;
use crate::resolve::{self, Failure};
use crate::text::{Host, Percent, Size, Span};

/// Pings a host.
#[derive(Clone, Copy, Debug)]
pub struct Icmp;

/// The settings as people write them.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// The name or address to ping.
    host: Host,
    /// Echo requests in one run, 1 to 50.
    #[serde(default = "usual_count")]
    #[schemars(range(min = 1, max = COUNT_LIMIT))]
    count: u32,
    /// Between two requests; less when they would not fit into half of the timeout.
    #[serde(default = "usual_gap")]
    gap: Span,
    /// Bytes of payload, at most 1452B.
    #[serde(default = "usual_size")]
    size: Size,
    /// The address family of a name; v4 when left out.
    family: Option<Family>,
    /// Down when more than this share of replies is missing. Left out, Down only when all are:
    /// a lost reply now and then is usual on long ways. `loss_percent` is shown by
    /// `crosscheck run` and can be judged by `alarm.average`; the history does not keep it.
    loss_above: Option<Percent>,
    /// Degraded when the average round trip takes longer.
    slower_than: Option<Span>,
}

/// Enough to tell one lost packet from a dead host.
const fn usual_count() -> u32 {
    3
}

/// The least interval that ping(8) grants to everybody.
const fn usual_gap() -> Span {
    Span::new(Duration::from_millis(200))
}

/// ping(8)'s.
const fn usual_size() -> Size {
    Size::new(56)
}

/// A run is a look, not a load test.
const COUNT_LIMIT: u32 = 50;

/// What passes an Ethernet frame unfragmented behind the headers of IPv6 and ICMPv6: the loss of
/// one fragment would count as the loss of the echo.
const SIZE_LIMIT: Size = Size::new(1452);

/// A reply that takes longer is lost. No terrestrial or satellite path takes half as long.
const REPLY_WITHIN: Duration = Duration::from_secs(3);

/// Kept of the run's time to report what was seen, so that a silent host is told as loss.
const MARGIN: Duration = Duration::from_millis(10);

impl Kind for Icmp {
    fn name(&self) -> &'static str {
        "icmp"
    }

    fn about(&self) -> &'static str {
        "Pings a host and judges the share of lost replies and the average round trip."
    }

    fn defaults(&self) -> Defaults {
        Defaults { after: 5, ..Defaults::default() }
    }

    fn causes(&self) -> &'static [&'static [Cause]] {
        &[causes::NAMES, &[Cause::Unreachable, Cause::Loss, Cause::Slow, Cause::ProbeLate]]
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
        if settings.count == 0 || settings.count > COUNT_LIMIT {
            refuse(
                "count",
                format!("`{}` echoes in one run; write 1 to {COUNT_LIMIT}", settings.count),
            );
        }
        if settings.size > SIZE_LIMIT {
            refuse("size", format!("`{}` is too large; write at most {SIZE_LIMIT}", settings.size));
        }
        let family = settings.host.family(settings.family).unwrap_or_else(|refused| {
            refuse("family", refused.to_string());
            Family::default()
        });
        if errors.is_empty() { Ok(Box::new(IcmpCheck { settings, family })) } else { Err(errors) }
    }
}

struct IcmpCheck {
    settings: Settings,
    family: Family,
}

impl Check for IcmpCheck {
    fn target(&self) -> String {
        self.settings.host.to_string()
    }

    fn family(&self) -> Family {
        self.family
    }

    fn endpoint(&self) -> Option<Endpoint> {
        Some(Place::echo(self.settings.host.to_string(), self.family).into())
    }

    fn run<'a>(&'a self, env: &'a Env, deadline: Duration) -> BoxFuture<'a, Outcome> {
        self.observe(env, &Shared, deadline).boxed()
    }
}

impl IcmpCheck {
    async fn observe(&self, env: &Env, echo: &dyn Echo, deadline: Duration) -> Outcome {
        let mut timer = Timer::start(deadline);
        let mut pinged = None;
        let result = async {
            let address = *pinged.insert(self.find(env, &mut timer).await?);
            Ok(self.ping(echo, address, timer.remaining()).await)
        }
        .await;
        let (tally, failure) = match result {
            Ok(tally) => {
                let failure = self.judge(&tally).err();
                (Some(tally), failure)
            }
            Err(failure) => (None, Some(failure)),
        };
        let mut outcome = timer.outcome(&env.secrets, failure);
        outcome.address = pinged.map(|address| address.to_string());
        for (name, value) in tally.iter().flat_map(Tally::values) {
            outcome.values.insert(name.to_owned(), value);
        }
        outcome
    }

    /// The address to ping: the first that the guard allows.
    async fn find(&self, env: &Env, timer: &mut Timer) -> Result<IpAddr, Failure> {
        let host = &self.settings.host;
        let addresses = match host.ip() {
            Some(address) => vec![resolve::literal(address, self.family)?],
            None => {
                let lookup = env.resolver.lookup(host.as_str(), self.family, timer.remaining());
                timer.phase(Phase::Dns, Box::pin(lookup)).await??
            }
        };
        let mut blocked = None;
        for address in addresses {
            match env.guard.allows(address) {
                Ok(()) => return Ok(address),
                Err(why) => blocked = Some((address, why)),
            }
        }
        Err(match blocked {
            Some((address, why)) => Failure::new(
                Cause::BlockedAddress,
                format!("{address} must not be pinged from this probe ({why})"),
            ),
            None => Failure::new(Cause::DnsNoAddress, format!("`{host}` has no address")),
        })
    }

    /// Sends the echoes at their times, whether the earlier ones were answered or not.
    async fn ping(&self, echo: &dyn Echo, address: IpAddr, left: Duration) -> Tally {
        let left = left.saturating_sub(MARGIN);
        let Settings { count, gap, size, .. } = &self.settings;
        let gap = gap.get().min(left / 2 / (count - 1).max(1));
        let echoes = (0..*count).map(|index| async move {
            let after = gap * index;
            if index > 0 {
                sleep(after).await;
            }
            let wait = REPLY_WITHIN.min(left.saturating_sub(after));
            // In range: the settings were refused otherwise.
            echo.echo(address, usize::try_from(size.bytes()).unwrap_or(0), wait).await
        });
        Tally { results: join_all(echoes).await }
    }

    fn judge(&self, tally: &Tally) -> Result<(), Failure> {
        let (sent, lost) = (tally.sent(), tally.lost());
        if sent == 0 {
            return Err(tally.not_sent());
        }
        let tolerated = self.settings.loss_above.is_none_or(|most| tally.loss() <= most.get());
        if lost == sent || !tolerated {
            let mut detail = format!("{lost} of {sent} echo replies are missing");
            let Some(why) = tally.unreachable() else {
                return Err(Failure::new(Cause::Loss, detail));
            };
            detail = format!("{detail}: {why}");
            let cause = if lost == sent { Cause::Unreachable } else { Cause::Loss };
            return Err(Failure::new(cause, detail));
        }
        match (self.settings.slower_than, tally.average()) {
            (Some(limit), Some(average)) if average > limit.get() => {
                let (average, limit) = (millis(average), millis(limit.get()));
                let detail =
                    format!("the average round trip took {average:.1} ms, more than {limit} ms");
                Err(Failure::new(Cause::Slow, detail))
            }
            _ => Ok(()),
        }
    }
}

/// What became of each echo.
struct Tally {
    results: Vec<Result<Duration, Miss>>,
}

impl Tally {
    fn times(&self) -> impl Iterator<Item = Duration> {
        self.results.iter().filter_map(|result| result.as_ref().ok().copied())
    }

    /// Echoes that left this host, or would have if there were a way.
    fn sent(&self) -> usize {
        self.results.iter().filter(|result| !matches!(result, Err(Miss::NotSent(_)))).count()
    }

    fn lost(&self) -> usize {
        self.sent() - self.times().count()
    }

    /// In hundredths of what was sent.
    fn loss(&self) -> f64 {
        if self.sent() == 0 { 0.0 } else { self.lost() as f64 * 100.0 / self.sent() as f64 }
    }

    fn average(&self) -> Option<Duration> {
        let count = u32::try_from(self.times().count()).ok().filter(|count| *count > 0)?;
        Some(self.times().sum::<Duration>() / count)
    }

    fn unreachable(&self) -> Option<&str> {
        self.results.iter().find_map(|result| match result {
            Err(Miss::Unreachable(why)) => Some(why.as_str()),
            _ => None,
        })
    }

    /// Why nothing was sent.
    fn not_sent(&self) -> Failure {
        let why = self.results.iter().find_map(|result| match result {
            Err(Miss::NotSent(failure)) => Some(failure.clone()),
            _ => None,
        });
        why.unwrap_or_else(|| Failure::new(Cause::ProbeLate, "no time was left to send an echo"))
    }

    fn values(&self) -> Vec<(&'static str, f64)> {
        let mut values =
            vec![("sent", self.sent() as f64), ("received", self.times().count() as f64)];
        if self.sent() > 0 {
            values.push(("loss_percent", self.loss()));
        }
        let times = [
            ("rtt_min_ms", self.times().min()),
            ("rtt_avg_ms", self.average()),
            ("rtt_max_ms", self.times().max()),
        ];
        values.extend(times.into_iter().filter_map(|(name, time)| Some((name, millis(time?)))));
        values
    }
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

#[cfg(test)]
mod tests;
