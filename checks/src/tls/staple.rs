//! A stapled certificate status (OCSP, RFC 6960; RFC 6066 section 8): what it says, for how long,
//! and whether it is the issuer's word.

use rustls_pki_types::{CertificateDer, UnixTime};
use x509_parser::asn1_rs::BitString;
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::verify::verify_signature;
use x509_parser::x509::{AlgorithmIdentifier, SubjectPublicKeyInfo};

/// What the issuer says of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It stands.
    Good,
    /// It is revoked.
    Revoked,
    /// The responder does not know it.
    Unknown,
}

/// A status that a server has stapled to its certificate.
#[derive(Clone, Debug, PartialEq)]
pub struct Staple {
    /// What it says.
    pub standing: Standing,
    /// Hours until a newer one is due; negative once it is late, `None` where it does not say.
    pub hours_left: Option<f64>,
}

/// A clock that is so much behind is forgiven.
const SKEW_SECONDS: i64 = 300;

const SECONDS_PER_HOUR: f64 = 3600.0;

impl Staple {
    /// Reads a response of OCSP about the chain's leaf.
    ///
    /// # Errors
    /// Why it says nothing, as a lowercase fragment.
    pub fn read(
        response: &[u8],
        chain: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<Self, String> {
        let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        let leaf = chain.first().and_then(|der| X509Certificate::from_der(der).ok());
        let (_, leaf) = leaf.ok_or("there is no certificate that it could be about")?;
        let broken = || "it cannot be read".to_owned();
        let basic = basic(response)?;
        let mut parts = Der(basic).sequence().ok_or_else(broken)?;
        let signed = parts.any().ok_or_else(broken)?;
        let algorithm = parts.any().ok_or_else(broken)?;
        let signature = parts.any().ok_or_else(broken)?;
        let own = parts.tagged(0xa0).and_then(|own| Der(own).sequence());
        check_signature(&leaf, chain, (signed.whole, algorithm.whole, signature.whole), own)?;
        let single =
            single(signed.content, leaf.raw_serial()).ok_or("it is about another certificate")?;
        single.judge(now).ok_or_else(broken)?
    }
}

/// The basic response within a successful one.
fn basic(response: &[u8]) -> Result<&[u8], String> {
    let broken = "it cannot be read";
    let mut outer = Der(response).sequence().ok_or(broken)?;
    match outer.tagged(0x0a).ok_or(broken)? {
        [0] => {}
        [code] => return Err(format!("the responder failed (status {code})")),
        _ => return Err(broken.to_owned()),
    }
    let bytes = outer.tagged(0xa0).ok_or(broken)?;
    let mut bytes = Der(bytes).sequence().ok_or(broken)?;
    bytes.tagged(0x06).ok_or(broken)?;
    bytes.tagged(0x04).ok_or_else(|| broken.to_owned())
}

/// Whether the issuer, or whom the issuer has charged with it (RFC 6960 4.2.2.2), has signed.
fn check_signature(
    leaf: &X509Certificate<'_>,
    chain: &[CertificateDer<'_>],
    (signed, algorithm, signature): (&[u8], &[u8], &[u8]),
    own: Option<Der<'_>>,
) -> Result<(), String> {
    let broken = |_| "its signature cannot be read".to_owned();
    let (_, algorithm) = AlgorithmIdentifier::from_der(algorithm).map_err(broken)?;
    let (_, signature) =
        BitString::from_der(signature).map_err(|_| "its signature cannot be read")?;
    let is_by = |key: &SubjectPublicKeyInfo<'_>| {
        verify_signature(key, &algorithm, &signature, signed).is_ok()
    };
    let shown = chain.iter().skip(1).filter_map(|der| X509Certificate::from_der(der).ok());
    let mut issuers = shown
        .map(|(_, shown)| shown)
        .filter(|shown| shown.subject().as_raw() == leaf.issuer().as_raw());
    let Some(issuer) = issuers.next() else {
        // Without the issuer's certificate nobody can tell; the chain is judged elsewhere.
        return Ok(());
    };
    if is_by(issuer.public_key()) {
        return Ok(());
    }
    let mut own = own;
    while let Some(der) = own.as_mut().and_then(Der::any) {
        let Ok((_, charged)) = X509Certificate::from_der(der.whole) else { continue };
        let may_sign = charged.extended_key_usage().ok().flatten();
        if may_sign.is_some_and(|usage| usage.value.ocsp_signing)
            && charged.verify_signature(Some(issuer.public_key())).is_ok()
            && is_by(charged.public_key())
        {
            return Ok(());
        }
    }
    Err("it is not signed by the certificate's issuer".to_owned())
}

/// What a response says of one certificate.
struct Single<'a>(Der<'a>);

