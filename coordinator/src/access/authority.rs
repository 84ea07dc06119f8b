//! The installation's own certificate authority: one key, one certificate, in one file that only
//! its owner reads. Every coordinator has it, so that any of them can let a probe in; each seals the
//! key with a passphrase of its own, if it has one.

use std::fmt::Display;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crosscheck_core::identity::Certified;
use crosscheck_model::Timestamp;
use crosscheck_model::join::{Fingerprint, JoinRefusal, coordinator_name, node_name};
use crosscheck_probe::{private_file, trust};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PublicKeyData, SanType,
    SerialNumber, date_time_ymd,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::key::MemberKey;
use super::peer::probe_uri;
use super::seal::{self, Passphrase, Unusable, pem};

/// In the coordinator's data directory.
const FILE: &str = "authority.pem";

/// Long enough that nobody is surprised by its end.
const LIFETIME: Duration = Duration::from_secs(20 * 365 * 24 * 60 * 60);

/// Certificates begin this much before they are made: clocks of hosts differ.
const SKEW: Duration = Duration::from_secs(10 * 60);

/// The authority, with its key.
pub struct Authority {
    certificate: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
    fingerprint: Fingerprint,
}

/// Why there is no authority to be used.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// There is none.
    #[error(
        "there is no `{0}`: this coordinator belongs to no installation yet; `crosscheck cluster init` begins one, `crosscheck cluster join` joins one"
    )]
    Missing(PathBuf),
    /// There is one already.
    #[error("`{0}` is there already: this data directory belongs to an installation")]
    Exists(PathBuf),
    /// The file cannot be read or written.
    #[error("use `{0}`: {1}")]
    File(PathBuf, io::Error),
    /// It is not what was written there.
    #[error("`{0}` is damaged ({1}); take it from another coordinator of the installation")]
    Damaged(PathBuf, String),
    /// It is sealed, and there is no passphrase.
    #[error(
        "the key in `{0}` is sealed, and there is no passphrase: `authority_passphrase` in the settings says where it is, or systemd's credential `crosscheck.authority` has it"
    )]
    Sealed(PathBuf),
    /// It is sealed with another passphrase.
    #[error(
        "the passphrase does not open the key in `{0}`, which stays as it is: each coordinator may have another one, and `crosscheck restore` takes that of a kept file as `--authority-passphrase`. If it is lost, empty the data directory, then `crosscheck cluster remove` this coordinator's number and `crosscheck cluster token` on a coordinator that runs, and `crosscheck cluster join` here"
    )]
    Passphrase(PathBuf),
    /// The key cannot be sealed.
    #[error("seal the key of the authority: {0}")]
    Seal(String),
    /// What came from another coordinator does not fit.
    #[error("the authority that was handed over cannot be used: {0}")]
    Foreign(String),
    /// Nothing can be signed.
    #[error("sign a certificate: {0}")]
    Sign(#[from] rcgen::Error),
}

impl AuthorityError {
    fn of_file(path: PathBuf, unusable: Unusable) -> Self {
        match unusable {
            Unusable::Sealed => Self::Sealed(path),
            Unusable::Passphrase => Self::Passphrase(path),
            Unusable::Damaged(what) => Self::Damaged(path, what),
        }
    }
}

impl Authority {
    /// Makes the authority of a new installation, and keeps it.
    ///
    /// # Errors
    /// There is one already, or it cannot be kept.
    pub fn create(
        data: &Path,
        passphrase: Option<&Passphrase>,
        now: Timestamp,
    ) -> Result<Self, AuthorityError> {
        let path = free(data)?;
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params.distinguished_name.push(DnType::CommonName, "crosscheck installation");
        last(&mut params, now, now.plus(LIFETIME));
        let certificate = params.self_signed(&key)?.der().clone();
        let fingerprint = trust::fingerprint(&certificate);
        let issuer = Issuer::from_ca_cert_der(&certificate, key)?;
        let made = Self { certificate, issuer, fingerprint };
        made.keep(&path, passphrase)?;
        Ok(made)
    }

