//! Where a request goes and how: the URL and the method, parsed where they are read.

use std::fmt;
use std::sync::Arc;

use crosscheck_model::Family;
use http::Method;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserializer, Error, Visitor};
use serde::{Deserialize, Serialize, Serializer};
use url::Url;

use crate::text::{Host, Refused};

/// An absolute `http` or `https` URL with a host, without credentials and fragment. Clones share it:
/// each run has some.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::kind) struct Target(Arc<Url>);

impl Target {
    /// Takes the URL.
    pub(in crate::kind) fn new(mut url: Url) -> Result<Self, String> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(format!("`{url}` is neither `http://` nor `https://`"));
        }
        if url.host_str().is_none_or(str::is_empty) {
            return Err(format!("`{url}` has no host"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("a URL with a user or password; write them in `basic`".to_owned());
        }
        url.set_fragment(None);
        Ok(Self(Arc::new(url)))
    }

    pub(in crate::kind) fn parse(text: &str) -> Result<Self, String> {
        if text.contains("${") {
            return Err(
                "a URL with a secret, which would stand in logs; send it in `headers`, `basic`, \
                 `bearer` or `send`"
                    .to_owned(),
            );
        }
        let url = Url::parse(text).map_err(|error| match error {
            url::ParseError::RelativeUrlWithoutBase => {
                format!("`{text}` is no URL; write `https://{text}`")
            }
            other => format!("`{text}` is no URL: {other}"),
        })?;
        Self::new(url)
    }

    /// Where a `Location` of this target leads (RFC 9110 10.2.2).
    pub(in crate::kind) fn join(&self, location: &str) -> Result<Self, String> {
        let url = self.0.join(location).map_err(|error| format!("`{location}`: {error}"))?;
        Self::new(url)
    }

    pub(in crate::kind) fn url(&self) -> &Url {
        &self.0
    }

    pub(super) fn is_https(&self) -> bool {
        self.0.scheme() == "https"
    }

    /// The name or literal address, without brackets.
    pub(in crate::kind) fn host(&self) -> String {
        match self.0.host() {
            Some(url::Host::Ipv6(ip)) => ip.to_string(),
            Some(host) => host.to_string(),
            None => String::new(),
        }
    }

    /// The family to use: a literal address has its own.
    pub(in crate::kind) fn family(&self, wanted: Option<Family>) -> Result<Family, Refused> {
        self.host().parse::<Host>()?.family(wanted)
    }

    pub(super) fn port(&self) -> u16 {
        self.0.port_or_known_default().unwrap_or(if self.is_https() { 443 } else { 80 })
    }

    /// As in the `Host` header: the port only where it is not the scheme's.
    pub(in crate::kind) fn authority(&self) -> String {
        let host = self.0.host_str().unwrap_or_default();
        match self.0.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        }
    }

    /// The path and query, as in the request line.
    pub(super) fn path(&self) -> String {
        match self.0.query() {
            Some(query) => format!("{}?{query}", self.0.path()),
            None => self.0.path().to_owned(),
        }
    }

    pub(in crate::kind) fn same_origin(&self, other: &Self) -> bool {
        self.0.origin() == other.0.origin()
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for Target {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Target {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Address;
        impl Visitor<'_> for Address {
            type Value = Target;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a URL such as `https://shop.example.com/`")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Target, E> {
                Target::parse(text.trim()).map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Address)
    }
}

impl JsonSchema for Target {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "HttpUrl".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "format": "uri",
            "pattern": "^\\s*https?://",
            "description": "an `http://` or `https://` URL"
        })
    }
}

/// A method, in capitals.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Verb(pub(super) Method);

impl Verb {
    pub(in crate::kind) fn parse(text: &str) -> Result<Self, String> {
        // Methods are case-sensitive (RFC 9110 9.1), and no server has one in small letters.
        let capitals = text.trim().to_ascii_uppercase();
        match Method::from_bytes(capitals.as_bytes()) {
            Ok(Method::CONNECT) => Err("CONNECT is for proxies and cannot be checked".to_owned()),
            Ok(method) => Ok(Self(method)),
            Err(_) => Err(format!("`{text}` is no method; write `GET`, `POST`, `HEAD` ..")),
        }
    }
}

impl<'de> Deserialize<'de> for Verb {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(D::Error::custom)
    }
}

impl JsonSchema for Verb {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "HttpMethod".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "an HTTP method",
            "examples": ["GET", "POST", "PUT", "HEAD", "OPTIONS", "PATCH", "DELETE"]
        })
    }
}
