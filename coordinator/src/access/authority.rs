//! The installation's own certificate authority: one key, one certificate, in one file that only
//! its owner reads. Every coordinator has it, so that any of them can let a probe in.

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
    text: String,
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
    /// What came from another coordinator does not fit.
    #[error("the authority that was handed over cannot be used: {0}")]
    Foreign(String),
    /// Nothing can be signed.
    #[error("sign a certificate: {0}")]
    Sign(#[from] rcgen::Error),
}

impl Authority {
    /// Makes the authority of a new installation, and keeps it.
    ///
    /// # Errors
    /// There is one already, or it cannot be kept.
    pub fn create(data: &Path, now: Timestamp) -> Result<Self, AuthorityError> {
        let path = free(data)?;
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params.distinguished_name.push(DnType::CommonName, "crosscheck installation");
        last(&mut params, now, now.plus(LIFETIME));
        let certificate = params.self_signed(&key)?;
        let text = format!("{}{}", key.serialize_pem(), certificate.pem());
        Self::keep(&path, text)
    }

    /// The authority in this data directory.
    ///
    /// # Errors
    /// There is none, or it cannot be read.
    pub fn open(data: &Path) -> Result<Self, AuthorityError> {
        let path = data.join(FILE);
        match fs::read_to_string(&path) {
            Ok(text) => Self::parse(text).map_err(|what| AuthorityError::Damaged(path, what)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(AuthorityError::Missing(path))
            }
            Err(error) => Err(AuthorityError::File(path, error)),
        }
    }

    /// Keeps what another coordinator handed over ([`Authority::reveal`]), if it is the authority
    /// that the join token named.
    ///
    /// # Errors
    /// It is another one, there is one already, or it cannot be kept.
    pub fn install(data: &Path, text: String, named: &Fingerprint) -> Result<Self, AuthorityError> {
        let path = free(data)?;
        let given = Self::parse(text).map_err(AuthorityError::Foreign)?;
        if given.fingerprint != *named {
            return Err(AuthorityError::Foreign("the token names another one".to_owned()));
        }
        Self::keep(&path, given.text)
    }

    /// Takes over the file of another coordinator of the same installation, or of one that is no
    /// more.
    ///
    /// # Errors
    /// It is none, there is one already, or it cannot be kept.
    pub fn adopt(data: &Path, file: &Path) -> Result<Self, AuthorityError> {
        let path = free(data)?;
        let text = fs::read_to_string(file);
        let text = text.map_err(|error| AuthorityError::File(file.to_owned(), error))?;
        let given = Self::parse(text).map_err(AuthorityError::Foreign)?;
        Self::keep(&path, given.text)
    }

    fn keep(path: &Path, text: String) -> Result<Self, AuthorityError> {
        let kept = private_file::write(path, &text);
        kept.map_err(|error| AuthorityError::File(path.to_owned(), error))?;
        Self::parse(text).map_err(|what| AuthorityError::Damaged(path.to_owned(), what))
    }

    fn parse(text: String) -> Result<Self, String> {
        let key = KeyPair::from_pem(&text).map_err(|error| format!("the key: {error}"))?;
        let certificate = CertificateDer::from_pem_slice(text.as_bytes())
            .map_err(|error| format!("the certificate: {error}"))?;
        let issuer = Issuer::from_ca_cert_der(&certificate, key)
            .map_err(|error| format!("the certificate: {error}"))?;
        let fingerprint = trust::fingerprint(&certificate);
        let authority = Self { certificate, issuer, fingerprint, text };
        // A key that is not the certificate's would sign what nobody believes.
        let own = x509_parser::parse_x509_certificate(&authority.certificate)
            .map_err(|error| format!("the certificate: {error}"))?;
        if own.1.public_key().raw != authority.issuer.key().subject_public_key_info() {
            return Err("the key is not the certificate's".to_owned());
        }
        Ok(authority)
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
    pub fn reveal(&self) -> &str {
        &self.text
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

/// DER as PEM (RFC 7468).
fn pem(label: &str, der: &[u8]) -> String {
    use base64::Engine;
    /// Characters in a line.
    const WIDTH: usize = 64;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let mut out = format!("-----BEGIN {label}-----\n");
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, next) = rest.split_at(rest.len().min(WIDTH));
        out.push_str(line);
        out.push('\n');
        rest = next;
    }
    out.push_str(&format!("-----END {label}-----\n"));
    out
}

#[cfg(test)]
mod tests;
