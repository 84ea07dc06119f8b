//! The authority's key while it lies on a disk: sealed by a passphrase that does not lie there, in
//! the format that OpenSSL reads and writes (PKCS #8, `ENCRYPTED PRIVATE KEY`, RFC 5958).

use std::fmt;

use crosscheck_checks::env::{SecretError, Secrets};
use crosscheck_model::Secret;
use pkcs8::{EncryptedPrivateKeyInfoRef, PrivateKeyInfoRef, SecretDocument};
use rcgen::KeyPair;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

/// The systemd credential that has it when the settings name nothing else.
const CREDENTIAL: &str = "crosscheck.authority";

/// Whoever has the disk may try as many as he likes, for ever.
const LEAST: usize = 16;

/// How a PEM file names a key that is sealed.
const SEALED: &str = "ENCRYPTED PRIVATE KEY";

/// What seals the key of the authority on this machine's disk.
pub struct Passphrase(String);

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<secret>")
    }
}

/// Why a passphrase cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PassphraseError {
    /// It cannot be read.
    #[error("the passphrase of the authority: {0}")]
    Read(#[from] SecretError),
    /// It can be guessed.
    #[error(
        "the passphrase of the authority has {0} characters, and {LEAST} are the least; make one with `openssl rand -hex 32`"
    )]
    Short(usize),
    /// Not everything reads all of it.
    #[error(
        "the passphrase of the authority has several lines, and OpenSSL reads only the first; make one with `openssl rand -hex 32`"
    )]
    Lines,
}

/// Why a key cannot be used.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unusable {
    /// It is sealed, and there is no passphrase.
    Sealed,
    /// It was sealed with another passphrase.
    Passphrase,
    /// It is none.
    Damaged(String),
}

impl Passphrase {
    /// The one that the settings refer to, or else that systemd hands to the service. `None`: keys
    /// stay in clear.
    ///
    /// # Errors
    /// It cannot be read, or be relied on.
    pub fn find(
        setting: Option<&Secret>,
        secrets: &Secrets,
    ) -> Result<Option<Self>, PassphraseError> {
        let found = match setting {
            Some(setting) => Some(secrets.resolve(setting.text())?),
            None => secrets.credential(CREDENTIAL)?,
        };
        found.map(Self::new).transpose()
    }

    /// This one.
    ///
    /// # Errors
    /// It cannot be relied on.
    pub fn new(text: String) -> Result<Self, PassphraseError> {
        let length = text.trim().chars().count();
        if length < LEAST {
            return Err(PassphraseError::Short(length));
        }
        if text.contains(['\n', '\r']) {
            return Err(PassphraseError::Lines);
        }
        Ok(Self(text))
    }

    /// The key, sealed (PEM).
    pub(super) fn seal(&self, key: &KeyPair) -> pkcs8::Result<String> {
        let der = key.serialize_der();
        let sealed = PrivateKeyInfoRef::try_from(der.as_slice())?.encrypt(&self.0)?;
        Ok(pem(SEALED, sealed.as_bytes()))
    }

    fn unseal(&self, sealed: &[u8]) -> Result<SecretDocument, Unusable> {
        let sealed = EncryptedPrivateKeyInfoRef::try_from(sealed)
            .map_err(|error| Unusable::Damaged(format!("the sealed key: {error}")))?;
        sealed.decrypt(&self.0).map_err(|_| Unusable::Passphrase)
    }
}

/// The key in a text (PEM), and whether it is sealed there.
pub(super) fn key(
    text: &str,
    passphrase: Option<&Passphrase>,
) -> Result<(KeyPair, bool), Unusable> {
    let damaged = |error: &dyn fmt::Display| Unusable::Damaged(format!("the key: {error}"));
    let parts = ::pem::parse_many(text).map_err(|error| damaged(&error))?;
    if let Some(sealed) = parts.iter().find(|part| part.tag() == SEALED) {
        let der = passphrase.ok_or(Unusable::Sealed)?.unseal(sealed.contents())?;
        let der = PrivatePkcs8KeyDer::from(der.as_bytes());
        let key = KeyPair::try_from(&PrivateKeyDer::from(der)).map_err(|error| damaged(&error))?;
        return Ok((key, true));
    }
    let der = PrivateKeyDer::from_pem_slice(text.as_bytes()).map_err(|error| damaged(&error))?;
    let key = KeyPair::try_from(&der).map_err(|error| damaged(&error))?;
    Ok((key, false))
}

/// DER as PEM (RFC 7468).
pub(super) fn pem(label: &str, der: &[u8]) -> String {
    let lines = ::pem::EncodeConfig::new().set_line_ending(::pem::LineEnding::LF);
    ::pem::encode_config(&::pem::Pem::new(label, der), lines)
}

#[cfg(test)]
mod tests;
