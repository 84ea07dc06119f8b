//! The settings of `dns`, parsed into what is asked and what is wanted.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use crosscheck_model::Family;
use hickory_proto::rr::{Name, RecordType};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::answers::Answers;
use super::judge::{Flags, Rcode, Ttl, Wanted};
use crate::kind::SettingsError;
use crate::resolve::exchange::Transport;
use crate::text::{Address, List, Refused, Span, typed_text};

/// The settings as people write them.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Settings {
    /// The name to ask for. With `type: PTR` it may be an address.
    name: String,
    /// The type of record; A when left out.
    #[serde(rename = "type", default)]
    record_type: Type,
    /// The name server to ask, with port 53 when left out; the probe's own when there is none.
    server: Option<Server>,
    /// The response codes wanted; NOERROR when left out.
    #[serde(default, skip_serializing_if = "<[_]>::is_empty")]
    rcode: List<Rcode>,
    /// The answers wanted. Left out, there must be one record of the type.
    answers: Option<Answers>,
    /// The bounds of the answers' time to live.
    #[serde(default)]
    ttl: Ttl,
    /// The flags wanted in the answer.
    #[serde(default)]
    flags: Flags,
    /// `udp` (and TCP when the answer was truncated) or `tcp`.
    #[serde(default)]
    transport: TransportName,
    /// Whether the server is to ask others; `false` for the servers of a zone.
    #[serde(default = "yes")]
    recursion: bool,
    /// The address family to reach the server with.
    family: Option<Family>,
    /// A run that takes longer is Degraded.
    slower_than: Option<Span>,
}

/// What is asked of whom.
pub(super) struct Asked {
    pub(super) name: Name,
    pub(super) record_type: RecordType,
    pub(super) server: Option<Address>,
    pub(super) transport: Transport,
    pub(super) recursion: bool,
    pub(super) family: Option<Family>,
    pub(super) slower_than: Option<Span>,
}

const fn yes() -> bool {
    true
}

impl Settings {
    /// What to ask, and what to make of the answer.
    ///
    /// # Errors
    /// All values that do not fit.
    pub(super) fn into_parts(self) -> Result<(Asked, Wanted), Vec<SettingsError>> {
        let mut errors = Vec::new();
        let mut refuse = |path: Vec<String>, refused: Refused| {
            errors.push(SettingsError { path, message: refused.to_string(), hint: None });
        };
        let record_type = self.record_type.0;
        let name = record_name(&self.name, record_type)
            .map_err(|refused| refuse(vec!["name".to_owned()], refused));
        let server = self.server.map(|server| server.0);
        let family = match &server {
            Some(server) => server.family(self.family).map(Some).unwrap_or_else(|refused| {
                refuse(vec!["family".to_owned()], refused);
                None
            }),
            None => self.family,
        };
        if let Some(answers) = &self.answers {
            for (path, refused) in answers.unfit_for(record_type) {
                let mut full = vec!["answers".to_owned()];
                full.extend(path);
                refuse(full, refused);
            }
        }
        if let Some(refused) = self.ttl.contradiction() {
            refuse(vec!["ttl".to_owned()], refused);
        }
        let Ok(name) = name else { return Err(errors) };
        if !errors.is_empty() {
            return Err(errors);
        }
        let asked = Asked {
            name,
            record_type,
            server,
            transport: self.transport.into(),
            recursion: self.recursion,
            family,
            slower_than: self.slower_than,
        };
        let wanted = Wanted::new(record_type, self.rcode, self.answers, self.ttl, self.flags);
        Ok((asked, wanted))
    }
}

/// The name to ask for, fully qualified; an address stands for its reverse name (RFC 1035
/// section 3.5, RFC 3596 section 2.5).
fn record_name(text: &str, record_type: RecordType) -> Result<Name, Refused> {
    if let Ok(ip) = text.parse::<IpAddr>() {
        return match record_type {
            RecordType::PTR => Ok(Name::from(ip)),
            _ => Err(Refused::new(format!("`{text}` is an address; ask for it with `type: PTR`"))),
        };
    }
    let mut name = Name::from_str_relaxed(text.trim())
        .map_err(|error| Refused::new(format!("`{text}` is no domain name: {error}")))?;
    if name.iter().next().is_none() && text.trim() != "." {
        return Err(Refused::new("the name is empty; write `.` for the root"));
    }
    name.set_fqdn(true);
    Ok(name)
}

/// A record type by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Type(RecordType);

impl Default for Type {
    fn default() -> Self {
        Self(RecordType::A)
    }
}

/// The types whose values are shown and compared as text; the schema lists the same.
const TYPES: [RecordType; 15] = [
    RecordType::A,
    RecordType::AAAA,
    RecordType::CAA,
    RecordType::CNAME,
    RecordType::HTTPS,
    RecordType::MX,
    RecordType::NAPTR,
    RecordType::NS,
    RecordType::PTR,
    RecordType::SOA,
    RecordType::SRV,
    RecordType::SSHFP,
    RecordType::SVCB,
    RecordType::TLSA,
    RecordType::TXT,
];

impl FromStr for Type {
    type Err = Refused;

    fn from_str(text: &str) -> Result<Self, Refused> {
        let found = TYPES.into_iter().find(|known| known.to_string().eq_ignore_ascii_case(text));
        found.map(Self).ok_or_else(|| {
            let known: Vec<_> = TYPES.iter().map(ToString::to_string).collect();
            Refused::new(format!("`{text}` is no record type; write one of {}", known.join(", ")))
        })
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

typed_text!(Type, "a record type such as `A`", {
    "type": "string",
    "enum": ["A", "AAAA", "CAA", "CNAME", "HTTPS", "MX", "NAPTR", "NS", "PTR", "SOA", "SRV",
             "SSHFP", "SVCB", "TLSA", "TXT"]
});

/// A name server: a host or an address, with a port if it is not 53.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Server(Address);

/// RFC 1035 section 4.2.
const DNS_PORT: u16 = 53;

impl FromStr for Server {
    type Err = Refused;

    fn from_str(text: &str) -> Result<Self, Refused> {
        Address::or_port(text, DNS_PORT).map(Self)
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

typed_text!(Server, "a name server such as `192.0.2.53`", {
    "type": "string",
    "description": "a name server: `192.0.2.53`, `ns1.example.com`, `[2001:db8::53]:5353`",
    "examples": ["192.0.2.53"]
});

/// How the question travels.
#[derive(Clone, Copy, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum TransportName {
    /// UDP, and TCP when the answer was truncated.
    #[default]
    Udp,
    /// TCP at once.
    Tcp,
}

impl From<TransportName> for Transport {
    fn from(name: TransportName) -> Self {
        match name {
            TransportName::Udp => Self::Udp,
            TransportName::Tcp => Self::Tcp,
        }
    }
}
