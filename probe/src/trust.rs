//! Whom a connection is with: certificates of the installation's own authority, and no other.
//!
//! Coordinators are recognised by a name that stands in their certificates, not by the address at
//! which they were reached: addresses change hands, and the authority is ours.

use std::sync::{Arc, Mutex, PoisonError};

use crosscheck_model::join::Fingerprint;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, ring};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    version,
};
use sha2::{Digest, Sha256};

/// The only version spoken between parts of an installation.
pub const VERSIONS: &[&rustls::SupportedProtocolVersion] = &[&version::TLS13];

/// SHA-256 of some DER.
pub fn fingerprint(der: &[u8]) -> Fingerprint {
    Fingerprint(Sha256::digest(der).into())
}

/// The cryptography of all connections within an installation.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// A certificate with its key.
pub type Proof = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// Connects only to who has a certificate of `authority` with the name `name`, and shows `proof`.
///
/// # Errors
/// The authority's certificate, the name or the key cannot be used.
pub fn client(
    authority: &CertificateDer<'static>,
    name: &str,
    proof: Option<Proof>,
) -> Result<ClientConfig, Error> {
    let verifier = verifier(authority, name)?;
    let builder = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(VERSIONS)?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let mut config = match proof {
        Some((chain, key)) => builder.with_client_auth_cert(chain, key)?,
        None => builder.with_no_client_auth(),
    };
    for_http(&mut config);
    Ok(config)
}

/// Accepts only who has a certificate of `authority` with the name `name`.
///
/// # Errors
/// The authority's certificate or the name cannot be used.
pub fn verifier(
    authority: &CertificateDer<'static>,
    name: &str,
) -> Result<Arc<dyn ServerCertVerifier>, Error> {
    Ok(Arc::new(Pinned::new(authority, name)?))
}

/// Connects only to who shows a certificate whose authority has this fingerprint, and keeps the
/// authority's certificate.
///
/// # Errors
/// None in practice: the provider knows the version.
pub fn joiner(announced: Arc<Announced>) -> Result<ClientConfig, Error> {
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(VERSIONS)?
        .dangerous()
        .with_custom_certificate_verifier(announced)
        .with_no_client_auth();
    for_http(&mut config);
    Ok(config)
}

fn for_http(config: &mut ClientConfig) {
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    // A resumed connection would carry over what an earlier certificate proved.
    config.resumption = rustls::client::Resumption::disabled();
}

/// Accepts one name, vouched for by one authority.
#[derive(Debug)]
struct Pinned {
    inner: Arc<WebPkiServerVerifier>,
    name: ServerName<'static>,
}

impl Pinned {
    fn new(authority: &CertificateDer<'static>, name: &str) -> Result<Self, Error> {
        let mut roots = RootCertStore::empty();
        roots.add(authority.clone())?;
        let inner = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider())
            .build()
            .map_err(|error| Error::General(error.to_string()))?;
        let name = ServerName::try_from(name.to_owned())
            .map_err(|error| Error::General(error.to_string()))?;
        Ok(Self { inner, name })
    }
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _address: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.inner.verify_server_cert(end_entity, intermediates, &self.name, ocsp, now)
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(only_tls13())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

/// An authority of which so far only the fingerprint is known, from a join token.
#[derive(Debug)]
pub struct Announced {
    fingerprint: Fingerprint,
    algorithms: WebPkiSupportedAlgorithms,
    found: Mutex<Option<CertificateDer<'static>>>,
}

impl Announced {
    /// The authority whose certificate has this fingerprint.
    pub fn new(fingerprint: Fingerprint) -> Self {
        let algorithms = ring::default_provider().signature_verification_algorithms;
        Self { fingerprint, algorithms, found: Mutex::default() }
    }

    /// Its certificate, after a connection was made.
    pub fn found(&self) -> Option<CertificateDer<'static>> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ServerCertVerifier for Announced {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        address: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let mut others = intermediates.iter();
        let authority = others
            .find(|certificate| fingerprint(certificate) == self.fingerprint)
            .ok_or(Error::InvalidCertificate(CertificateError::UnknownIssuer))?
            .clone()
            .into_owned();
        let name = crosscheck_model::join::coordinator_name(&self.fingerprint);
        let verified = Pinned::new(&authority, &name)?.verify_server_cert(
            end_entity,
            intermediates,
            address,
            ocsp,
            now,
        )?;
        *self.found.lock().unwrap_or_else(PoisonError::into_inner) = Some(authority);
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(only_tls13())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

fn only_tls13() -> Error {
    Error::General("only TLS 1.3 is spoken here".to_owned())
}
