//! How a probe or a coordinator joins: a token, shown once, over a connection whose other end the
//! joiner has recognised by the fingerprint that the token carries.
//!
//! `POST /join/v1/probe` [`JoinProbe`] -> [`Joined`] or [`JoinRefusal`]; `POST /probe/v1/renew`
//! [`Renew`] -> [`Joined`] or [`JoinRefusal`]. Certificates and requests are PEM.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{ProbeId, SiteId, Timestamp};

/// A SHA-256 digest: of a public key (its DER form, `SubjectPublicKeyInfo`), of a certificate
/// (DER), or of a token's secret. 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Fingerprint(pub [u8; 32]);

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, &self.0)
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<Fingerprint> for String {
    fn from(fingerprint: Fingerprint) -> Self {
        fingerprint.to_string()
    }
}

impl FromStr for Fingerprint {
    type Err = NoToken;

    fn from_str(text: &str) -> Result<Self, NoToken> {
        parse_hex(text).map(Self)
    }
}

impl TryFrom<String> for Fingerprint {
    type Error = NoToken;

    fn try_from(text: String) -> Result<Self, NoToken> {
        text.parse()
    }
}

/// What begins every token, so that people and scanners for leaked secrets know one.
const PREFIX: &str = "xcjoin-";

/// A join token: `xcjoin-SECRET-FINGERPRINT`. Does not print itself by `{:?}`.
#[derive(Clone, PartialEq, Eq)]
pub struct JoinToken {
    /// What only its bearer knows.
    pub secret: [u8; 32],
    /// The certificate of the installation's authority: whoever is shown the secret must be
    /// vouched for by it.
    pub authority: Fingerprint,
}

impl JoinToken {
    /// The text to hand over, with the secret in it.
    pub fn reveal(&self) -> String {
        format!("{PREFIX}{}-{}", Fingerprint(self.secret), self.authority)
    }
}

impl fmt::Debug for JoinToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JoinToken(..)")
    }
}

impl FromStr for JoinToken {
    type Err = NoToken;

    fn from_str(text: &str) -> Result<Self, NoToken> {
        let text = text.trim().strip_prefix(PREFIX).ok_or(NoToken)?;
        let (secret, authority) = text.split_once('-').ok_or(NoToken)?;
        Ok(Self { secret: parse_hex(secret)?, authority: authority.parse()? })
    }
}

/// The name that every coordinator's certificate bears beside its own, whatever address it is
/// reached at; `authority` is the fingerprint of the authority's certificate.
pub fn coordinator_name(authority: &Fingerprint) -> String {
    format!("coordinator.{}", domain(authority))
}

/// The name in the certificate of member `node`.
pub fn node_name(authority: &Fingerprint, node: u64) -> String {
    format!("node-{node}.{}", domain(authority))
}

/// The member that a certificate's name stands for.
pub fn node_of(authority: &Fingerprint, name: &str) -> Option<u64> {
    let number = name.strip_prefix("node-")?.strip_suffix(&format!(".{}", domain(authority)))?;
    number.parse().ok().filter(|node| node_name(authority, *node) == name)
}

/// A domain of the installation's own; enough of the digest to tell installations apart.
fn domain(authority: &Fingerprint) -> String {
    let digits = authority.to_string();
    format!("{}.crosscheck", digits.get(..16).unwrap_or_default())
}

/// A text is no token and no fingerprint. Does not repeat it: it may be most of a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is not a whole join token; copy all of `{PREFIX}..`")]
pub struct NoToken;

fn write_hex(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

fn parse_hex(text: &str) -> Result<[u8; 32], NoToken> {
    let digits = text.as_bytes();
    if digits.len() != 64 {
        return Err(NoToken);
    }
    let value =
        |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let (high, low) = (value(pair[0]).ok_or(NoToken)?, value(pair[1]).ok_or(NoToken)?);
        *byte = high << 4 | low;
    }
    Ok(bytes)
}

/// A probe asks to join. Printed by nothing: it holds the token's secret.
#[derive(Clone, Serialize, Deserialize)]
pub struct JoinProbe {
    /// The token, as it was handed over.
    pub token: String,
    /// The name that it wants.
    pub probe: ProbeId,
    /// Where it believes to stand.
    pub site: SiteId,
    /// A certificate signing request (PKCS #10, PEM). Only its key is used: names come from the
    /// token.
    pub request: String,
}

/// A probe asks for its next certificate.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Renew {
    /// A certificate signing request with the key that it joined with.
    pub request: String,
}

