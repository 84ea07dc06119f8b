//! One SMTP transaction (RFC 5321), step by step: only the step at which it fails tells whether
//! the mail may be sent again. Client crates that end the content and wait for the reply in one
//! call lose that, which is why the dialog is written out here.
//!
//! ```text
//! connect, greeting, EHLO, STARTTLS, AUTH, MAIL, RCPT.., DATA, content | final dot, its reply
//! ------------- the server has nothing: Retry or Refused --------------|------ Ambiguous ----
//! ```

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_rustls::client::TlsStream;

use super::address::Address;
use super::reply::Reply;
use super::route::{Route, Security};
use crate::dial::Timer;
use crate::tls::{FileError, Tls, Wanted};

/// The most that one step may take, so that a server that hangs early leaves its error in time.
/// The reply to the final dot has all of the time that is left: giving up there is ambiguous.
const STEP_LIMIT: Duration = Duration::from_secs(15);

/// What is to be handed over.
pub struct Parcel<'a> {
    /// The sender's address.
    pub from: &'a Address,
    /// The recipients', at least one.
    pub to: &'a [Address],
    /// The message, its lines ended by CRLF.
    pub content: &'a [u8],
    /// User and password.
    pub login: Option<(String, String)>,
}

/// The server took the mail.
#[derive(Debug)]
pub struct Accepted {
    /// The recipients for whom it did not.
    pub refused: Vec<Missed>,
}

/// A recipient for whom the server did not take the mail.
#[derive(Debug)]
pub struct Missed {
    /// The recipient.
    pub address: Address,
    /// The server's words.
    pub why: String,
    /// It never will.
    pub is_final: bool,
}

/// The server did not take the mail, or nobody knows.
#[derive(Debug)]
pub enum Failure {
    /// It has not, and may later.
    Retry(String),
    /// It never will.
    Refused(String),
    /// All of it was handed over, and no reply came.
    Ambiguous(String),
}

/// Hands a mail over; ends by `deadline`.
pub async fn submit(
    route: &Route,
    parcel: &Parcel<'_>,
    deadline: Duration,
) -> Result<Accepted, Failure> {
    let end = Instant::now() + deadline;
    let mut plain = Dialog::new(connect(&route.host, route.port, end).await?, end);
    if route.security == Security::Implicit {
        let mut secured = plain.encrypt(route).await?;
        secured.greeting().await?;
        secured.hello().await?;
        return secured.hand_over(parcel).await;
    }
    plain.greeting().await?;
    plain.hello().await?;
    let offered = plain.offers("STARTTLS").is_some();
    match route.security {
        Security::StartTls if !offered => Err(Failure::Retry(
            "the server does not offer STARTTLS, and `tls: required` sends nothing in clear".into(),
        )),
        Security::StartTls | Security::Opportunistic if offered => {
            plain.expect("STARTTLS", "STARTTLS", 220).await?;
            let mut secured = plain.encrypt(route).await?;
            // RFC 3207, 4.2: what the server said in clear is forgotten.
            secured.hello().await?;
            secured.hand_over(parcel).await
        }
        _ => plain.hand_over(parcel).await,
    }
}

/// TLS with the authorities that may vouch for the server; their file is read anew for each mail.
async fn tls(route: &Route) -> Result<Tls, FileError> {
    let wanted = Wanted { ca: route.ca.clone(), ..Wanted::default() };
    let read = tokio::task::spawn_blocking(move || Tls::new(&wanted)).await;
    read.unwrap_or_else(|error| Err(FileError::Unusable(error.to_string())))
}

/// Connects to the first of the host's addresses that answers.
async fn connect(host: &str, port: u16, end: Instant) -> Result<TcpStream, Failure> {
    let looked_up = timeout(allowance(end), tokio::net::lookup_host((host, port))).await;
    let addresses: Vec<SocketAddr> = match looked_up {
        Ok(Ok(addresses)) => addresses.collect(),
        Ok(Err(error)) => return Err(Failure::Retry(format!("cannot resolve `{host}`: {error}"))),
        Err(_) => return Err(Failure::Retry(format!("no answer when resolving `{host}`"))),
    };
    let mut last = format!("`{host}` has no address");
    for (tried, address) in (1..).zip(&addresses) {
        // An address that swallows packets must leave time for the others.
        let shares = u32::try_from(addresses.len() + 2 - tried).unwrap_or(u32::MAX);
        let patience = allowance(end).min(end.saturating_duration_since(Instant::now()) / shares);
        last = match timeout(patience, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => format!("cannot connect to {address}: {error}"),
            Err(_) => format!("cannot connect to {address}: no answer"),
        };
    }
    Err(Failure::Retry(last))
}

