//! The settings of `dns`, parsed into what is asked and what is wanted.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use crosscheck_model::Family;
use hickory_proto::rr::{Name, RecordType};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::answers::Answers;
use super::dnssec::{Dnssec, DnssecWords};
use super::judge::{Flags, Rcode, Sections, Ttl, Wanted};
use super::secure::{Secure, TlsWords};
use crate::kind::SettingsError;
use crate::resolve::exchange::Transport;
use crate::text::{Address, HostPort, List, Refused, Span, typed_text};
use crate::tls::CertificateWanted;

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
    /// The records wanted in the authority section, each written with its name and type:
    /// `example.com NS ns1.example.com`. For a server that refers to others.
    authority: Option<Answers>,
    /// The records wanted in the additional section, written the same way.
    additional: Option<Answers>,
    /// The bounds of the answers' time to live.
    #[serde(default)]
    ttl: Ttl,
    /// The flags wanted in the answer.
    #[serde(default)]
    flags: Flags,
    /// What is wanted of the answer's signatures (DNSSEC); they are asked for.
    dnssec: Option<DnssecWords>,
    /// Every name server of the zone `name` is asked for its SOA record, and all must have the same
    /// serial number. Their names are found with `server`, or the probe's own name servers.
    #[serde(default)]
    soa_agreement: bool,
    /// How the question travels.
    #[serde(default)]
    transport: TransportName,
    /// The path of a DNS over HTTPS server (RFC 8484).
    #[serde(default = "usual_path")]
    path: String,
    /// The name to ask for in TLS and to find in the certificate. Default: the server's.
    server_name: Option<String>,
    /// A PEM file of the only roots to trust. Default: the system's.
    ca: Option<String>,
    /// What the certificate must be beyond trusted.
    certificate: Option<CertificateWanted>,
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
    pub(super) way: Way,
    pub(super) dnssec: Option<Dnssec>,
    pub(super) recursion: bool,
    pub(super) family: Option<Family>,
    pub(super) slower_than: Option<Span>,
}

/// How the question travels.
pub(super) enum Way {
    /// In clear text.
    Clear(Transport),
    /// Encrypted.
    Secure(Box<Secure>),
}

/// Nearly every server's (RFC 8484 section 4.1.1 has it as its example).
fn usual_path() -> String {
    "/dns-query".to_owned()
}

const fn yes() -> bool {
    true
}

impl Settings {
    /// The agreement of a zone's servers, if that is what is wanted.
    ///
    /// # Errors
    /// Other settings beside it, which say what a single answer must be.
    pub(super) fn wants_agreement(&self) -> Result<bool, Vec<SettingsError>> {
        if !self.soa_agreement {
            return Ok(false);
        }
        let errors: Vec<_> = [
            ("type", !matches!(self.record_type.0, RecordType::A | RecordType::SOA)),
            ("rcode", !self.rcode.is_empty()),
            ("answers", self.answers.is_some()),
            ("authority", self.authority.is_some()),
            ("additional", self.additional.is_some()),
            ("dnssec", self.dnssec.is_some()),
        ]
        .into_iter()
        .filter(|(_, is_there)| *is_there)
        .map(|(key, _)| {
            let message = format!("`{key}` beside `soa_agreement`, which asks for SOA records");
            SettingsError { path: vec![key.to_owned()], message, hint: None }
        })
        .collect();
        if errors.is_empty() { Ok(true) } else { Err(errors) }
    }

