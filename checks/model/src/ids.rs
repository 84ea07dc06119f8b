//! Names of things, as types of their own so that none is taken for another.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        ///
        /// Clones share one text. A state has each name a hundred thousand times, and goes through
        /// them every second: as texts of their own they would not stay in the processor's cache.
        #[derive(Clone, Serialize, Deserialize)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Takes the name as it stands; its clones share it.
            pub fn new(name: impl Into<String>) -> Self {
                Self(Arc::from(name.into()))
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl PartialEq for $name {
            fn eq(&self, other: &Self) -> bool {
                Arc::ptr_eq(&self.0, &other.0) || self.0 == other.0
            }
        }

        impl Eq for $name {}

        impl Ord for $name {
            fn cmp(&self, other: &Self) -> Ordering {
                match Arc::ptr_eq(&self.0, &other.0) {
                    true => Ordering::Equal,
                    false => self.0.cmp(&other.0),
                }
            }
        }

        impl PartialOrd for $name {
            fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
                Some(self.cmp(other))
            }
        }

        impl Hash for $name {
            fn hash<H: Hasher>(&self, state: &mut H) {
                self.0.hash(state);
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", self.0)
            }
        }

        impl From<&str> for $name {
            fn from(name: &str) -> Self {
                Self(Arc::from(name))
            }
        }
    };
}

name_type! {
    /// A check: its name, preceded by `customer/` where a customer owns it.
    CheckId
}
name_type! {
    /// A probe, by the name it enrolled under.
    ProbeId
}
name_type! {
    /// A site: one place of one carrier, the smallest failure domain.
    SiteId
}
name_type! {
    /// A customer, whose rows no other customer sees.
    CustomerId
}
name_type! {
    /// A person or a list that notifications go to.
    ContactId
}

impl CheckId {
    /// The id of the check `name` of `customer`; `None` is the installation's own.
    pub fn of(customer: Option<&CustomerId>, name: &str) -> Self {
        match customer {
            Some(customer) => Self::new(format!("{customer}/{name}")),
            None => Self::from(name),
        }
    }
}

/// An incident: a number given in the order of opening, never reused within a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct IncidentId(pub u64);

impl fmt::Display for IncidentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}
