//! Where to connect: `host:port`, `192.0.2.1:80`, `[2001:db8::1]:443`.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use crosscheck_model::Family;

use super::{Refused, typed_text};

/// A host: a domain name in ASCII (IDNA applied) or a literal address without brackets.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Host(String);

impl Host {
    /// As the resolver takes it: a name or a literal address without brackets.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The literal address, if it is one.
    pub fn ip(&self) -> Option<IpAddr> {
        self.0.parse().ok()
    }

    /// The family to use: the literal address's own, the one wanted, or IPv4.
    ///
    /// # Errors
    /// A literal address of the other family than the one wanted.
    pub fn family(&self, wanted: Option<Family>) -> Result<Family, Refused> {
        let own = self.ip().map(|ip| if ip.is_ipv4() { Family::V4 } else { Family::V6 });
        match (own, wanted) {
            (Some(own), Some(wanted)) if own != wanted => Err(Refused::new(format!(
                "`{self}` is of the other address family; leave `family` out"
            ))),
            _ => Ok(own.or(wanted).unwrap_or_default()),
        }
    }
}

impl FromStr for Host {
    type Err = Refused;

    fn from_str(text: &str) -> Result<Self, Refused> {
        let text = text.trim();
        if text.contains("://") || text.contains('/') {
            return Err(Refused::new(format!(
                "`{text}` is a URL; write the host alone, such as `db.example.com`"
            )));
        }
        // Bare IPv6 is unambiguous here, though URLs want brackets around it.
        if let Ok(ip) = text.parse::<IpAddr>() {
            return Ok(Self(ip.to_string()));
        }
        match url::Host::parse(text) {
            Ok(url::Host::Domain(name)) if is_name(&name) => Ok(Self(name)),
            Ok(url::Host::Ipv4(ip)) => Ok(Self(ip.to_string())),
            Ok(url::Host::Ipv6(ip)) => Ok(Self(ip.to_string())),
            _ => Err(Refused::new(format!(
                "`{text}` is no host name or address; write `db.example.com` or `192.0.2.1`"
            ))),
        }
    }
}

/// Whether DNS can carry the name (RFC 1035 section 2.3.4).
fn is_name(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    name.len() <= 253 && name.split('.').all(|label| (1..=63).contains(&label.len()))
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

typed_text!(Host, "a host name or an address", {
    "type": "string",
    "description": "a host name or an address: `db.example.com`, `192.0.2.1`, `2001:db8::1`",
    "examples": ["db.example.com"]
});

/// A host and a port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    host: Host,
    port: u16,
}

impl Address {
    /// A host and a port that are already known to be well-formed.
    pub fn new(host: Host, port: u16) -> Self {
        Self { host, port }
    }

    /// Reads an address whose port may be left out.
    ///
    /// # Errors
    /// It is neither `host`, nor `host:port`.
    pub fn or_port(text: &str, port: u16) -> Result<Self, Refused> {
        let text = text.trim();
        let bare = text.parse::<IpAddr>().is_ok()
            || text.ends_with(']')
            || (!text.contains(':') && !text.starts_with('['));
        if bare { Ok(Self::new(text.parse()?, port)) } else { text.parse() }
    }

    /// The family to use: the literal address's own, the one wanted, or IPv4.
    ///
    /// # Errors
    /// A literal address of the other family than the one wanted.
    pub fn family(&self, wanted: Option<Family>) -> Result<Family, Refused> {
        self.host.family(wanted)
    }

    /// The name or literal address, without brackets.
    pub fn host(&self) -> &str {
        self.host.as_str()
    }

    /// The literal address, if the host is one.
    pub fn ip(&self) -> Option<IpAddr> {
        self.host.ip()
    }

    /// The port; never 0.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl FromStr for Address {
    type Err = Refused;

    fn from_str(text: &str) -> Result<Self, Refused> {
        let text = text.trim();
        if let Some((scheme, _)) = text.split_once("://") {
            return Err(Refused::new(format!(
                "`{text}` is a URL; write `db.example.com:3306` without `{scheme}://`"
            )));
        }
        let no_port = || Refused::new(format!("`{text}` has no port; write `db.example.com:3306`"));
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => rest.split_once("]:").ok_or_else(no_port)?,
            None => text.rsplit_once(':').ok_or_else(no_port)?,
        };
        if host.contains(':') && !text.starts_with('[') {
            return Err(Refused::new(format!(
                "`{text}` is ambiguous; write IPv6 in brackets, such as `[2001:db8::1]:443`"
            )));
        }
        match port.parse::<u16>() {
            Ok(port) if port != 0 => Ok(Self { host: host.parse()?, port }),
            _ => Err(Refused::new(format!("`{port}` is no port; write 1 to 65535"))),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host().contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

typed_text!(Address, "an address such as `db.example.com:3306`", {
    "type": "string",
    "description": "a host and a port: `db.example.com:3306`, `192.0.2.1:80`, `[2001:db8::1]:443`",
    "pattern": ":[0-9]+\\s*$",
    "examples": ["db.example.com:3306"]
});

/// A host, and a port where it is not the usual one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPort {
    host: Host,
    port: Option<u16>,
}

impl HostPort {
    /// The address, with this port when none was written.
    pub fn or_port(&self, port: u16) -> Address {
        Address::new(self.host.clone(), self.port.unwrap_or(port))
    }
}

impl FromStr for HostPort {
    type Err = Refused;

