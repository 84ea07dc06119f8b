//! The settings of `websocket`, as people write them.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use crosscheck_model::{Family, Text};
use http::HeaderName;
use schemars::JsonSchema;
use serde::Deserialize;
use url::Url;

use crate::kind::SettingsError;
use crate::kind::service::{Place, TlsWords};
use crate::kind::spoken::{SendWords, Wanted};
use crate::text::{Address, Host, List, Refused, Span, typed_text};
use crate::tls::{CertificateWanted, Identity};

/// Where to connect, and what to say and hear there.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Settings {
    /// Where to: `ws://` or `wss://` (over TLS).
    url: Location,
    /// The address family of a name; v4 when left out.
    family: Option<Family>,
    /// Headers to send with the handshake, such as `Origin` and `Authorization`.
    #[serde(default)]
    headers: BTreeMap<String, Text>,
    /// Subprotocols to offer, the preferred first; the server must take one of them.
    #[serde(default)]
    subprotocol: List<String>,
    /// A message to send once it is open: text, or bytes for a binary one.
    send: Option<SendWords>,
    /// What a message of the server must be.
    expect: Option<Wanted>,
    /// How many messages are looked at for it, 1 to 64.
    #[serde(default = "usual_among")]
    #[schemars(range(min = 1, max = AMONG_LIMIT))]
    among: u32,
    /// Sends a ping and wants its pong.
    #[serde(default)]
    ping: bool,
    /// A run that takes longer is Degraded.
    slower_than: Option<Span>,
    /// The name to ask for in TLS and to find in the certificate. Default: the URL's host.
    server_name: Option<String>,
    /// A PEM file of the only roots to trust. Default: the system's.
    ca: Option<String>,
    /// A client certificate to show.
    client: Option<Identity>,
    /// What the certificate must be beyond trusted.
    certificate: Option<CertificateWanted>,
}

/// The first must be the one.
const fn usual_among() -> u32 {
    1
}

/// A run is a look, and no subscription.
const AMONG_LIMIT: u32 = 64;

/// Headers that the handshake itself is made of.
const OWN: [&str; 7] = [
    "host",
    "connection",
    "upgrade",
    "sec-websocket-key",
    "sec-websocket-version",
    "sec-websocket-protocol",
    "sec-websocket-extensions",
];

/// What a check does.
pub(in crate::kind) struct Plan {
    pub(super) url: Location,
    pub(super) headers: Vec<(String, Text)>,
    pub(super) subprotocols: Vec<String>,
    pub(super) send: Option<SendWords>,
    pub(super) expect: Option<Wanted>,
    pub(super) among: u32,
    pub(super) ping: bool,
}

impl Settings {
    /// The place and the plan.
    ///
    /// # Errors
    /// All that is wrong with them.
    pub(super) fn into_parts(self) -> Result<(Place, Plan), Vec<SettingsError>> {
        let mut errors = Vec::new();
        let mut refuse = |path: &[&str], message: String| {
            let path = path.iter().map(|key| (*key).to_owned()).collect();
            errors.push(SettingsError { path, message, hint: None });
        };
        if self.among == 0 || self.among > AMONG_LIMIT {
            refuse(&["among"], format!("`{}` messages; write 1 to {AMONG_LIMIT}", self.among));
        }
        for name in self.headers.keys() {
            if OWN.contains(&name.to_ascii_lowercase().as_str()) {
                let message = format!("`{name}` belongs to the handshake itself");
                refuse(&["headers", name], message);
            } else if HeaderName::from_str(name).is_err() {
                refuse(&["headers", name], format!("`{name}` is no name of a header"));
            }
        }
        for (index, name) in self.subprotocol.iter().enumerate() {
            // The same letters as a header's name has (RFC 6455 section 4.1).
            if HeaderName::from_str(name).is_err() {
                let path = ["subprotocol", &index.to_string()];
                refuse(&path, format!("`{name}` is no name of a subprotocol"));
            }
        }
        let words = TlsWords {
            tls: self.url.is_secure(),
            starttls: false,
            server_name: self.server_name,
            ca: self.ca,
            client: self.client,
            certificate: self.certificate,
        };
        let place = match self.url.address() {
            Ok(address) => Place::new(address, self.family, self.slower_than, words),
            Err(refused) => {
                refuse(&["url"], refused.to_string());
                Err(Vec::new())
            }
        };
        let place = place.map_err(|more| {
            errors.extend(more.into_iter().map(|mut error| {
                error.hint = error.hint.map(|hint| hint.replace("`tls: true`", "`wss://..`"));
                error
            }));
        });
        let (Ok(place), true) = (place, errors.is_empty()) else { return Err(errors) };
        let plan = Plan {
            url: self.url,
            headers: self.headers.into_iter().collect(),
            subprotocols: self.subprotocol.to_vec(),
            send: self.send,
            expect: self.expect,
            among: self.among,
            ping: self.ping,
        };
        Ok((place, plan))
    }
}

/// A URL of a WebSocket (RFC 6455 section 3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Location(Url);

impl Location {
    fn is_secure(&self) -> bool {
        self.0.scheme() == "wss"
    }

    fn address(&self) -> Result<Address, Refused> {
        let host: Host = self.0.host_str().unwrap_or_default().parse()?;
        let port = self.0.port().unwrap_or(if self.is_secure() { 443 } else { 80 });
        Ok(Address::new(host, port))
    }

    /// As in the `Host` header: the port only where it is not the scheme's.
    pub(super) fn authority(&self) -> String {
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
}

impl FromStr for Location {
    type Err = Refused;

    fn from_str(text: &str) -> Result<Self, Refused> {
        if text.contains("${") {
            return Err(Refused::new(
                "a URL with a secret, which would stand in logs; send it in `headers` or `send`",
            ));
        }
        let url = Url::parse(text.trim())
            .map_err(|error| Refused::new(format!("`{text}` is no URL: {error}")))?;
        if !matches!(url.scheme(), "ws" | "wss") {
            return Err(Refused::new(format!("`{text}` is neither `ws://` nor `wss://`")));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Refused::new("a URL with a user or password; send it in `headers`"));
        }
        if url.fragment().is_some() {
            return Err(Refused::new(format!("`{text}` has a fragment, which is never sent")));
        }
        Ok(Self(url))
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

typed_text!(Location, "a URL such as `wss://example.com/socket`", {
    "type": "string",
    "description": "a URL of a WebSocket: `wss://example.com/socket`, `ws://192.0.2.1:8080/`",
    "pattern": "^\\s*wss?://",
    "examples": ["wss://example.com/socket"]
});
