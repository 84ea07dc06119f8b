//! What probes and coordinators say to each other: JSON over HTTP, zstd-compressed.
//!
//! `POST /probe/v1/session` [`Hello`] -> [`Welcome`]; `POST /probe/v1/report` [`Report`] ->
//! [`Receipt`]; `GET /probe/v1/orders?probe=&epoch=` -> a stream of [`Order`], one JSON per line.
//! A session is alive only while it works both ways: the probe learns the log time from orders
//! and echoes it in reports.

use serde::{Deserialize, Serialize};

use crate::config::References;
use crate::{CheckId, CheckSpec, Evidence, Family, Observation, ProbeId, SiteId, Timestamp};

/// The version of these messages, told once, when a session is opened; it holds for the reports and
/// orders of the session. A coordinator speaks with probes of this and of earlier versions, from
/// [`OLDEST_WIRE`] on, and refuses newer ones with a clear word. Which it takes is decided in the
/// state machine: a new version needs a new format level (see the core).
pub const WIRE_VERSION: u32 = 1;

/// The oldest version that coordinators still speak.
pub const OLDEST_WIRE: u32 = 1;

/// A probe asks for a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// [`WIRE_VERSION`].
    pub wire: u32,
    /// Who asks.
    pub probe: ProbeId,
    /// Where it stands.
    pub site: SiteId,
    /// A number that differs after each start of the probe.
    pub boot: u64,
    /// The probe's software version.
    pub version: String,
}

/// The session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// Stands for this session; every report carries it.
    pub epoch: u64,
    /// The log time.
    pub now: Timestamp,
}

/// Whether a probe is fit to judge, from its reference targets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fitness {
    /// No references are configured for this.
    Untested,
    /// The references answer as they should.
    Fit,
    /// They do not, and why.
    Unfit(String),
}

impl Fitness {
    /// Whether votes count.
    pub const fn may_vote(&self) -> bool {
        matches!(self, Self::Untested | Self::Fit)
    }
}

/// A probe's opinion of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// Reaching the world over IPv4.
    pub v4: Fitness,
    /// Reaching the world over IPv6.
    pub v6: Fitness,
    /// Resolving names.
    pub names: Fitness,
}

impl Health {
    /// Nothing tested.
    pub const UNTESTED: Self =
        Self { v4: Fitness::Untested, v6: Fitness::Untested, names: Fitness::Untested };

    /// Whether it reaches the world over this family.
    pub const fn of(&self, family: Family) -> &Fitness {
        match family {
            Family::V4 => &self.v4,
            Family::V6 => &self.v6,
        }
    }
}

/// What a probe saw, and that it still hears the coordinator.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Who reports.
    pub probe: ProbeId,
    /// The session.
    pub epoch: u64,
    /// Grows within the session; a resent report keeps its number.
    pub seq: u64,
    /// The newest log time heard in an order.
    pub echo: Timestamp,
    /// How the probe itself is.
    pub health: Health,
    /// What it saw, oldest first; at most [`REPORT_LIMIT`].
    pub observations: Vec<Observation>,
    /// What it gathered about checks that begin to fail, oldest first; at most
    /// [`crate::evidence::REPORTED_LIMIT`].
    pub evidence: Vec<Evidence>,
    /// Observations waiting on the probe's disk.
    pub spooled: u64,
    /// Observations that the spool's bound has cost since the probe's start.
    pub dropped: u64,
    /// How many checks the probe is running.
    pub running: u32,
}

/// The most observations in one report: a log entry of about 300 KiB.
pub const REPORT_LIMIT: usize = 1000;

/// The report is on a majority of disks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// The report's number.
    pub seq: u64,
    /// The log time.
    pub now: Timestamp,
}

/// One line of the stream of orders.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Order {
    /// The log time; sent every [`HEARTBEAT_SECONDS`].
    Heartbeat {
        /// The log time.
        now: Timestamp,
    },
    /// All that the probe is to run from now on.
    Assignment(Box<Assignment>),
    /// Run this check at once.
    Confirm {
        /// Which.
        check: CheckId,
        /// Differs for each order, so that a repeated one is not run twice.
        nonce: u64,
    },
    /// The session is not known any more; open a new one.
    Renew,
}

/// How often a coordinator sends the log time, in seconds: three fit into the 15 s session rule.
pub const HEARTBEAT_SECONDS: u64 = 4;

/// All that a probe is to run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assignment {
    /// Grows with each change.
    pub revision: u64,
    /// The checks.
    pub checks: Vec<Assigned>,
    /// How the probe tests itself.
    pub references: References,
}

/// A check and the revision of its settings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assigned {
    /// Stands in every observation.
    pub rev: u64,
    /// The check.
    pub spec: CheckSpec,
}

/// Why a coordinator did not take a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    /// This session is not (or no longer) known: open a new one.
    UnknownSession,
    /// The site is not configured.
    UnknownSite(SiteId),
    /// The messages' version does not fit.
    Version {
        /// What the coordinator speaks.
        wanted: u32,
    },
    /// Not allowed in.
    Forbidden,
    /// No leader at present; try again, or another coordinator.
    Unavailable,
}
