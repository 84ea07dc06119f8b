//! The PEM files of TLS: trusted roots and client certificates.

use rustls::RootCertStore;
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::Identity;

/// Why TLS cannot be set up on this host.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The file cannot be read.
    #[error("cannot read `{0}`: {1}")]
    Unreadable(String, std::io::Error),
    /// The file does not hold what it should.
    #[error("`{path}` holds no {wanted} in PEM: {reason}")]
    Content {
        /// The file.
        path: String,
        /// What it should hold.
        wanted: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// The parts do not fit together.
    #[error("TLS cannot be set up: {0}")]
    Unusable(String),
}

/// The roots in a PEM file.
pub(super) fn roots(path: &str) -> Result<RootCertStore, FileError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|error| content(path, "root certificate", &error))?;
    }
    Ok(roots)
}

/// A client's chain and key.
pub(super) fn identity(
    files: &Identity,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), FileError> {
    let chain = certificates(&files.certificate)?;
    let key = PrivateKeyDer::from_pem_slice(&bytes(&files.key)?)
        .map_err(|error| content(&files.key, "private key", &in_words(&error)))?;
    Ok((chain, key))
}

fn certificates(path: &str) -> Result<Vec<CertificateDer<'static>>, FileError> {
    let parsed: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes(path)?).collect();
    let certificates = parsed.map_err(|error| content(path, "certificate", &in_words(&error)))?;
    if certificates.is_empty() {
        return Err(content(path, "certificate", &"there is none"));
    }
    Ok(certificates)
}

fn bytes(path: &str) -> Result<Vec<u8>, FileError> {
    std::fs::read(path).map_err(|error| FileError::Unreadable(path.to_owned(), error))
}

fn content(path: &str, wanted: &'static str, reason: &dyn std::fmt::Display) -> FileError {
    FileError::Content { path: path.to_owned(), wanted, reason: reason.to_string() }
}

/// The reason without the file's bytes, which may be a key.
fn in_words(error: &pem::Error) -> &'static str {
    match error {
        pem::Error::NoItemsFound => "there is none",
        pem::Error::MissingSectionEnd { .. } => "a section has no end",
        pem::Error::IllegalSectionStart { .. } => "a section starts wrongly",
        pem::Error::Base64Decode(_) => "it is not base64",
        _ => "it cannot be parsed",
    }
}
