//! The mail box: a server that takes every mail (RFC 5321, as much of it as a client needs that
//! wants to deliver), and keeps it for the page.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use super::message::Message;

/// The oldest mails go when there are more: a page with more is not read.
const KEPT: usize = 50;

/// The longest line (RFC 5321, 4.5.3.1.6).
const LINE_LIMIT_BYTES: u64 = 1000;

/// The largest mail: ours have some tens of KiB.
const MAIL_LIMIT_BYTES: usize = 1 << 20;

/// The mails that came, oldest first. A handle: clones are the same box.
#[derive(Clone, Debug)]
pub(super) struct Mailbox {
    address: SocketAddr,
    mails: Arc<Mutex<Kept>>,
}

#[derive(Debug, Default)]
struct Kept {
    /// How many ever came.
    came: usize,
    mails: Vec<Arc<Message>>,
}

impl Mailbox {
    /// Takes mails until `stop`.
    pub(super) async fn start(stop: CancellationToken) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let mailbox = Self { address: listener.local_addr()?, mails: Arc::default() };
        let keeper = mailbox.clone();
        let accept = async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(keeper.clone().talk(stream));
            }
        };
        tokio::spawn(async move { stop.run_until_cancelled(accept).await });
        Ok(mailbox)
    }

    /// Where it takes them.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The mails, oldest first, and how many came before the first of them.
    pub(super) fn mails(&self) -> (usize, Vec<Arc<Message>>) {
        let kept = self.mails.lock().unwrap_or_else(PoisonError::into_inner);
        (kept.came - kept.mails.len(), kept.mails.clone())
    }

    fn keep(&self, mail: &str) {
        let mail = Arc::new(Message::parse(mail));
        let mut kept = self.mails.lock().unwrap_or_else(PoisonError::into_inner);
        kept.came += 1;
        kept.mails.push(mail);
        if kept.mails.len() > KEPT {
            kept.mails.remove(0);
        }
    }

    async fn talk(self, stream: TcpStream) {
        if let Err(error) = self.dialog(stream).await {
            tracing::debug!(%error, "a dialog about a mail broke off");
        }
    }

    async fn dialog(&self, mut stream: TcpStream) -> io::Result<()> {
        let (reader, mut writer) = stream.split();
        let mut reader = BufReader::new(reader);
        writer.write_all(b"220 demo ESMTP\r\n").await?;
        while let Some(line) = line(&mut reader).await? {
            let verb = line.get(..4).unwrap_or_default().to_ascii_uppercase();
            let answer: &[u8] = match &*verb {
                "EHLO" | "HELO" | "MAIL" | "RCPT" | "RSET" | "NOOP" => b"250 OK\r\n",
                "DATA" => {
                    writer.write_all(b"354 go on\r\n").await?;
                    let Some(mail) = content(&mut reader).await? else { return Ok(()) };
                    self.keep(&mail);
                    b"250 OK\r\n"
                }
                "QUIT" => return writer.write_all(b"221 bye\r\n").await,
                _ => b"502 not here\r\n",
            };
            writer.write_all(answer).await?;
        }
        Ok(())
    }
}

/// The next line without its end; `None` when there is none.
async fn line(reader: &mut (impl AsyncBufReadExt + Unpin)) -> io::Result<Option<String>> {
    let mut bytes = Vec::new();
    reader.take(LINE_LIMIT_BYTES).read_until(b'\n', &mut bytes).await?;
    let Some(bytes) = bytes.strip_suffix(b"\n") else { return Ok(None) };
    let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
    Ok(Some(String::from_utf8_lossy(bytes).into_owned()))
}

/// A mail up to its final dot, its dots no longer doubled (RFC 5321, 4.5.2).
async fn content(reader: &mut (impl AsyncBufReadExt + Unpin)) -> io::Result<Option<String>> {
    let mut mail = String::new();
    while let Some(line) = line(reader).await? {
        if line == "." {
            return Ok(Some(mail));
        }
        mail.push_str(line.strip_prefix('.').unwrap_or(&line));
        mail.push_str("\r\n");
        if mail.len() > MAIL_LIMIT_BYTES {
            return Err(io::Error::other("a mail of more than 1 MiB"));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_mail_comes_through_a_real_dialog() {
        let stop = CancellationToken::new();
        let mailbox = Mailbox::start(stop.clone()).await.expect("loopback");
        let mut stream = TcpStream::connect(mailbox.address()).await.expect("it listens");
        let said = "EHLO a\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nSubject: hello\r\n\r\n\
                    ..two dots\r\n.\r\nVRFY x\r\nQUIT\r\n";
        stream.write_all(said.as_bytes()).await.expect("it reads");
        let mut answers = String::new();
        stream.read_to_string(&mut answers).await.expect("it answers and closes");
        let codes: Vec<&str> = answers.lines().filter_map(|line| line.get(..3)).collect();
        assert_eq!(codes, ["220", "250", "250", "250", "354", "250", "502", "221"]);
        let (before, mails) = mailbox.mails();
        assert_eq!((before, mails.len()), (0, 1));
        assert_eq!((&*mails[0].subject, mails[0].text.trim()), ("hello", ".two dots"));
        stop.cancel();
    }

    #[tokio::test]
    async fn a_mail_without_its_dot_is_none() {
        let mut cut = "Subject: x\r\n\r\nhalf".as_bytes();
        assert_eq!(content(&mut cut).await.expect("readable"), None);
        let mut endless = "x\r\n".repeat(MAIL_LIMIT_BYTES).into_bytes();
        endless.extend_from_slice(b".\r\n");
        assert!(content(&mut &endless[..]).await.is_err());
    }

    #[test]
    fn the_oldest_mails_go() {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
        let mailbox = Mailbox { address, mails: Arc::default() };
        for number in 0..KEPT + 3 {
            mailbox.keep(&format!("Subject: {number}\r\n\r\n"));
        }
        let (before, mails) = mailbox.mails();
        assert_eq!((before, mails.len(), &*mails[0].subject), (3, KEPT, "3"));
    }
}
