//! Tokens found good a short while ago, so that Argon2 is not asked at every request.
//!
//! A token is remembered by its SHA-256, together with the hash that it was checked against: a
//! token that is revoked, or of which the record is another by now, is checked anew.

use std::collections::HashMap;
use std::time::Duration;

use sha2::{Digest, Sha256};

/// How long a token is taken for good without being checked.
const GOOD_FOR: Duration = Duration::from_secs(5 * 60);
/// The most tokens remembered: more than there can be.
const LIMIT: usize = crosscheck_core::operator::TOKENS_LIMIT;

/// Tokens found good.
#[derive(Default)]
pub(super) struct Verified(HashMap<[u8; 32], (String, Duration)>);

impl Verified {
    /// Whether the token was found to fit `hash` a short while before `now`.
    pub(super) fn knows(&self, token: &str, hash: &str, now: Duration) -> bool {
        let found = self.0.get(&fingerprint(token));
        found.is_some_and(|(fits, until)| fits == hash && now < *until)
    }

    /// The token was found to fit `hash` at `now`.
    pub(super) fn remember(&mut self, token: &str, hash: String, now: Duration) {
        if self.0.len() >= LIMIT {
            self.0.retain(|_, (_, until)| now < *until);
        }
        if self.0.len() < LIMIT {
            self.0.insert(fingerprint(token), (hash, now + GOOD_FOR));
        }
    }
}

fn fingerprint(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_token_with_the_same_record_and_not_for_long() {
        let mut verified = Verified::default();
        let at = Duration::from_secs;
        verified.remember("token", "hash".to_owned(), at(1));
        assert!(verified.knows("token", "hash", at(300)));
        assert!(!verified.knows("token", "hash", at(301)), "its time is over");
        assert!(!verified.knows("tokem", "hash", at(1)));
        assert!(!verified.knows("token", "another", at(1)), "the record was made anew");
        for n in 0..3 * LIMIT {
            verified.remember(&n.to_string(), "hash".to_owned(), at(2));
        }
        assert_eq!(verified.0.len(), LIMIT);
        verified.remember("late", "hash".to_owned(), at(1_000));
        assert_eq!(verified.0.len(), 1);
    }
}
