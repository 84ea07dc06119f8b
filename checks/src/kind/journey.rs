//! `journey`: HTTP requests one after the other, as one person would make them: log in, query, log
//! out. Values of an answer are saved and sent in later requests; cookies are kept meanwhile.
//!
//! A step that fails ends the journey, except for the steps that always run. Each request has a
//! connection of its own, as an `http` check has: so each step's phases can be compared, and a
//! server that closes an idle connection between two steps, as it may (RFC 9112 9.5), fails none.
//!
//! Saved values and cookies of sessions live as long as the run. They are blotted out of all that
//! is reported, as secrets are.

mod address;
mod entities;
mod plan;
mod save;
mod settings;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use crosscheck_model::observation::RETRY_AFTER;
use crosscheck_model::place::Role;
use crosscheck_model::{Cause, Family, Outcome, Place, Status};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::HeaderMap;
use schemars::{JsonSchema, Schema, SchemaGenerator};

use self::plan::{Plan, Step};
use self::save::{Found, VALUE_AT_MOST_BYTES};
use self::settings::Settings;
use super::http::client::{Seen, Visit};
use super::http::jar::Jar;
use super::http::target::Target;
use super::http::words::{Saved, SavedValue, Words};
use super::presence::{Presence, Sighting};
use super::{Check, Defaults, Kind, SettingsError, causes};
use crate::dial::{Timer, status_of};
use crate::env::Env;
use crate::excerpt;
use crate::gather::Endpoint;
use crate::resolve::Failure;

/// The part of a run that is kept for steps that always run, unless told.
const RESERVE_SHARE: u32 = 5;

/// The largest part that can be kept: the rest must be able to succeed.
const RESERVE_SHARE_AT_MOST: u32 = 2;

/// So much of a body is searched for saved values before its beginning is shown: a few of the
/// longest may stand in it.
const EXCERPT_WITHIN_BYTES: usize = excerpt::KEEP_BYTES + 8 * VALUE_AT_MOST_BYTES;

/// Asks one URL after the other, as a user would.
#[derive(Clone, Copy, Debug)]
pub struct Journey;

impl Kind for Journey {
    fn name(&self) -> &'static str {
        "journey"
    }

    fn about(&self) -> &'static str {
        "Sends HTTP requests one after the other, with values and cookies passed on, and judges each."
    }

    fn defaults(&self) -> Defaults {
        let two_minutes = Duration::from_secs(120);
        Defaults {
            interval: two_minutes,
            retry_interval: two_minutes,
            timeout: Duration::from_secs(30),
            ..Defaults::default()
        }
    }

    fn causes(&self) -> &'static [&'static [Cause]] {
        &[
            causes::NAMES,
            causes::REACH,
            causes::TLS,
            &[
                Cause::Protocol,
                Cause::Status,
                Cause::Header,
                Cause::Body,
                Cause::Json,
                Cause::TooLarge,
                Cause::Redirect,
                Cause::Proxy,
                Cause::Token,
                Cause::Expect,
                Cause::Throttled,
                Cause::Slow,
            ],
        ]
    }

    fn turned_round(&self) -> &'static str {
        "the last step that is not `always` must fail, as a login that must not be let in; where the \
         journey ends before it, or a server answers 5xx (but 501 and 505), nothing is known"
    }

    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        Settings::json_schema(generator)
    }

    fn parse(&self, settings: &serde_json::Value) -> Result<Box<dyn Check>, Vec<SettingsError>> {
        Ok(Box::new(JourneyCheck(Plan::new(super::read(settings)?)?)))
    }
}

/// A `journey` check.
struct JourneyCheck(Plan);

impl Check for JourneyCheck {
    fn target(&self) -> String {
        self.0.steps.first().map(|step| step.client.target().to_string()).unwrap_or_default()
    }

    fn family(&self) -> Family {
        self.0.steps.first().map(|step| step.client.family()).unwrap_or_default()
    }

    fn endpoint(&self) -> Option<Endpoint> {
        self.0.steps.first().map(|step| step.client.endpoint())
    }

    fn run<'a>(&'a self, env: &'a Env, deadline: Duration) -> BoxFuture<'a, Outcome> {
        self.observe(env, deadline).map(|sighting| sighting.outcome).boxed()
    }

    fn look<'a>(&'a self, env: &'a Env, deadline: Duration) -> BoxFuture<'a, Sighting> {
        self.observe(env, deadline).boxed()
    }
}

