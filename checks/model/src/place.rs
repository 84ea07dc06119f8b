//! Where a run was when it failed, and how that place stands to what is checked.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Family;

/// Where a run was when it failed: evidence is gathered about it. It stays at the probe, for its
/// host may be something that a run was told in confidence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// How it stands to what is checked.
    pub role: Role,
    /// How it is spoken to.
    pub way: Way,
    /// A name or an address.
    pub host: String,
    /// The port; `None`: there is none, only packets.
    pub port: Option<u16>,
    /// The family that the check uses.
    pub family: Family,
    /// The name that TLS asks for, where it is spoken.
    pub tls: Option<String>,
    /// A name, and the family of its addresses, that a server there was asked about.
    pub asks: Option<(String, Family)>,
    /// The host is a secret of the run, or has one in it.
    pub is_secret: bool,
}

/// How a place stands to what is checked.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// It is what is checked.
    Target,
    /// The target has sent the run there by redirects.
    Redirect,
    /// It is where a later step of a journey goes.
    Step,
    /// It is the proxy on the way: what is behind it was not looked at.
    Proxy,
    /// It gives out the access tokens for the target.
    TokenEndpoint,
    /// It is a name server that is checked, by asking it about something else.
    NameServer,
    /// It is a registry's server, or the list of these.
    Registry,
}

/// How a place is spoken to.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// By connections.
    Tcp,
    /// By datagrams: nobody says that they have come.
    Udp,
    /// By echo requests.
    Echo,
}

/// What evidence is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct About {
    /// How the place stands to what is checked.
    pub role: Role,
    /// How it is spoken to.
    pub way: Way,
    /// Its host, and its port if it has an unusual one.
    pub place: String,
}

impl Role {
    /// How it stands to what is checked, in a few words.
    pub const fn explain(self) -> &'static str {
        match self {
            Self::Target => "the target",
            Self::Redirect => "where redirects lead",
            Self::Step => "where a later step goes",
            Self::Proxy => "the proxy on the way",
            Self::TokenEndpoint => "the token endpoint",
            Self::NameServer => "the name server",
            Self::Registry => "the registry's server",
        }
    }
}

impl Place {
    /// What is checked, over connections.
    pub const fn tcp(host: String, port: u16, family: Family) -> Self {
        Self::new(Way::Tcp, host, Some(port), family)
    }

    /// What is checked, by datagrams.
    pub const fn udp(host: String, port: u16, family: Family) -> Self {
        Self::new(Way::Udp, host, Some(port), family)
    }

    /// What is checked, by echo requests.
    pub const fn echo(host: String, family: Family) -> Self {
        Self::new(Way::Echo, host, None, family)
    }

    const fn new(way: Way, host: String, port: Option<u16>, family: Family) -> Self {
        let role = Role::Target;
        Self { role, way, host, port, family, tls: None, asks: None, is_secret: false }
    }

    /// The same in another role.
    #[must_use]
    pub fn as_role(self, role: Role) -> Self {
        Self { role, ..self }
    }

    /// The port that takes connections.
    pub fn tcp_port(&self) -> Option<u16> {
        self.port.filter(|_| self.way == Way::Tcp)
    }

    /// Host and port, as people write them; without the one that all name servers have.
    pub fn shown(&self) -> String {
        match self.port {
            None => self.host.clone(),
            Some(53) if self.role == Role::NameServer => self.host.clone(),
            Some(port) if self.host.contains(':') => format!("[{}]:{port}", self.host),
            Some(port) => format!("{}:{port}", self.host),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_shown_as_people_write_it() {
        let v6 = Place::tcp("2001:db8::1".to_owned(), 443, Family::V6);
        let server = Place::udp("192.0.2.53".to_owned(), 53, Family::V4);
        assert_eq!(v6.shown(), "[2001:db8::1]:443");
        assert_eq!(server.shown(), "192.0.2.53:53");
        assert_eq!(server.clone().as_role(Role::NameServer).shown(), "192.0.2.53");
        assert_eq!(Place::echo("h".to_owned(), Family::V4).shown(), "h");
        assert_eq!((v6.tcp_port(), server.tcp_port()), (Some(443), None));
    }
}
