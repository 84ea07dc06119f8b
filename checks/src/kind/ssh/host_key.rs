//! Host keys, and the proof that a server holds one.

use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA512, RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm,
};

use super::packet::Fields;

/// A host key.
pub(super) struct HostKey {
    /// The key's own algorithm (`ssh-ed25519`).
    pub(super) algorithm: String,
    /// The key as SSH sends it.
    pub(super) blob: Vec<u8>,
}

impl HostKey {
    /// The key, if the signature of `message` is its own, by the algorithm agreed on.
    pub(super) fn proven(
        blob: &[u8],
        signature: &[u8],
        agreed: &str,
        message: &[u8],
    ) -> Option<Self> {
        let mut signed = Fields(signature);
        if signed.string()? != agreed.as_bytes() {
            return None;
        }
        let signature = signed.string()?;
        let mut key = Fields(blob);
        let algorithm = key.string()?;
        let is_sound = match agreed {
            "ssh-ed25519" if algorithm == b"ssh-ed25519" => {
                verified(&ED25519, key.string()?, message, signature)
            }
            "ecdsa-sha2-nistp256" if algorithm == agreed.as_bytes() => {
                key.string()?; // The curve's name, once more.
                let signature = fixed(signature, 32)?;
                verified(&ECDSA_P256_SHA256_FIXED, key.string()?, message, &signature)
            }
            "ecdsa-sha2-nistp384" if algorithm == agreed.as_bytes() => {
                key.string()?;
                let signature = fixed(signature, 48)?;
                verified(&ECDSA_P384_SHA384_FIXED, key.string()?, message, &signature)
            }
            "rsa-sha2-256" | "rsa-sha2-512" if algorithm == b"ssh-rsa" => {
                let (e, n) = (key.unsigned()?, key.unsigned()?);
                let by = match agreed {
                    "rsa-sha2-256" => &RSA_PKCS1_2048_8192_SHA256,
                    _ => &RSA_PKCS1_2048_8192_SHA512,
                };
                RsaPublicKeyComponents { n, e }.verify(by, message, signature).is_ok()
            }
            _ => false,
        };
        let algorithm = String::from_utf8_lossy(algorithm).into_owned();
        is_sound.then(|| Self { algorithm, blob: blob.to_vec() })
    }
}

fn verified(
    by: &'static dyn VerificationAlgorithm,
    key: &[u8],
    message: &[u8],
    signature: &[u8],
) -> bool {
    UnparsedPublicKey::new(by, key).verify(message, signature).is_ok()
}

/// The two numbers of an ECDSA signature (RFC 5656, 3.1.2) in so many bytes each.
fn fixed(signature: &[u8], length: usize) -> Option<Vec<u8>> {
    let mut numbers = Fields(signature);
    let mut out = Vec::with_capacity(2 * length);
    for _ in 0..2 {
        let number = numbers.unsigned()?;
        out.resize(out.len() + length.checked_sub(number.len())?, 0);
        out.extend_from_slice(number);
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use ring::rand::SystemRandom;
    use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};

    use super::super::packet::{put_string, put_unsigned};
    use super::*;

    fn strings(parts: &[&[u8]]) -> Vec<u8> {
        let mut out = Vec::new();
        parts.iter().for_each(|part| put_string(&mut out, part));
        out
    }

    #[test]
    fn only_the_holder_of_the_key_proves_it() {
        let random = SystemRandom::new();
        let pair = Ed25519KeyPair::generate_pkcs8(&random).expect("a key");
        let pair = Ed25519KeyPair::from_pkcs8(pair.as_ref()).expect("a key");
        let blob = strings(&[b"ssh-ed25519", pair.public_key().as_ref()]);
        let signature = strings(&[b"ssh-ed25519", pair.sign(b"hash").as_ref()]);
        let proven = |blob: &[u8], agreed, message: &[u8]| {
            HostKey::proven(blob, &signature, agreed, message)
        };
        assert!(proven(&blob, "ssh-ed25519", b"hash").is_some_and(|key| key.blob == blob));
        assert!(proven(&blob, "ssh-ed25519", b"hush").is_none(), "another exchange");
        assert!(proven(&blob, "rsa-sha2-512", b"hash").is_none(), "another algorithm");
        assert!(proven(&blob[..30], "ssh-ed25519", b"hash").is_none(), "half a key");
        assert!(proven(&[], "ssh-ed25519", b"hash").is_none(), "no key");
    }

    #[test]
    fn the_numbers_of_a_signature_may_be_short_but_not_long() {
        let random = SystemRandom::new();
        let by = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let pair = EcdsaKeyPair::generate_pkcs8(by, &random).expect("a key");
        let pair = EcdsaKeyPair::from_pkcs8(by, pair.as_ref(), &random).expect("a key");
        let name = b"ecdsa-sha2-nistp256";
        let blob = strings(&[name, b"nistp256", pair.public_key().as_ref()]);
        let raw = pair.sign(&random, b"hash").expect("signs");
        let mut numbers = Vec::new();
        put_unsigned(&mut numbers, &raw.as_ref()[..32]);
        put_unsigned(&mut numbers, &raw.as_ref()[32..]);
        let signature = strings(&[name, &numbers]);
        let agreed = "ecdsa-sha2-nistp256";
        assert!(HostKey::proven(&blob, &signature, agreed, b"hash").is_some());
        assert!(HostKey::proven(&blob, &signature, agreed, b"hush").is_none());
        let mut long = Vec::new();
        put_unsigned(&mut long, &[1; 33]);
        put_unsigned(&mut long, &[1; 32]);
        assert_eq!(fixed(&long, 32), None);
    }
}
