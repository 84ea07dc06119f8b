//! Reaching the moment at which TLS begins in the midst of another protocol.

use crosscheck_model::Cause;
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::net::TcpStream;

use crate::dial::Timer;
use crate::dialogue::Dialogue;
use crate::kind::service::Reply;
use crate::resolve::Failure;

/// A protocol with a way to begin TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Starttls {
    /// RFC 3207.
    Smtp,
    /// RFC 9051 6.2.1.
    Imap,
    /// RFC 2595.
    Pop3,
    /// RFC 4217.
    Ftp,
    /// PostgreSQL's SSLRequest.
    Postgres,
    /// MySQL's and MariaDB's SSL request.
    Mysql,
    /// RFC 4511 4.14.
    Ldap,
    /// RFC 6120 5.4, as a client.
    Xmpp,
}

/// The longest stretch of XML until the server has said what it offers.
const XML_LIMIT_BYTES: usize = 16 << 10;

/// More lines before the one that counts than any server says.
const LINES_LIMIT: usize = 64;

/// MySQL: TLS is spoken (`CLIENT_SSL`).
const MYSQL_TLS: u32 = 0x0800;

/// MySQL: protocol of 4.1 and later (`CLIENT_PROTOCOL_41`), and `CLIENT_SECURE_CONNECTION`.
const MYSQL_MODERN: u32 = 0x0200 | 0x8000;

impl Starttls {
    /// Speaks until TLS may begin; gives the connection back.
    pub(crate) async fn begin(
        self,
        stream: TcpStream,
        host: &str,
        timer: &mut Timer,
    ) -> Result<TcpStream, Failure> {
        let mut dialogue = Dialogue::new(stream, timer.part(std::time::Duration::ZERO));
        let spoken = match self {
            Self::Smtp => smtp(&mut dialogue).await,
            Self::Imap => imap(&mut dialogue).await,
            Self::Pop3 => pop3(&mut dialogue).await,
            Self::Ftp => ftp(&mut dialogue).await,
            Self::Postgres => postgres(&mut dialogue).await,
            Self::Mysql => mysql(&mut dialogue).await,
            Self::Ldap => ldap(&mut dialogue).await,
            Self::Xmpp => xmpp(&mut dialogue, host).await,
        };
        let (stream, part) = dialogue.into_plain();
        timer.join(&part);
        let named = |failure: Failure| {
            Failure::new(failure.cause, format!("before TLS: {}", failure.detail))
        };
        spoken.map_err(named)?;
        stream.map_err(named)
    }
}

fn not_offered() -> Failure {
    Failure::new(Cause::NotOffered, "the server does not offer to begin TLS")
}

/// A refusal in the server's words.
fn refused(words: &str) -> Failure {
    let detail = format!("the server does not begin TLS: `{}`", words.trim_end());
    Failure::new(Cause::NotOffered, detail)
}

async fn smtp(dialogue: &mut Dialogue) -> Result<(), Failure> {
    Reply::hear(dialogue).await?.must_be(220)?;
    let name = match dialogue.own_address() {
        Some(own) if own.is_ipv4() => format!("[{}]", own.ip()),
        Some(own) => format!("[IPv6:{}]", own.ip()),
        None => "localhost".to_owned(),
    };
    dialogue.say(format!("EHLO {name}\r\n").as_bytes()).await?;
    let offers = Reply::hear(dialogue).await?.must_be(250)?;
    if !offers.lines.iter().any(|line| line.trim().eq_ignore_ascii_case("STARTTLS")) {
        return Err(not_offered());
    }
    dialogue.say(b"STARTTLS\r\n").await?;
    Reply::hear(dialogue).await?.must_be(220).map(drop)
}

async fn ftp(dialogue: &mut Dialogue) -> Result<(), Failure> {
    Reply::hear(dialogue).await?.must_be(220)?;
    dialogue.say(b"AUTH TLS\r\n").await?;
    let reply = Reply::hear(dialogue).await?;
    if reply.code == 234 { Ok(()) } else { Err(reply.refusal(Cause::NotOffered)) }
}

async fn imap(dialogue: &mut Dialogue) -> Result<(), Failure> {
    let greeting = dialogue.line().await?;
    if !greeting.starts_with("* ") {
        return Err(Failure::new(Cause::Protocol, "the greeting is none of IMAP"));
    }
    dialogue.say(b"a STARTTLS\r\n").await?;
    for _ in 0..LINES_LIMIT {
        let line = dialogue.line().await?;
        if let Some(answer) = line.strip_prefix("a ") {
            let consents = answer.get(..2).is_some_and(|word| word.eq_ignore_ascii_case("OK"));
            return if consents { Ok(()) } else { Err(refused(answer)) };
        }
    }
    Err(Failure::new(Cause::Protocol, "the server does not answer STARTTLS"))
}

async fn pop3(dialogue: &mut Dialogue) -> Result<(), Failure> {
    for command in [None, Some("STLS\r\n")] {
        if let Some(command) = command {
            dialogue.say(command.as_bytes()).await?;
        }
        let line = dialogue.line().await?;
        if !line.starts_with("+OK") {
            return Err(refused(&line));
        }
    }
    Ok(())
}

