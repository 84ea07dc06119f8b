//! What a server's certificate says, for reports: names, issuer, dates.

use std::fmt;
use std::net::IpAddr;

use rustls::RootCertStore;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use super::chain::{self, Link};

/// The facts of a leaf certificate (RFC 5280), trusted or not.
#[derive(Clone, Debug, PartialEq)]
pub struct Certificate {
    /// Whose it is: the first of its names, else its subject.
    pub subject: String,
    /// The subject alternative names: domain names and addresses.
    pub names: Vec<String>,
    /// Who signed it, by common name or organisation.
    pub issuer: String,
    /// The first moment of its validity, in seconds since the Unix epoch.
    pub not_before: i64,
    /// The last.
    pub not_after: i64,
    /// Days from the reading until the first certificate ends that is needed on the way to a
    /// trusted root; negative once it has. Others that a server shows do not count: many show old
    /// ones that no path needs any more.
    pub days_left: f64,
    /// What the server showed, this certificate first; empty where it was looked at by itself.
    pub chain: Vec<Link>,
}

/// More names than this are counted only: a shared host's certificate has hundreds.
const NAMES_SHOWN: usize = 3;

impl Certificate {
    /// The facts of the chain's leaf; `None` when it is no X.509 certificate.
    pub(super) fn read(
        chain: &[CertificateDer<'_>],
        roots: &RootCertStore,
        now: UnixTime,
    ) -> Option<Self> {
        let leaf = Self::of(chain.first()?, now)?;
        let links = chain::links(chain, roots, now);
        let needed = links.iter().filter(|link| link.needed).map(|link| link.days_left);
        Some(Self { days_left: needed.fold(f64::INFINITY, f64::min), chain: links, ..leaf })
    }

    /// Days until the first certificate ends that is needed; `None` when the leaf is no certificate.
    pub(super) fn days_left(
        chain: &[CertificateDer<'_>],
        roots: &RootCertStore,
        now: UnixTime,
    ) -> Option<f64> {
        X509Certificate::from_der(chain.first()?).ok()?;
        chain::days_needed(chain, roots, now)
    }

    /// The facts of one certificate by itself; `None` when it is none.
    pub(super) fn of(der: &CertificateDer<'_>, now: UnixTime) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        let names = names(&certificate);
        let subject = || chain::name(certificate.subject());
        Some(Self {
            subject: names.first().cloned().unwrap_or_else(subject),
            names,
            issuer: chain::name(certificate.issuer()),
            not_before: certificate.validity().not_before.timestamp(),
            not_after: certificate.validity().not_after.timestamp(),
            days_left: chain::days_left(&certificate, now),
            chain: Vec::new(),
        })
    }

    /// Whether the certificate is for this name too (RFC 6125: a wildcard stands for one label).
    pub fn covers(&self, name: &ServerName<'_>) -> bool {
        let wanted = name.to_str().to_ascii_lowercase();
        let is_name = matches!(name, ServerName::DnsName(_));
        self.names.iter().any(|shown| {
            let shown = shown.to_ascii_lowercase();
            let under_wildcard = || {
                let parent = shown.strip_prefix("*.")?;
                let (label, rest) = wanted.split_once('.')?;
                Some(is_name && !label.is_empty() && rest == parent)
            };
            shown == wanted || under_wildcard().unwrap_or(false)
        })
    }
}

impl fmt::Display for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (from, to) = (day(self.not_before), day(self.not_after));
        write!(f, "issued by {}, valid from {from} to {to}", self.issuer)?;
        let shown = self.names.iter().take(NAMES_SHOWN).cloned().collect::<Vec<_>>().join(", ");
        match self.names.len() {
            0 => f.write_str(", for no name"),
            count if count > NAMES_SHOWN => {
                write!(f, ", for {shown} and {} more", count - NAMES_SHOWN)
            }
            _ => write!(f, ", for {shown}"),
        }
    }
}

fn names(leaf: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(extension)) = leaf.subject_alternative_name() else { return Vec::new() };
    let spelled = extension.value.general_names.iter().filter_map(|name| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => address(bytes),
        _ => None,
    });
    spelled.collect()
}

fn address(bytes: &[u8]) -> Option<String> {
    let address = match bytes.len() {
        4 => IpAddr::from(<[u8; 4]>::try_from(bytes).ok()?),
        16 => IpAddr::from(<[u8; 16]>::try_from(bytes).ok()?),
        _ => return None,
    };
    Some(address.to_string())
}

/// The date in UTC (`2026-11-22`).
fn day(seconds: i64) -> String {
    match jiff::Timestamp::from_second(seconds) {
        Ok(moment) => moment.strftime("%Y-%m-%d").to_string(),
        Err(_) => "an impossible date".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_names(names: &[&str]) -> Certificate {
        Certificate {
            subject: names.first().copied().unwrap_or_default().to_owned(),
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            issuer: "Test Root".to_owned(),
            not_before: 1_767_225_600,
            not_after: 1_798_761_600,
            days_left: 365.0,
            chain: Vec::new(),
        }
    }

    #[test]
    fn a_wildcard_stands_for_one_label() {
        let certificate = with_names(&["*.example.com", "example.com", "192.0.2.1"]);
        for (name, covered) in [
            ("www.example.com", true),
            ("WWW.Example.com", true),
            ("example.com", true),
            ("a.b.example.com", false),
            ("example.org", false),
            ("192.0.2.1", true),
            ("192.0.2.2", false),
        ] {
            let name = ServerName::try_from(name).expect("a name");
            assert_eq!(certificate.covers(&name), covered, "{name:?}");
        }
    }

    #[test]
    fn it_is_told_in_one_line() {
        let text = with_names(&["a.test", "b.test", "c.test", "d.test"]).to_string();
        let wanted = "issued by Test Root, valid from 2026-01-01 to 2027-01-01, \
                      for a.test, b.test, c.test and 1 more";
        assert_eq!(text, wanted);
    }
}
