//! `mysql`: greets a MySQL or MariaDB server, by the protocol of MySQL's internals manual
//! ("Connection phase"), and logs in as a user without a password.
//!
//! A greeting alone would be less work, but servers count connections that end there, and shut
//! out a host after `max_connect_errors` of them. A login that they refuse does not count, and it
//! tells that the server does work. So it is all the same whether the user exists.

use crosscheck_model::Cause;
use schemars::{JsonSchema, Schema, SchemaGenerator};

use super::service::{Place, Protocol, ServiceCheck, settings};
use super::{Check, Kind, SettingsError, causes};
use crate::dialogue::Dialogue;
use crate::env::{SecretError, Secrets};
use crate::resolve::Failure;
use crate::text::Pattern;

/// Greets a MySQL server.
#[derive(Clone, Copy, Debug)]
pub struct Mysql;

/// The usual port.
const PORT: u16 = 3306;

/// The longest packet: greetings and errors are far shorter.
const PACKET_LIMIT_BYTES: usize = 64 << 10;

/// The longest user name that any server knows.
const USER_LIMIT_BYTES: usize = 128;

settings!(plain {
    /// What the server's version must match: `^10[.]11`.
    version: Option<Pattern>,
    /// The user to log in as; default `crosscheck`. Where it does not exist, or needs a password,
    /// the server refuses it, and is well.
    user: Option<String>,
});

impl Kind for Mysql {
    fn name(&self) -> &'static str {
        "mysql"
    }

    fn about(&self) -> &'static str {
        "Greets a MySQL or MariaDB server, and wants its version and an answer to a login."
    }

    fn causes(&self) -> &'static [&'static [Cause]] {
        &[
            causes::NAMES,
            causes::REACH,
            &[Cause::Protocol, Cause::ServerError, Cause::Body, Cause::Slow],
        ]
    }

    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        Settings::json_schema(generator)
    }

    fn parse(&self, settings: &serde_json::Value) -> Result<Box<dyn Check>, Vec<SettingsError>> {
        let settings: Settings = super::read(settings)?;
        let user = settings.user.as_deref().unwrap_or("crosscheck");
        if user.is_empty() || user.len() > USER_LIMIT_BYTES || user.contains('\0') {
            let path = vec!["user".to_owned()];
            let message = format!("a user has 1 to {USER_LIMIT_BYTES} bytes, none of them zero");
            return Err(vec![SettingsError { path, message, hint: None }]);
        }
        let place = settings.place(PORT)?;
        Ok(Box::new(ServiceCheck { place, protocol: settings }))
    }
}

impl Protocol for Settings {
    type Ready = ();

    fn prepare(&self, _: &Secrets) -> Result<(), SecretError> {
        Ok(())
    }

    async fn talk(&self, _: &Place, (): &(), dialogue: &mut Dialogue) -> Result<(), Failure> {
        dialogue.step("greeting");
        let packet = Packet::hear(dialogue).await?;
        let greeting = Greeting::read(&packet.payload)?;
        if let Some(wanted) = self.version.as_ref().filter(|w| !w.is_match(&greeting.version)) {
            let detail = format!("the version is `{}`, wanted `{wanted}`", greeting.version);
            return Err(Failure::new(Cause::Body, detail));
        }
        dialogue.step("login");
        let user = self.user.as_deref().unwrap_or("crosscheck");
        let mut answer = packet.answered(&login(user), dialogue).await?;
        if answer.payload.first() == Some(&SWITCH) {
            // Another way to prove a password: there is none, so the proof is empty.
            answer = answer.answered(&[], dialogue).await?;
        }
        match answer.payload.first() {
            Some(&OK | &MORE) => Ok(()),
            Some(&ERROR) => match ServerError::read(&answer.payload) {
                error if REFUSED_LOGINS.contains(&error.code) => Ok(()),
                error => Err(error.failure()),
            },
            _ => Err(Failure::new(Cause::Protocol, "what came is no answer to a login")),
        }
    }

    /// COM_QUIT, in the first packet of a command.
    fn farewell(&self) -> &'static [u8] {
        &[1, 0, 0, 0, 1]
    }
}

