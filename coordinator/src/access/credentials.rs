//! What this member proves itself by: a certificate that it makes for itself, for its own key,
//! renewed long before its end.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use crosscheck_checks::clock;
use crosscheck_model::Timestamp;
use crosscheck_model::join::{Fingerprint, node_name};
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
use super::key::MemberKey;
use super::keyring::Keyring;

/// How long a certificate of a member is good for.
const LIFETIME: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Renewed this often: many attempts within the lifetime.
const RENEW_EVERY: Duration = Duration::from_secs(12 * 60 * 60);

/// A member's authority, its key and its own certificate.
pub struct Credentials {
    authority: Authority,
    key: MemberKey,
    node: u64,
    own: Arc<Own>,
    /// The keys of others, as this member was told when it joined.
    told: BTreeMap<u64, Fingerprint>,
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
    /// Makes a certificate for member `node`, which was told `told` of others' keys.
    ///
    /// # Errors
    /// Nothing can be signed.
    pub fn new(
        authority: Authority,
        key: MemberKey,
        node: u64,
        told: BTreeMap<u64, Fingerprint>,
    ) -> Result<Self, AuthorityError> {
        // Certificates are judged by the wall clocks of hosts, so they are dated by one.
        let own = certify(&authority, &key, node, clock::wall())?;
        Ok(Self { authority, key, node, own: Arc::new(Own(RwLock::new(own))), told })
    }

    /// The keys of other members, as far as this one was told.
    pub(crate) fn told(&self) -> BTreeMap<u64, Fingerprint> {
        self.told.clone()
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
            if let Err(error) = self.renew(clock::wall()) {
                tracing::error!(%error, "this member's certificate is not renewed");
            }
        }
    }

    /// The next certificate, for the same key.
    fn renew(&self, now: Timestamp) -> Result<(), AuthorityError> {
        let next = certify(&self.authority, &self.key, self.node, now)?;
        *self.own.0.write().unwrap_or_else(PoisonError::into_inner) = next;
        Ok(())
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

    /// For connections to member `node`, and to no other: whoever has another key than `keyring`
    /// knows is not the member.
    ///
    /// # Errors
    /// The authority's certificate cannot be used.
    pub fn client(&self, node: u64, keyring: &Arc<Keyring>) -> Result<ClientConfig, rustls::Error> {
        let name = node_name(&self.authority.fingerprint(), node);
        let mut config = trust::client(self.authority.certificate(), &name, None)?;
        let named = trust::verifier(self.authority.certificate(), &name)?;
        config.dangerous().set_certificate_verifier(keyring.verifier(named, node));
        config.client_auth_cert_resolver = self.own.clone();
        // Members talk HTTP/1.1, with a connection for each request under way.
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }
}

fn certify(
    authority: &Authority,
    key: &MemberKey,
    node: u64,
    now: Timestamp,
) -> Result<Arc<CertifiedKey>, AuthorityError> {
    let (chain, key): (Vec<CertificateDer<'static>>, _) =
        authority.issue_node(node, key, (now, now.plus(LIFETIME)))?;
    let certified = CertifiedKey::from_der(chain, key, &trust::provider())
        .map_err(|error| AuthorityError::Foreign(error.to_string()))?;
    Ok(Arc::new(certified))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// When a certificate ends, in seconds since the Unix epoch; its number and its key.
    fn told(own: &Own) -> (i64, Vec<u8>, Fingerprint) {
        let present = own.present();
        let leaf = present.cert.first().expect("a certificate");
        let (_, read) = x509_parser::parse_x509_certificate(leaf).expect("a certificate");
        let key = trust::fingerprint(read.public_key().raw);
        (read.validity().not_after.timestamp(), read.raw_serial().to_vec(), key)
    }

    fn credentials() -> Credentials {
        let directory = tempfile::tempdir().expect("a directory");
        let authority = Authority::create(directory.path(), None, clock::wall()).expect("made");
        let key = MemberKey::generate().expect("a key");
        Credentials::new(authority, key, 2, BTreeMap::new()).expect("signs")
    }

    #[test]
    fn the_next_certificate_is_for_the_same_key_and_ends_later() {
        let own = credentials();
        let (first_end, first_number, key) = told(&own.own);
        assert_eq!(key, own.key.fingerprint());
        let later = clock::wall().plus(RENEW_EVERY);
        own.renew(later).expect("signs");
        let (end, number, same) = told(&own.own);
        assert_eq!(same, key, "the others would not know it any more");
        let wanted = i64::try_from(RENEW_EVERY.as_secs()).expect("fits");
        assert!((wanted..wanted + 60).contains(&(end - first_end)), "{first_end}, {end}");
        assert_ne!(number, first_number);
        // The lifetime spans many attempts, so that one that fails harms nobody.
        assert!(LIFETIME >= RENEW_EVERY * 10);
    }

    #[tokio::test(start_paused = true)]
    async fn a_member_renews_by_itself_and_shows_the_new_one_from_then_on() {
        let own = Arc::new(credentials());
        let keyring = Arc::new(Keyring::new(BTreeMap::new(), |_| None));
        let shown = |own: &Credentials| {
            let client = own.client(1, &keyring).expect("a configuration");
            let asked = client.client_auth_cert_resolver.resolve(&[], &[]).expect("one to show");
            asked.cert.clone()
        };
        let first = shown(&own);
        let stop = CancellationToken::new();
        let renewal = tokio::spawn(own.clone().keep_fresh(stop.clone()));
        tokio::time::sleep(RENEW_EVERY - Duration::from_secs(1)).await;
        assert_eq!(shown(&own), first, "too early");
        tokio::time::sleep(Duration::from_secs(2)).await;
        let second = shown(&own);
        assert_ne!(second, first);
        tokio::time::sleep(RENEW_EVERY).await;
        assert_ne!(shown(&own), second, "again and again");
        stop.cancel();
        renewal.await.expect("ends when it is told to");
    }
}