/// The response about the certificate with this number.
fn single<'a>(data: &'a [u8], serial: &[u8]) -> Option<Single<'a>> {
    let mut data = Der(data);
    let _version = data.tagged(0xa0);
    data.any()?; // Who responds.
    data.tagged(0x18)?; // When.
    let mut all = Der(data.tagged(0x30)?);
    while let Some(content) = all.tagged(0x30) {
        let mut one = Der(content);
        let mut identity = Der(one.tagged(0x30)?);
        let (_, _, _) = (identity.any()?, identity.any()?, identity.any()?);
        if identity.tagged(0x02)? == serial {
            return Some(Single(one));
        }
    }
    None
}

impl Single<'_> {
    /// `None`: it cannot be read.
    fn judge(mut self, now: i64) -> Option<Result<Staple, String>> {
        let status = self.0.any()?;
        let standing = match status.tag {
            0x80 => Standing::Good,
            0xa1 => Standing::Revoked,
            _ => Standing::Unknown,
        };
        let from = seconds(self.0.tagged(0x18)?)?;
        let until = match self.0.tagged(0xa0) {
            Some(next) => Some(seconds(Der(next).tagged(0x18)?)?),
            None => None,
        };
        if from > now.saturating_add(SKEW_SECONDS) {
            return Some(Err("it is of the future".to_owned()));
        }
        let hours_left = until.map(|until| until.saturating_sub(now) as f64 / SECONDS_PER_HOUR);
        Some(Ok(Staple { standing, hours_left }))
    }
}

/// A generalized time without fractions, as RFC 6960 4.2.2.1 wants it: `20261129160000Z`.
fn seconds(text: &[u8]) -> Option<i64> {
    let text = str::from_utf8(text).ok()?.strip_suffix('Z')?;
    let time = jiff::civil::DateTime::strptime("%Y%m%d%H%M%S", text).ok()?;
    Some(time.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_second())
}

/// Values in DER (X.690), one after the other.
#[derive(Clone, Copy)]
struct Der<'a>(&'a [u8]);

/// One value.
struct Value<'a> {
    tag: u8,
    content: &'a [u8],
    /// With tag and length.
    whole: &'a [u8],
}

impl<'a> Der<'a> {
    /// Takes the next value.
    fn any(&mut self) -> Option<Value<'a>> {
        let (&tag, rest) = self.0.split_first()?;
        let (&first, mut rest) = rest.split_first()?;
        let length = match first {
            short @ ..=0x7f => usize::from(short),
            // No response of OCSP is so long that its length had more bytes.
            long @ 0x81..=0x83 => {
                let (digits, after) = rest.split_at_checked(usize::from(long & 0x7f))?;
                rest = after;
                digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit))
            }
            _ => return None,
        };
        let (content, after) = rest.split_at_checked(length)?;
        let whole = &self.0[..self.0.len() - after.len()];
        self.0 = after;
        Some(Value { tag, content, whole })
    }

    /// Takes the next value if it has this tag.
    fn tagged(&mut self, tag: u8) -> Option<&'a [u8]> {
        let mut ahead = *self;
        let value = ahead.any().filter(|value| value.tag == tag)?;
        *self = ahead;
        Some(value.content)
    }

    /// Enters a sequence.
    fn sequence(&mut self) -> Option<Der<'a>> {
        self.tagged(0x30).map(Der)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn times_are_read() {
        assert_eq!(seconds(b"20261129160000Z"), Some(1_795_968_000));
        for wrong in [&b"20261129160000"[..], b"2026Z", b"20261329160000Z", b"\xff"] {
            assert_eq!(seconds(wrong), None);
        }
    }

    #[test]
    fn a_responder_that_fails_is_told() {
        assert_eq!(
            basic(b"\x30\x03\x0a\x01\x06"),
            Err("the responder failed (status 6)".to_owned())
        );
        assert!(basic(b"").is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_crash_the_reader(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = basic(&bytes);
            let _ = single(&bytes, b"\x01");
            let wrapped = [b"\x30\x81", &[bytes.len() as u8][..], &bytes].concat();
            let _ = basic(&wrapped);
        }
    }
}
