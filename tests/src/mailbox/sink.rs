//! A mail server that does what a test tells it: take mails, be gone, or break off.

use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

use super::{Letter, Mailbox};
use crate::authority::Identity;
use crate::port;

/// The largest mail taken.
const MAIL_LIMIT_BYTES: u64 = 1 << 20;

/// What a session saw and did.
#[derive(Default)]
struct Record {
    letters: Vec<(Vec<String>, Letter)>,
    logins: Vec<String>,
    attempts: usize,
    drop_next: usize,
}

/// The server; it ends when dropped.
pub struct Sink {
    /// Its port, whether it is up or down.
    pub port: u16,
    host: Ipv4Addr,
    record: Arc<Mutex<Record>>,
    tls: Option<TlsAcceptor>,
    task: Option<JoinHandle<()>>,
}

impl Sink {
    /// One that is up; with an identity, it offers STARTTLS, and after that a login.
    ///
    /// # Panics
    /// The identity's files are none.
    pub async fn start(identity: Option<&Identity>) -> Self {
        let tls = identity.map(|identity| acceptor(&identity.certificate, &identity.key));
        Self::listen(Ipv4Addr::LOCALHOST, port::free(), tls).await
    }

    /// One that is up, without TLS, for other hosts.
    pub async fn at(host: Ipv4Addr, port: u16) -> Self {
        Self::listen(host, port, None).await
    }

    async fn listen(host: Ipv4Addr, port: u16, tls: Option<TlsAcceptor>) -> Self {
        let mut sink = Self { port, host, record: Arc::default(), tls, task: None };
        sink.up().await;
        sink
    }

    /// Opens the port.
    ///
    /// # Panics
    /// Somebody else has taken it.
    pub async fn up(&mut self) {
        let listener = TcpListener::bind((self.host, self.port)).await.expect("its port");
        let (record, tls) = (self.record.clone(), self.tls.clone());
        self.task = Some(tokio::spawn(async move {
            let mut sessions = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let session = Session { record: record.clone(), offers: tls.is_some() };
                sessions.spawn(converse(session, tls.clone(), stream));
            }
        }));
    }

    /// Closes the port, and breaks all sessions off.
    pub async fn down(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
            let _ = task.await;
        }
    }

    /// Breaks the next `count` sessions off after the final dot, without a word: the mail has
    /// arrived, and the sender cannot know.
    pub fn drop_after_dot(&self, count: usize) {
        self.record().drop_next = count;
    }

    /// How often somebody has begun a session.
    pub fn attempts(&self) -> usize {
        self.record().attempts
    }

    /// What was said to log in, as it was said.
    pub fn logins(&self) -> Vec<String> {
        self.record().logins.clone()
    }

    /// To whom the letters went, each with its recipients.
    pub fn envelopes(&self) -> Vec<Vec<String>> {
        self.record().letters.iter().map(|(to, _)| to.clone()).collect()
    }

    fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().expect("no session panics")
    }
}

impl Mailbox for Sink {
    fn letters(&self) -> Vec<Letter> {
        self.record().letters.iter().map(|(_, letter)| letter.clone()).collect()
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

fn acceptor(certificate: &Path, key: &Path) -> TlsAcceptor {
    let chain = CertificateDer::from_pem_file(certificate).expect("a certificate");
    let key = PrivateKeyDer::from_pem_file(key).expect("a key");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![chain], key)
        .expect("they fit");
    TlsAcceptor::from(Arc::new(config))
}

async fn converse(session: Session, tls: Option<TlsAcceptor>, mut stream: TcpStream) {
    session.record().attempts += 1;
    if stream.write_all(b"220 sink.example.com ESMTP\r\n").await.is_err() {
        return;
    }
    let mut stream = BufReader::new(stream);
    let is_upgrade = session.talk(&mut stream, false).await == Some(End::StartTls);
    let Some(tls) = tls.filter(|_| is_upgrade) else { return };
    if let Ok(stream) = tls.accept(stream.into_inner()).await {
        session.talk(&mut BufReader::new(stream), true).await;
    }
}

/// How a conversation ended.
#[derive(PartialEq)]
enum End {
    StartTls,
    Bye,
}

struct Session {
    record: Arc<Mutex<Record>>,
    offers: bool,
}

impl Session {
    fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().expect("no session panics")
    }

    /// Until one side ends it; `None`: it broke off.
    async fn talk<S>(&self, stream: &mut BufReader<S>, is_secret: bool) -> Option<End>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let mut to = Vec::new();
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await.ok()? == 0 {
                return None;
            }
            let line = line.trim_end();
            let reply = match line.split(' ').next().unwrap_or_default() {
                "EHLO" => match (self.offers, is_secret) {
                    (true, false) => "250-sink.example.com\r\n250 STARTTLS\r\n",
                    (true, true) => "250-sink.example.com\r\n250 AUTH PLAIN\r\n",
                    (false, _) => "250 sink.example.com\r\n",
                },
                "STARTTLS" if self.offers && !is_secret => {
                    stream.write_all(b"220 go ahead\r\n").await.ok()?;
                    return Some(End::StartTls);
                }
                "AUTH" if is_secret => {
                    self.record().logins.push(line.to_owned());
                    "235 welcome\r\n"
                }
                "MAIL" | "RSET" => {
                    to.clear();
                    "250 ok\r\n"
                }
                "RCPT" => {
                    let address = line.split(['<', '>']).nth(1).unwrap_or_default();
                    to.push(address.to_owned());
                    "250 ok\r\n"
                }
                "DATA" => {
                    stream.write_all(b"354 go ahead\r\n").await.ok()?;
                    self.take(stream, std::mem::take(&mut to)).await?;
                    "250 taken\r\n"
                }
                "QUIT" => {
                    stream.write_all(b"221 bye\r\n").await.ok()?;
                    return Some(End::Bye);
                }
                _ => "502 what\r\n",
            };
            stream.write_all(reply.as_bytes()).await.ok()?;
            stream.flush().await.ok()?;
        }
    }

    /// Takes a mail; `None` when the session is to break off.
    async fn take<S>(&self, stream: &mut BufReader<S>, to: Vec<String>) -> Option<()>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let mut mail = String::new();
        let mut limited = stream.take(MAIL_LIMIT_BYTES);
        loop {
            let mut line = String::new();
            if limited.read_line(&mut line).await.ok()? == 0 {
                return None;
            }
            if line == ".\r\n" {
                break;
            }
            mail.push_str(line.strip_prefix('.').unwrap_or(&line));
        }
        let mut record = self.record();
        record.letters.push((to, Letter::read(&mail)));
        let dropped = record.drop_next > 0;
        record.drop_next = record.drop_next.saturating_sub(1);
        (!dropped).then_some(())
    }
}
