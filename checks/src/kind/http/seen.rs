//! What a run learned on its way, and the outcome that is made of it.

use std::collections::BTreeMap;
use std::time::Duration;

use crosscheck_model::observation::RETRY_AFTER;
use crosscheck_model::{Cause, Outcome, Place, Status};
use http::response;

use super::body::Body;
use super::expect::Numbers;
use crate::clock;
use crate::dial::Timer;
use crate::env::Secrets;
use crate::excerpt;
use crate::kind::presence::{Presence, Sighting};
use crate::kind::retry_after::Throttled;
use crate::proxy::Cost;
use crate::resolve::Failure;

/// What a run learned on its way, kept also when it failed.
#[derive(Default)]
pub(in crate::kind) struct Seen {
    pub(super) status: Option<u16>,
    retry_after: Option<Duration>,
    pub(super) version: Option<f64>,
    pub(super) redirects: u32,
    pub(super) certificate_days: Option<f64>,
    pub(super) body: Option<Body>,
    /// What the body had on its way, and decoded; its length on the way only where it was packed.
    sizes: Option<(u64, u64, bool)>,
    /// What is not as it should be with an answer that is good enough to go on.
    flaw: Option<Failure>,
    /// Requests that were sent, with those for tokens; told where one run sends several by itself.
    requests: u32,
    /// What fetching tokens took.
    token: Option<Duration>,
    /// What the way through a proxy took.
    pub(super) proxy: Option<Cost>,
    /// Whether the last answer may be the proxy's own, instead of the target's.
    pub(super) answer_is_proxys: bool,
    /// Where it failed.
    pub(in crate::kind) place: Option<Place>,
}

impl Seen {
    /// Whether an answer of success came.
    pub(in crate::kind) fn is_success(&self) -> bool {
        self.status.is_some_and(|status| (200..300).contains(&status))
    }

    /// The status of the last answer.
    pub(super) fn status(&self) -> Option<u16> {
        self.status
    }

    /// The body has come, or what there is of it.
    pub(super) fn note_sizes(&mut self) {
        let sizes = |body: &mut Body| (body.received(), body.decoded(), body.is_encoded());
        self.sizes = self.body.as_mut().map(sizes);
    }

    /// The body's length as it came, and unpacked.
    pub(in crate::kind) fn sizes(&self) -> (u64, u64) {
        self.sizes.map_or((0, 0), |(wire, plain, _)| (wire, plain))
    }

    /// Keeps a flaw for later.
    pub(in crate::kind) fn note_flaw(&mut self, flaw: Failure) {
        self.flaw = Some(flaw);
    }

    /// The flaw that was kept.
    pub(in crate::kind) fn flaw(&self) -> Option<&Failure> {
        self.flaw.as_ref()
    }

    /// Whether the body was packed; `None` when there was none.
    pub(super) fn compressed(&self) -> Option<bool> {
        self.sizes.filter(|(wire, ..)| *wire > 0).map(|(.., packed)| packed)
    }

    /// What expressions may ask.
    pub(super) fn numbers(&self, timer: &Timer) -> Numbers {
        let mut times: BTreeMap<String, f64> = timer
            .phases()
            .iter()
            .map(|(phase, time)| (phase.as_str().to_owned(), ms(time)))
            .collect();
        times.insert("total".to_owned(), ms(timer.elapsed()));
        let named = [
            ("status", self.status.map(f64::from)),
            ("redirects", Some(f64::from(self.redirects))),
            ("http_version", self.version),
            ("bytes", self.sizes.map(|(_, decoded, _)| decoded as f64)),
            ("wire_bytes", self.sizes.map(|(wire, ..)| wire as f64)),
            ("certificate_days", self.certificate_days),
        ];
        let plain = named.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
        Numbers { plain, ms: times }
    }

    /// A request is sent.
    pub(super) fn note_request(&mut self) {
        self.requests += 1;
    }

    /// An answer came, and may ask to be left alone.
    pub(super) fn note_throttled(&mut self, head: &response::Parts) {
        let throttled = Throttled::by(head.status, &head.headers);
        self.retry_after = throttled.and_then(|throttled| throttled.wait(clock::since_1970()));
    }

