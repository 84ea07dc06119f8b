//! `tcp`: connects to a port, and says and hears something there if the settings tell what.

use std::time::Duration;

use crosscheck_model::{Cause, Family, Outcome, Phase, Status, Text};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Check, Defaults, Kind, SettingsError};
use crate::dial::{self, Timer};
use crate::env::Env;
use crate::excerpt;
use crate::resolve::Failure;
use crate::text::{Address, Pattern, Span};

/// Connects to a port.
#[derive(Clone, Copy, Debug)]
pub struct Tcp;

/// The settings as people write them.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// Where to connect: `db.example.com:3306`.
    address: Address,
    /// The address family of a name; v4 when left out.
    family: Option<Family>,
    /// What to send once connected; in double quotes YAML knows `\r\n`.
    send: Option<Text>,
    /// What must come back, anywhere in the first 64 KiB.
    expect: Option<Pattern>,
    /// A run that takes longer is Degraded.
    slower_than: Option<Span>,
}

/// The most that is searched for what is expected: banners and replies are far shorter.
const EXPECT_WITHIN_BYTES: usize = 64 << 10;

/// The most pieces in which it may come. Each piece is a new search over all, and a target that
/// drips bytes must not cost the probe its processor.
const EXPECT_WITHIN_READS: usize = 4096;

impl Kind for Tcp {
    fn name(&self) -> &'static str {
        "tcp"
    }

    fn about(&self) -> &'static str {
        "Connects to a port; sends text and waits for an answer that matches, if told to."
    }

    fn defaults(&self) -> Defaults {
        Defaults { after: 3, ..Defaults::default() }
    }

    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        Settings::json_schema(generator)
    }

    fn parse(&self, settings: &serde_json::Value) -> Result<Box<dyn Check>, Vec<SettingsError>> {
        let settings: Settings = super::read(settings)?;
        let family = settings.address.family(settings.family).map_err(|refused| {
            let path = vec!["family".to_owned()];
            vec![SettingsError { path, message: refused.to_string(), hint: None }]
        })?;
        Ok(Box::new(TcpCheck { settings, family }))
    }
}

struct TcpCheck {
    settings: Settings,
    family: Family,
}

impl Check for TcpCheck {
    fn target(&self) -> String {
        self.settings.address.to_string()
    }

    fn family(&self) -> Family {
        self.family
    }

    fn run<'a>(&'a self, env: &'a Env, deadline: Duration) -> BoxFuture<'a, Outcome> {
        self.observe(env, deadline).boxed()
    }
}

impl TcpCheck {
    async fn observe(&self, env: &Env, deadline: Duration) -> Outcome {
        let mut timer = Timer::start(deadline);
        let mut heard = Vec::new();
        let result = self.talk(env, &mut timer, &mut heard).await;
        let mut outcome = timer.outcome(&env.secrets, result.err());
        if self.settings.expect.is_some() {
            outcome.values.insert("bytes".to_owned(), heard.len() as f64);
        }
        if outcome.status != Status::Up {
            outcome.excerpt = excerpt::of(&heard, &env.secrets);
        }
        outcome
    }

    async fn talk(&self, env: &Env, timer: &mut Timer, heard: &mut Vec<u8>) -> Result<(), Failure> {
        let Settings { address, send, expect, slower_than, .. } = &self.settings;
        // Before connecting: a secret that cannot be read is no reason to knock.
        let send = send.as_ref().map(|text| env.secrets.resolve(text)).transpose();
        let send = send.map_err(|error| Failure::new(Cause::Setup, error.to_string()))?;
        let connected = dial::connect(env, address.host(), address.port(), self.family, timer);
        let mut stream = connected.await?.stream;
        if let Some(text) = send {
            let sent = timer.phase(Phase::Send, stream.write_all(text.as_bytes())).await?;
            sent.map_err(|error| {
                Failure::new(dial::broken(&error), format!("cannot send: {}", dial::plain(&error)))
            })?;
        }
        if let Some(pattern) = expect {
            listen(&mut stream, pattern, timer, heard).await?;
        }
        match slower_than.map(Span::get) {
            Some(limit) if timer.elapsed() > limit => {
                let (took, limit) = (timer.elapsed().as_millis(), limit.as_millis());
                Err(Failure::new(Cause::Slow, format!("took {took} ms, more than {limit} ms")))
            }
            _ => Ok(()),
        }
    }
}

/// Reads until the pattern matches what came.
async fn listen(
    stream: &mut TcpStream,
    pattern: &Pattern,
    timer: &mut Timer,
    heard: &mut Vec<u8>,
) -> Result<(), Failure> {
    timer.phase(Phase::FirstByte, read(stream, heard)).await??;
    let rest = async {
        for _ in 0..EXPECT_WITHIN_READS {
            if pattern.is_match(&String::from_utf8_lossy(heard)) {
                return Ok(());
            }
            if heard.len() >= EXPECT_WITHIN_BYTES {
                break;
            }
            if read(stream, heard).await? == 0 {
                return Err(unexpected(pattern, "what came before the end"));
            }
        }
        Err(unexpected(pattern, &format!("the first {} bytes", heard.len())))
    };
    // A server that goes on waiting has said what it has to say.
    timer.phase(Phase::Transfer, rest).await.unwrap_or_else(|late| match late.cause {
        Cause::TransferTimeout => Err(unexpected(pattern, "what came until the run's end")),
        _ => Err(late),
    })
}