    fn from_str(text: &str) -> Result<Self, Refused> {
        /// Stands for "none": it is no port (RFC 6335, section 6).
        const NONE: u16 = 0;
        let Address { host, port } = Address::or_port(text, NONE)?;
        Ok(Self { host, port: Some(port).filter(|port| *port != NONE) })
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => Address::new(self.host.clone(), port).fmt(f),
            None => self.host.fmt(f),
        }
    }
}

typed_text!(HostPort, "a host such as `mail.example.com`, or `mail.example.com:587`", {
    "type": "string",
    "description": "a host, and a port where it is not the usual one: `mail.example.com`, `192.0.2.1:587`, `[2001:db8::1]:587`",
    "examples": ["mail.example.com"]
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_written() {
        for (text, host, port, written) in [
            ("db.example.com:3306", "db.example.com", 3306, "db.example.com:3306"),
            ("192.0.2.1:80", "192.0.2.1", 80, "192.0.2.1:80"),
            ("[2001:DB8::1]:443", "2001:db8::1", 443, "[2001:db8::1]:443"),
            ("_sip.example.com:1", "_sip.example.com", 1, "_sip.example.com:1"),
            ("Bücher.example:80", "xn--bcher-kva.example", 80, "xn--bcher-kva.example:80"),
            ("localhost:65535", "localhost", 65_535, "localhost:65535"),
        ] {
            let address: Address = text.parse().expect(text);
            assert_eq!((address.host(), address.port()), (host, port));
            assert_eq!(address.to_string(), written);
            assert_eq!(written.parse(), Ok(address));
        }
    }

    #[test]
    fn what_is_no_address_is_refused_with_the_reason() {
        for (text, reason) in [
            ("db.example.com", "has no port"),
            ("[::1]", "has no port"),
            ("::1", "in brackets"),
            ("2001:db8::1:443", "in brackets"),
            ("db.example.com:0", "no port"),
            ("db.example.com:65536", "1 to 65535"),
            ("db.example.com:http", "1 to 65535"),
            ("https://example.com:443", "without `https://`"),
            ("exa mple.com:1", "no host name"),
            (":80", "no host name"),
        ] {
            let refused = text.parse::<Address>().expect_err(text).to_string();
            assert!(refused.contains(reason), "{refused}");
        }
    }

    #[test]
    fn a_port_may_be_left_out_where_there_is_a_usual_one() {
        for (text, written) in [
            ("192.0.2.53", "192.0.2.53:53"),
            ("192.0.2.53:5353", "192.0.2.53:5353"),
            ("2001:db8::53", "[2001:db8::53]:53"),
            ("[2001:db8::53]", "[2001:db8::53]:53"),
            ("[2001:db8::53]:5353", "[2001:db8::53]:5353"),
            ("ns1.example.com", "ns1.example.com:53"),
        ] {
            let address = Address::or_port(text, 53).map(|address| address.to_string());
            assert_eq!(address, Ok(written.to_owned()));
        }
        for text in ["", "ns1:", "ns1:x", "[::1", "dns://ns1"] {
            assert!(Address::or_port(text, 53).is_err(), "{text}");
        }
    }

    #[test]
    fn a_host_may_come_with_a_port() {
        for (text, address) in [
            ("mail.example.com", "mail.example.com:25"),
            ("mail.example.com:587", "mail.example.com:587"),
            ("2001:db8::1", "[2001:db8::1]:25"),
            ("[2001:db8::1]:587", "[2001:db8::1]:587"),
        ] {
            let place: HostPort = text.parse().expect(text);
            assert_eq!(place.or_port(25).to_string(), address);
            assert_eq!(place.to_string(), text);
        }
        assert!("mail.example.com:0".parse::<HostPort>().is_err());
    }

    #[test]
    fn a_literal_address_decides_the_family() {
        for (text, wanted, family) in [
            ("192.0.2.1", None, Some(Family::V4)),
            ("2001:db8::1", None, Some(Family::V6)),
            ("2001:db8::1", Some(Family::V6), Some(Family::V6)),
            ("2001:db8::1", Some(Family::V4), None),
            ("example.com", None, Some(Family::V4)),
            ("example.com", Some(Family::V6), Some(Family::V6)),
        ] {
            let host: Host = text.parse().expect(text);
            assert_eq!(host.family(wanted).ok(), family, "{text}");
        }
    }

    #[test]
    fn a_host_is_a_name_or_an_address() {
        assert_eq!("2001:db8::1".parse::<Host>().map(|h| h.to_string()), Ok("2001:db8::1".into()));
        assert_eq!(
            "[::1]".parse::<Host>().expect("v6").ip(),
            Some(IpAddr::from([0u16, 0, 0, 0, 0, 0, 0, 1]))
        );
        assert_eq!("gw.example.com".parse::<Host>().expect("a name").ip(), None);
        let long = "x".repeat(64);
        for text in ["", "http://x", "x/y", "gw:80", "a b", "a..b", ".", long.as_str()] {
            assert!(text.parse::<Host>().is_err(), "{text}");
        }
    }
}