    /// A token was asked for; who gives them out may ask to be left alone, too.
    pub(super) fn note_token(&mut self, took: Duration, there: &Self) {
        self.requests += there.requests;
        self.retry_after = there.retry_after;
        self.token = Some(self.token.unwrap_or_default() + took);
    }

    /// A certificate was shown; the first to expire counts.
    pub(super) fn note_certificate(&mut self, days: f64) {
        self.certificate_days = Some(self.certificate_days.map_or(days, |least| least.min(days)));
    }

    /// For how long the server asks to be left alone.
    pub(in crate::kind) fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// Days until the first certificate on the way expires.
    pub(in crate::kind) fn certificate_days(&self) -> Option<f64> {
        self.certificate_days
    }

    /// Whether it took more requests than redirects explain.
    fn asks_by_itself(&self) -> bool {
        self.requests > self.redirects + 1
    }

    /// The body, as far as it was kept.
    pub(in crate::kind) fn body(&mut self) -> &[u8] {
        self.body.as_mut().map_or(&[][..], |body| body.kept())
    }

    /// The outcome, and what it says of whether the described is there.
    pub(in crate::kind) fn sighting(
        &mut self,
        timer: &Timer,
        secrets: &Secrets,
        failure: Option<Failure>,
    ) -> Sighting {
        let down = failure.as_ref().map_or(Presence::There, |failure| self.presence(failure.cause));
        Sighting::told(self.outcome(timer, secrets, failure), down)
    }

    /// What a Down of this cause says of the target. By way of a proxy, only what the target's end has
    /// said counts: what breaks off or keeps silent may be the proxy, and so may be who answers.
    pub(in crate::kind) fn presence(&self, cause: Cause) -> Presence {
        let told = Presence::of_answer(cause, self.status.map(f64::from));
        let Some(proxy) = &self.proxy else { return told };
        match cause {
            Cause::Refused | Cause::Unreachable if proxy.turned_away => Presence::NotThere,
            Cause::Refused
            | Cause::Unreachable
            | Cause::ConnectTimeout
            | Cause::Reset
            | Cause::Protocol => Presence::Unclear,
            _ if self.answer_is_proxys => Presence::Unclear,
            _ => told,
        }
    }

    /// Where it failed, for whoever gathers evidence there.
    pub(in crate::kind) fn place(&mut self, secrets: &Secrets) -> Option<Box<Place>> {
        let mut place = self.place.take()?;
        place.is_secret = secrets.redact(&place.host) != place.host;
        Some(Box::new(place))
    }

    /// The outcome: what the timer measured and what was seen.
    pub(in crate::kind) fn outcome(
        &mut self,
        timer: &Timer,
        secrets: &Secrets,
        failure: Option<Failure>,
    ) -> Outcome {
        let mut outcome = timer.outcome(secrets, failure);
        let named = [
            ("status", self.status.map(f64::from)),
            ("http_version", self.version),
            ("certificate_days", self.certificate_days),
            ("bytes", self.sizes.map(|(_, decoded, _)| decoded as f64)),
            ("wire_bytes", self.sizes.filter(|(.., packed)| *packed).map(|(wire, ..)| wire as f64)),
            ("redirects", self.status.map(|_| f64::from(self.redirects))),
            ("requests", self.asks_by_itself().then(|| f64::from(self.requests))),
            (RETRY_AFTER, self.retry_after.map(|wait| wait.as_secs_f64())),
            ("token_ms", self.token.map(ms)),
            ("proxy_connect_ms", self.proxy.map(|cost| ms(cost.reached))),
            ("proxy_tunnel_ms", self.proxy.and_then(|cost| cost.consented).map(ms)),
        ];
        for (name, value) in named {
            outcome.values.extend(value.map(|value| (name.to_owned(), value)));
        }
        if outcome.status != Status::Up {
            outcome.excerpt = excerpt::of(self.body(), secrets);
            outcome.place = self.place(secrets);
        }
        outcome
    }
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
