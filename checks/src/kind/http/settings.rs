//! The settings of `http`, as people write them. Names and paths are compiled by
//! [`super::plan`], so that all that is wrong with them is told at once.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use crosscheck_model::{Family, Secret, Text};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserializer, Error, MapAccess, Visitor, value::MapAccessDeserializer};
use serde::{Deserialize, Serialize};

use super::json::Expected;
use super::login::Account;
use super::multipart::PartWanted;
use super::target::{Target, Verb};
use super::token::OAuth2;
use crate::proxy::ProxyWanted;
use crate::text::{List, Pattern, Size, Span};
use crate::tls::{CertificateWanted, Identity};

/// An HTTP request and what its answer must be.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::kind) struct Settings {
    /// Where to, `http://` or `https://`.
    pub(super) url: Target,
    /// The method. Default: POST when something is sent, else GET.
    pub(super) method: Option<Verb>,
    /// Headers to send.
    #[serde(default)]
    pub(super) headers: BTreeMap<String, Text>,
    /// The body to send, as it stands.
    pub(super) send: Option<Text>,
    /// A form to send: names and values, which are encoded as browsers do it.
    #[serde(default)]
    pub(super) form: BTreeMap<String, Text>,
    /// A file of the probe to send as it stands, read at each run: `/srv/crosscheck/sample.pdf`, of
    /// at most 16 MiB. The probe's own configuration must allow its directory.
    pub(super) send_file: Option<PathBuf>,
    /// Parts of a form to send as `multipart/form-data` (RFC 7578): texts, and files as
    /// `{ file: /srv/crosscheck/photo.png, type: image/png }`.
    #[serde(default)]
    pub(super) multipart: BTreeMap<String, PartWanted>,
    /// A JSON value to send; secrets in its texts are escaped.
    pub(super) send_json: Option<serde_json::Value>,
    /// Status codes that are wanted: numbers and ranges such as `"200-299"`, the default.
    #[serde(default)]
    pub(super) status: List<StatusRange>,
    /// What headers of the answer must be.
    #[serde(default)]
    pub(super) header: BTreeMap<String, HeaderWanted>,
    /// What the body must and must not contain.
    #[serde(default)]
    pub(super) body: BodyWanted,
    /// Which codings the answer may have: `gzip`, `deflate`, `br`, `zstd`, or `identity` for none.
    /// Default: all that compress.
    #[serde(default)]
    pub(super) accept_encoding: List<Coding>,
    /// Whether the body must come compressed (true), or must not (false).
    pub(super) compressed: Option<bool>,
    /// What values of a JSON body must be, by JSONPath (RFC 9535).
    #[serde(default)]
    pub(super) json: BTreeMap<String, Expected>,
    /// Expressions in CEL, all of which must be true: `status in [200, 204] && ms.first_byte < 300`.
    /// Known are `status`, `redirects`, `http_version`, `bytes`, `wire_bytes` (as received),
    /// `certificate_days`, `body`, times in milliseconds as `ms.dns`, `ms.connect`, `ms.tls`,
    /// `ms.send`, `ms.first_byte`, `ms.transfer`, `ms.total` (0 where there was none), and the
    /// functions `header("name")` (empty when it is missing), `json("$.path")` (the first value, or
    /// null), `json_all("$.path")` and `count("$.path")`. An expression that names `status` says by
    /// itself which are wanted, unless the setting `status` is there.
    #[serde(default)]
    pub(super) expect: List<String>,
    /// How many redirects are followed. Default 0: the answer of the URL itself is judged.
    #[serde(default)]
    pub(super) redirects: u32,
    /// The HTTP version. Default: what the server picks (ALPN) of 1.1 and 2, and 1.1 without TLS.
    /// With 3 every `https://` hop goes over QUIC (UDP); its phase `connect` is the handshake with
    /// TLS in it.
    pub(super) version: Option<Version>,
    /// The address family of a name; v4 when left out.
    pub(super) family: Option<Family>,
    /// A PEM file of the only roots to trust. Default: the system's.
    pub(super) ca: Option<String>,
    /// A client certificate to show.
    pub(super) client: Option<Identity>,
    /// The name to ask for in TLS and to find in the certificate. Default: the URL's host.
    pub(super) server_name: Option<String>,
    /// The `Host` header. Default: the URL's host and port.
    pub(super) host: Option<String>,
    /// A user and password to send (RFC 7617).
    pub(super) basic: Option<Account>,
    /// A user and password for a server that asks for Digest authentication (RFC 7616: MD5 and
    /// SHA-256). Each run asks twice, as a browser does at first; both count to its phases.
    pub(super) digest: Option<Account>,
    /// A token to send (RFC 6750).
    pub(super) bearer: Option<Secret>,
    /// An access token that is fetched by client credentials (RFC 6749 4.4) and sent as `bearer`
    /// is. It is kept until shortly before its end; after a 401, or a 403 that is not wanted, it is
    /// fetched anew once.
    pub(super) oauth2: Option<OAuth2>,
    /// A proxy to go through. The phase `connect` is the way to the target by it.
    pub(super) proxy: Option<ProxyWanted>,
    /// A run that takes longer is degraded.
    pub(super) slower_than: Option<Span>,
    /// A run is degraded in which one of these phases takes longer.
    #[serde(default)]
    pub(super) slower: Slower,
    /// The largest decoded body.
    #[serde(default = "default_body_limit")]
    pub(super) body_limit: Size,
    /// What the certificate must be beyond trusted.
    pub(super) certificate: Option<CertificateWanted>,
}

/// A coding of the answer (RFC 9110 8.4.1, RFC 7932, RFC 8878).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Coding {
    Gzip,
    Deflate,
    Br,
    Zstd,
    /// None.
    Identity,
}

