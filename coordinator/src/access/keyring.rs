//! Whose key is whose among the members, in both directions of their connections.
//!
//! The applied state knows the key of every number. A member whose log is behind may meet one that
//! it has not heard of: then it asks those whose keys it knows, and nobody else's word counts. Only
//! whom a starting member finds in the Raft group of its own log without a key is believed by the
//! certificate alone: they were let in by entries of which it does not know yet that they are
//! committed, and the members of that group could not elect anybody if they did not hear each other.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crosscheck_model::join::Fingerprint;
use crosscheck_probe::trust;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, SignatureScheme};
use tokio::sync::Notify;

/// Numbers that are asked about at a time: no cluster has nearly as many members, and whoever has
/// the authority's key could name any number.
const STRANGERS_LIMIT: usize = 16;

/// The key of a member, as the applied state has it.
type Book = dyn Fn(u64) -> Option<Fingerprint> + Send + Sync;

/// The members' keys, as far as this member knows them.
pub struct Keyring {
    book: Box<Book>,
    heard: Mutex<Heard>,
    news: Notify,
}

/// What the state does not know (yet).
#[derive(Default)]
struct Heard {
    /// Keys by the word of members that are known.
    told: BTreeMap<u64, Fingerprint>,
    /// Members of the group by the log that was found at the start.
    found: BTreeSet<u64>,
    /// Numbers of which no key is known.
    strangers: BTreeSet<u64>,
}

impl Keyring {
    /// Knows what `book` knows, and before it `told`: what a newcomer was told when it joined.
    pub fn new(
        told: BTreeMap<u64, Fingerprint>,
        book: impl Fn(u64) -> Option<Fingerprint> + Send + Sync + 'static,
    ) -> Self {
        let heard = Heard { told, ..Heard::default() };
        Self { book: Box::new(book), heard: Mutex::new(heard), news: Notify::new() }
    }

    /// The group of the log that this member has found at its start.
    pub(crate) fn find(&self, group: impl Iterator<Item = u64>) {
        self.heard().found = group.collect();
    }

    /// Whether `key` is that of member `node`. One that is not known is asked about.
    pub fn recognises(&self, node: u64, key: &Fingerprint) -> bool {
        let booked = (self.book)(node);
        let mut heard = self.heard();
        match booked.or_else(|| heard.told.get(&node).copied()) {
            Some(known) if known == *key => true,
            Some(_) => {
                tracing::warn!(
                    node,
                    "somebody has a certificate for this coordinator with a key that is not its \
                     own: who has the key of the authority?"
                );
                false
            }
            None if heard.found.contains(&node) => true,
            None => {
                if heard.strangers.len() < STRANGERS_LIMIT && heard.strangers.insert(node) {
                    self.news.notify_one();
                }
                false
            }
        }
    }

    /// A member whose key is known says what the key of `node` is.
    pub(crate) fn learn(&self, node: u64, key: Fingerprint) {
        self.heard().told.insert(node, key);
    }

    /// The next number to ask about.
    pub(crate) async fn stranger(&self) -> u64 {
        loop {
            let news = self.news.notified();
            if let Some(node) = self.heard().strangers.pop_first() {
                return node;
            }
            news.await;
        }
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The verifier of connections to member `node`: as `inner`, and only with the member's key.
    pub(super) fn verifier(
        self: &Arc<Self>,
        inner: Arc<dyn ServerCertVerifier>,
        node: u64,
    ) -> Arc<dyn ServerCertVerifier> {
        Arc::new(OfMember { inner, keyring: self.clone(), node })
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keyring(..)")
    }
}

/// Accepts one member, by its name and by its key.
#[derive(Debug)]
struct OfMember {
    inner: Arc<dyn ServerCertVerifier>,
    keyring: Arc<Keyring>,
    node: u64,
}

impl ServerCertVerifier for OfMember {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        address: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified =
            self.inner.verify_server_cert(end_entity, intermediates, address, ocsp, now)?;
        let (_, read) = x509_parser::parse_x509_certificate(end_entity)
            .map_err(|_| Error::InvalidCertificate(CertificateError::BadEncoding))?;
        let key = trust::fingerprint(read.public_key().raw);
        if self.keyring.recognises(self.node, &key) {
            return Ok(verified);
        }
        Err(Error::General(format!("its key is not known as that of coordinator {}", self.node)))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, cert, dss)
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

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: Fingerprint = Fingerprint([1; 32]);
    const OTHER: Fingerprint = Fingerprint([2; 32]);

    #[tokio::test]
    async fn the_state_has_the_last_word_and_the_unknown_are_asked_about() {
        let told = BTreeMap::from([(1, OTHER), (2, OTHER)]);
        let keyring = Keyring::new(told, |node| (node == 1).then_some(OWN));
        assert!(keyring.recognises(1, &OWN) && !keyring.recognises(1, &OTHER));
        assert!(keyring.recognises(2, &OTHER) && !keyring.recognises(2, &OWN));
        assert!(!keyring.recognises(3, &OWN), "nobody has told of it");
        assert_eq!(keyring.stranger().await, 3, "and of nobody else");
        keyring.learn(3, OWN);
        assert!(keyring.recognises(3, &OWN) && !keyring.recognises(3, &OTHER));
    }

    #[tokio::test]
    async fn whoever_was_found_in_the_log_is_heard_until_its_key_is_known() {
        let keyring = Keyring::new(BTreeMap::new(), |node| (node == 1).then_some(OWN));
        keyring.find([1, 2].into_iter());
        assert!(!keyring.recognises(1, &OTHER), "its key is known");
        assert!(keyring.recognises(2, &OWN));
        assert!(!keyring.recognises(3, &OWN), "it was not found");
        keyring.learn(2, OTHER);
        assert!(!keyring.recognises(2, &OWN));
    }

    #[tokio::test]
    async fn no_number_of_strangers_fills_the_memory() {
        let keyring = Keyring::new(BTreeMap::new(), |_| None);
        for node in 0..10_000 {
            assert!(!keyring.recognises(node, &OWN));
        }
        assert_eq!(keyring.heard().strangers.len(), STRANGERS_LIMIT);
    }
}
