//! `websocket`: opens a WebSocket (RFC 6455), and talks there as the settings tell.

mod settings;
mod upgrade;

#[cfg(test)]
mod tests;

use std::io::{self, Read, Write};

use crosscheck_model::Cause;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use tungstenite::protocol::{Role, WebSocketConfig};
use tungstenite::{Bytes, Message};

use self::settings::{Plan, Settings};
use super::service::{Place, Protocol, ServiceCheck};
use super::spoken::SendWords;
use super::{Check, Defaults, Kind, SettingsError, causes};
use crate::dialogue::Dialogue;
use crate::env::{SecretError, Secrets};
use crate::resolve::Failure;

/// Opens a WebSocket.
#[derive(Clone, Copy, Debug)]
pub struct WebSocket;

impl Kind for WebSocket {
    fn name(&self) -> &'static str {
        "websocket"
    }

    fn about(&self) -> &'static str {
        "Opens a WebSocket and verifies its handshake; sends a message, expects one, pings."
    }

    fn defaults(&self) -> Defaults {
        Defaults { after: 3, ..Defaults::default() }
    }

    fn causes(&self) -> &'static [&'static [Cause]] {
        &[
            causes::NAMES,
            causes::REACH,
            causes::TLS,
            &[
                Cause::Status,
                Cause::Throttled,
                Cause::Protocol,
                Cause::NotOffered,
                Cause::ServerError,
                Cause::Body,
                Cause::TooLarge,
                Cause::Slow,
            ],
        ]
    }

    fn turned_round(&self) -> &'static str {
        "what is described here must not be there; an answer of 5xx (but 501 and 505) proves nothing"
    }

    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        Settings::json_schema(generator)
    }

    fn parse(&self, settings: &serde_json::Value) -> Result<Box<dyn Check>, Vec<SettingsError>> {
        let (place, protocol) = super::read::<Settings>(settings)?.into_parts()?;
        Ok(Box::new(ServiceCheck { place, protocol }))
    }
}

/// The largest message that is taken: little beside a probe's memory.
const MESSAGE_LIMIT_BYTES: usize = 1 << 20;

/// The most that one run hears: a server that goes on pinging or talking past the point is left.
const HEARD_LIMIT_BYTES: usize = 4 << 20;

/// How much is heard at a time.
const PIECE_BYTES: usize = 16 << 10;

/// What a run needs of the secrets.
pub(super) struct Ready {
    headers: Vec<(String, String)>,
    message: Option<Message>,
}

impl Protocol for Plan {
    type Ready = Ready;

    fn prepare(&self, secrets: &Secrets) -> Result<Ready, SecretError> {
        let headers = self.headers.iter();
        let headers = headers.map(|(name, text)| Ok((name.clone(), secrets.resolve(text)?)));
        let message = match &self.send {
            None => None,
            Some(SendWords::Text(text)) => Some(Message::text(secrets.resolve(text)?)),
            Some(SendWords::Bytes(hex)) => Some(Message::binary(hex.bytes().to_vec())),
        };
        Ok(Ready { headers: headers.collect::<Result<_, _>>()?, message })
    }

    fn target(&self, _: &Place) -> String {
        self.url.to_string()
    }

    async fn talk(&self, _: &Place, ready: &Ready, dialogue: &mut Dialogue) -> Result<(), Failure> {
        dialogue.step("upgrade");
        upgrade::ask(self, &ready.headers, dialogue).await?;
        let mut open = Open::new();
        if let Some(message) = &ready.message {
            dialogue.step("message");
            open.say(message.clone(), dialogue).await?;
        }
        if let Some(wanted) = &self.expect {
            dialogue.step("message");
            for number in 1.. {
                let message = open.hear(dialogue, is_data).await?.into_data();
                if wanted.fits(&message) {
                    break;
                }
                if number >= self.among {
                    let what = match number {
                        1 => "the message that came".to_owned(),
                        _ => format!("none of the first {number} messages is as wanted: the last"),
                    };
                    let detail = format!("{what} {}", wanted.missing());
                    return Err(Failure::new(Cause::Body, detail));
                }
            }
        }
        if self.ping {
            dialogue.step("ping");
            let payload = Bytes::copy_from_slice(&rand::random::<[u8; 8]>());
            open.say(Message::Ping(payload.clone()), dialogue).await?;
            open.hear(dialogue, |message| matches!(message, Message::Pong(p) if *p == payload))
                .await?;
        }
        open.close(dialogue).await;
        Ok(())
    }
}