/// Length, and the number of the request (PostgreSQL 55.7).
async fn postgres(dialogue: &mut Dialogue) -> Result<(), Failure> {
    dialogue.say(&[0, 0, 0, 8, 4, 210, 22, 47]).await?;
    match dialogue.exactly(1).await?.as_slice() {
        b"S" => Ok(()),
        b"N" => Err(not_offered()),
        _ => Err(Failure::new(Cause::Protocol, "the server does not speak PostgreSQL")),
    }
}

/// Hears the handshake packet, and answers with the one that asks for TLS.
async fn mysql(dialogue: &mut Dialogue) -> Result<(), Failure> {
    let stranger = || Failure::new(Cause::Protocol, "the server does not speak MySQL");
    let head = dialogue.exactly(4).await?;
    let length = usize::from(head[0]) | usize::from(head[1]) << 8 | usize::from(head[2]) << 16;
    if length > 1024 || head[3] != 0 {
        return Err(stranger());
    }
    let greeting = dialogue.exactly(length).await?;
    if greeting.first() != Some(&10) {
        return Err(match greeting.first() {
            Some(0xff) => refused(&String::from_utf8_lossy(greeting.get(3..).unwrap_or_default())),
            _ => stranger(),
        });
    }
    let version = greeting.iter().skip(1).position(|byte| *byte == 0).ok_or_else(stranger)?;
    // After the version's end: the thread (4), a part of the challenge (8) and a zero.
    let at = 1 + version + 1 + 4 + 8 + 1;
    let [low, high] = greeting.get(at..at + 2).ok_or_else(stranger)? else {
        return Err(stranger());
    };
    if u32::from(u16::from_le_bytes([*low, *high])) & MYSQL_TLS == 0 {
        return Err(not_offered());
    }
    let mut request = vec![32, 0, 0, 1];
    request.extend((MYSQL_TLS | MYSQL_MODERN).to_le_bytes());
    request.extend((1_u32 << 24).to_le_bytes()); // The longest packet.
    request.push(45); // utf8mb4
    request.extend([0; 23]);
    dialogue.say(&request).await
}

/// An extended request by its number, as message 1 (RFC 4511 4.14.1); in BER.
async fn ldap(dialogue: &mut Dialogue) -> Result<(), Failure> {
    let stranger = || Failure::new(Cause::Protocol, "the server does not speak LDAP");
    let number = b"1.3.6.1.4.1.1466.20037";
    let request = [&[0x30, 29, 2, 1, 1, 0x77, 24, 0x80, 22][..], number].concat();
    dialogue.say(&request).await?;
    let head = dialogue.exactly(2).await?;
    if head[0] != 0x30 {
        return Err(stranger());
    }
    let length = match head[1] {
        short @ ..=0x7f => usize::from(short),
        long @ 0x81..=0x84 => {
            let digits = dialogue.exactly(usize::from(long & 0x7f)).await?;
            digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit))
        }
        _ => return Err(stranger()),
    };
    if length > 4096 {
        return Err(stranger());
    }
    let message = dialogue.exactly(length).await?;
    // The message's number, the extended response (tag 0x78) and its result code.
    let code = message.iter().position(|byte| *byte == 0x78).and_then(|at| {
        let rest = &message[at + 1..];
        let result = rest.windows(3).find(|three| three[..2] == [0x0a, 1])?;
        Some(result[2])
    });
    match code {
        Some(0) => Ok(()),
        Some(code) => Err(refused(&format!("result code {code}"))),
        None => Err(stranger()),
    }
}

async fn xmpp(dialogue: &mut Dialogue, host: &str) -> Result<(), Failure> {
    let open = format!(
        "<?xml version='1.0'?><stream:stream to='{host}' version='1.0' xmlns='jabber:client' \
         xmlns:stream='http://etherx.jabber.org/streams'>"
    );
    dialogue.say(open.as_bytes()).await?;
    let said =
        hear_until(dialogue, &["</stream:features>", "<stream:features/>", "</stream:stream>"])
            .await?;
    if !said.contains("urn:ietf:params:xml:ns:xmpp-tls") {
        let is_error = said.contains("stream:error");
        return Err(if is_error { refused(&said) } else { not_offered() });
    }
    dialogue.say(b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>").await?;
    let said = hear_until(dialogue, &[">"]).await?;
    if said.contains("<proceed") { Ok(()) } else { Err(refused(&said)) }
}

/// What is said until one of these ends; all of it is taken.
async fn hear_until(dialogue: &mut Dialogue, ends: &[&str]) -> Result<String, Failure> {
    loop {
        let said = String::from_utf8_lossy(dialogue.inbox()).into_owned();
        if ends.iter().any(|end| said.contains(end)) {
            let length = dialogue.inbox().len();
            dialogue.take(length);
            return Ok(said);
        }
        if dialogue.inbox().len() >= XML_LIMIT_BYTES {
            return Err(Failure::new(Cause::Protocol, "the server does not say what it offers"));
        }
        if dialogue.hear(XML_LIMIT_BYTES).await? == 0 {
            return Err(Failure::new(Cause::Reset, "the connection was closed before TLS"));
        }
    }
}
