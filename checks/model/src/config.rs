//! The whole configuration, parsed and checked: what the cluster agrees on.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{CheckId, CheckSpec, ContactId, CustomerId, Severity, SiteId};

/// Everything people configure. Secrets stand in it as references only.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// Where probes stand.
    pub sites: BTreeMap<SiteId, Site>,
    /// What to check.
    pub checks: Vec<CheckSpec>,
    /// Who is told.
    pub contacts: BTreeMap<ContactId, Contact>,
    /// By what means.
    pub channels: BTreeMap<String, Channel>,
    /// Who is told of what; the first route that fits counts.
    pub routes: Vec<Route>,
    /// Who is told of the installation's own trouble (a blind site, a lying probe).
    pub operators: Vec<ContactId>,
    /// Status pages by name.
    pub pages: BTreeMap<String, Page>,
    /// Planned work.
    pub maintenance: Vec<Maintenance>,
    /// Failures that are simulated regularly.
    pub drills: Vec<Drill>,
    /// How probes find out whether they themselves are fit.
    pub references: References,
    /// Where operators and customers reach the coordinator, for links in mails.
    pub public_url: Option<String>,
    /// How long measurements are kept.
    pub retention: Retention,
}

/// A place of one carrier.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Site {
    /// Where on earth.
    pub region: String,
    /// Whose network.
    pub carrier: String,
}

/// A person, or a list that several read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contact {
    /// Mail addresses.
    pub mail: Vec<String>,
    /// A telephone number, for channels that call.
    pub phone: Option<String>,
    /// Each notification in a message of its own, for programs that read them.
    pub apart: bool,
}

/// A means of telling people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Channel {
    /// The channel kind's name (`mail`).
    pub kind: String,
    /// Its settings, as JSON text; opaque to everything but the channel kind.
    pub settings: String,
}

/// Who is told of what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// Only these severities; empty: all.
    pub severities: Vec<Severity>,
    /// Only checks whose name fits one of these patterns; empty: all.
    pub checks: Vec<String>,
    /// Only this customer's checks.
    pub customer: Option<CustomerId>,
    /// Who.
    pub to: Vec<ContactId>,
    /// By which channels.
    pub channels: Vec<String>,
}

/// A status page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    /// What stands on top.
    pub title: String,
    /// Its checks.
    pub checks: Vec<CheckId>,
}

/// A planned window in which nobody is woken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Maintenance {
    /// Patterns of checks' names.
    pub checks: Vec<String>,
    /// Whose checks.
    pub customer: Option<CustomerId>,
    /// When.
    pub when: Window,
    /// The IANA zone that the wall times are in.
    pub zone: String,
    /// Why, for the page.
    pub reason: String,
}

/// When a maintenance takes place, in wall time of its zone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Window {
    /// Every week, or every day, between two times of day; over midnight when the end is not
    /// later than the start.
    Every {
        /// Days of the week, Monday = 1 to Sunday = 7, on which it starts.
        days: Vec<u8>,
        /// Minutes after midnight.
        from_minute: u16,
        /// Minutes after midnight.
        to_minute: u16,
    },
    /// Once, between two civil times (`2026-11-22T02:00`).
    Once {
        /// The start.
        from: String,
        /// The end.
        to: String,
    },
}

/// A failure that is simulated regularly, so that the way of an alarm is known to work.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Drill {
    /// As if this check were down; `None`: as if the installation itself had trouble.
    pub check: Option<CheckId>,
    /// Days of the week, Monday = 1 to Sunday = 7.
    pub days: Vec<u8>,
    /// When on these days, in minutes after midnight.
    pub minute: u16,
    /// The IANA zone that the wall time is in.
    pub zone: String,
}

/// Targets that tell a probe whether it reaches the world.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct References {
    /// `address:port` over IPv4, in networks of others.
    pub v4: Vec<String>,
    /// The same over IPv6.
    pub v6: Vec<String>,
    /// Names that resolve, asked of each resolver.
    pub names: Vec<String>,
    /// Resolvers (`address:port`); empty: the system's.
    pub resolvers: Vec<String>,
    /// `address:port` that must *not* answer: finds a network that answers for everyone.
    pub must_fail: Option<String>,
    /// How often they are asked.
    pub every: Duration,
}

/// How long measurements are kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retention {
    /// Every observation.
    pub raw: Duration,
    /// Hourly and daily roll-ups, and verdicts. Incidents are no measurements: the state keeps
    /// those that are over for 30 days, at most 2,000 of them.
    pub rollups: Duration,
}

impl Default for Retention {
    fn default() -> Self {
        const DAY: Duration = Duration::from_secs(24 * 60 * 60);
        Self { raw: 14 * DAY, rollups: 800 * DAY }
    }
}