/// The first byte of a packet.
const OK: u8 = 0;
/// More of the proof is wanted (`caching_sha2_password`).
const MORE: u8 = 1;
const SWITCH: u8 = 254;
const ERROR: u8 = 255;

/// Access denied (1045, 1044), also because another way to log in is wanted (1698, 1251), or TLS
/// (3159), or the account is locked (3118, 4151).
const REFUSED_LOGINS: [u16; 7] = [1044, 1045, 1251, 1698, 3118, 3159, 4151];

/// A packet: three bytes of length, a number, and the payload.
struct Packet {
    number: u8,
    payload: Vec<u8>,
}

impl Packet {
    async fn hear(dialogue: &mut Dialogue) -> Result<Self, Failure> {
        let head = dialogue.exactly(4).await?;
        let &[low, middle, high, number] = &head[..] else {
            return Err(Failure::new(Cause::Protocol, "what came is no packet"));
        };
        let length = usize::from(low) | usize::from(middle) << 8 | usize::from(high) << 16;
        if length == 0 || length > PACKET_LIMIT_BYTES {
            let detail = format!("what came is no packet of MySQL: it would have {length} bytes");
            return Err(Failure::new(Cause::Protocol, detail));
        }
        Ok(Self { number, payload: dialogue.exactly(length).await? })
    }

    /// Sends the packet that follows this one, and hears the next.
    async fn answered(&self, payload: &[u8], dialogue: &mut Dialogue) -> Result<Self, Failure> {
        let length = u32::try_from(payload.len()).unwrap_or_default().to_le_bytes();
        let mut packet = vec![length[0], length[1], length[2], self.number.wrapping_add(1)];
        packet.extend_from_slice(payload);
        dialogue.say(&packet).await?;
        Self::hear(dialogue).await
    }
}

/// An error packet.
struct ServerError {
    code: u16,
    message: String,
}

impl ServerError {
    fn read(payload: &[u8]) -> Self {
        let code = payload.get(1..3).map_or(0, |code| u16::from(code[0]) | u16::from(code[1]) << 8);
        let text = payload.get(3..).unwrap_or_default();
        // `#` and five characters of an SQL state, once the client has said what it can.
        let text =
            if text.first() == Some(&b'#') { text.get(6..).unwrap_or_default() } else { text };
        Self { code, message: String::from_utf8_lossy(text).into_owned() }
    }

    fn failure(&self) -> Failure {
        let detail = format!("the server answered error {}: {}", self.code, self.message);
        Failure::new(Cause::ServerError, detail)
    }
}

/// What a server says first.
struct Greeting {
    version: String,
}

impl Greeting {
    /// Of protocol 10, which all servers since MySQL 3.21 speak.
    fn read(payload: &[u8]) -> Result<Self, Failure> {
        match payload.split_first() {
            Some((&10, rest)) => {
                let end = rest.iter().position(|byte| *byte == 0).ok_or_else(|| {
                    Failure::new(Cause::Protocol, "the greeting ends within the version")
                })?;
                Ok(Self { version: String::from_utf8_lossy(&rest[..end]).into_owned() })
            }
            Some((&ERROR, _)) => Err(ServerError::read(payload).failure()),
            Some((number, _)) => {
                let detail = format!("the greeting is of protocol {number}, wanted 10");
                Err(Failure::new(Cause::Protocol, detail))
            }
            None => Err(Failure::new(Cause::Protocol, "the greeting is empty")),
        }
    }
}

/// The answer to a greeting ("HandshakeResponse41"): a user, and an empty proof of a password.
fn login(user: &str) -> Vec<u8> {
    const PROTOCOL_41: u32 = 1 << 9;
    const SECURE_CONNECTION: u32 = 1 << 15;
    const PLUGIN_AUTH: u32 = 1 << 19;
    const UTF8: u8 = 33;
    let mut payload = Vec::new();
    payload.extend((PROTOCOL_41 | SECURE_CONNECTION | PLUGIN_AUTH).to_le_bytes());
    payload.extend((PACKET_LIMIT_BYTES as u32).to_le_bytes());
    payload.push(UTF8);
    payload.extend([0; 23]);
    payload.extend(user.as_bytes());
    payload.extend([0, 0]); // The user's end, and the proof's length.
    payload.extend(b"mysql_native_password\0");
    payload
}

