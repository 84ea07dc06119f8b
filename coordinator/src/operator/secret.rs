//! A token's text: `xck_<id>_<secret>`. The id finds the record, the secret proves it.
//!
//! The secret has 256 random bits, so it cannot be guessed whatever the hash costs; it is hashed
//! with Argon2id all the same, so that a state that leaks is worth nothing to any machine.

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use rand::RngCore;

/// What tokens begin with, for those who search files for secrets.
const MARK: &str = "xck_";
/// Random bytes of an id.
const ID_BYTES: usize = 6;
/// Random bytes of a secret.
const SECRET_BYTES: usize = 32;

/// A token that was shown.
#[derive(Clone, Copy)]
pub(super) struct Shown<'a> {
    pub(super) id: &'a str,
    secret: &'a str,
}

impl<'a> Shown<'a> {
    /// The parts of a token's text; `None`: it has not the form of one.
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        let (id, secret) = text.strip_prefix(MARK)?.split_once('_')?;
        let hex = |text: &str, bytes| {
            text.len() == 2 * bytes && text.bytes().all(|byte| byte.is_ascii_hexdigit())
        };
        (hex(id, ID_BYTES) && hex(secret, SECRET_BYTES)).then_some(Self { id, secret })
    }

    /// Whether it is the one that was hashed. Takes some 20 ms and 19 MiB.
    pub(super) fn fits(self, hash: &str) -> bool {
        let verify =
            |hash| Argon2::default().verify_password(self.secret.as_bytes(), &hash).is_ok();
        PasswordHash::new(hash).is_ok_and(verify)
    }
}

/// A token that was just made.
pub(crate) struct Fresh {
    /// Its id.
    pub(crate) id: String,
    /// What whoever asked for it is shown, once.
    pub(crate) text: String,
    /// What is kept.
    pub(crate) hash: String,
}

impl Fresh {
    /// Makes a token. Takes some 20 ms and 19 MiB.
    ///
    /// # Errors
    /// The operating system gives no random numbers, or no memory.
    pub(crate) fn new() -> Result<Self, argon2::password_hash::Error> {
        let (id, secret) = (random(ID_BYTES), random(SECRET_BYTES));
        let hash: PasswordHash = Argon2::default().hash_password(secret.as_bytes())?;
        Ok(Self { text: format!("{MARK}{id}_{secret}"), id, hash: hash.to_string() })
    }
}

/// Random bytes in hexadecimal digits.
fn random(bytes: usize) -> String {
    let mut drawn = vec![0; bytes];
    rand::rng().fill_bytes(&mut drawn);
    drawn.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_fits_its_own_hash_only() {
        let (one, other) = (Fresh::new().expect("made"), Fresh::new().expect("made"));
        assert!(one.hash.starts_with("$argon2id$"), "{}", one.hash);
        let shown = Shown::parse(&one.text).expect("its own form");
        assert_eq!(shown.id, one.id);
        assert!(!one.hash.contains(shown.secret));
        assert!(shown.fits(&one.hash));
        assert!(!shown.fits(&other.hash));
        assert!(!shown.fits("no hash"));
    }

    #[test]
    fn what_has_not_the_form_of_a_token_is_none() {
        let secret = "0".repeat(64);
        for (text, is_one) in [
            (format!("xck_00112233aabb_{secret}"), true),
            (format!("xck_00112233aabb_{secret}0"), false),
            (format!("xck_00112233aab_{secret}"), false),
            (format!("XCK_00112233aabb_{secret}"), false),
            (format!("xck_00112233aabb{secret}"), false),
            (format!("xck_00112233aab\u{e9}_{secret}"), false),
            (String::new(), false),
        ] {
            assert_eq!(Shown::parse(&text).is_some(), is_one, "{text}");
        }
    }
}
