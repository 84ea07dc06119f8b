//! A check as people defined it. Its kind's own settings stay opaque here and in the core.

use std::fmt;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::join::Fingerprint;
use crate::{CheckId, CustomerId, SiteId};

/// How bad it is when the check is down (Zabbix's scale; failure levels I to IV).
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// IV: exceptions, questions.
    Warning,
    /// III: errors or warnings, business unaffected.
    Average,
    /// II: part failed or slow, business goes on.
    High,
    /// I: system down, business stopped.
    Disaster,
}

impl Severity {
    /// The severity's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::Average => "average",
            Self::High => "high",
            Self::Disaster => "disaster",
        }
    }

    /// One step less severe; Warning stays.
    #[must_use]
    pub const fn lower(self) -> Self {
        match self {
            Self::Disaster => Self::High,
            Self::High => Self::Average,
            Self::Average | Self::Warning => Self::Warning,
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The address family a check uses. There is no silent fallback: two families are two checks.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    /// IPv4.
    #[default]
    V4,
    /// IPv6.
    V6,
}

/// When runs take place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    /// Between the starts of two runs while all is well (I).
    pub interval: Duration,
    /// The same while the probe sees a failure (I_abnormal; Nagios: retry interval).
    pub retry_interval: Duration,
    /// The most that one run may take (T).
    pub timeout: Duration,
    /// Failing attempts in a row until the probe is sure (A; Nagios: max check attempts).
    pub attempts: u32,
    /// From the end of a failed attempt to the next (r).
    pub attempt_gap: Duration,
}

/// When failures become an alarm (R4).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Rule {
    /// After this many consecutive rounds in which the site quorum says Down; 1 is "at once".
    Consecutive(u32),
    /// When a named value's average over a window is above a threshold.
    Average {
        /// The value's name.
        value: String,
        /// The window.
        over: Duration,
        /// The threshold, in thousandths of the value's unit.
        above_milli: i64,
    },
}

/// Which sites run the check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SiteChoice {
    /// All of them.
    All,
    /// These.
    List(Vec<SiteId>),
    /// The most diverse ones that the coordinator finds.
    Pick {
        /// How many.
        count: u32,
        /// Only in regions that fit this pattern.
        region: Option<String>,
    },
}

/// How many sites must agree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum SiteQuorum {
    /// Leave one domain out: after discarding any one site, carrier or region, a strict majority
    /// of the remaining live voters must agree.
    #[default]
    Diverse,
    /// More than half of the live voters.
    Majority,
    /// Every live voter, of which there must be at least two.
    All,
    /// One voter is enough.
    Any,
    /// This many voters.
    Count(u32),
    /// One site: nothing is cross-checked.
    Single,
}

impl fmt::Display for SiteQuorum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Diverse => f.write_str("diverse"),
            Self::Majority => f.write_str("majority"),
            Self::All => f.write_str("all"),
            Self::Any => f.write_str("any"),
            Self::Count(n) => write!(f, "{n}"),
            Self::Single => f.write_str("single"),
        }
    }
}

/// Where the evidence about a check comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Source {
    /// Probes run it.
    #[default]
    Probes,
    /// What it is about reports by itself.
    Push(Push),
}

impl Source {
    /// Whether reports come by themselves.
    pub const fn is_push(&self) -> bool {
        matches!(self, Self::Push(_))
    }
}

/// When a dead man's report is due, and what proves it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Push {
    /// Between two reports.
    pub every: Duration,
    /// How much later than that one may come.
    pub grace: Duration,
    /// How long it may take from the word that it has started to the one that it has ended.
    pub at_most: Option<Duration>,
    /// The digest of the token that reports must show.
    pub token: Fingerprint,
}

/// A check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckSpec {
    /// Unique in the installation.
    pub id: CheckId,
    /// Its name as people wrote it.
    pub name: String,
    /// Whose it is; `None` is the installation's own.
    pub customer: Option<CustomerId>,
    /// The kind's name (`http`).
    pub kind: String,
    /// The kind's settings, as JSON text; opaque to everything but the kind.
    pub settings: String,
    /// What is checked, in a few words (`https://shop.example.com/`).
    pub target: String,
    /// The address family that the check uses.
    pub family: Family,
    /// Who says how it is.
    pub source: Source,
    /// When it runs.
    pub schedule: Schedule,
    /// When failures become an alarm.
    pub rule: Rule,
    /// How bad a failure is.
    pub severity: Severity,
    /// How long the target must be well again until an incident closes.
    pub recovery_hold: Duration,
    /// Which sites run it.
    pub sites: SiteChoice,
    /// How many of them must agree.
    pub quorum: SiteQuorum,
    /// What to do when it is down; text or a URL.
    pub runbook: Option<String>,
    /// The checks without which it cannot work: who is told of these is not told of it.
    pub depends_on: Vec<CheckId>,
}

impl CheckSpec {
    /// Whether two specs give the same result for the same target: what a vote's revision
    /// stands for. Names, severity, sites and rules do not matter to it.
    pub fn same_result(&self, other: &Self) -> bool {
        self.kind == other.kind
            && self.settings == other.settings
            && self.schedule.timeout == other.schedule.timeout
            // An average is evaluated by the probe, so its rule is part of what a vote says.
            && (self.rule == other.rule
                || !matches!(self.rule, Rule::Average { .. })
                    && !matches!(other.rule, Rule::Average { .. }))
            && self.family == other.family
    }

    /// How long a vote stays valid: W = 2 I + A T + (A-1) r + 10 s, I being the longer of the
    /// two intervals that the probe may follow.
    pub fn validity(&self) -> Duration {
        let s = &self.schedule;
        let times = |count: u32, time: Duration| time.saturating_mul(count);
        times(2, s.interval.max(s.retry_interval))
            .saturating_add(times(s.attempts, s.timeout))
            .saturating_add(times(s.attempts.saturating_sub(1), s.attempt_gap))
            .saturating_add(Duration::from_secs(10))
    }
}
