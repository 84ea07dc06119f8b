//! The settings of `tls`, as people write them.

use std::fmt;

use crosscheck_model::Family;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};

use super::starttls::Starttls;
use crate::text::{Address, List, Span};
use crate::tls::Identity;

/// The settings as people write them.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Settings {
    /// Where to connect: `mail.example.com:993`.
    pub(super) address: Address,
    /// The name to ask for and to find in the certificate. Default: the address's host.
    pub(super) server_name: Option<String>,
    /// A PEM file of the only roots to trust. Default: the system's.
    pub(super) ca: Option<String>,
    /// A client certificate to show.
    pub(super) client: Option<Identity>,
    /// The protocol in whose midst TLS begins. Left out: TLS begins at once.
    pub(super) starttls: Option<Starttls>,
    /// The versions of TLS.
    #[serde(default)]
    pub(super) versions: Versions,
    /// What the server must staple to its certificate: `required` wants a status that is good. One
    /// that is stapled must be good and not late in any case.
    pub(super) ocsp: Option<Ocsp>,
    /// Degraded when a certificate that is needed in the chain expires within this many days.
    #[serde(default = "default_warn_days")]
    pub(super) warn_days: u16,
    /// The address family of a name; v4 when left out.
    pub(super) family: Option<Family>,
    /// A handshake that takes longer, with the connection, is degraded.
    pub(super) slower_than: Option<Span>,
    /// Further names that the certificate must be for.
    #[serde(default)]
    pub(super) names: List<String>,
}

/// Three weeks: certificates of 90 days are renewed 30 days before their end, so by then it has
/// failed for more than a week.
const fn default_warn_days() -> u16 {
    21
}

/// What is wanted of a stapled certificate status (OCSP).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Ocsp {
    /// It must be there.
    Required,
}

/// The versions of TLS that count.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Versions {
    /// The oldest that this check speaks itself; 1.2 when left out.
    pub(super) min: Option<Oldest>,
    /// Old versions that the server must not accept, `1.0` and `1.1`: degraded if it does. Each is
    /// offered over a connection of its own.
    #[serde(default)]
    pub(super) forbid: List<Old>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Oldest {
    Tls12,
    Tls13,
}

/// A version that is out of use (RFC 8996).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Old {
    Tls10,
    Tls11,
}

impl Old {
    /// As in a ClientHello (RFC 2246, RFC 4346).
    pub(super) const fn code(self) -> [u8; 2] {
        match self {
            Self::Tls10 => [3, 1],
            Self::Tls11 => [3, 2],
        }
    }

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Tls10 => "1.0",
            Self::Tls11 => "1.1",
        }
    }
}

/// A version's number, as people write it: `1.2`, `"1.2"`, `tls1.2`.
struct Number<T>(fn(&str) -> Option<T>, &'static str);

impl<T> Visitor<'_> for Number<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.1)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        let number = text.strip_prefix("tls").unwrap_or(text);
        let wrong = || E::custom(format!("`{text}` is not meant here; write {}", self.1));
        (self.0)(number).ok_or_else(wrong)
    }

    // YAML reads an unquoted `1.2` as a number, and `1.0` may come as 1.
    fn visit_f64<E: Error>(self, number: f64) -> Result<T, E> {
        self.visit_str(&format!("{number:.1}"))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<T, E> {
        self.visit_str(&format!("{number}.0"))
    }
}

impl<'de> Deserialize<'de> for Oldest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let known = |number: &str| match number {
            "1.2" => Some(Self::Tls12),
            "1.3" => Some(Self::Tls13),
            _ => None,
        };
        deserializer.deserialize_any(Number(known, "`\"1.2\"` or `\"1.3\"`"))
    }
}

impl<'de> Deserialize<'de> for Old {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let known = |number: &str| match number {
            "1.0" => Some(Self::Tls10),
            "1.1" => Some(Self::Tls11),
            _ => None,
        };
        deserializer.deserialize_any(Number(known, "`\"1.0\"` or `\"1.1\"`"))
    }
}

impl JsonSchema for Oldest {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "TlsVersion".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "description": "a version of TLS", "enum": ["1.2", "1.3", 1.2, 1.3] })
    }
}

impl JsonSchema for Old {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "OldTlsVersion".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "a version of TLS that is out of use",
            "enum": ["1.0", "1.1", "tls1.0", "tls1.1", 1.0, 1.1]
        })
    }
}
