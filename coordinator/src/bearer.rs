//! A shared key shown as `Authorization: Bearer`, as members of the cluster and probes do.

use http::{HeaderMap, header};
use sha2::{Digest, Sha256};

/// What must be shown. Only its digest is kept, and digests are compared, so that neither a dump
/// of the memory nor the time that a comparison takes tells the key.
#[derive(Clone)]
pub(crate) struct BearerKey([u8; 32]);

impl BearerKey {
    pub(crate) fn new(key: &str) -> Self {
        Self(Sha256::digest(key.as_bytes()).into())
    }

    /// Whether a request shows the key.
    pub(crate) fn admits(&self, headers: &HeaderMap) -> bool {
        let shown = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let shown = shown.and_then(|value| value.strip_prefix("Bearer "));
        shown.is_some_and(|shown| self.is(shown))
    }

    /// Whether a text is the key.
    pub(crate) fn is(&self, shown: &str) -> bool {
        Self::new(shown).0 == self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_key_itself_is_admitted() {
        let key = BearerKey::new("secret");
        for (value, admitted) in [
            ("Bearer secret", true),
            ("Bearer secret ", false),
            ("Bearer ", false),
            ("secret", false),
            ("Basic secret", false),
        ] {
            let value = value.parse().expect("a header");
            let headers = HeaderMap::from_iter([(header::AUTHORIZATION, value)]);
            assert_eq!(key.admits(&headers), admitted, "{headers:?}");
        }
        assert!(!key.admits(&HeaderMap::new()));
    }
}
