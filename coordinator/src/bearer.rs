//! The first administrator's key.

use sha2::{Digest, Sha256};

/// What must be shown. Only its digest is kept, and digests are compared, so that neither a dump
/// of the memory nor the time that a comparison takes tells the key.
#[derive(Clone)]
pub(crate) struct BearerKey([u8; 32]);

impl BearerKey {
    pub(crate) fn new(key: &str) -> Self {
        Self(Sha256::digest(key.as_bytes()).into())
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
        for (shown, admitted) in [("secret", true), ("secret ", false), ("", false)] {
            assert_eq!(key.is(shown), admitted, "{shown:?}");
        }
    }
}