/// A journey on its way.
struct Run<'a> {
    env: &'a Env,
    plan: &'a Plan,
    timer: Timer,
    /// Kept of the time for steps that always run.
    reserve: Duration,
    saved: Saved,
    jar: Jar,
    /// What the step that decides has shown.
    presence: Presence,
    /// What ended it; the words grow by what comes after.
    failure: Option<Failure>,
    /// What was not as it should be, but stopped nobody.
    flaws: Vec<Failure>,
    values: BTreeMap<String, f64>,
    excerpt: String,
    /// Where the first failure was.
    place: Option<Box<Place>>,
}

impl JourneyCheck {
    async fn observe(&self, env: &Env, deadline: Duration) -> Sighting {
        let plan = &self.0;
        // Its time is not the target's.
        let prepared = plan.steps.iter().try_for_each(|step| step.client.prepare());
        let env = &env.of_run();
        let reserve = plan.reserve.unwrap_or(deadline / RESERVE_SHARE);
        let always = plan.steps.iter().any(|step| step.always);
        let reserve = reserve.min(deadline / RESERVE_SHARE_AT_MOST);
        let mut run = Run {
            env,
            plan,
            timer: Timer::start(deadline),
            reserve: if always { reserve } else { Duration::ZERO },
            saved: Saved::new(),
            jar: Jar::default(),
            presence: Presence::Unclear,
            failure: prepared.err(),
            flaws: Vec::new(),
            values: BTreeMap::new(),
            excerpt: String::new(),
            place: None,
        };
        if run.failure.is_none() {
            run.all().await;
        }
        let presence = run.presence;
        Sighting { outcome: run.outcome(), presence }
    }
}

