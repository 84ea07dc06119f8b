//! Fingerprints of host keys: `SHA256:` and the digest in base64 without its `=`.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use ring::digest::{SHA256, SHA256_OUTPUT_LEN, digest};

use crate::text::{Refused, typed_text};

/// A fingerprint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fingerprint(Vec<u8>);

impl Fingerprint {
    /// Of a key as SSH sends it.
    pub(super) fn of(blob: &[u8]) -> Self {
        Self(digest(&SHA256, blob).as_ref().to_vec())
    }
}

impl FromStr for Fingerprint {
    type Err = Refused;

    fn from_str(text: &str) -> Result<Self, Refused> {
        let digits = text.trim().strip_prefix("SHA256:").map(|rest| rest.trim_end_matches('='));
        let bytes = digits.and_then(|digits| BASE64.decode(digits).ok());
        bytes.filter(|bytes| bytes.len() == SHA256_OUTPUT_LEN).map(Self).ok_or_else(|| {
            Refused::new(format!(
                "`{text}` is no fingerprint; write `SHA256:..` as `ssh-keyscan HOST | ssh-keygen \
                 -lf -` prints it"
            ))
        })
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SHA256:{}", BASE64.encode(&self.0))
    }
}

typed_text!(Fingerprint, "a fingerprint such as `SHA256:..`", {
    "type": "string",
    "description": "a host key's fingerprint, as `ssh-keygen -l` prints it",
    "pattern": "^SHA256:[A-Za-z0-9+/]{43}=?$"
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_written_as_ssh_keygen_writes_it() {
        // The digest of nothing: FIPS 180-4's e3b0c442..b855.
        let text = "SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU";
        assert_eq!(Fingerprint::of(b"").to_string(), text);
        assert_eq!(text.parse(), Ok(Fingerprint::of(b"")));
        assert_eq!(format!("{text}=").parse(), Ok(Fingerprint::of(b"")));
        for wrong in ["47DEQpj8HBSa", "MD5:d4:1d:8c", "SHA256:", "SHA256:47DE", ""] {
            assert!(wrong.parse::<Fingerprint>().is_err(), "{wrong}");
        }
    }
}