    /// The authority in this data directory. A key that lies there in clear is sealed, if there is
    /// a passphrase.
    ///
    /// # Errors
    /// There is none, or it cannot be read or sealed.
    pub fn open(data: &Path, passphrase: Option<&Passphrase>) -> Result<Self, AuthorityError> {
        let path = data.join(FILE);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(AuthorityError::Missing(path));
            }
            Err(error) => return Err(AuthorityError::File(path, error)),
        };
        let (authority, sealed) = Self::parse(&text, passphrase)
            .map_err(|unusable| AuthorityError::of_file(path.clone(), unusable))?;
        if passphrase.is_some() && !sealed {
            authority.keep(&path, passphrase)?;
            tracing::info!("the key of the authority is sealed from now on");
        }
        Ok(authority)
    }

    /// Keeps what another coordinator handed over ([`Authority::reveal`]), if it is the authority
    /// that the join token named.
    ///
    /// # Errors
    /// It is another one, there is one already, or it cannot be kept.
    pub fn install(
        data: &Path,
        passphrase: Option<&Passphrase>,
        text: &str,
        named: &Fingerprint,
    ) -> Result<Self, AuthorityError> {
        let path = free(data)?;
        let (given, _) = Self::parse(text, None).map_err(|unusable| {
            AuthorityError::Foreign(match unusable {
                Unusable::Damaged(what) => what,
                Unusable::Sealed | Unusable::Passphrase => "its key is sealed".to_owned(),
            })
        })?;
        if given.fingerprint != *named {
            return Err(AuthorityError::Foreign("the token names another one".to_owned()));
        }
        given.keep(&path, passphrase)?;
        Ok(given)
    }

    /// Takes over the file of another coordinator of the same installation, or of one that is no
    /// more: `its` passphrase opens it.
    ///
    /// # Errors
    /// It is none, it cannot be opened, there is one already, or it cannot be kept.
    pub fn adopt(
        data: &Path,
        passphrase: Option<&Passphrase>,
        file: &Path,
        its: Option<&Passphrase>,
    ) -> Result<Self, AuthorityError> {
        let path = free(data)?;
        let text = fs::read_to_string(file);
        let text = text.map_err(|error| AuthorityError::File(file.to_owned(), error))?;
        let (given, _) = Self::parse(&text, its)
            .map_err(|unusable| AuthorityError::of_file(file.to_owned(), unusable))?;
        given.keep(&path, passphrase)?;
        Ok(given)
    }

    /// Writes the file, with the key sealed if there is a passphrase.
    fn keep(&self, path: &Path, passphrase: Option<&Passphrase>) -> Result<(), AuthorityError> {
        let text = match passphrase {
            None => self.reveal(),
            Some(passphrase) => {
                let key = passphrase.seal(self.issuer.key());
                let key = key.map_err(|error| AuthorityError::Seal(error.to_string()))?;
                key + &self.certificate_pem()
            }
        };
        // It may take the place of the only copy.
        Self::parse(&text, passphrase)
            .map_err(|unusable| AuthorityError::of_file(path.to_owned(), unusable))?;
        let kept = private_file::write(path, &text);
        kept.map_err(|error| AuthorityError::File(path.to_owned(), error))
    }

    /// The authority in a text, and whether its key is sealed there.
    fn parse(text: &str, passphrase: Option<&Passphrase>) -> Result<(Self, bool), Unusable> {
        let damaged = |error: &dyn Display| Unusable::Damaged(format!("the certificate: {error}"));
        let (key, sealed) = seal::key(text, passphrase)?;
        let certificate =
            CertificateDer::from_pem_slice(text.as_bytes()).map_err(|error| damaged(&error))?;
        let issuer =
            Issuer::from_ca_cert_der(&certificate, key).map_err(|error| damaged(&error))?;
        let fingerprint = trust::fingerprint(&certificate);
        let authority = Self { certificate, issuer, fingerprint };
        // A key that is not the certificate's would sign what nobody believes.
        let own = x509_parser::parse_x509_certificate(&authority.certificate)
            .map_err(|error| damaged(&error))?;
        if own.1.public_key().raw != authority.issuer.key().subject_public_key_info() {
            return Err(Unusable::Damaged("the key is not the certificate's".to_owned()));
        }
        Ok((authority, sealed))
    }

    /// The fingerprint of its certificate, which join tokens carry.
    pub const fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// Its certificate.
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// Its certificate as PEM.
    pub fn certificate_pem(&self) -> String {
        pem("CERTIFICATE", &self.certificate)
    }

    /// Key and certificate as PEM, for a new coordinator: whoever has this can vouch for anyone.
    pub fn reveal(&self) -> String {
        self.issuer.key().serialize_pem() + &self.certificate_pem()
    }

    /// A probe's certificate (PEM) for the key of its request: everything else is as agreed.
    ///
    /// # Errors
    /// The request is none, or not signed by its own key.
    pub fn issue_probe(
        &self,
        request: &Request,
        certified: &Certified,
    ) -> Result<String, AuthorityError> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, certified.probe.as_str());
        let uri = probe_uri(&certified.probe, &certified.site);
        params.subject_alt_names = vec![SanType::URI(uri.try_into()?)];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.serial_number = Some(SerialNumber::from_slice(&certified.serial.to_be_bytes()));
        let certificate = self.sign(params, (certified.from, certified.until), &request.key)?;
        Ok(pem("CERTIFICATE", &certificate))
    }

    /// A certificate for member `node` and its key.
    ///
    /// # Errors
    /// The key cannot be used.
    pub fn issue_node(
        &self,
        node: u64,
        key: &MemberKey,
        (from, until): (Timestamp, Timestamp),
    ) -> Result<trust::Proof, AuthorityError> {
        let key = key.pair();
        let names = vec![node_name(&self.fingerprint, node), coordinator_name(&self.fingerprint)];
        let mut params = CertificateParams::new(names)?;
        params.distinguished_name.push(DnType::CommonName, format!("node-{node}"));
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        // An authority gives no number twice (RFC 5280, 4.1.2.2), also not for the same key.
        params.serial_number =
            Some(SerialNumber::from_slice(&rand::random::<u128>().to_be_bytes()));
        let certificate = self.sign(params, (from, until), key)?;
        let key = PrivateKeyDer::try_from(key.serialize_der())
            .map_err(|_| rcgen::Error::CouldNotParseKeyPair)?;
        Ok((vec![certificate, self.certificate.clone()], key))
    }

    fn sign(
        &self,
        mut params: CertificateParams,
        (from, until): (Timestamp, Timestamp),
        key: &impl PublicKeyData,
    ) -> Result<CertificateDer<'static>, rcgen::Error> {
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        last(&mut params, from, until);
        Ok(params.signed_by(key, &self.issuer)?.der().clone())
    }
}

