//! The mail server of the cluster's contacts: takes every mail and keeps it, and can be gone.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A mail as it was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// Whom it was for.
    pub to: String,
    /// Its headers and text.
    pub text: String,
}

impl Mail {
    /// The value of a header; empty when there is none.
    pub fn header(&self, name: &str) -> &str {
        let head = self.text.split("\r\n\r\n").next().unwrap_or_default();
        let value = |line: &'_ str| {
            let (key, _) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then_some(key.len() + 1)
        };
        head.split("\r\n").find_map(|line| Some(line[value(line)?..].trim())).unwrap_or_default()
    }

    /// `alarm` or `recovery`.
    pub fn event(&self) -> &str {
        self.header("X-Crosscheck-Event")
    }
}

/// A mail server under the test's control.
#[derive(Debug)]
pub struct Mailbox {
    address: SocketAddr,
    mails: Arc<Mutex<Vec<Mail>>>,
    listening: Option<JoinHandle<()>>,
}

impl Mailbox {
    /// Listens.
    ///
    /// # Errors
    /// The address is taken.
    pub async fn start(address: SocketAddr) -> std::io::Result<Self> {
        let mut mailbox = Self { address, mails: Arc::default(), listening: None };
        mailbox.open().await?;
        Ok(mailbox)
    }

    /// Takes mails again.
    ///
    /// # Errors
    /// The address was taken in the meantime.
    pub async fn open(&mut self) -> std::io::Result<()> {
        if self.listening.is_none() {
            let listener = TcpListener::bind(self.address).await?;
            self.listening = Some(tokio::spawn(listen(listener, Arc::clone(&self.mails))));
        }
        Ok(())
    }

    /// Connections are refused.
    pub async fn close(&mut self) {
        if let Some(task) = self.listening.take() {
            task.abort();
            // Until the listener is really closed.
            let _ = task.await;
        }
    }

    /// All mails taken so far, oldest first.
    pub fn mails(&self) -> Vec<Mail> {
        self.mails.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn listen(listener: TcpListener, mails: Arc<Mutex<Vec<Mail>>>) {
    while let Ok((stream, _)) = listener.accept().await {
        let mails = Arc::clone(&mails);
        tokio::spawn(async move {
            // A client that has gone away is its own business.
            let _ = converse(stream, &mails).await;
        });
    }
}

/// One SMTP session (RFC 5321), without extensions.
async fn converse(stream: TcpStream, mails: &Mutex<Vec<Mail>>) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    stream.write_all(b"220 mailbox\r\n").await?;
    let mut to = Vec::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let verb = line.trim_end().to_ascii_uppercase();
        let answer = if verb == "DATA" {
            stream.write_all(b"354 go on\r\n").await?;
            let text = content(&mut stream).await?;
            let mut mails = mails.lock().unwrap_or_else(PoisonError::into_inner);
            mails.extend(to.drain(..).map(|to| Mail { to, text: text.clone() }));
            "250 taken\r\n"
        } else if verb == "QUIT" {
            "221 bye\r\n"
        } else {
            if verb.starts_with("RCPT TO:") {
                let address = line["RCPT TO:".len()..].trim().trim_start_matches('<');
                to.push(address.split('>').next().unwrap_or_default().to_owned());
            } else if verb.starts_with("MAIL ") || verb == "RSET" {
                to.clear();
            }
            "250 fine\r\n"
        };
        stream.write_all(answer.as_bytes()).await?;
    }
}

/// The lines up to the one with a single dot.
async fn content(stream: &mut BufReader<TcpStream>) -> std::io::Result<String> {
    let mut text = String::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 || line == ".\r\n" {
            return Ok(text);
        }
        text.push_str(line.strip_prefix('.').unwrap_or(&line));
    }
}
