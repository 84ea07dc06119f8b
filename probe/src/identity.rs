//! Who this probe is, as far as coordinators believe it: a key that was made here and never
//! leaves, and a certificate for it. One file holds both, and the authority that vouches for the
//! coordinators, so that it is replaced as a whole.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crosscheck_checks::clock;
use crosscheck_model::Timestamp;
use crosscheck_model::join::{Fingerprint, Joined, coordinator_name};
use rcgen::{CertificateParams, KeyPair};
use rustls::ClientConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::{private_file, trust};

/// In the probe's data directory.
const FILE: &str = "identity.pem";

/// A key whose join has not been answered yet: asked again, it must be the same one.
const JOINING: &str = "joining.pem";

/// A probe that has joined.
pub struct Identity {
    path: PathBuf,
    key: KeyPair,
    certificate: CertificateDer<'static>,
    authority: CertificateDer<'static>,
    from: Timestamp,
    until: Timestamp,
    /// What the file has, or is to have.
    text: String,
}

/// Why there is no identity to be used.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The probe has not joined yet.
    #[error(
        "this probe has not joined: there is no `{0}`; have an operator run `crosscheck probe token create --site SITE`, then run `crosscheck-probe join --token TOKEN --config FILE` here"
    )]
    Missing(PathBuf),
    /// The file cannot be read or written.
    #[error("use `{0}`: {1}")]
    File(PathBuf, io::Error),
    /// The file is not what was written there.
    #[error("`{0}` is damaged ({1}); join again with a new token")]
    Damaged(PathBuf, String),
    /// The certificate has ended, and with it the right to ask for another.
    #[error(
        "the certificate in `{0}` ended at {1}: if this host's clock is right, join again with a new token (`crosscheck probe token create --site SITE --name PROBE`)"
    )]
    Ended(PathBuf, Timestamp),
    /// What was received does not belong together.
    #[error("the coordinator's answer cannot be used: {0}")]
    Answer(String),
    /// No key or request can be made.
    #[error("make a key: {0}")]
    Key(#[from] rcgen::Error),
    /// The certificate or its key cannot be used for connections.
    #[error("use the certificate: {0}")]
    Tls(#[from] rustls::Error),
}

impl Identity {
    /// The identity that a probe with this data directory has.
    ///
    /// # Errors
    /// It has none, or it cannot be used any more.
    pub fn load(data: &Path) -> Result<Self, IdentityError> {
        let path = data.join(FILE);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(IdentityError::Missing(path));
            }
            Err(error) => return Err(IdentityError::File(path, error)),
        };
        let identity = String::from_utf8(text)
            .map_err(|error| error.to_string())
            .and_then(|text| parse(&path, text))
            .map_err(|what| IdentityError::Damaged(path.clone(), what))?;
        if identity.until <= clock::wall() {
            return Err(IdentityError::Ended(path, identity.until));
        }
        Ok(identity)
    }

    /// When half of the certificate's time is over: time for the next one.
    pub fn renew_at(&self) -> Timestamp {
        self.from.plus(self.until.since(self.from) / 2)
    }

    /// When the certificate ends.
    pub fn until(&self) -> Timestamp {
        self.until
    }

    /// A certificate signing request (PEM) with the key.
    ///
    /// # Errors
    /// The key cannot sign.
    pub fn request(&self) -> Result<String, IdentityError> {
        request(&self.key)
    }

    /// Connects to this installation's coordinators only, as this probe.
    ///
    /// # Errors
    /// The certificate or its key cannot be used.
    pub fn client(&self) -> Result<ClientConfig, IdentityError> {
        let key = PrivateKeyDer::try_from(self.key.serialize_der())
            .map_err(|what| IdentityError::Answer(what.to_owned()))?;
        let name = coordinator_name(&trust::fingerprint(&self.authority));
        let proof = (vec![self.certificate.clone()], key);
        Ok(trust::client(&self.authority, &name, Some(proof))?)
    }

    /// Takes the next certificate, for the same key by the same authority. It is good from now on,
    /// whether or not it can be [saved](Self::save).
    ///
    /// # Errors
    /// It is not for this key or not from this authority.
    pub fn renewed(&self, joined: &Joined) -> Result<Self, IdentityError> {
        certified(&self.path, &self.key, joined, trust::fingerprint(&self.authority))
    }

    /// Keeps it for the next start.
    ///
    /// # Errors
    /// The file cannot be written; what it had before is still there.
    pub fn save(&self) -> Result<(), IdentityError> {
        private_file::write(&self.path, &self.text)
            .map_err(|error| IdentityError::File(self.path.clone(), error))
    }
}

/// A key that is about to join.
pub struct Joining {
    data: PathBuf,
    key: KeyPair,
}

