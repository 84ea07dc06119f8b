//! The site quorum: leave one domain out (LODO), and the simpler quorums.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A failure domain: what one broken cable, carrier or city takes away at once.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Domain {
    /// One site.
    Site(String),
    /// All sites of a carrier.
    Carrier(String),
    /// All sites of a region.
    Region(String),
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Site(name) => write!(f, "site {name}"),
            Self::Carrier(name) => write!(f, "carrier {name}"),
            Self::Region(name) => write!(f, "region {name}"),
        }
    }
}