/// What the next step may take.
fn allowance(end: Instant) -> Duration {
    STEP_LIMIT.min(end.saturating_duration_since(Instant::now()))
}

/// A connection in the course of a transaction.
struct Dialog<S> {
    stream: S,
    end: Instant,
    /// What was read and not yet understood.
    unread: Vec<u8>,
    /// The lines of the reply to EHLO.
    extensions: Vec<String>,
    /// How we call ourselves: an address literal, which needs no configured host name.
    name: String,
}

impl Dialog<TcpStream> {
    fn new(stream: TcpStream, end: Instant) -> Self {
        let name = match stream.local_addr().map(|address| address.ip()) {
            Ok(IpAddr::V6(ip)) => format!("[IPv6:{ip}]"),
            Ok(IpAddr::V4(ip)) => format!("[{ip}]"),
            Err(_) => "[127.0.0.1]".to_owned(),
        };
        Self { stream, end, unread: Vec::new(), extensions: Vec::new(), name }
    }

    async fn encrypt(self, route: &Route) -> Result<Dialog<TlsStream<TcpStream>>, Failure> {
        let retry = |text: String| Failure::Retry(format!("TLS: {text}"));
        if !self.unread.is_empty() {
            // Somebody in between would have us take it for an answer over TLS (CVE-2011-0411).
            return Err(retry("the server said more in clear than was asked".to_owned()));
        }
        let name = ServerName::try_from(route.server_name.clone())
            .map_err(|_| retry(format!("`{}` is no server name", route.server_name)))?;
        let tls = tls(route).await.map_err(|error| retry(error.to_string()))?;
        let mut timer = Timer::start(allowance(self.end));
        let shaken = tls.handshake(self.stream, &name, &mut timer).await;
        let session = shaken.map_err(|failure| retry(failure.detail))?;
        let stream = match route.security {
            Security::Opportunistic => session.of_anyone(),
            _ => session.trusted().map_err(|failure| retry(failure.detail))?,
        };
        let (unread, extensions) = (Vec::new(), Vec::new());
        Ok(Dialog { stream, end: self.end, unread, extensions, name: self.name })
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Dialog<S> {
    async fn greeting(&mut self) -> Result<(), Failure> {
        let reply = self.hear(allowance(self.end)).await;
        let reply = reply.map_err(|error| Failure::Retry(format!("greeting: {error}")))?;
        accept(reply, "greeting", 220).map(drop)
    }

    async fn hello(&mut self) -> Result<(), Failure> {
        let line = format!("EHLO {}", self.name);
        let reply = self.expect(&line, "EHLO", 250).await?;
        self.extensions = reply.lines.into_iter().skip(1).collect();
        Ok(())
    }

    /// The parameters of an extension that the server offers.
    fn offers(&self, keyword: &str) -> Option<&str> {
        self.extensions.iter().find_map(|line| {
            let (word, parameters) = line.split_once([' ', '=']).unwrap_or((line, ""));
            word.eq_ignore_ascii_case(keyword).then_some(parameters)
        })
    }

    /// From login to the final reply.
    async fn hand_over(&mut self, parcel: &Parcel<'_>) -> Result<Accepted, Failure> {
        let accepted = match self.announce(parcel).await {
            Ok(refused) => Accepted { refused },
            Err(failure) => {
                self.take_leave().await;
                return Err(failure);
            }
        };
        self.write_content(parcel.content).await?;
        let reply = self.end_content().await?;
        tracing::debug!(reply = reply.text(), "the mail server took a mail");
        self.take_leave().await;
        Ok(accepted)
    }

    /// All before the content; returns the recipients that were refused.
    async fn announce(&mut self, parcel: &Parcel<'_>) -> Result<Vec<Missed>, Failure> {
        if let Some((user, password)) = &parcel.login {
            self.log_in(user, password).await?;
        }
        self.expect(&format!("MAIL FROM:<{}>", parcel.from), "MAIL FROM", 250).await?;
        let refused = self.name_recipients(parcel.to).await?;
        let reply = self.say("DATA", "DATA").await?;
        if reply.code == 354 { Ok(refused) } else { Err(refusal(&reply, "DATA")) }
    }

    /// Courtesy only: what came of the mail is known, and no reply may delay saying so.
    async fn take_leave(&mut self) {
        let _ = timeout(allowance(self.end), self.write(b"QUIT\r\n")).await;
    }

    /// PLAIN (RFC 4616) where offered, else LOGIN.
    async fn log_in(&mut self, user: &str, password: &str) -> Result<(), Failure> {
        let mechanisms = self.offers("AUTH").unwrap_or_default().to_ascii_uppercase();
        let offered = |name| mechanisms.split_ascii_whitespace().any(|word| word == name);
        let (name, word) = (BASE64.encode(user), BASE64.encode(password));
        let plain = BASE64.encode(format!("\0{user}\0{password}"));
        let said = if offered("PLAIN") {
            self.expect(&format!("AUTH PLAIN {plain}"), "AUTH PLAIN", 235).await
        } else if offered("LOGIN") {
            self.expect("AUTH LOGIN", "AUTH LOGIN", 334).await?;
            self.expect(&name, "AUTH LOGIN, user", 334).await?;
            self.expect(&word, "AUTH LOGIN, password", 235).await
        } else {
            let text =
                format!("AUTH: the server offers neither PLAIN nor LOGIN but `{mechanisms}`");
            return Err(Failure::Retry(text));
        };
        match said {
            // Some servers quote in their reply what they did not like.
            Err(Failure::Retry(text)) => {
                let text = text.replace(&plain, "<redacted>").replace(&word, "<redacted>");
                Err(Failure::Retry(text))
            }
            said => said.map(drop),
        }
    }

    /// Names the recipients. At least one is taken; the others come back with the server's words.
    async fn name_recipients(&mut self, to: &[Address]) -> Result<Vec<Missed>, Failure> {
        let mut refused = Vec::new();
        for address in to {
            let reply = self.say(&format!("RCPT TO:<{address}>"), "RCPT TO").await?;
            if !reply.is_positive() {
                refused.push(Missed {
                    address: address.clone(),
                    why: format!("{address}: {}", reply.text()),
                    is_final: reply.is_final_refusal(),
                });
            }
        }
        if refused.len() < to.len() {
            return Ok(refused);
        }
        let is_final = refused.iter().all(|missed| missed.is_final);
        let words: Vec<String> = refused.into_iter().map(|missed| missed.why).collect();
        let words = words.join("; ");
        Err(if is_final { Failure::Refused(words) } else { Failure::Retry(words) })
    }

    /// Writes all but the final dot, so that the server cannot act on it yet.
    async fn write_content(&mut self, content: &[u8]) -> Result<(), Failure> {
        let stuffed = stuff_dots(content);
        match timeout(allowance(self.end), self.write(&stuffed)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(Failure::Retry(format!("content: {error}"))),
            Err(_) => Err(Failure::Retry("content: the server stopped reading".to_owned())),
        }
    }

    /// Writes the final dot and waits for the reply that makes the mail the server's.
    async fn end_content(&mut self) -> Result<Reply, Failure> {
        let ambiguous = |error: String| Failure::Ambiguous(format!("after the content: {error}"));
        let patience = self.end.saturating_duration_since(Instant::now());
        if patience.is_zero() {
            // This process may have stood still for long, and another have sent the mail since. A
            // timeout of nothing would still write.
            return Err(Failure::Retry("the time was over before the mail was complete".into()));
        }
        match timeout(patience, self.write(b".\r\n")).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Err(ambiguous(error.to_string())),
            Err(_) => return Err(ambiguous("the server stopped reading".to_owned())),
        }
        let patience = self.end.saturating_duration_since(Instant::now());
        let reply = self.hear(patience).await.map_err(ambiguous)?;
        match reply.code {
            200..=299 => Ok(reply),
            400..=599 => Err(refusal(&reply, "after the content")),
            _ => Err(ambiguous(format!("an answer without a meaning, {}", reply.text()))),
        }
    }

    /// Says a line that must meet one code; any other is trouble of ours, to be tried again.
    async fn expect(&mut self, line: &str, step: &str, code: u16) -> Result<Reply, Failure> {
        let reply = self.say(line, step).await?;
        accept(reply, step, code)
    }

    /// Says a line and waits for the reply. `step` stands for the line in messages.
    async fn say(&mut self, line: &str, step: &str) -> Result<Reply, Failure> {
        let retry = |error: String| Failure::Retry(format!("{step}: {error}"));
        let line = format!("{line}\r\n");
        match timeout(allowance(self.end), self.write(line.as_bytes())).await {
            Ok(Ok(())) => self.hear(allowance(self.end)).await.map_err(retry),
            Ok(Err(error)) => Err(retry(error.to_string())),
            Err(_) => Err(retry("the server stopped reading".to_owned())),
        }
    }

    /// Waits for a reply.
    async fn hear(&mut self, patience: Duration) -> Result<Reply, String> {
        timeout(patience, self.read_reply()).await.unwrap_or_else(|_| Err("no answer".to_owned()))
    }

    async fn read_reply(&mut self) -> Result<Reply, String> {
        loop {
            match Reply::parse(&self.unread) {
                Ok(Some((reply, used))) => {
                    self.unread.drain(..used);
                    return Ok(reply);
                }
                Ok(None) => {}
                Err(_) => return Err("the server does not speak SMTP".to_owned()),
            }
            match self.stream.read_buf(&mut self.unread).await {
                Ok(0) => return Err("the server closed the connection".to_owned()),
                Ok(_) => {}
                Err(error) => return Err(error.to_string()),
            }
        }
    }

    async fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(bytes).await?;
        self.stream.flush().await
    }
}