/// Reads what is there, up to the bound; 0 at the end.
async fn read(stream: &mut TcpStream, heard: &mut Vec<u8>) -> Result<usize, Failure> {
    let room = EXPECT_WITHIN_BYTES.saturating_sub(heard.len());
    let count = stream.take(room as u64).read_buf(heard).await.map_err(|error| {
        Failure::new(dial::broken(&error), format!("the connection broke: {}", dial::plain(&error)))
    })?;
    if count == 0 && heard.is_empty() {
        return Err(Failure::new(Cause::Reset, "the connection was closed without a word"));
    }
    Ok(count)
}

fn unexpected(pattern: &Pattern, what: &str) -> Failure {
    Failure::new(Cause::Body, format!("{what} does not match `{pattern}`"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::net::SocketAddr;

    use serde_json::{Value, json};
    use tokio::net::TcpListener;
    use tokio::task::JoinHandle;

    use super::*;
    use crate::env::Secrets;
    use crate::guard::Guard;
    use crate::programs::Programs;
    use crate::resolve::Resolver;
    use crate::resolve::scripted::NameServer;

    const PLENTY: Duration = Duration::from_secs(20);
    const SHORT: Duration = Duration::from_millis(80);

    /// A server for one connection; what it does is told by the closure.
    async fn serving<F: Future<Output = ()> + Send>(
        script: impl FnOnce(TcpStream) -> F + Send + 'static,
    ) -> (SocketAddr, JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let task = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.expect("a connection");
            script(stream).await;
        });
        (address, task)
    }

    fn env(guard: Guard) -> Env {
        let variables = BTreeMap::from([("PASSWORD".to_owned(), "hunter22".to_owned())]);
        Env {
            guard,
            resolver: Resolver::new(Vec::new()),
            secrets: Secrets::fixed(variables),
            programs: Programs::default(),
        }
    }

    async fn run(address: SocketAddr, more: Value, limit: Duration) -> Outcome {
        let mut settings = json!({ "address": address.to_string() });
        let object = settings.as_object_mut().expect("an object");
        object.extend(more.as_object().expect("an object").clone());
        let check = Tcp.parse(&settings).expect("well-formed");
        check.run(&env(Guard::Internal), limit).await
    }

    async fn until_closed(mut stream: TcpStream) {
        let mut rest = Vec::new();
        // Whether the other side ends in peace does not matter here.
        let _ = stream.read_to_end(&mut rest).await;
    }

    #[tokio::test]
    async fn a_port_that_accepts_is_up() {
        let (address, _server) = serving(until_closed).await;
        let outcome = run(address, json!({}), PLENTY).await;
        assert_eq!((outcome.status, outcome.cause), (Status::Up, None), "{}", outcome.detail);
        assert_eq!(outcome.address, Some(address.to_string()));
        let phases: Vec<_> = outcome.phases.iter().map(|(phase, _)| phase).collect();
        assert_eq!(phases, [Phase::Connect]);
    }

    #[tokio::test]
    async fn what_is_sent_is_answered() {
        let (address, _server) = serving(|mut stream| async move {
            let mut question = [0; 15];
            stream.read_exact(&mut question).await.expect("a question");
            assert_eq!(&question, b"AUTH hunter22\r\n");
            for piece in ["+", "O", "K", "\r\n"] {
                stream.write_all(piece.as_bytes()).await.expect("sent");
                stream.flush().await.expect("sent");
            }
            until_closed(stream).await;
        })
        .await;
        let settings = json!({ "send": "AUTH ${env:PASSWORD}\r\n", "expect": "^\\+OK\r\n" });
        let outcome = run(address, settings, PLENTY).await;
        assert_eq!(outcome.status, Status::Up, "{}", outcome.detail);
        assert_eq!(outcome.values.get("bytes"), Some(&5.0));
        let phases: Vec<_> = outcome.phases.iter().map(|(phase, _)| phase).collect();
        assert_eq!(phases, [Phase::Connect, Phase::Send, Phase::FirstByte, Phase::Transfer]);
    }

    #[tokio::test]
    async fn an_answer_that_does_not_match_is_down_with_an_excerpt_without_secrets() {
        let (address, _server) = serving(|mut stream| async move {
            stream.read_exact(&mut [0; 8]).await.expect("a word");
            stream.write_all(b"-ERR no user hunter22\x07\r\n").await.expect("sent");
        })
        .await;
        let settings = json!({ "send": "${env:PASSWORD}", "expect": "^\\+OK" });
        let outcome = run(address, settings, PLENTY).await;
        assert_eq!((outcome.status, outcome.cause), (Status::Down, Some(Cause::Body)));
        assert_eq!(outcome.excerpt, "-ERR no user <redacted> ");
        assert!(outcome.detail.contains("before the end does not match `^\\+OK`"));
    }

    #[tokio::test]
    async fn a_server_that_waits_after_the_wrong_words_does_not_match() {
        let (address, _server) = serving(|mut stream| async move {
            stream.write_all(b"220 busy\r\n").await.expect("sent");
            until_closed(stream).await;
        })
        .await;
        let outcome = run(address, json!({ "expect": "^SSH" }), SHORT).await;
        assert_eq!(outcome.cause, Some(Cause::Body), "{}", outcome.detail);
        assert_eq!(outcome.excerpt, "220 busy ");
    }

    #[tokio::test]
    async fn silence_closing_and_reset_are_told_apart() {
        let (silent, _server) = serving(until_closed).await;
        let outcome = run(silent, json!({ "expect": "x" }), SHORT).await;
        assert_eq!(outcome.cause, Some(Cause::FirstByteTimeout), "{}", outcome.detail);

        let (closing, _server) = serving(|stream| async move { drop(stream) }).await;
        let outcome = run(closing, json!({ "expect": "x" }), PLENTY).await;
        assert_eq!(outcome.cause, Some(Cause::Reset), "{}", outcome.detail);
        assert!(outcome.detail.contains("without a word"), "{}", outcome.detail);

        let (resetting, _server) = serving(|mut stream| async move {
            stream.read_u8().await.expect("a byte");
            stream.set_zero_linger().expect("an option");
        })
        .await;
        let outcome = run(resetting, json!({ "send": "hello", "expect": "x" }), PLENTY).await;
        assert_eq!(outcome.cause, Some(Cause::Reset), "{}", outcome.detail);
    }

    #[tokio::test]
    async fn more_than_the_bound_is_not_read() {
        let (address, _server) = serving(|mut stream| async move {
            let flood = vec![b'x'; 4 * EXPECT_WITHIN_BYTES];
            // It is cut off in the midst of it.
            let _ = stream.write_all(&flood).await;
        })
        .await;
        let outcome = run(address, json!({ "expect": "y" }), PLENTY).await;
        assert_eq!(outcome.cause, Some(Cause::Body), "{}", outcome.detail);
        assert_eq!(outcome.values.get("bytes"), Some(&(EXPECT_WITHIN_BYTES as f64)));
        assert!(outcome.detail.starts_with("the first 65536 bytes"), "{}", outcome.detail);
    }

    #[tokio::test]
    async fn nobody_there_and_nobody_allowed() {
        let deserted = {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            listener.local_addr().expect("bound")
        };
        let outcome = run(deserted, json!({}), PLENTY).await;
        assert_eq!((outcome.status, outcome.cause), (Status::Down, Some(Cause::Refused)));

        let check = Tcp.parse(&json!({ "address": deserted.to_string() })).expect("well-formed");
        let outcome = check.run(&env(Guard::Public), PLENTY).await;
        assert_eq!(outcome.cause, Some(Cause::BlockedAddress));
    }

    #[tokio::test]
    async fn a_silent_name_server_is_named() {
        let silent = NameServer::scripted(|_, _| Vec::new()).await;
        let check = Tcp.parse(&json!({ "address": "db.example.com:3306" })).expect("well-formed");
        let resolver = Resolver::new(vec![silent.address]);
        let outcome = check.run(&Env { resolver, ..env(Guard::Internal) }, SHORT).await;
        assert_eq!(outcome.cause, Some(Cause::DnsTimeout));
        assert!(outcome.detail.contains(&silent.address.to_string()), "{}", outcome.detail);
    }

    #[tokio::test]
    async fn slow_is_degraded_and_a_missing_secret_is_unknown() {
        let (address, _server) = serving(until_closed).await;
        let outcome = run(address, json!({ "slower_than": "0s" }), PLENTY).await;
        assert_eq!((outcome.status, outcome.cause), (Status::Degraded, Some(Cause::Slow)));

        let outcome = run(address, json!({ "send": "${env:NOT_THERE}" }), PLENTY).await;
        assert_eq!((outcome.status, outcome.cause), (Status::Unknown, Some(Cause::Setup)));
        assert_eq!(outcome.phases.iter().count(), 0, "nobody was disturbed");
    }

    #[test]
    fn settings_that_do_not_fit_are_refused_with_their_place() {
        for (settings, path, message) in [
            (json!({}), "", "missing field `address`"),
            (json!({ "address": "db.example.com" }), "address", "has no port"),
            (json!({ "address": "[::1]:1", "family": "v4" }), "family", "other address family"),
            (json!({ "address": "a:1", "expect": "(" }), "expect", "unclosed group"),
            (json!({ "address": "a:1", "send": "${X}" }), "send", "no secret reference"),
            (json!({ "address": "a:1", "tls": true }), "tls", "unknown field"),
        ] {
            let errors = Tcp.parse(&settings).err().expect("does not fit");
            assert_eq!(errors[0].path.join("."), path, "{settings}");
            assert!(errors[0].message.contains(message), "{}", errors[0].message);
        }
        let check = Tcp.parse(&json!({ "address": "[2001:db8::1]:443" })).expect("well-formed");
        assert_eq!((check.target().as_str(), check.family()), ("[2001:db8::1]:443", Family::V6));
    }
}
