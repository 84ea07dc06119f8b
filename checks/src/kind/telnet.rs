//! `telnet`: negotiates with a terminal server (RFC 854) and waits for what it shows.

use crosscheck_model::Cause;
use schemars::{JsonSchema, Schema, SchemaGenerator};

use super::service::{Place, Protocol, ServiceCheck, settings};
use super::{Check, Kind, SettingsError, causes};
use crate::dialogue::Dialogue;
use crate::env::{SecretError, Secrets};
use crate::resolve::Failure;
use crate::text::Pattern;

/// Waits for what a terminal server shows.
#[derive(Clone, Copy, Debug)]
pub struct Telnet;

/// In clear text, and over TLS from the start.
const PORTS: [u16; 2] = [23, 992];

/// The most that is looked through.
const SHOWN_LIMIT_BYTES: usize = 64 << 10;

/// The most options that are refused in one run: a server that offers more only asks again and
/// again, as RFC 854 forbids.
const REFUSALS_LIMIT: usize = 256;

settings!(tls {
    /// What the server must show; negotiations are not part of it. Default: anything.
    expect: Option<Pattern>,
});

impl Kind for Telnet {
    fn name(&self) -> &'static str {
        "telnet"
    }

    fn about(&self) -> &'static str {
        "Negotiates with a Telnet server, and waits for a prompt or banner."
    }

    fn causes(&self) -> &'static [&'static [Cause]] {
        &[causes::NAMES, causes::REACH, causes::TLS, &[Cause::Protocol, Cause::Body, Cause::Slow]]
    }

    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        Settings::json_schema(generator)
    }

    fn parse(&self, settings: &serde_json::Value) -> Result<Box<dyn Check>, Vec<SettingsError>> {
        let settings: Settings = super::read(settings)?;
        let place = settings.place(PORTS[0], PORTS[1])?;
        Ok(Box::new(ServiceCheck { place, protocol: settings }))
    }
}

impl Protocol for Settings {
    type Ready = ();

    fn prepare(&self, _: &Secrets) -> Result<(), SecretError> {
        Ok(())
    }

    async fn talk(&self, _: &Place, (): &(), dialogue: &mut Dialogue) -> Result<(), Failure> {
        let mut terminal = Terminal::default();
        let mut refused = 0;
        loop {
            let ended = match dialogue.hear(SHOWN_LIMIT_BYTES).await {
                Ok(count) => count == 0,
                // A server that goes on waiting has shown what it has to show.
                Err(late) if late.cause == Cause::TransferTimeout => {
                    return Err(self.missing("what came until the run's end"));
                }
                Err(failure) => return Err(failure),
            };
            let heard = dialogue.take(SHOWN_LIMIT_BYTES);
            let answers = terminal.take(&heard);
            refused += answers.len() / 3;
            if refused > REFUSALS_LIMIT {
                let detail = format!("more than {REFUSALS_LIMIT} options to negotiate");
                return Err(Failure::new(Cause::Protocol, detail));
            }
            if self.is_met(&terminal.shown) {
                return Ok(());
            }
            if ended {
                return Err(self.missing("what came before the end"));
            }
            if terminal.shown.len() >= SHOWN_LIMIT_BYTES {
                return Err(self.missing(&format!("the first {SHOWN_LIMIT_BYTES} bytes")));
            }
            if !answers.is_empty() {
                dialogue.reply(&answers).await?;
            }
        }
    }
}

impl Settings {
    fn is_met(&self, shown: &[u8]) -> bool {
        match &self.expect {
            None => !shown.is_empty(),
            Some(pattern) => pattern.is_match(&String::from_utf8_lossy(shown)),
        }
    }

    fn missing(&self, what: &str) -> Failure {
        match &self.expect {
            None => Failure::new(Cause::Body, format!("{what} is negotiation only")),
            Some(pattern) => {
                Failure::new(Cause::Body, format!("{what} does not match `{pattern}`"))
            }
        }
    }
}

/// The other end of a terminal server, which wants no option.
#[derive(Default)]
struct Terminal {
    shown: Vec<u8>,
    state: State,
}