    /// What of the words about the transport does not fit, by its key.
    fn unfit_transport(&self) -> Vec<(&'static str, Refused)> {
        let mut unfit = Vec::new();
        for (key, is_there) in [
            ("server_name", self.server_name.is_some()),
            ("ca", self.ca.is_some()),
            ("certificate", self.certificate.is_some()),
        ] {
            if is_there && !self.transport.is_secure() {
                let message = format!("`{key}` without `transport: tls` or `https`");
                unfit.push((key, Refused::new(message)));
            }
        }
        if self.path != usual_path() && self.transport != TransportName::Https {
            unfit.push(("path", Refused::new("`path` without `transport: https`")));
        }
        if !self.path.starts_with('/') || self.path.contains(|c: char| !c.is_ascii_graphic()) {
            let message = format!("`{}` is no path; write `/dns-query`", self.path);
            unfit.push(("path", Refused::new(message)));
        }
        if self.transport.is_secure() && self.server.is_none() {
            unfit.push(("transport", Refused::new("an encrypted transport needs a `server`")));
        }
        unfit
    }

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
        let port = self.transport.port();
        let server = self.server.as_ref().map(|server| server.0.or_port(port));
        let family = match &server {
            Some(server) => server.family(self.family).map(Some).unwrap_or_else(|refused| {
                refuse(vec!["family".to_owned()], refused);
                None
            }),
            None => self.family,
        };
        for (key, answers, of_type) in [
            ("answers", &self.answers, record_type),
            ("authority", &self.authority, RecordType::ANY),
            ("additional", &self.additional, RecordType::ANY),
        ] {
            for (path, refused) in answers.iter().flat_map(|answers| answers.unfit_for(of_type)) {
                let mut full = vec![key.to_owned()];
                full.extend(path);
                refuse(full, refused);
            }
        }
        for (key, refused) in self.unfit_transport() {
            refuse(vec![key.to_owned()], refused);
        }
        let dnssec = self.dnssec.map(|words| {
            words.into_dnssec().unwrap_or_else(|(path, refused)| {
                refuse([vec!["dnssec".to_owned()], path].concat(), refused);
                Dnssec::default()
            })
        });
        let words = (self.server_name, self.ca, self.certificate);
        let way =
            self.transport.way(server.as_ref(), self.path, words).map_err(|(key, refused)| {
                refuse(vec![key.to_owned()], refused);
            });
        if let Some(refused) = self.ttl.contradiction() {
            refuse(vec!["ttl".to_owned()], refused);
        }
        let (Ok(name), Ok(way)) = (name, way) else { return Err(errors) };
        if !errors.is_empty() {
            return Err(errors);
        }
        let asked = Asked {
            name,
            record_type,
            server,
            way,
            dnssec,
            recursion: self.recursion,
            family,
            slower_than: self.slower_than,
        };
        let (authority, additional) = (self.authority, self.additional);
        let sections = Sections { authority, additional, of_zone: !self.recursion };
        let wanted = Wanted::new(record_type, self.rcode, self.answers, self.ttl, self.flags);
        Ok((asked, wanted.with(sections)))
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
struct Server(HostPort);

impl FromStr for Server {
    type Err = Refused;

    fn from_str(text: &str) -> Result<Self, Refused> {
        text.parse().map(Self)
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum TransportName {
    /// UDP, and TCP when the answer was truncated; port 53.
    #[default]
    Udp,
    /// TCP at once; port 53.
    Tcp,
    /// DNS over TLS (RFC 7858); port 853.
    Tls,
    /// DNS over HTTPS (RFC 8484); port 443.
    Https,
}

impl TransportName {
    /// RFC 1035 section 4.2, RFC 7858 section 3.1, RFC 8484 section 3.
    const fn port(self) -> u16 {
        match self {
            Self::Udp | Self::Tcp => 53,
            Self::Tls => 853,
            Self::Https => 443,
        }
    }

    const fn is_secure(self) -> bool {
        matches!(self, Self::Tls | Self::Https)
    }

    /// The way to a server; in clear text where there is none.
    fn way(
        self,
        server: Option<&Address>,
        path: String,
        words: TlsWords,
    ) -> Result<Way, (&'static str, Refused)> {
        match (self, server) {
            (Self::Tls | Self::Https, Some(server)) => {
                let path = (self == Self::Https).then_some(path);
                Secure::new(server, path, words).map(|secure| Way::Secure(Box::new(secure)))
            }
            (Self::Tcp, _) => Ok(Way::Clear(Transport::Tcp)),
            _ => Ok(Way::Clear(Transport::Udp)),
        }
    }
}
