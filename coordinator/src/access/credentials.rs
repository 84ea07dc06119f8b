//! What this member proves itself by: a certificate that it makes for itself, with a key that is
//! only in memory, renewed long before its end.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use crosscheck_checks::clock;
use crosscheck_model::join::node_name;
use crosscheck_probe::trust;
use rustls::client::ResolvesClientCert;
use rustls::pki_types::CertificateDer;
use rustls::server::{
    ClientHello, NoServerSessionStorage, ResolvesServerCert, WebPkiClientVerifier,
};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, RootCertStore, ServerConfig, SignatureScheme};
use tokio_util::sync::CancellationToken;

use super::authority::{Authority, AuthorityError};

/// How long a certificate of a member is good for.
const LIFETIME: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Renewed this often: many attempts within the lifetime.
const RENEW_EVERY: Duration = Duration::from_secs(12 * 60 * 60);

/// A member's authority and its own certificate.
pub struct Credentials {
    authority: Authority,
    node: u64,
    own: Arc<Own>,
}

/// The present certificate, for both sides of a handshake.
#[derive(Debug)]
struct Own(RwLock<Arc<CertifiedKey>>);

impl Own {
    fn present(&self) -> Arc<CertifiedKey> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ResolvesServerCert for Own {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.present())
    }
}

impl ResolvesClientCert for Own {
    fn resolve(&self, _hints: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.present())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

impl Credentials {
    /// Makes a certificate for member `node`.
    ///
    /// # Errors
    /// Nothing can be signed.
    pub fn new(authority: Authority, node: u64) -> Result<Self, AuthorityError> {
        let own = Arc::new(Own(RwLock::new(certify(&authority, node)?)));
        Ok(Self { authority, node, own })
    }

    /// The authority.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// Makes a fresh certificate now and then, until `stop`.
    pub async fn keep_fresh(self: Arc<Self>, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(RENEW_EVERY) => {}
            }
            match certify(&self.authority, self.node) {
                Ok(next) => {
                    *self.own.0.write().unwrap_or_else(PoisonError::into_inner) = next;
                }
                Err(error) => tracing::error!(%error, "this member's certificate is not renewed"),
            }
        }
    }

    /// For a listener: TLS 1.3, and certificates of this authority or none.
    ///
    /// # Errors
    /// The authority's certificate cannot be used.
    pub(super) fn server(&self) -> Result<ServerConfig, rustls::Error> {
        let mut roots = RootCertStore::empty();
        roots.add(self.authority.certificate().clone())?;
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), trust::provider())
                .allow_unauthenticated()
                .build()
                .map_err(|error| rustls::Error::General(error.to_string()))?;
        let mut config = ServerConfig::builder_with_provider(trust::provider())
            .with_protocol_versions(trust::VERSIONS)?
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(self.own.clone());
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        // A resumed connection would carry over what an ended certificate proved.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(config)
    }

    /// For connections to member `node`, and to no other.
    ///
    /// # Errors
    /// The authority's certificate cannot be used.
    pub fn client(&self, node: u64) -> Result<ClientConfig, rustls::Error> {
        let name = node_name(&self.authority.fingerprint(), node);
        let mut config = trust::client(self.authority.certificate(), &name, None)?;
        config.client_auth_cert_resolver = self.own.clone();
        // Members talk HTTP/1.1, with a connection for each request under way.
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }
}

fn certify(authority: &Authority, node: u64) -> Result<Arc<CertifiedKey>, AuthorityError> {
    // Certificates are judged by the wall clocks of hosts, so they are dated by one.
    let now = clock::wall();
    let (chain, key): (Vec<CertificateDer<'static>>, _) =
        authority.issue_node(node, now, now.plus(LIFETIME))?;
    let certified = CertifiedKey::from_der(chain, key, &trust::provider())
        .map_err(|error| AuthorityError::Foreign(error.to_string()))?;
    Ok(Arc::new(certified))
}
