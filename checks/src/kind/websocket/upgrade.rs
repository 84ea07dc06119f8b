//! The handshake: an HTTP/1.1 request that becomes a WebSocket (RFC 6455 section 4).

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use crosscheck_model::Cause;
use ring::digest;

use super::settings::Plan;
use crate::clock;
use crate::dialogue::Dialogue;
use crate::kind::retry_after::Throttled;
use crate::resolve::Failure;

/// What proves that the server means this handshake (RFC 6455 section 1.3).
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The most lines of an answer's head: browsers and servers have like limits.
const LINES_LIMIT: usize = 128;

/// Asks for the upgrade and verifies the answer.
///
/// # Errors
/// The server does not consent, or not as it must.
pub(super) async fn ask(
    plan: &Plan,
    headers: &[(String, String)],
    dialogue: &mut Dialogue,
) -> Result<(), Failure> {
    let key = BASE64.encode(rand::random::<[u8; 16]>());
    dialogue.say(request(plan, headers, &key)?.as_bytes()).await?;
    let head = Head::hear(dialogue).await?;
    dialogue.note_status(head.status);
    if let Some(throttled) = Throttled::with(head.status, head.field("retry-after")) {
        dialogue.note_retry_after(throttled.wait(clock::since_1970()));
        return Err(throttled.failure());
    }
    head.verify(plan, &key)
}

fn request(plan: &Plan, headers: &[(String, String)], key: &str) -> Result<String, Failure> {
    let mut request = format!(
        "GET {} HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n",
        plan.url.path(),
        plan.url.authority(),
    );
    if !plan.subprotocols.is_empty() {
        let offered = plan.subprotocols.join(", ");
        request.push_str(&format!("Sec-WebSocket-Protocol: {offered}\r\n"));
    }
    if headers.iter().all(|(name, _)| !name.eq_ignore_ascii_case("user-agent")) {
        request.push_str(concat!("User-Agent: crosscheck/", env!("CARGO_PKG_VERSION"), "\r\n"));
    }
    for (name, value) in headers {
        if value.contains(['\r', '\n', '\0']) {
            let detail = format!("the value of the header `{name}` has a line break");
            return Err(Failure::new(Cause::Setup, detail));
        }
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str("\r\n");
    Ok(request)
}

/// The head of an answer.
struct Head {
    status: u16,
    status_line: String,
    fields: Vec<(String, String)>,
}

impl Head {
    async fn hear(dialogue: &mut Dialogue) -> Result<Self, Failure> {
        let status_line = dialogue.line().await?;
        let code = status_line.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3));
        let Some(status) = code.and_then(|code| code.parse().ok()) else {
            return Err(Failure::new(Cause::Protocol, "what came is no answer of HTTP/1.1"));
        };
        let mut fields = Vec::new();
        loop {
            let line = dialogue.line().await?;
            if line.is_empty() {
                return Ok(Self { status, status_line, fields });
            }
            let Some((name, value)) = line.split_once(':').filter(|_| fields.len() < LINES_LIMIT)
            else {
                let detail = "the answer's head has a line that is no header, or too many";
                return Err(Failure::new(Cause::Protocol, detail));
            };
            fields.push((name.trim_end().to_ascii_lowercase(), value.trim().to_owned()));
        }
    }

    /// A field as it was written.
    fn field(&self, name: &str) -> Option<&str> {
        let mut named = self.fields.iter().filter(|(known, _)| known == name);
        named.next().map(|(_, value)| value.as_str())
    }

    fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let named = self.fields.iter().filter(move |(known, _)| known == name);
        named.flat_map(|(_, value)| value.split(',').map(str::trim))
    }

    fn has(&self, name: &str, word: &str) -> bool {
        self.values(name).any(|value| value.eq_ignore_ascii_case(word))
    }

    /// RFC 6455 section 4.1, what a client must verify.
    fn verify(&self, plan: &Plan, key: &str) -> Result<(), Failure> {
        let refuse = |cause, detail: String| Err(Failure::new(cause, detail));
        if self.status != 101 {
            let detail = format!("the server answered `{}`, wanted 101", self.status_line);
            return refuse(Cause::Status, detail);
        }
        for (name, word) in [("upgrade", "websocket"), ("connection", "upgrade")] {
            if !self.has(name, word) {
                return refuse(Cause::Protocol, format!("the answer has no `{name}: {word}`"));
            }
        }
        let accepts: Vec<&str> = self.values("sec-websocket-accept").collect();
        if accepts != [accept(key)] {
            let detail = "`sec-websocket-accept` does not prove that the server read the request";
            return refuse(Cause::Protocol, detail.to_owned());
        }
        if let Some(extension) = self.values("sec-websocket-extensions").next() {
            let detail = format!("it uses the extension `{extension}`, which nobody has offered");
            return refuse(Cause::Protocol, detail);
        }
        let taken: Vec<&str> = self.values("sec-websocket-protocol").collect();
        match taken.as_slice() {
            [] if plan.subprotocols.is_empty() => Ok(()),
            [] => {
                let offered = plan.subprotocols.join("` or `");
                refuse(Cause::NotOffered, format!("the server does not take `{offered}`"))
            }
            [one] if plan.subprotocols.iter().any(|offered| offered == one) => Ok(()),
            _ => {
                let taken = taken.join(", ");
                refuse(Cause::Protocol, format!("it takes `{taken}`, which nobody has offered"))
            }
        }
    }
}

/// What the server must answer to a key.
pub(super) fn accept(key: &str) -> String {
    let words = format!("{key}{GUID}");
    BASE64.encode(digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, words.as_bytes()))
}