impl Run<'_> {
    async fn all(&mut self) {
        let mut passed = 0;
        for (at, step) in self.plan.steps.iter().enumerate() {
            let place = format!("step {} `{}`", at + 1, step.name);
            if self.failure.is_some() && !step.always {
                continue;
            }
            let missing = step.needs.iter().find(|name| !self.saved.contains_key(*name));
            if let (Some(failure), Some(missing)) = (&mut self.failure, missing) {
                let words = format!("; {place} was not tried, as nothing saved `{missing}`");
                failure.detail.push_str(&words);
                continue;
            }
            match self.step(at, step).await {
                Ok(()) => passed += 1,
                Err(failure) => self.failed(&place, failure),
            }
        }
        self.values.insert("steps_passed".to_owned(), f64::from(passed));
    }

    fn failed(&mut self, place: &str, failure: Failure) {
        let detail = format!("{place}: {}", failure.detail);
        let failure = Failure { cause: failure.cause, detail };
        match &mut self.failure {
            Some(first) => first.detail.push_str(&format!("; then {}", failure.detail)),
            None if status_of(failure.cause) == Status::Degraded => self.flaws.push(failure),
            None => self.failure = Some(failure),
        }
    }

    async fn step(&mut self, at: usize, step: &Step) -> Result<(), Failure> {
        let reserve = if step.always { Duration::ZERO } else { self.reserve };
        let mut timer = self.timer.part(reserve);
        let mut seen = Seen::default();
        let result = self.ask(step, &mut timer, &mut seen).await;
        let secrets = &self.env.secrets;
        let took = timer.elapsed();
        self.values.insert(format!("step_{}_ms", at + 1), took.as_secs_f64() * 1000.0);
        if let Some(days) = seen.certificate_days() {
            let least = self.values.entry("certificate_days".to_owned()).or_insert(days);
            *least = least.min(days);
        }
        if let Some(wait) = seen.retry_after() {
            self.values.insert(RETRY_AFTER.to_owned(), wait.as_secs_f64());
        }
        self.timer.join(&timer);
        if let Err(missed) = &result {
            self.note_place(at, missed.failure.cause, &mut seen);
        }
        let hides = matches!(&result, Err(missed) if missed.hides);
        let result = result.map_err(|missed| missed.failure);
        if at == self.plan.decides() {
            self.presence = presence(&result, &seen);
        }
        if result.is_err() && self.failure.is_none() && !hides {
            self.excerpt = excerpt::of_first(EXCERPT_WITHIN_BYTES, seen.body(), secrets);
        }
        result.map_err(|failure| match is_timeout(failure.cause) && !reserve.is_zero() {
            true => {
                let kept = format!("{}; {reserve:?} are kept for later", failure.detail);
                Failure { cause: failure.cause, detail: kept }
            }
            false => failure,
        })
    }

    /// Keeps where the step was that the outcome tells of: the first that failed, or else the first
    /// with a flaw.
    fn note_place(&mut self, at: usize, cause: Cause, seen: &mut Seen) {
        let is_flaw = status_of(cause) == Status::Degraded;
        if self.failure.is_some() || (is_flaw && !self.flaws.is_empty()) {
            return;
        }
        self.place = seen.place(&self.env.secrets);
        if let Some(place) = &mut self.place
            && at > 0
            && place.role == Role::Target
        {
            place.role = Role::Step;
        }
    }

    async fn ask(&mut self, step: &Step, timer: &mut Timer, seen: &mut Seen) -> Result<(), Missed> {
        let secrets = &self.env.secrets;
        let words = Words { secrets, host: &self.env.programs, saved: Some(&self.saved) };
        let target = step.address.target(&self.saved, &self.plan.named)?;
        let prepared = step.client.fill(&words)?;
        let mut found: Vec<(&str, Target, Found)> = Vec::new();
        let mut from = target.clone();
        // Before the answer is judged: what a judgement quotes is blotted out then.
        let mut glance = |answered: &Target, headers: &HeaderMap, body: &[u8]| {
            from = answered.clone();
            for saving in &step.save {
                let Some(value) = saving.in_answer(headers, body) else { continue };
                if let Ok(text) = &value {
                    secrets.remember(text);
                    secrets.remember(&address::escaped(text));
                }
                found.push((saving.name.as_str(), answered.clone(), value));
            }
        };
        let mut visit =
            Visit { target, words, jar: Some(&mut self.jar), glance: Some(&mut glance) };
        let result = step.client.walk(self.env, &prepared, &mut visit, timer, seen).await;
        for saving in &step.save {
            let Some(value) = saving.in_jar(&self.jar, &from) else { continue };
            if let Ok(text) = &value {
                secrets.remember(text);
            }
            found.push((saving.name.as_str(), from.clone(), value));
        }
        let mut missing = None;
        for (name, from, value) in found {
            match value {
                Ok(text) => {
                    self.saved.insert(name.to_owned(), SavedValue { text, from });
                }
                Err(failure) => missing = missing.or(Some(failure)),
            }
        }
        let hides = missing.is_some() && seen.is_success();
        let result = match (result, missing) {
            // Without the value, an answer that is a little late is of no use.
            (Err(flaw), Some(missing)) if status_of(flaw.cause) == Status::Degraded => Err(missing),
            (Ok(()), Some(missing)) => Err(missing),
            (result, _) => result,
        };
        if result.is_err() && seen.place.is_none() {
            seen.place = Some(step.client.place(&from, Role::Target));
        }
        result.map_err(|failure| Missed { failure, hides })
    }

    fn outcome(mut self) -> Outcome {
        if let Some(limit) = self.plan.slower_than
            && self.timer.elapsed() > limit
        {
            let took = self.timer.elapsed();
            let detail = format!("the journey took {took:.1?}, wanted at most {limit:?}");
            self.flaws.push(Failure { cause: Cause::Slow, detail });
        }
        let failure = self.failure.or_else(|| {
            let cause = self.flaws.first()?.cause;
            let details: Vec<_> = self.flaws.into_iter().map(|flaw| flaw.detail).collect();
            Some(Failure { cause, detail: details.join("; ") })
        });
        let mut outcome = self.timer.outcome(&self.env.secrets, failure);
        outcome.values = self.values;
        outcome.excerpt = self.excerpt;
        outcome.place = self.place;
        outcome
    }
}

/// A step that is not as wanted.
struct Missed {
    failure: Failure,
    /// The answer must not be shown: a token may stand in it elsewhere than where it is looked for.
    hides: bool,
}

impl From<Failure> for Missed {
    fn from(failure: Failure) -> Self {
        Self { failure, hides: false }
    }
}

/// What came of the step that decides, as a check of its own would tell it.
fn presence(result: &Result<(), Failure>, seen: &Seen) -> Presence {
    let Err(failure) = result else { return Presence::There };
    match status_of(failure.cause) {
        Status::Up | Status::Degraded => Presence::There,
        Status::Unknown => Presence::Unclear,
        Status::Down => seen.presence(failure.cause),
    }
}

fn is_timeout(cause: Cause) -> bool {
    matches!(
        cause,
        Cause::DnsTimeout
            | Cause::ConnectTimeout
            | Cause::TlsTimeout
            | Cause::SendTimeout
            | Cause::FirstByteTimeout
            | Cause::TransferTimeout
    )
}