/// A certificate signing request whose own signature is right.
pub struct Request {
    key: rcgen::PublicKey,
}

impl Request {
    /// Reads a request (PKCS #10, PEM) and checks its signature.
    ///
    /// # Errors
    /// It is none, or was not made by who holds the key.
    pub fn parse(pem: &str) -> Result<Self, JoinRefusal> {
        let request = CertificateSigningRequestParams::from_pem(pem)
            .map_err(|error| JoinRefusal::BadRequest(error.to_string()))?;
        Ok(Self { key: request.public_key })
    }

    /// The fingerprint of its key.
    pub fn key(&self) -> Fingerprint {
        trust::fingerprint(&self.key.subject_public_key_info())
    }
}

fn free(data: &Path) -> Result<PathBuf, AuthorityError> {
    let path = data.join(FILE);
    if path.exists() { Err(AuthorityError::Exists(path)) } else { Ok(path) }
}

/// When a certificate is good; X.509 counts whole seconds.
fn last(params: &mut CertificateParams, from: Timestamp, until: Timestamp) {
    let epoch = date_time_ymd(1970, 1, 1);
    let seconds = |at: Timestamp| Duration::from_secs(at.as_millis() / 1000);
    params.not_before = epoch + seconds(from.minus(SKEW));
    params.not_after = epoch + seconds(until);
}

#[cfg(test)]
mod tests;
