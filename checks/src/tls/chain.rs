//! The certificates that a server shows, in the order in which they vouch for each other.

use std::fmt;

use rustls::RootCertStore;
use rustls_pki_types::{CertificateDer, UnixTime};
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::public_key::PublicKey;
use x509_parser::x509::X509Name;

/// More certificates than a chain of any use has.
const LINKS_AT_MOST: usize = 10;

const SECONDS_PER_DAY: f64 = 86_400.0;

/// One certificate of a chain.
#[derive(Clone, Debug, PartialEq)]
pub struct Link {
    /// Whose it is, by common name or organisation.
    pub subject: String,
    /// Who signed it.
    pub issuer: String,
    /// Its key: `EC P-256`, `RSA 2048`.
    pub key: String,
    /// Days until it ends; negative once it has.
    pub days_left: f64,
    /// Whether the way from the server's certificate to a trusted root needs it. Many servers show
    /// old ones besides.
    pub needed: bool,
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { subject, issuer, key, days_left, .. } = self;
        write!(f, "{subject}, issued by {issuer}, {key}, {days_left:.1} days left")?;
        if self.needed { Ok(()) } else { f.write_str(" (not needed)") }
    }
}

/// The chain's links in the order shown. What cannot be parsed is left out.
pub(super) fn links(
    chain: &[CertificateDer<'_>],
    roots: &RootCertStore,
    now: UnixTime,
) -> Vec<Link> {
    let parsed = parsed(chain);
    let needed = needed(&parsed, roots);
    let link = |(at, certificate): (usize, &X509Certificate<'_>)| Link {
        subject: name(certificate.subject()),
        issuer: name(certificate.issuer()),
        key: key(certificate),
        days_left: days_left(certificate, now),
        needed: needed.contains(&at),
    };
    parsed.iter().enumerate().map(link).collect()
}

/// Days until the first of those ends that are needed.
pub(super) fn days_needed(
    chain: &[CertificateDer<'_>],
    roots: &RootCertStore,
    now: UnixTime,
) -> Option<f64> {
    let parsed = parsed(chain);
    let days = needed(&parsed, roots).into_iter().map(|at| days_left(&parsed[at], now));
    days.min_by(f64::total_cmp)
}

fn parsed<'a>(chain: &'a [CertificateDer<'_>]) -> Vec<X509Certificate<'a>> {
    let parse = |der: &'a CertificateDer<'_>| X509Certificate::from_der(der).ok();
    let parsed = chain.iter().take(LINKS_AT_MOST).filter_map(parse);
    parsed.map(|(_, certificate)| certificate).collect()
}

/// Days until it ends; negative once it has.
pub(super) fn days_left(certificate: &X509Certificate<'_>, now: UnixTime) -> f64 {
    let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    let end = certificate.validity().not_after.timestamp();
    end.saturating_sub(now) as f64 / SECONDS_PER_DAY
}

/// The places of those that lead from the first to the first issuer that is trusted by itself.
fn needed(chain: &[X509Certificate<'_>], roots: &RootCertStore) -> Vec<usize> {
    let mut path = Vec::new();
    let mut next = (!chain.is_empty()).then_some(0);
    while let Some(at) = next {
        path.push(at);
        let issuer = chain[at].issuer().as_raw();
        let name = content(issuer);
        let is_root = roots.roots.iter().any(|root| root.subject.as_ref() == name);
        if is_root {
            break;
        }
        let vouches =
            |other: &usize| !path.contains(other) && chain[*other].subject().as_raw() == issuer;
        next = (0..chain.len()).find(vouches);
    }
    path
}

/// A name without its tag and length (X.690 section 8.1.3), as a trust anchor keeps it.
fn content(name: &[u8]) -> &[u8] {
    let header = match name.get(1) {
        Some(long @ 0x80..) => 2 + usize::from(long & 0x7f),
        _ => 2,
    };
    name.get(header..).unwrap_or_default()
}

/// A name by its common name, with the organisation where that says more.
pub(super) fn name(name: &X509Name<'_>) -> String {
    let common_name = name.iter_common_name().next().and_then(|name| name.as_str().ok());
    let organisation = name.iter_organization().next().and_then(|name| name.as_str().ok());
    match (common_name, organisation) {
        (Some(name), Some(of)) if name != of => format!("{name} ({of})"),
        (Some(name), _) | (None, Some(name)) => name.to_owned(),
        (None, None) => match name.to_string() {
            empty if empty.is_empty() => "nobody named".to_owned(),
            other => other,
        },
    }
}

fn key(certificate: &X509Certificate<'_>) -> String {
    match certificate.public_key().parsed() {
        Ok(PublicKey::RSA(key)) => format!("RSA {}", key.key_size()),
        Ok(PublicKey::EC(point)) => format!("EC P-{}", point.key_size()),
        Ok(PublicKey::DSA(_)) => "DSA".to_owned(),
        _ => match certificate.public_key().algorithm.algorithm.to_id_string().as_str() {
            "1.3.101.112" => "Ed25519".to_owned(),
            other => format!("key {other}"),
        },
    }
}
