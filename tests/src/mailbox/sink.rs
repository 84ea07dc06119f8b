//! A mail server that does what a test tells it: take mails, be gone, or break off.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

use crosscheck_checks::clock;
use crosscheck_model::Timestamp;
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

/// A mail that arrived.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// Who brought it.
    pub from: IpAddr,
    /// Its recipients.
    pub to: Vec<String>,
    /// When its content was complete, by the machine's clock.
    pub at: Timestamp,
    /// The mail.
    pub letter: Letter,
}

/// What follows the final dot of a mail, which has arrived in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ending {
    /// The reply 250, and the session goes on.
    #[default]
    Said,
    /// The reply 250, and the server closes the connection at once.
    SaidAndGone,
    /// The server closes the connection without a word: the sender cannot know (RFC 1047).
    Gone,
    /// Nothing, until the sender goes away.
    Mute,
}

/// What sessions saw and did.
#[derive(Default)]
struct Record {
    arrivals: Vec<Arrival>,
    logins: Vec<String>,
    attempts: usize,
    endings: VecDeque<Ending>,
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

    /// One that is up and offers STARTTLS, for other hosts.
    ///
    /// # Panics
    /// The identity's files are none.
    pub async fn secure_at(host: Ipv4Addr, port: u16, identity: &Identity) -> Self {
        Self::listen(host, port, Some(acceptor(&identity.certificate, &identity.key))).await
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
            while let Ok((stream, peer)) = listener.accept().await {
                let (record, offers, from) = (record.clone(), tls.is_some(), peer.ip());
                let session = Session { record, offers, from };
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
        self.end_next(&vec![Ending::Gone; count]);
    }

    /// How the next mails end, in the order of their arrival; all after them as usual.
    pub fn end_next(&self, endings: &[Ending]) {
        self.record().endings = endings.iter().copied().collect();
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
        self.record().arrivals.iter().map(|mail| mail.to.clone()).collect()
    }

    /// All that has arrived, oldest first.
    pub fn arrivals(&self) -> Vec<Arrival> {
        self.record().arrivals.clone()
    }

    fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().expect("no session panics")
    }
}

impl Mailbox for Sink {
    fn letters(&self) -> Vec<Letter> {
        self.record().arrivals.iter().map(|mail| mail.letter.clone()).collect()
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
    from: IpAddr,
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
                    match self.take(stream, std::mem::take(&mut to)).await? {
                        Ending::Said => "250 taken\r\n",
                        Ending::SaidAndGone => {
                            stream.write_all(b"250 taken\r\n").await.ok()?;
                            stream.flush().await.ok()?;
                            return None;
                        }
                        Ending::Gone => return None,
                        Ending::Mute => {
                            // Whatever it says meanwhile gets no answer either.
                            let _ = tokio::io::copy(stream, &mut tokio::io::sink()).await;
                            return None;
                        }
                    }
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

    /// Takes a mail: how it is to end; `None` when the sender breaks off.
    async fn take<S>(&self, stream: &mut BufReader<S>, to: Vec<String>) -> Option<Ending>
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
        let (from, at, letter) = (self.from, clock::wall(), Letter::read(&mail));
        record.arrivals.push(Arrival { from, to, at, letter });
        Some(record.endings.pop_front().unwrap_or_default())
    }
}