/// The probe is let in until its certificate ends.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Joined {
    /// Its certificate (PEM).
    pub certificate: String,
    /// The authority's certificate (PEM), which vouches for coordinators, too.
    pub authority: String,
    /// When the certificate ends.
    pub until: Timestamp,
    /// The log time, by which the joiner can see that its own clock is off.
    pub now: Timestamp,
}

/// Why nobody may join by this token, or under this name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum JoinRefusal {
    /// Never issued here, or ended long ago.
    #[error(
        "this cluster does not know the token; create a new one (`crosscheck probe token create` for a probe, `crosscheck cluster token` for a coordinator)"
    )]
    UnknownToken,
    /// Somebody has joined by it.
    #[error(
        "the token has been used, and is good for once only; if that was not you, shut out what it let in (`crosscheck probe revoke`, `crosscheck cluster remove`), and create a new token"
    )]
    UsedToken,
    /// Too late.
    #[error(
        "the token ended at {at}; create a new one (and check this host's clock if that is in the future)"
    )]
    ExpiredToken {
        /// When it ended.
        at: Timestamp,
    },
    /// The token is for something else: a probe where a coordinator asks, or the reverse.
    #[error("the token is for joining as {granted}")]
    WrongKind {
        /// What it is for.
        granted: String,
    },
    /// The token is for another site.
    #[error(
        "the token is for site `{granted}`; correct `site:` here, or create a token for this site"
    )]
    WrongSite {
        /// What it is for.
        granted: SiteId,
    },
    /// The token is for another name.
    #[error("the token is for a probe named `{granted}`; correct `probe:` here")]
    WrongName {
        /// What it is for.
        granted: ProbeId,
    },
    /// The site is not configured (any more).
    #[error("site `{0}` is not configured; add it to `sites:` and apply")]
    UnknownSite(SiteId),
    /// Another probe has this name.
    #[error(
        "a probe named `{0}` has joined already; choose another name, or create a token with --name {0} to put this one in its place"
    )]
    NameTaken(ProbeId),
    /// No name for a probe.
    #[error("{0}")]
    BadName(String),
    /// The request is none, or not signed by its own key.
    #[error("the certificate request cannot be used: {0}")]
    BadRequest(String),
    /// The probe may not have another certificate.
    #[error(
        "the probe `{0}` was revoked, or has joined anew with another key; it must join with a new token"
    )]
    NotAdmitted(ProbeId),
    /// No leader at present.
    #[error("the cluster has no leader at present; try again")]
    Unavailable,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token() -> JoinToken {
        JoinToken { secret: [0xA7; 32], authority: Fingerprint([9; 32]) }
    }

    #[test]
    fn a_token_is_read_as_it_was_written() {
        let text = token().reveal();
        assert_eq!(text.parse(), Ok(token()));
        assert_eq!(format!(" {text}\n").parse(), Ok(token()), "as files and terminals give it");
    }

    #[test]
    fn half_a_token_is_none_and_no_message_repeats_it() {
        let text = token().reveal();
        for bad in ["", "xcjoin-", &text[1..], &text[..text.len() - 1], &format!("{text}0")] {
            assert_eq!(bad.parse::<JoinToken>(), Err(NoToken), "{bad}");
        }
        assert!(!NoToken.to_string().contains("a7"));
        assert!(!format!("{:?}", token()).contains("a7"));
    }

    #[test]
    fn a_name_stands_for_one_member_of_one_installation() {
        let (ours, theirs) = (Fingerprint([1; 32]), Fingerprint([2; 32]));
        assert_eq!(node_of(&ours, &node_name(&ours, 3)), Some(3));
        for name in [
            node_name(&theirs, 3),
            coordinator_name(&ours),
            node_name(&ours, 3).replace("-3", "-03"),
            node_name(&ours, 3).replace("-3", "-+3"),
            node_name(&ours, 3).replace("-3", "-"),
        ] {
            assert_eq!(node_of(&ours, &name), None, "{name}");
        }
    }

    #[test]
    fn a_fingerprint_has_one_text_form_in_both_encodings() {
        let fingerprint = Fingerprint([0xF0; 32]);
        let json = serde_json::to_string(&fingerprint).expect("JSON");
        assert_eq!(json, format!("\"{}\"", "f0".repeat(32)));
        assert_eq!(serde_json::from_str::<Fingerprint>(&json).expect("JSON"), fingerprint);
        let bytes = postcard::to_stdvec(&fingerprint).expect("bytes");
        assert_eq!(postcard::from_bytes::<Fingerprint>(&bytes).expect("bytes"), fingerprint);
    }
}