fn is_data(message: &Message) -> bool {
    message.is_text() || message.is_binary()
}

/// An open WebSocket. The protocol works on memory; the dialogue carries what it has to say and
/// what came, so that all is timed and bounded there.
struct Open {
    socket: tungstenite::WebSocket<Pipe>,
    heard: usize,
}

#[derive(Default)]
struct Pipe {
    inbox: io::Cursor<Vec<u8>>,
    outbox: Vec<u8>,
}

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.inbox.read(buffer)? {
            0 => Err(io::ErrorKind::WouldBlock.into()),
            count => Ok(count),
        }
    }
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.outbox.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Open {
    fn new() -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(PIECE_BYTES)
            .write_buffer_size(0)
            .max_message_size(Some(MESSAGE_LIMIT_BYTES))
            .max_frame_size(Some(MESSAGE_LIMIT_BYTES));
        let pipe = Pipe::default();
        let socket = tungstenite::WebSocket::from_raw_socket(pipe, Role::Client, Some(config));
        Self { socket, heard: 0 }
    }

    async fn say(&mut self, message: Message, dialogue: &mut Dialogue) -> Result<(), Failure> {
        self.socket.send(message).map_err(broken)?;
        let words = std::mem::take(&mut self.socket.get_mut().outbox);
        dialogue.say(&words).await
    }

    /// The next message that is wanted; pings in between are answered, others passed over.
    async fn hear(
        &mut self,
        dialogue: &mut Dialogue,
        is_wanted: impl Fn(&Message) -> bool,
    ) -> Result<Message, Failure> {
        loop {
            let read = self.socket.read();
            let answer = std::mem::take(&mut self.socket.get_mut().outbox);
            if !answer.is_empty() {
                dialogue.reply(&answer).await?;
            }
            match read {
                Ok(Message::Close(frame)) => return Err(closed(frame)),
                Ok(message) if is_wanted(&message) => return Ok(message),
                Ok(_) => continue,
                Err(tungstenite::Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                }
                Err(error) => return Err(broken(error)),
            }
            // What came with the handshake's end is there already.
            if dialogue.inbox().is_empty() && dialogue.hear(PIECE_BYTES).await? == 0 {
                let detail = "the connection was closed without a closing frame";
                return Err(Failure::new(Cause::Reset, detail));
            }
            let came = dialogue.take(usize::MAX);
            self.heard += came.len();
            if self.heard > HEARD_LIMIT_BYTES {
                let detail =
                    format!("more than {HEARD_LIMIT_BYTES} bytes came, not what is wanted");
                return Err(Failure::new(Cause::TooLarge, detail));
            }
            self.socket.get_mut().inbox = io::Cursor::new(came);
        }
    }

    /// Says goodbye; nobody waits for the other's.
    async fn close(mut self, dialogue: &mut Dialogue) {
        if self.socket.close(None).is_ok() {
            let words = std::mem::take(&mut self.socket.get_mut().outbox);
            let _ = dialogue.reply(&words).await;
        }
    }
}

/// The server ended the conversation, with a code and a reason if it likes (RFC 6455 section 7.4).
fn closed(frame: Option<tungstenite::protocol::CloseFrame>) -> Failure {
    let detail = match frame {
        None => "the server closed it".to_owned(),
        Some(frame) if frame.reason.is_empty() => {
            format!("the server closed it with code {}", u16::from(frame.code))
        }
        Some(frame) => {
            format!("the server closed it with code {}: `{}`", u16::from(frame.code), frame.reason)
        }
    };
    Failure::new(Cause::ServerError, detail)
}

fn broken(error: tungstenite::Error) -> Failure {
    let cause = match &error {
        tungstenite::Error::Capacity(_) => Cause::TooLarge,
        tungstenite::Error::ConnectionClosed | tungstenite::Error::AlreadyClosed => Cause::Reset,
        _ => Cause::Protocol,
    };
    Failure::new(cause, format!("it breaks RFC 6455: {}", lowercase(&error.to_string())))
}

/// The words as a fragment.
fn lowercase(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_lowercase().to_string());
    first.unwrap_or_default() + letters.as_str()
}