/// Where in a command the stream stands (RFC 854, "Telnet command structure"; RFC 855).
#[derive(Clone, Copy, Default)]
enum State {
    #[default]
    Data,
    Command,
    /// After WILL, WONT, DO or DONT.
    Option(u8),
    Subnegotiation,
    SubnegotiationCommand,
}

const SE: u8 = 240;
const SB: u8 = 250;
const WILL: u8 = 251;
const WONT: u8 = 252;
const DO: u8 = 253;
const DONT: u8 = 254;
const IAC: u8 = 255;

impl Terminal {
    /// Takes what came; gives what to answer: every option is refused.
    fn take(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut answers = Vec::new();
        for &byte in bytes {
            self.state = match (self.state, byte) {
                (State::Data, IAC) => State::Command,
                (State::Command, SB) => State::Subnegotiation,
                (State::Command, WILL | WONT | DO | DONT) => State::Option(byte),
                (State::Data, _) | (State::Command, IAC) => {
                    if self.shown.len() < SHOWN_LIMIT_BYTES {
                        self.shown.push(byte);
                    }
                    State::Data
                }
                (State::Option(WILL), option) => {
                    answers.extend([IAC, DONT, option]);
                    State::Data
                }
                (State::Option(DO), option) => {
                    answers.extend([IAC, WONT, option]);
                    State::Data
                }
                (State::Subnegotiation, IAC) => State::SubnegotiationCommand,
                (State::Subnegotiation, _) => State::Subnegotiation,
                (State::SubnegotiationCommand, SE) => State::Data,
                (State::SubnegotiationCommand, _) => State::Subnegotiation,
                (State::Command | State::Option(_), _) => State::Data,
            };
        }
        answers
    }
}

#[cfg(test)]
mod tests {
    use crosscheck_model::Status;
    use serde_json::json;

    use super::*;
    use crate::kind::service::scripted::{Turn, run};

    #[test]
    fn options_are_refused_and_data_is_told_apart() {
        let mut terminal = Terminal::default();
        let heard = [
            &[IAC, DO, 24, IAC, WILL, 1, b'l', b'o', IAC, IAC, IAC, 241, IAC, WONT, 3][..],
            &[IAC, SB, 24, 1, IAC, IAC, b'x', IAC, SE, b'g', IAC, DONT, 5],
        ]
        .concat();
        // Whatever the pieces in which it comes.
        let answers: Vec<u8> = heard.iter().flat_map(|byte| terminal.take(&[*byte])).collect();
        assert_eq!(answers, [IAC, WONT, 24, IAC, DONT, 1]);
        assert_eq!(terminal.shown, b"lo\xffg");
    }

    #[tokio::test]
    async fn a_prompt_is_awaited() {
        let ask = Turn::SaysBytes(&[IAC, DO, 24]);
        let answer = Turn::HearsBytes(&[IAC, WONT, 24]);
        for expect in [json!({}), json!({ "expect": "login: $" })] {
            let turns = [ask, answer, Turn::Says("router login: ")];
            let outcome = run(&Telnet, expect, &turns).await;
            assert_eq!(outcome.status, Status::Up, "{}", outcome.detail);
        }
        let flood: &'static [u8] = [IAC, WILL, 1].repeat(REFUSALS_LIMIT + 1).leak();
        let long: &'static [u8] = vec![b'x'; 2 * SHOWN_LIMIT_BYTES].leak();
        let table = [
            (json!({}), vec![ask], Cause::Body, "what came before the end is negotiation only"),
            (
                json!({ "expect": "ogin" }),
                vec![Turn::Says("go away")],
                Cause::Body,
                "what came before the end does not match",
            ),
            (json!({}), vec![Turn::SaysBytes(flood)], Cause::Protocol, "more than 256 options"),
            (
                json!({ "expect": "y" }),
                vec![Turn::SaysBytes(long)],
                Cause::Body,
                "the first 65536 bytes",
            ),
            (json!({}), vec![], Cause::Reset, "the connection was closed without a word"),
        ];
        for (settings, turns, cause, detail) in table {
            let outcome = run(&Telnet, settings, &turns).await;
            assert_eq!(outcome.cause, Some(cause), "{}", outcome.detail);
            assert!(outcome.detail.starts_with(detail), "{}", outcome.detail);
        }
    }
}