impl Joining {
    /// A new key; or that of an attempt before, whose answer may have been lost.
    ///
    /// # Errors
    /// The key cannot be made or kept.
    pub fn begin(data: &Path) -> Result<Self, IdentityError> {
        let path = data.join(JOINING);
        let file = |error| IdentityError::File(path.clone(), error);
        let key = match fs::read_to_string(&path) {
            Ok(text) => KeyPair::from_pem(&text)
                .map_err(|error| IdentityError::Damaged(path.clone(), error.to_string()))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let key = KeyPair::generate()?;
                private_file::write(&path, &key.serialize_pem()).map_err(file)?;
                key
            }
            Err(error) => return Err(file(error)),
        };
        Ok(Self { data: data.to_owned(), key })
    }

    /// A certificate signing request (PEM) with the key.
    ///
    /// # Errors
    /// The key cannot sign.
    pub fn request(&self) -> Result<String, IdentityError> {
        request(&self.key)
    }

    /// Keeps what the coordinator answered; `authority` is what the token said.
    ///
    /// # Errors
    /// It is not for this key or not from this authority, or it cannot be kept.
    pub fn finish(
        self,
        joined: &Joined,
        authority: Fingerprint,
    ) -> Result<Identity, IdentityError> {
        let identity = certified(&self.data.join(FILE), &self.key, joined, authority)?;
        identity.save()?;
        let path = self.data.join(JOINING);
        fs::remove_file(&path).map_err(|error| IdentityError::File(path, error))?;
        Ok(identity)
    }
}

/// Only the key in it counts: the coordinator writes the names.
fn request(key: &KeyPair) -> Result<String, IdentityError> {
    Ok(CertificateParams::default().serialize_request(key)?.pem()?)
}

fn certified(
    path: &Path,
    key: &KeyPair,
    joined: &Joined,
    authority: Fingerprint,
) -> Result<Identity, IdentityError> {
    let text = format!("{}{}{}", key.serialize_pem(), joined.certificate, joined.authority);
    let identity = parse(path, text).map_err(IdentityError::Answer)?;
    if trust::fingerprint(&identity.authority) != authority {
        return Err(IdentityError::Answer("it names another authority".to_owned()));
    }
    // Proves that the certificate is for this key.
    identity.client()?;
    Ok(identity)
}

/// The file: the key, its certificate, the authority's certificate.
fn parse(path: &Path, text: String) -> Result<Identity, String> {
    let key = PrivateKeyDer::from_pem_slice(text.as_bytes())
        .map_err(|error| format!("the key: {error}"))?;
    let key = KeyPair::try_from(&key).map_err(|error| format!("the key: {error}"))?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.as_bytes()).collect();
    let certificates = certificates.map_err(|error| format!("a certificate: {error}"))?;
    let [certificate, authority] = <[_; 2]>::try_from(certificates)
        .map_err(|found| format!("{} certificates instead of 2", found.len()))?;
    let (_, read) = X509Certificate::from_der(&certificate)
        .map_err(|error| format!("the certificate: {error}"))?;
    let moment = |seconds: i64| {
        Timestamp::ZERO.plus(Duration::from_secs(u64::try_from(seconds).unwrap_or_default()))
    };
    let (from, until) =
        (moment(read.validity.not_before.timestamp()), moment(read.validity.not_after.timestamp()));
    Ok(Identity { path: path.to_owned(), key, certificate, authority, from, until, text })
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateSigningRequestParams, IsCa, Issuer};

    use super::*;

    #[test]
    fn a_certificate_that_cannot_be_saved_is_good_all_the_same() {
        let directory = tempfile::tempdir().expect("a directory");
        let data = directory.path().join("data");
        fs::create_dir(&data).expect("made");
        let joining = Joining::begin(&data).expect("begins");

        let key = KeyPair::generate().expect("a key");
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = authority.self_signed(&key).expect("signs");
        let issuer = Issuer::new(authority, key);
        let asked = joining.request().expect("a request");
        let asked = CertificateSigningRequestParams::from_pem(&asked).expect("a request");
        let joined = Joined {
            certificate: asked.signed_by(&issuer).expect("signs").pem(),
            authority: certificate.pem(),
            until: Timestamp::ZERO,
            now: Timestamp::ZERO,
        };
        let identity = joining.finish(&joined, trust::fingerprint(certificate.der()));
        let identity = identity.expect("joined");

        fs::remove_dir_all(&data).expect("removed");
        fs::write(&data, "in the way").expect("written");
        let renewed = identity.renewed(&joined).expect("needs no disk");
        assert!(renewed.client().is_ok());
        assert!(matches!(renewed.save(), Err(IdentityError::File(..))));
        fs::remove_file(&data).expect("removed");
        renewed.save().expect("the disk is back");
        assert!(data.join(FILE).exists());
    }
}
