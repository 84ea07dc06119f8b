//! Speaking with the browser: the DevTools protocol over a pipe, messages in JSON that end in a
//! zero byte. A pipe rather than a socket: whoever may connect to the socket owns the browser.

use std::collections::VecDeque;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{ChildStdin, ChildStdout};

/// The longest message: a picture of a page has some 100 KiB.
const MESSAGE_AT_MOST_BYTES: usize = 16 << 20;

/// Events that wait while a reply is waited for.
const WAITING_AT_MOST: usize = 20_000;

/// Something happened in the page.
#[derive(Debug)]
pub(super) struct Event {
    /// What: `Network.responseReceived`.
    pub(super) method: String,
    /// The rest.
    pub(super) params: Value,
}

/// Why nothing more comes of it.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    /// The pipe has ended: the browser has.
    #[error("the browser has ended")]
    Ended,
    /// It says what is not understood.
    #[error("the browser does not speak the DevTools protocol: {0}")]
    Nonsense(String),
    /// It refuses a command.
    #[error("the browser refuses {0}: {1}")]
    Refused(&'static str, String),
}

/// The pipe to a browser, and later to one page of it.
pub(super) struct Devtools {
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    /// What has come of a message; here, so that nothing is lost when reading is given up.
    partial: Vec<u8>,
    waiting: VecDeque<Event>,
    last_id: u64,
    session: Option<String>,
}

/// A message of the browser's.
#[derive(Debug)]
pub(super) enum Message {
    /// To the command of that number: what it gives, or why it is refused.
    Reply(u64, Result<Value, String>),
    /// By itself.
    Event(Event),
}

impl Devtools {
    pub(super) fn new(input: ChildStdin, output: ChildStdout) -> Self {
        Self {
            input,
            output: BufReader::new(output),
            partial: Vec::new(),
            waiting: VecDeque::new(),
            last_id: 0,
            session: None,
        }
    }

    /// From here on all is about this page.
    pub(super) fn attach(&mut self, session: &str) {
        self.session = Some(session.to_owned());
    }

    /// Sends a command; its reply is not waited for.
    pub(super) async fn send(
        &mut self,
        method: &'static str,
        params: Value,
    ) -> Result<u64, Broken> {
        self.last_id += 1;
        let mut message = json!({ "id": self.last_id, "method": method, "params": params });
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        let mut bytes = message.to_string().into_bytes();
        bytes.push(0);
        self.input.write_all(&bytes).await.map_err(|_| Broken::Ended)?;
        Ok(self.last_id)
    }

    /// Sends a command and waits for what it gives; events wait.
    pub(super) async fn call(
        &mut self,
        method: &'static str,
        params: Value,
    ) -> Result<Value, Broken> {
        let wanted = self.send(method, params).await?;
        loop {
            match self.message().await? {
                Message::Reply(id, reply) if id == wanted => {
                    return reply.map_err(|why| Broken::Refused(method, why));
                }
                Message::Reply(..) => {}
                Message::Event(event) if self.waiting.len() < WAITING_AT_MOST => {
                    self.waiting.push_back(event);
                }
                Message::Event(_) => return Err(Broken::Nonsense("events without end".into())),
            }
        }
    }

    /// What it says next; safe to be dropped while it waits.
    pub(super) async fn next(&mut self) -> Result<Message, Broken> {
        match self.waiting.pop_front() {
            Some(event) => Ok(Message::Event(event)),
            None => self.message().await,
        }
    }

    /// The next message. What was read stays when the wait is given up.
    async fn message(&mut self) -> Result<Message, Broken> {
        loop {
            let came = self.output.fill_buf().await.map_err(|_| Broken::Ended)?;
            if came.is_empty() {
                return Err(Broken::Ended);
            }
            let end = came.iter().position(|byte| *byte == 0);
            self.partial.extend_from_slice(&came[..end.unwrap_or(came.len())]);
            let used = end.map_or(came.len(), |end| end + 1);
            self.output.consume(used);
            if self.partial.len() > MESSAGE_AT_MOST_BYTES {
                return Err(Broken::Nonsense("a message without end".to_owned()));
            }
            if end.is_some() {
                let message = read(&self.partial);
                self.partial.clear();
                return message;
            }
        }
    }
}

fn read(bytes: &[u8]) -> Result<Message, Broken> {
    let nonsense = |why: &str| Broken::Nonsense(why.to_owned());
    let mut message: Value =
        serde_json::from_slice(bytes).map_err(|error| nonsense(&error.to_string()))?;
    if let Some(id) = message["id"].as_u64() {
        let reply = match message["error"]["message"].as_str() {
            Some(why) => Err(why.to_owned()),
            None => Ok(message["result"].take()),
        };
        return Ok(Message::Reply(id, reply));
    }
    let method = message["method"].as_str().ok_or_else(|| nonsense("neither reply nor event"))?;
    Ok(Message::Event(Event { method: method.to_owned(), params: message["params"].take() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_told_apart() {
        let event = read(br#"{"method":"Page.loadEventFired","params":{"timestamp":1.5}}"#);
        let Ok(Message::Event(event)) = event else { panic!("an event") };
        assert_eq!(
            (event.method.as_str(), &event.params["timestamp"]),
            ("Page.loadEventFired", &json!(1.5))
        );
        let Ok(Message::Reply(7, Ok(value))) = read(br#"{"id":7,"result":{"a":1}}"#) else {
            panic!("a reply")
        };
        assert_eq!(value, json!({ "a": 1 }));
        let refused = read(br#"{"id":8,"error":{"code":-32601,"message":"no such method"}}"#);
        assert!(matches!(refused, Ok(Message::Reply(8, Err(why))) if why == "no such method"));
        for nonsense in ["", "{", "[]", "{}", "{\"params\":1}", "null"] {
            assert!(matches!(read(nonsense.as_bytes()), Err(Broken::Nonsense(_))), "{nonsense}");
        }
    }
}
