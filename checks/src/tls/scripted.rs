//! A certificate authority and TLS servers for tests, on loopback.

use std::future::Future;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd,
};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// An authority that a check can be told to trust.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    files: TempDir,
}

/// A certificate and its key.
pub(crate) struct Leaf {
    certificate: rcgen::Certificate,
    key: KeyPair,
    /// What else a server shows with it.
    above: Vec<CertificateDer<'static>>,
}

impl Authority {
    /// A new one, with its certificate in a file.
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "Scripted Root");
        let issuer = CertifiedIssuer::self_signed(params, key()).expect("signs itself");
        let files = TempDir::new().expect("a directory");
        std::fs::write(files.path().join("ca.pem"), issuer.pem()).expect("written");
        Self { issuer, files }
    }

    /// The file of its certificate.
    pub(crate) fn file(&self) -> String {
        text(&self.files.path().join("ca.pem"))
    }

    /// A certificate for these names, ending long from now.
    pub(crate) fn leaf(&self, names: &[&str]) -> Leaf {
        self.leaf_until(names, 4000, 1, 1)
    }

    /// A certificate for these names that ends on a day.
    pub(crate) fn leaf_until(&self, names: &[&str], year: i32, month: u8, day: u8) -> Leaf {
        let mut params = params(names);
        params.not_after = date_time_ymd(year, month, day);
        let key = key();
        let certificate = params.signed_by(&key, &self.issuer).expect("signs");
        Leaf { certificate, key, above: Vec::new() }
    }

    /// A certificate for these names that ends long from now, of an intermediate authority that
    /// ends on a day; a server shows both, and an expired one of another's.
    pub(crate) fn leaf_below(&self, names: &[&str], (year, month, day): (i32, u8, u8)) -> Leaf {
        let authority = |name: &str| {
            let mut params = CertificateParams::default();
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params.distinguished_name.push(DnType::CommonName, name);
            params
        };
        let mut params = authority("Scripted Intermediate");
        params.not_after = date_time_ymd(year, month, day);
        let middle = CertifiedIssuer::signed_by(params, key(), &self.issuer).expect("signs");
        let mut params = authority("Scripted Stranger");
        params.not_after = date_time_ymd(2020, 1, 1);
        let stranger = CertifiedIssuer::self_signed(params, key()).expect("signs itself");
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let key = key();
        let params = CertificateParams::new(names).expect("names");
        let certificate = params.signed_by(&key, &middle).expect("signs");
        Leaf { certificate, key, above: vec![middle.der().clone(), stranger.der().clone()] }
    }

    /// A certificate for these names that is not valid before a year.
    pub(crate) fn leaf_from(&self, names: &[&str], year: i32) -> Leaf {
        let mut params = params(names);
        params.not_before = date_time_ymd(year, 1, 1);
        let key = key();
        let certificate = params.signed_by(&key, &self.issuer).expect("signs");
        Leaf { certificate, key, above: Vec::new() }
    }

    /// A certificate for these names that nobody but its own key has signed.
    pub(crate) fn self_signed(names: &[&str]) -> Leaf {
        let key = key();
        let certificate = params(names).self_signed(&key).expect("signs");
        Leaf { certificate, key, above: Vec::new() }
    }

    /// The files of a client certificate: the chain and the key.
    pub(crate) fn client_files(&self) -> (String, String) {
        let leaf = self.leaf(&["client.test"]);
        let (chain, key) =
            (self.files.path().join("client.pem"), self.files.path().join("client.key"));
        std::fs::write(&chain, leaf.certificate.pem()).expect("written");
        std::fs::write(&key, leaf.key.serialize_pem()).expect("written");
        (text(&chain), text(&key))
    }

    /// A server's configuration; with `clients`, only those with a certificate of this
    /// authority get in.
    pub(crate) fn server(&self, leaf: &Leaf, alpn: &[&[u8]], clients: bool) -> Arc<ServerConfig> {
        let builder = ServerConfig::builder_with_provider(super::provider())
            .with_safe_default_protocol_versions()
            .expect("versions");
        let builder = if clients {
            let mut roots = RootCertStore::empty();
            roots.add(self.issuer.der().clone()).expect("a root");
            let verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), super::provider());
            builder.with_client_cert_verifier(verifier.build().expect("a verifier"))
        } else {
            builder.with_no_client_auth()
        };
        let key = PrivateKeyDer::try_from(leaf.key.serialize_der()).expect("a key");
        let chain = [&[leaf.certificate.der().clone()][..], &leaf.above].concat();
        let mut config = builder.with_single_cert(chain, key).expect("they fit");
        config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        Arc::new(config)
    }
}

fn params(names: &[&str]) -> CertificateParams {
    let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
    CertificateParams::new(names).expect("names")
}

fn key() -> KeyPair {
    KeyPair::generate().expect("a key")
}

fn text(path: &Path) -> String {
    path.to_str().expect("a path in ASCII").to_owned()
}

/// A running server; it ends when dropped.
pub(crate) struct Server {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    /// Listens at an address (`127.0.0.1:0`) and does this with every connection.
    pub(crate) async fn plain<F>(at: &str, serve: impl Fn(TcpStream) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind(at).await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream));
            }
        });
        Self { address, task }
    }

    /// The same after a handshake; one that fails ends the connection.
    pub(crate) async fn tls<F>(
        config: Arc<ServerConfig>,
        serve: impl Fn(TlsStream<TcpStream>) -> F + Clone + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let acceptor = TlsAcceptor::from(config);
        Self::plain("127.0.0.1:0", move |stream| {
            let (acceptor, serve) = (acceptor.clone(), serve.clone());
            async move {
                if let Ok(stream) = acceptor.accept(stream).await {
                    serve(stream).await;
                }
            }
        })
        .await
    }
}
