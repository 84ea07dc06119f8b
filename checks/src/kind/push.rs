//! `push`: a dead man's switch. Nobody looks at the job; it reports by itself that it has run, to
//! any coordinator, and no report in time is the failure.

use std::time::Duration;

use crosscheck_model::join::Fingerprint;
use crosscheck_model::spec::{Push as Terms, Source};
use crosscheck_model::{Cause, Family, Outcome};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error;
use serde::{Deserialize, Deserializer};

use super::{Check, Defaults, Kind, SettingsError};
use crate::env::Env;
use crate::text::Span;

/// The longest time between two reports: a quarter of a year.
const LONGEST: Duration = Duration::from_secs(92 * 24 * 60 * 60);
/// The shortest: each report is an entry of the coordinators' log.
const SHORTEST: Duration = Duration::from_secs(10);

/// Waits for a job's own reports.
#[derive(Clone, Copy, Debug)]
pub struct Push;

/// When reports are due, and what proves them.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// Between two reports: `24h` for a nightly job.
    every: Span,
    /// How much later than that one may come; `every` over ten, and a minute at least, when left
    /// out.
    grace: Option<Span>,
    /// How long the job may run, where it reports its start as well (`?status=start`).
    at_most: Option<Span>,
    /// The digest of the token that reports show: `crosscheck push token` makes both. A digest is
    /// no secret.
    token_sha256: Digest,
}

/// A SHA-256 digest of a token.
#[derive(Debug)]
struct Digest(Fingerprint);

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let refuse = |_| {
            // Not repeated: it may be the token itself.
            D::Error::custom(
                "this is no SHA-256 digest of 64 hexadecimal digits; \
                 `crosscheck push token` prints one beside its token",
            )
        };
        text.parse().map(Self).map_err(refuse)
    }
}

impl JsonSchema for Digest {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Digest".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "a SHA-256 digest in hexadecimal digits",
            "pattern": "^[0-9a-fA-F]{64}$"
        })
    }
}

impl Kind for Push {
    fn name(&self) -> &'static str {
        "push"
    }

    fn about(&self) -> &'static str {
        "Waits for a job's own reports: none in time is a failure."
    }

    fn causes(&self) -> &'static [&'static [Cause]] {
        &[&[Cause::NoReport, Cause::JobFailed, Cause::JobWarning]]
    }

    fn turned_round(&self) -> &'static str {
        "the job must fail: a report that all is well, or of a flaw, is the failure; no report stays one"
    }

    fn defaults(&self) -> Defaults {
        Defaults::default()
    }

    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        Settings::json_schema(generator)
    }

    fn parse(&self, settings: &serde_json::Value) -> Result<Box<dyn Check>, Vec<SettingsError>> {
        let settings: Settings = super::read(settings)?;
        let errors = settings.errors();
        if errors.is_empty() { Ok(Box::new(PushCheck(settings.terms()))) } else { Err(errors) }
    }
}

impl Settings {
    fn terms(&self) -> Terms {
        let every = self.every.get();
        Terms {
            every,
            grace: self.grace.map_or((every / 10).max(Duration::from_secs(60)), Span::get),
            at_most: self.at_most.map(Span::get),
            token: self.token_sha256.0,
        }
    }

    /// What is wrong, all at once.
    fn errors(&self) -> Vec<SettingsError> {
        let spans = [("every", Some(self.every)), ("grace", self.grace), ("at_most", self.at_most)];
        let wrong = |(name, span): (&str, Option<Span>)| {
            let span = span?;
            let shortest = if name == "grace" { Duration::ZERO } else { SHORTEST };
            let message = format!("`{span}` is not between {} and 92 days", Span::new(shortest));
            let hint = "a report each minute to one each quarter of a year is usual".to_owned();
            let error = SettingsError { path: vec![name.to_owned()], message, hint: Some(hint) };
            (span.get() < shortest || span.get() > LONGEST).then_some(error)
        };
        spans.into_iter().filter_map(wrong).collect()
    }
}

/// A `push` check.
struct PushCheck(Terms);

impl Check for PushCheck {
    fn target(&self) -> String {
        "its own reports".to_owned()
    }

    fn family(&self) -> Family {
        Family::default()
    }

    fn source(&self) -> Source {
        Source::Push(self.0.clone())
    }

    /// There is nothing to run, so nothing is known by it.
    fn run<'a>(&'a self, _: &'a Env, _: Duration) -> BoxFuture<'a, Outcome> {
        let why = "the job reports to the coordinators by itself; there is nothing to run";
        std::future::ready(Outcome::unknown(Cause::NoReport, why)).boxed()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn terms(settings: serde_json::Value) -> Result<Terms, Vec<SettingsError>> {
        let check = Push.parse(&settings)?;
        let Source::Push(terms) = check.source() else { panic!("it reports by itself") };
        Ok(terms)
    }

    #[test]
    fn a_grace_is_a_tenth_unless_it_is_given() {
        let digest = "ab".repeat(32);
        for (every, grace, minutes) in
            [("24h", None, 144), ("5m", None, 1), ("1h", Some("20m"), 20), ("1h", Some("0s"), 0)]
        {
            let settings = json!({ "every": every, "grace": grace, "token_sha256": digest });
            let terms = terms(settings).expect("good settings");
            assert_eq!(terms.grace, Duration::from_secs(60 * minutes), "{every}");
        }
    }

    #[test]
    fn a_token_in_the_digests_place_is_not_repeated() {
        let token = "xcpush_0123456789";
        let wrong = terms(json!({ "every": "1h", "token_sha256": token })).expect_err("no digest");
        assert_eq!(wrong[0].path, ["token_sha256"]);
        assert!(!wrong[0].message.contains("0123456789"), "{}", wrong[0].message);
    }
}