fn accept(reply: Reply, step: &str, code: u16) -> Result<Reply, Failure> {
    if reply.code == code {
        return Ok(reply);
    }
    Err(Failure::Retry(format!("{step}: {}", reply.text())))
}

/// What it means that the server says this of a recipient or of the content.
fn refusal(reply: &Reply, step: &str) -> Failure {
    let text = format!("{step}: {}", reply.text());
    if reply.is_final_refusal() { Failure::Refused(text) } else { Failure::Retry(text) }
}

/// Doubles a dot that begins a line, so that none ends the content (RFC 5321, 4.5.2).
fn stuff_dots(content: &[u8]) -> Vec<u8> {
    let mut stuffed = Vec::with_capacity(content.len() + 64);
    let mut line_begins = true;
    for &byte in content {
        if line_begins && byte == b'.' {
            stuffed.push(b'.');
        }
        line_begins = matches!(byte, b'\n' | b'\r');
        stuffed.push(byte);
    }
    if !stuffed.ends_with(b"\r\n") {
        stuffed.extend_from_slice(b"\r\n");
    }
    stuffed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_of_the_content_ends_it() {
        for (content, want) in [
            ("a\r\n.\r\nMAIL FROM:<x@y>\r\n", "a\r\n..\r\nMAIL FROM:<x@y>\r\n"),
            ("a\n.\n", "a\n..\n\r\n"),
            ("a\r.\rb", "a\r..\rb\r\n"),
            (".", "..\r\n"),
            ("a.b\r\n", "a.b\r\n"),
        ] {
            let got = stuff_dots(content.as_bytes());
            assert_eq!(String::from_utf8_lossy(&got), want);
        }
    }

    #[tokio::test]
    async fn a_mail_is_not_completed_when_its_time_is_over() {
        let (stream, mut server) = tokio::io::duplex(64);
        let (end, unread, extensions) = (Instant::now(), Vec::new(), Vec::new());
        let mut dialog = Dialog { stream, end, unread, extensions, name: String::new() };
        let outcome = dialog.end_content().await;
        assert!(matches!(outcome, Err(Failure::Retry(_))), "nobody has it: {outcome:?}");
        drop(dialog);
        let mut said = Vec::new();
        server.read_to_end(&mut said).await.expect("a stream that ends");
        assert!(said.is_empty(), "{said:?}");
    }

    #[test]
    fn one_step_never_takes_all_of_the_time() {
        let now = Instant::now();
        assert!(allowance(now + Duration::from_secs(60)) <= STEP_LIMIT);
        assert_eq!(allowance(now), Duration::ZERO);
    }
}
