//! Names of things, as types of their own so that none is taken for another.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Takes the name as it stands; its clones share it.
            pub fn new(name: impl Into<String>) -> Self {
                Self(name.into().into())
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
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
                Self(name.into())
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
            Some(customer) => Self(format!("{customer}/{name}").into()),
            None => Self(name.into()),
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