impl Coding {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
            Self::Br => "br",
            Self::Zstd => "zstd",
            Self::Identity => "identity",
        }
    }
}

/// A mebibyte: more than nearly every page, little beside a probe's memory.
fn default_body_limit() -> Size {
    Size::new(1 << 20)
}

/// What the body must be. Each may be one text or a list, all of which must hold.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct BodyWanted {
    /// Text that is in it.
    #[serde(default)]
    pub(super) contains: List<String>,
    /// A regular expression that matches somewhere.
    #[serde(default)]
    pub(super) matches: List<Pattern>,
    /// Text that is not in it.
    #[serde(default)]
    pub(super) lacks: List<String>,
}

/// How long each phase may take.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Slower {
    /// Resolving the name.
    pub(super) dns: Option<Span>,
    /// Opening the connection.
    pub(super) connect: Option<Span>,
    /// The TLS handshake.
    pub(super) tls: Option<Span>,
    /// From the request to the first byte of the answer.
    pub(super) first_byte: Option<Span>,
    /// From the first byte to the last.
    pub(super) transfer: Option<Span>,
}

/// What a header must be.
#[derive(Clone, Debug)]
pub(super) enum HeaderWanted {
    /// Exactly this.
    Equals(String),
    /// This expression matches somewhere.
    Matches(Pattern),
}

/// `{ matches: "regexp" }`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Matches {
    matches: Pattern,
}

impl<'de> Deserialize<'de> for HeaderWanted {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = HeaderWanted;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the header's text, or `{ matches: \"regular expression\" }`")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<HeaderWanted, E> {
                Ok(HeaderWanted::Equals(text.to_owned()))
            }
            fn visit_u64<E: Error>(self, number: u64) -> Result<HeaderWanted, E> {
                Ok(HeaderWanted::Equals(number.to_string()))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<HeaderWanted, A::Error> {
                let matches = Matches::deserialize(MapAccessDeserializer::new(map))?;
                Ok(HeaderWanted::Matches(matches.matches))
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl JsonSchema for HeaderWanted {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "HeaderWanted".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let pattern = generator.subschema_for::<Pattern>();
        json_schema!({
            "description": "the header's text, or an expression that matches somewhere in it",
            "anyOf": [
                { "type": "string" },
                { "type": "integer" },
                {
                    "type": "object",
                    "properties": { "matches": pattern },
                    "required": ["matches"],
                    "additionalProperties": false
                }
            ]
        })
    }
}

/// Status codes from one to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StatusRange {
    pub(super) first: u16,
    pub(super) last: u16,
}

impl StatusRange {
    /// The answers that mean success (RFC 9110 15.3).
    pub(super) const SUCCESS: Self = Self { first: 200, last: 299 };

    fn new(first: u64, last: u64) -> Result<Self, String> {
        let code = |number: u64| match u16::try_from(number) {
            Ok(code @ 100..=599) => Ok(code),
            _ => Err(format!("`{number}` is no status code; they go from 100 to 599")),
        };
        let range = Self { first: code(first)?, last: code(last)? };
        if range.first > range.last {
            return Err(format!("the range `{range}` ends before it starts"));
        }
        Ok(range)
    }

    fn parse(text: &str) -> Result<Self, String> {
        let number = |part: &str| part.trim().parse::<u64>();
        let parsed = match text.split_once('-') {
            Some((first, last)) => number(first).and_then(|first| Ok((first, number(last)?))),
            None => number(text).map(|code| (code, code)),
        };
        let (first, last) = parsed.map_err(|_| {
            format!("`{text}` is no status code; write `200` or a range such as `\"200-299\"`")
        })?;
        Self::new(first, last)
    }
}

impl fmt::Display for StatusRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.first == self.last {
            true => write!(f, "{}", self.first),
            false => write!(f, "{}-{}", self.first, self.last),
        }
    }
}

impl<'de> Deserialize<'de> for StatusRange {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Code;
        impl Visitor<'_> for Code {
            type Value = StatusRange;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a status code such as `200` or a range such as `\"200-299\"`")
            }
            fn visit_u64<E: Error>(self, code: u64) -> Result<StatusRange, E> {
                StatusRange::new(code, code).map_err(E::custom)
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<StatusRange, E> {
                StatusRange::parse(text).map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Code)
    }
}

impl JsonSchema for StatusRange {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "StatusRange".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "a status code, or a range such as `200-299`",
            "anyOf": [
                { "type": "integer", "minimum": 100, "maximum": 599 },
                { "type": "string", "pattern": "^\\s*[1-5][0-9]{2}\\s*(-\\s*[1-5][0-9]{2}\\s*)?$" }
            ]
        })
    }
}

/// A version of HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) enum Version {
    Http11,
    Http2,
    Http3,
}

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Number;
        impl Visitor<'_> for Number {
            type Value = Version;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`\"1.1\"`, `\"2\"` or `\"3\"`")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Version, E> {
                match text {
                    "1.1" => Ok(Version::Http11),
                    "2" => Ok(Version::Http2),
                    "3" => Ok(Version::Http3),
                    _ => Err(E::custom(format!("`{text}` is no version; write `1.1`, `2` or `3`"))),
                }
            }
            // YAML reads an unquoted `1.1` and `2` as numbers.
            fn visit_f64<E: Error>(self, number: f64) -> Result<Version, E> {
                self.visit_str(&number.to_string())
            }
            fn visit_u64<E: Error>(self, number: u64) -> Result<Version, E> {
                self.visit_str(&number.to_string())
            }
        }
        deserializer.deserialize_any(Number)
    }
}

impl JsonSchema for Version {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "HttpVersion".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "description": "the HTTP version", "enum": ["1.1", "2", "3", 1.1, 2, 3] })
    }
}
