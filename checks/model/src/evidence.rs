//! What a probe gathers once when a check begins to fail: more than the run itself says, so that
//! people and the coordinator can tell what the fault looks like.

use std::net::{IpAddr, SocketAddr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::observation::EXCERPT_LIMIT_BYTES;
use crate::place::About;
use crate::{Cause, CheckId, Family, Phase, Timestamp};

/// Evidence of one episode of failure at one probe. (`boot`, `number`) is unique for the probe and
/// grows in its life.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// The check that fails.
    pub check: CheckId,
    /// The revision of the check's settings.
    pub rev: u64,
    /// The probe's process life.
    pub boot: u64,
    /// Grows with each gathering of that life.
    pub number: u64,
    /// When the first failing run of the episode began.
    pub failing_since: Timestamp,
    /// When it was gathered.
    pub at: Timestamp,
    /// What was found.
    pub found: Found,
}

/// What was found. Bounded: 7 KB at most, 600 bytes usually.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Found {
    /// Why the run failed that it was gathered for.
    pub cause: Option<Cause>,
    /// Which place was looked at; `None`: there was none to look at.
    pub about: Option<About>,
    /// What each resolver says of the place's name, or of the one that a name server was asked for;
    /// empty when it is an address.
    pub names: Vec<Resolution>,
    /// What became of a connection to each address; at most [`KNOCKS_LIMIT`].
    pub knocks: Vec<Knock>,
    /// The certificates that the server shows, the leaf first; at most [`CHAIN_LIMIT`].
    pub chain: Vec<Shown>,
    /// The way to the first address.
    pub path: Option<Path>,
    /// How long the phases of the failing run took, in microseconds.
    pub phases_us: PhaseTimes,
    /// How long they took in the last run that was up.
    pub usual_us: PhaseTimes,
    /// The beginning of what came back in the failing run, without secrets and control characters;
    /// at most [`EXCERPT_LIMIT_BYTES`]. Others wrote it.
    pub answer: String,
}

/// The most resolutions: two families at two resolvers.
pub const NAMES_LIMIT: usize = 4;
/// The most addresses in an answer that are kept.
pub const ADDRESSES_LIMIT: usize = 8;
/// The most addresses that are tried.
pub const KNOCKS_LIMIT: usize = 8;
/// The most certificates that are kept.
pub const CHAIN_LIMIT: usize = 4;
/// The most hops of a path.
pub const HOPS_LIMIT: usize = 24;
/// The longest text in evidence, in bytes.
pub const TEXT_LIMIT_BYTES: usize = 200;
/// The most evidence in one report.
pub const REPORTED_LIMIT: usize = 8;

/// A time of each phase in microseconds, in the order of [`Phase::ALL`]; 0: it did not happen, or
/// did not end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PhaseTimes(pub [u32; 6]);

impl PhaseTimes {
    /// Of what a run measured.
    pub fn of(phases: &crate::Phases) -> Self {
        let micros = |phase: Phase| {
            let time = phases.get(phase).unwrap_or_default();
            u32::try_from(time.as_micros()).unwrap_or(u32::MAX)
        };
        Self(Phase::ALL.map(micros))
    }

    /// The time of one phase, in microseconds.
    pub const fn get(&self, phase: Phase) -> u32 {
        self.0[phase as usize]
    }
}

/// What a resolver said of a name in one family.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Resolution {
    /// The resolver: an address, or `system`.
    pub resolver: String,
    /// The name.
    pub name: String,
    /// What was asked for.
    pub family: Family,
    /// The addresses, in order; at most [`ADDRESSES_LIMIT`].
    pub addresses: Vec<IpAddr>,
    /// Why there is none.
    pub cause: Option<Cause>,
    /// How long it took, in microseconds.
    pub took_us: u32,
}

/// A connection that was tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Knock {
    /// Where.
    #[schemars(with = "String")]
    pub address: SocketAddr,
    /// Why there was none; `None`: there was.
    pub cause: Option<Cause>,
    /// How long it took, in microseconds.
    pub took_us: u32,
}

/// A certificate that a server shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Shown {
    /// Whose: its first name, or its subject.
    pub subject: String,
    /// Who signed it.
    pub issuer: String,
    /// When it begins to be valid.
    #[schemars(with = "String")]
    pub from: Timestamp,
    /// When it expires.
    #[schemars(with = "String")]
    pub until: Timestamp,
}

/// The way of packets to an address, hop by hop.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Path {
    /// Where to.
    pub to: IpAddr,
    /// The TCP port that requests for a connection went to; `None`: echo requests were sent.
    pub port: Option<u16>,
    /// The hops, the nearest first; at most [`HOPS_LIMIT`]. Silent ones at the end are left out.
    pub hops: Vec<Hop>,
    /// How it ends.
    pub end: PathEnd,
}

/// How a path ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PathEnd {
    /// At the address itself.
    Reached,
    /// A hop says that it cannot get there, or must not.
    Turned,
    /// In silence.
    Silent,
    /// Nobody knows: the probe may not send such packets.
    Untried,
}

/// A hop on a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Hop {
    /// Its number, from 1.
    pub ttl: u8,
    /// Who answered; `None`: nobody.
    pub address: Option<IpAddr>,
    /// Packets sent.
    pub sent: u8,
    /// Packets unanswered.
    pub lost: u8,
    /// The shortest round trip, in microseconds.
    pub took_us: u32,
}

impl Path {
    /// The last hop that answered.
    pub fn last(&self) -> Option<(u8, IpAddr)> {
        self.hops.iter().rev().find_map(|hop| Some((hop.ttl, hop.address?)))
    }
}

impl Evidence {
    /// Its length in memory and in the log, roughly, in bytes.
    pub fn size(&self) -> usize {
        let Found { about, names, knocks, chain, path, answer, .. } = &self.found;
        let about = about.as_ref().map_or(0, |about| about.place.len());
        let names: usize = names.iter().map(|n| 60 + n.name.len() + 17 * n.addresses.len()).sum();
        let chain: usize = chain.iter().map(|s| 40 + s.subject.len() + s.issuer.len()).sum();
        let hops = path.as_ref().map_or(0, |path| 30 * path.hops.len());
        let told = self.check.as_str().len() + about + answer.len();
        150 + told + names + 40 * knocks.len() + chain + hops
    }

    /// Cuts off what is more than a probe of ours gathers.
    pub fn bound(&mut self) {
        let Found { about, names, knocks, chain, path, answer, .. } = &mut self.found;
        if let Some(about) = about {
            cut(&mut about.place);
        }
        answer.truncate(answer.floor_char_boundary(EXCERPT_LIMIT_BYTES));
        names.truncate(NAMES_LIMIT);
        for resolution in names {
            cut(&mut resolution.resolver);
            cut(&mut resolution.name);
            resolution.addresses.truncate(ADDRESSES_LIMIT);
        }
        knocks.truncate(KNOCKS_LIMIT);
        chain.truncate(CHAIN_LIMIT);
        for shown in chain {
            cut(&mut shown.subject);
            cut(&mut shown.issuer);
        }
        if let Some(path) = path {
            path.hops.truncate(HOPS_LIMIT);
        }
    }
}

fn cut(text: &mut String) {
    text.truncate(text.floor_char_boundary(TEXT_LIMIT_BYTES));
}