#[cfg(test)]
mod tests {
    use crosscheck_model::Status;
    use serde_json::json;

    use super::*;
    use crate::kind::service::scripted::{Turn, refusals, run};

    const HELLO: Turn = Turn::SaysBytes(b"\x0b\0\0\0\x0a8.0.36\0abc");
    /// The packet of a login as `probe`: 63 bytes after the head.
    const LOGIN: Turn = Turn::HearsSome(4 + 32 + 7 + 22);

    async fn answered(answer: &'static [u8]) -> crosscheck_model::Outcome {
        let settings = json!({ "user": "probe", "version": "^8[.]0" });
        run(&Mysql, settings, &[HELLO, LOGIN, Turn::SaysBytes(answer)]).await
    }

    #[tokio::test]
    async fn an_answer_to_a_login_is_up_whatever_it_is() {
        for answer in [
            &b"\x07\0\0\x02\0\0\0\x02\0\0\0"[..],
            b"\x0e\0\0\x02\xff\x15\x04#28000Denied",
            b"\x0a\0\0\x02\xff\xa2\x06Denied!",
        ] {
            let outcome = answered(answer).await;
            assert_eq!(outcome.status, Status::Up, "{}", outcome.detail);
        }
        let switch = Turn::SaysBytes(b"\x06\0\0\x02\xfesha2\0");
        let empty = Turn::HearsBytes(&[0, 0, 0, 3]);
        let denied = Turn::SaysBytes(b"\x0e\0\0\x04\xff\x15\x04#28000Denied");
        let turns = [HELLO, LOGIN, switch, empty, denied, Turn::HearsBytes(&[1, 0, 0, 0, 1])];
        let outcome = run(&Mysql, json!({ "user": "probe" }), &turns).await;
        assert_eq!(outcome.status, Status::Up, "{}", outcome.detail);
    }

    #[tokio::test]
    async fn errors_and_strangers_are_told_apart() {
        let outcome = answered(b"\x11\0\0\x02\xff\x10\x04#08004Too many").await;
        assert_eq!(outcome.cause, Some(Cause::ServerError), "{}", outcome.detail);
        assert_eq!(outcome.detail, "login: the server answered error 1040: Too many");
        let table: [(&'static [u8], _, _); 8] = [
            (
                b"\x0a\0\0\0\xff\x69\x04blocked",
                Cause::ServerError,
                "greeting: the server answered error 1129: blocked",
            ),
            (b"\x02\0\0\0\xff\x69", Cause::ServerError, "greeting: the server answered error 0: "),
            (
                b"\x0b\0\0\0\x0a5.7.36\0abc",
                Cause::Body,
                "greeting: the version is `5.7.36`, wanted",
            ),
            (b"\x03\0\0\0\x0a5.", Cause::Protocol, "greeting: the greeting ends within"),
            (b"\x03\0\0\0\x095.", Cause::Protocol, "greeting: the greeting is of protocol 9"),
            (b"HTTP/1.1 400 Bad", Cause::Protocol, "greeting: what came is no packet of MySQL"),
            (b"\x0b\0\0", Cause::Reset, "greeting: the connection was closed after 3 of 4 bytes"),
            (b"\0\0\0\0", Cause::Protocol, "greeting: what came is no packet of MySQL"),
        ];
        for (greeting, cause, detail) in table {
            let outcome =
                run(&Mysql, json!({ "version": "^8" }), &[Turn::SaysBytes(greeting)]).await;
            assert_eq!(outcome.cause, Some(cause), "{}", outcome.detail);
            assert!(outcome.detail.starts_with(detail), "{}", outcome.detail);
        }
        refusals(&Mysql, &[(json!({ "address": "db", "user": "" }), "user", "1 to 128 bytes")]);
    }
}
