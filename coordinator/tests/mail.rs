//! The mail channel against a scripted SMTP server: what it says, and what it takes each failure
//! at each step for.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crosscheck_checks::env::Secrets;
use crosscheck_coordinator::channel::{self, Delivery};
use crosscheck_core::outbox::{Edge, Key, Notice, Owed, Progress, SendResult};
use crosscheck_model::config::Contact;
use crosscheck_model::{CheckId, ContactId, IncidentId, Severity, Status, Timestamp};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufStream};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// Long enough that no test on a busy machine ends by it.
const AMPLE: Duration = Duration::from_secs(60);
/// For tests in which the server hangs.
const SHORT: Duration = Duration::from_millis(400);

/// A moment in the dialog at which the server can be told to misbehave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Greeting,
    Ehlo,
    StartTls,
    Handshake,
    Auth,
    Mail,
    Rcpt,
    Data,
    Content,
    Dot,
}

use Step::{Auth, Content, Data, Dot, Ehlo, Greeting, Handshake, Mail, Rcpt, StartTls};

const STEPS: [Step; 10] =
    [Greeting, Ehlo, StartTls, Handshake, Auth, Mail, Rcpt, Data, Content, Dot];

/// What the server does at a step.
#[derive(Clone, Copy, Debug)]
enum Act {
    Say(&'static str),
    Close,
    Hang,
}

/// What the server offers and where it leaves the common path.
#[derive(Clone)]
struct Script {
    extensions: Vec<&'static str>,
    acts: BTreeMap<Step, Act>,
    /// The answers to RCPT, in order; after them 250.
    recipients: Vec<&'static str>,
    tls: Option<Arc<rustls::ServerConfig>>,
    implicit: bool,
}

/// What the server saw.
#[derive(Clone, Debug, Default)]
struct Seen {
    /// Lines that came in clear.
    clear: Vec<String>,
    /// Lines that came over TLS.
    secret: Vec<String>,
    /// Mails whose final dot came, their dots still doubled.
    mails: Vec<String>,
}

struct Server {
    address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
}

impl Server {
    async fn start(script: Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        let address = listener.local_addr().expect("an address");
        let seen = Arc::new(Mutex::new(Seen::default()));
        let shared = Arc::clone(&seen);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let session = Session { script: script.clone(), seen: Arc::clone(&shared) };
                tokio::spawn(session.run(stream));
            }
        });
        Self { address, seen }
    }

    fn seen(&self) -> Seen {
        self.seen.lock().expect("no panic").clone()
    }
}

struct Session {
    script: Script,
    seen: Arc<Mutex<Seen>>,
}

impl Session {
    async fn run(self, stream: TcpStream) -> Option<()> {
        if self.script.implicit {
            let stream = self.accept(stream).await?;
            let mut stream = BufStream::new(stream);
            self.say(&mut stream, Greeting, "220 mail.example.com ESMTP\r\n").await?;
            return self.talk(stream, true).await.map(drop);
        }
        let mut stream = BufStream::new(stream);
        self.say(&mut stream, Greeting, "220 mail.example.com ESMTP\r\n").await?;
        let stream = self.talk(stream, false).await?.into_inner();
        let stream = self.accept(stream).await?;
        self.talk(BufStream::new(stream), true).await.map(drop)
    }

    async fn accept(
        &self,
        stream: TcpStream,
    ) -> Option<tokio_rustls::server::TlsStream<TcpStream>> {
        match self.script.acts.get(&Handshake) {
            Some(Act::Hang) => std::future::pending().await,
            Some(_) => return None,
            None => {}
        }
        let config = self.script.tls.clone()?;
        TlsAcceptor::from(config).accept(stream).await.ok()
    }

    /// Does what the script wants at a step; `None` ends the session.
    async fn say<S: AsyncWrite + Unpin>(&self, to: &mut S, at: Step, usual: &str) -> Option<()> {
        let text = match self.script.acts.get(&at) {
            None => usual,
            Some(Act::Say(text)) => text,
            Some(Act::Close) => return None,
            Some(Act::Hang) => std::future::pending().await,
        };
        to.write_all(text.as_bytes()).await.ok()?;
        to.flush().await.ok()
    }

    /// Until STARTTLS, which gives the stream back, or the end.
    async fn talk<S>(&self, mut stream: BufStream<S>, secret: bool) -> Option<BufStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let mut recipients = self.script.recipients.clone().into_iter();
        loop {
            let line = self.line(&mut stream, secret).await?;
            let word = line.split([' ', ':']).next().unwrap_or_default().to_owned();
            match word.as_str() {
                "EHLO" => self.say(&mut stream, Ehlo, &self.greeting(secret)).await?,
                "STARTTLS" => {
                    self.say(&mut stream, StartTls, "220 go ahead\r\n").await?;
                    if !matches!(self.script.acts.get(&StartTls), Some(Act::Say(_))) {
                        return Some(stream);
                    }
                }
                "AUTH" => self.authenticate(&mut stream, &line, secret).await?,
                "MAIL" => self.say(&mut stream, Mail, "250 2.1.0 ok\r\n").await?,
                "RCPT" => {
                    let reply = format!("{}\r\n", recipients.next().unwrap_or("250 2.1.5 ok"));
                    self.say(&mut stream, Rcpt, &reply).await?;
                }
                "DATA" => {
                    self.say(&mut stream, Data, "354 go ahead\r\n").await?;
                    if !matches!(self.script.acts.get(&Data), Some(Act::Say(_))) {
                        self.take(&mut stream).await?;
                    }
                }
                "QUIT" => return None,
                _ => stream.write_all(b"502 5.5.1 what\r\n").await.ok()?,
            }
            stream.flush().await.ok()?;
        }
    }

    fn greeting(&self, secret: bool) -> String {
        let mut lines = vec!["mail.example.com"];
        let offered = |word: &&&str| !(secret && **word == "STARTTLS");
        lines.extend(self.script.extensions.iter().filter(offered));
        let last = lines.pop().expect("at least one");
        let mut text: String = lines.iter().map(|line| format!("250-{line}\r\n")).collect();
        text.push_str(&format!("250 {last}\r\n"));
        text
    }

    async fn authenticate<S>(
        &self,
        stream: &mut BufStream<S>,
        line: &str,
        secret: bool,
    ) -> Option<()>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        if line == "AUTH LOGIN" {
            for challenge in ["334 VXNlcm5hbWU6\r\n", "334 UGFzc3dvcmQ6\r\n"] {
                stream.write_all(challenge.as_bytes()).await.ok()?;
                stream.flush().await.ok()?;
                self.line(stream, secret).await?;
            }
        }
        self.say(stream, Auth, "235 2.7.0 welcome\r\n").await
    }

    /// The content, up to its final dot.
    async fn take<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: &mut BufStream<S>,
    ) -> Option<()> {
        match self.script.acts.get(&Content) {
            Some(Act::Hang) => std::future::pending().await,
            Some(Act::Close) => return None,
            _ => {}
        }
        let mut mail = String::new();
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await.ok()? == 0 {
                return None;
            }
            if line == ".\r\n" {
                break;
            }
            mail.push_str(&line);
        }
        self.seen.lock().expect("no panic").mails.push(mail);
        self.say(stream, Dot, "250 2.0.0 queued as 4711\r\n").await
    }

    async fn line<S>(&self, stream: &mut BufStream<S>, secret: bool) -> Option<String>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let mut line = String::new();
        if stream.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        let line = line.trim_end().to_owned();
        let mut seen = self.seen.lock().expect("no panic");
        if secret { &mut seen.secret } else { &mut seen.clear }.push(line.clone());
        Some(line)
    }
}

/// A certificate for `mail.example.com`, its server configuration and its PEM file.
struct Identity {
    config: Arc<rustls::ServerConfig>,
    pem: tempfile::NamedTempFile,
}

fn identity() -> Identity {
    let made = rcgen::generate_simple_self_signed(vec!["mail.example.com".to_owned()])
        .expect("a certificate");
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der())
        .expect("a key");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .expect("a configuration");
    let pem = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(pem.path(), made.cert.pem()).expect("written");
    Identity { config: Arc::new(config), pem }
}

impl Identity {
    /// A server that offers STARTTLS and logins.
    fn script(&self) -> Script {
        Script {
            extensions: vec!["PIPELINING", "STARTTLS", "AUTH PLAIN LOGIN", "8BITMIME"],
            acts: BTreeMap::new(),
            recipients: Vec::new(),
            tls: Some(Arc::clone(&self.config)),
            implicit: false,
        }
    }

    fn settings(&self, address: SocketAddr) -> Value {
        json!({
            "smtp": format!("smtp://{address}"),
            "from": "Alarms <alarms@example.com>",
            "user": "crosscheck",
            "password": "${env:SMTP_PASSWORD}",
            "ca": self.pem.path(),
            "server_name": "mail.example.com",
        })
    }
}

fn clear_script() -> Script {
    Script {
        extensions: vec!["8BITMIME"],
        acts: BTreeMap::new(),
        recipients: Vec::new(),
        tls: None,
        implicit: false,
    }
}

fn clear_settings(address: SocketAddr) -> Value {
    json!({ "smtp": format!("smtp://{address}"), "tls": "none", "from": "alarms@example.com" })
}

fn owed() -> Owed {
    let at = Timestamp::from_millis(1_795_341_733_000);
    Owed {
        key: Key([0xa7; 16]),
        contact: ContactId::new("ops"),
        channel: "mail".to_owned(),
        notice: Notice {
            incident: IncidentId(17),
            edge: Edge::Alarm(Status::Down),
            severity: Severity::Disaster,
            check: Some(CheckId::new("shop home")),
            target: "https://shop.example.com/".to_owned(),
            summary: "It fails from 4 of 5 sites.".to_owned(),
            finding: None,
            since: at,
            decided: at.plus(Duration::from_secs(40)),
            ended: None,
            sites: Vec::new(),
            dependents: None,
            runbook: Some("One line.\n.\nAnother.".to_owned()),
            link: None,
            thread: None,
            alarm_was_lost: false,
            flapping: false,
            drill: false,
        },
        progress: Progress::Queued,
        attempts: 1,
        ambiguous: 0,
        reached: Vec::new(),
        bounced: std::collections::BTreeSet::new(),
        created: at,
        after: Vec::new(),
        last_error: None,
        rerouted: false,
        told_in: None,
        tells: Vec::new(),
    }
}

async fn send_to(settings: &Value, mail: &[&str], deadline: Duration) -> SendResult {
    let channel = channel::find("mail").expect("listed").open(settings).expect("settings");
    let to = Contact {
        mail: mail.iter().map(|it| (*it).to_owned()).collect(),
        phone: None,
        apart: false,
    };
    let password = ("SMTP_PASSWORD".to_owned(), "hunter2-hunter2".to_owned());
    let secrets = Secrets::fixed(BTreeMap::from([password]));
    let owed = owed();
    let delivery = Delivery { owed: &owed, others: &[], to: &to, secrets: &secrets, deadline };
    channel.send(delivery).await
}

async fn send(settings: &Value, deadline: Duration) -> SendResult {
    send_to(settings, &["ops@example.com"], deadline).await
}

#[tokio::test]
async fn a_mail_goes_over_starttls_after_login() {
    let identity = identity();
    let server = Server::start(identity.script()).await;
    let settings = identity.settings(server.address);
    assert_eq!(send(&settings, AMPLE).await, SendResult::Delivered);
    let seen = server.seen();
    assert_eq!(seen.clear, ["EHLO [127.0.0.1]", "STARTTLS"]);
    // base64 of \0crosscheck\0hunter2-hunter2
    let login = "AUTH PLAIN AGNyb3NzY2hlY2sAaHVudGVyMi1odW50ZXIy";
    let want = [
        "EHLO [127.0.0.1]",
        login,
        "MAIL FROM:<alarms@example.com>",
        "RCPT TO:<ops@example.com>",
        "DATA",
    ];
    assert_eq!(seen.secret[..5], want);
    let mail = &seen.mails[0];
    assert!(
        mail.contains("Message-ID: <a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7@example.com>\r\n"),
        "{mail}"
    );
    assert!(mail.contains("Subject: [DOWN] shop home\r\n"), "{mail}");
    assert_eq!(send(&settings, AMPLE).await, SendResult::Delivered);
    let seen = server.seen();
    assert_eq!(seen.mails[0], seen.mails[1], "copies are the same byte for byte");
}

#[tokio::test]
async fn a_mail_goes_over_tls_from_the_start_and_after_auth_login() {
    let identity = identity();
    let mut script = identity.script();
    script.implicit = true;
    script.extensions = vec!["AUTH LOGIN"];
    let server = Server::start(script).await;
    let mut settings = identity.settings(server.address);
    settings["smtp"] = json!(format!("smtps://{}", server.address));
    assert_eq!(send(&settings, AMPLE).await, SendResult::Delivered);
    let seen = server.seen();
    assert!(seen.clear.is_empty(), "{seen:?}");
    assert_eq!(seen.secret[1..4], ["AUTH LOGIN", "Y3Jvc3NjaGVjaw==", "aHVudGVyMi1odW50ZXIy"]);
    assert_eq!(seen.mails.len(), 1);
}

#[tokio::test]
async fn a_temporary_refusal_at_any_step_is_tried_again() {
    let identity = identity();
    for step in STEPS {
        if matches!(step, Handshake | Content) {
            continue;
        }
        let mut script = identity.script();
        script.acts.insert(step, Act::Say("451 4.3.0 not now\r\n"));
        let server = Server::start(script).await;
        let result = send(&identity.settings(server.address), AMPLE).await;
        let SendResult::Retry(text) = &result else { panic!("{step:?}: {result:?}") };
        assert!(text.contains("451 4.3.0 not now"), "{step:?}: {text}");
    }
}

#[tokio::test]
async fn a_permanent_refusal_counts_only_where_it_is_about_the_recipient() {
    let identity = identity();
    for step in STEPS {
        if matches!(step, Handshake | Content) {
            continue;
        }
        let mut script = identity.script();
        script.acts.insert(step, Act::Say("550 5.1.1 no\r\n"));
        let server = Server::start(script).await;
        let result = send(&identity.settings(server.address), AMPLE).await;
        let is_refused =
            matches!(&result, SendResult::Refused(text) if text.contains("550 5.1.1 no"));
        let is_retry = matches!(&result, SendResult::Retry(text) if text.contains("550 5.1.1 no"));
        assert_eq!((is_refused, is_retry), (step >= Rcpt, step < Rcpt), "{step:?}: {result:?}");
    }
    for (step, reply) in [
        (Rcpt, "554 5.7.1 relay access denied\r\n"),
        (Rcpt, "530 authentication required\r\n"),
        (Dot, "554 5.7.1 looks like spam\r\n"),
    ] {
        let mut script = clear_script();
        script.acts.insert(step, Act::Say(reply));
        let server = Server::start(script).await;
        let result = send(&clear_settings(server.address), AMPLE).await;
        assert!(
            matches!(result, SendResult::Retry(_)),
            "{reply}: an operator can mend it: {result:?}"
        );
    }
}

#[tokio::test]
async fn one_reached_address_is_a_reached_contact() {
    const OK: &str = "250 2.1.5 ok";
    const UNKNOWN: &str = "550 5.1.1 user unknown";
    const LATER: &str = "450 4.2.0 greylisted";
    let two = ["ops@example.com", "gone@example.com"];
    for (replies, want) in [
        (vec![OK, UNKNOWN], "delivered"),
        (vec![UNKNOWN, OK], "delivered"),
        (vec![LATER, OK], "partly"),
        (vec![UNKNOWN, UNKNOWN], "refused"),
        (vec![UNKNOWN, LATER], "retry"),
    ] {
        let server = Server::start(Script { recipients: replies.clone(), ..clear_script() }).await;
        let got = match send_to(&clear_settings(server.address), &two, AMPLE).await {
            SendResult::Delivered => "delivered",
            SendResult::Refused(text) => {
                assert!(
                    text.contains("ops@example.com: 550") && text.contains("gone@example.com: 550"),
                    "{text}"
                );
                "refused"
            }
            SendResult::Retry(_) => "retry",
            SendResult::Partly { reached, why } => {
                assert_eq!(reached, ["gone@example.com"]);
                assert!(why.contains("ops@example.com: 450"), "{why}");
                "partly"
            }
            SendResult::Ambiguous(_) => "ambiguous",
        };
        assert_eq!(got, want, "{replies:?}");
        let taken = matches!(want, "delivered" | "partly");
        assert_eq!(server.seen().mails.len(), usize::from(taken), "{replies:?}");
    }
}

#[tokio::test]
async fn who_has_the_mail_already_is_not_written_to_again() {
    let server = Server::start(clear_script()).await;
    let channel = channel::find("mail").expect("listed");
    let channel = channel.open(&clear_settings(server.address)).expect("settings");
    let mail = ["ops@example.com", "li@example.com"].map(str::to_owned).to_vec();
    let to = Contact { mail, phone: None, apart: false };
    let (secrets, deadline) = (Secrets::of_process(), AMPLE);
    let owed = Owed { reached: vec!["ops@example.com".to_owned()], ..owed() };
    let delivery = Delivery { owed: &owed, others: &[], to: &to, secrets: &secrets, deadline };
    let sent = channel.send(delivery).await;
    assert_eq!(sent, SendResult::Delivered);
    assert_eq!(server.seen().mails.len(), 1);
    let named: Vec<String> =
        server.seen().clear.iter().filter(|line| line.starts_with("RCPT")).cloned().collect();
    assert_eq!(named.len(), 1);
    assert!(named[0].contains("li@example.com"), "{named:?}");
}

#[tokio::test]
async fn only_a_reply_lost_after_the_final_dot_is_ambiguous() {
    let identity = identity();
    for (act, deadline) in [(Act::Close, AMPLE), (Act::Hang, SHORT)] {
        for step in STEPS {
            let mut script = identity.script();
            script.acts.insert(step, act);
            let server = Server::start(script).await;
            let result = send(&identity.settings(server.address), deadline).await;
            let is_right = match step {
                Dot => matches!(result, SendResult::Ambiguous(_)),
                // The kernel takes a short content, and its dot, on behalf of a server that is gone.
                Content => matches!(result, SendResult::Ambiguous(_) | SendResult::Retry(_)),
                _ => matches!(result, SendResult::Retry(_)),
            };
            assert!(is_right, "{act:?} at {step:?}: {result:?}");
            assert_eq!(server.seen().mails.len(), usize::from(step == Dot), "{act:?} at {step:?}");
        }
    }
    for nonsense in ["hello?\r\n", "354 more\r\n"] {
        let mut script = clear_script();
        script.acts.insert(Dot, Act::Say(nonsense));
        let server = Server::start(script).await;
        let result = send(&clear_settings(server.address), AMPLE).await;
        assert!(matches!(result, SendResult::Ambiguous(_)), "{nonsense}: {result:?}");
    }
}

#[tokio::test]
async fn nothing_goes_in_clear_where_tls_is_required() {
    let identity = identity();
    let mut script = identity.script();
    script.extensions = vec!["AUTH PLAIN"];
    let server = Server::start(script).await;
    let result = send(&identity.settings(server.address), AMPLE).await;
    assert!(
        matches!(&result, SendResult::Retry(text) if text.contains("does not offer STARTTLS")),
        "{result:?}"
    );
    assert_eq!(server.seen().clear, ["EHLO [127.0.0.1]"]);

    // Words slipped in behind the reply to STARTTLS must not count as said over TLS.
    let mut script = identity.script();
    script.acts.insert(StartTls, Act::Say("220 go ahead\r\n250 AUTH PLAIN\r\n"));
    let server = Server::start(script).await;
    let result = send(&identity.settings(server.address), AMPLE).await;
    assert!(matches!(&result, SendResult::Retry(text) if text.contains("in clear")), "{result:?}");
}

#[tokio::test]
async fn an_unknown_server_gets_no_password() {
    let identity = identity();
    let stranger = self::identity();
    for (ca, server_name, why) in [
        (&stranger, "mail.example.com", "TLS: the chain"),
        (&identity, "mail.example.org", "TLS: the certificate is not for `mail.example.org`"),
    ] {
        let server = Server::start(identity.script()).await;
        let mut settings = ca.settings(server.address);
        settings["server_name"] = json!(server_name);
        let result = send(&settings, AMPLE).await;
        assert!(matches!(&result, SendResult::Retry(text) if text.contains(why)), "{result:?}");
        assert!(server.seen().secret.is_empty());
    }
    let server = Server::start(identity.script()).await;
    let mut settings = identity.settings(server.address);
    settings["ca"] = json!("/nonexistent/ca.pem");
    let result = send(&settings, AMPLE).await;
    assert!(matches!(&result, SendResult::Retry(text) if text.contains("ca.pem")), "{result:?}");
}

#[tokio::test]
async fn opportunistic_takes_any_certificate_and_does_without() {
    let identity = identity();
    for (extensions, is_secret) in [(vec!["STARTTLS"], true), (vec!["8BITMIME"], false)] {
        let server = Server::start(Script { extensions, ..identity.script() }).await;
        let mut settings = clear_settings(server.address);
        settings["tls"] = json!("opportunistic");
        assert_eq!(send(&settings, AMPLE).await, SendResult::Delivered);
        let seen = server.seen();
        let lines = if is_secret { seen.secret } else { seen.clear };
        assert!(lines.contains(&"DATA".to_owned()), "{lines:?}");
        assert_eq!(seen.mails.len(), 1);
    }
}

#[tokio::test]
async fn secrets_stay_out_of_what_is_reported() {
    let identity = identity();
    let server = Server::start(identity.script()).await;
    for (mechanism, reply) in [
        ("AUTH PLAIN", "535 5.7.8 no user with password hunter2-hunter2\r\n"),
        ("AUTH PLAIN", "535 5.7.8 no AGNyb3NzY2hlY2sAaHVudGVyMi1odW50ZXIy\x1b[31m\r\n"),
        ("AUTH LOGIN", "535 5.7.8 no aHVudGVyMi1odW50ZXIy\r\n"),
    ] {
        let mut script = identity.script();
        script.extensions = vec!["STARTTLS", mechanism];
        script.acts.insert(Auth, Act::Say(reply));
        let server = Server::start(script).await;
        let result = send(&identity.settings(server.address), AMPLE).await;
        let SendResult::Retry(text) = result else { panic!("{result:?}") };
        assert!(text.contains("535 5.7.8") && text.contains("<redacted>"), "{text}");
        assert!(!text.contains(char::is_control), "{text:?}");
    }

    let mut settings = identity.settings(server.address);
    settings["password"] = json!("${env:NO_SUCH_VARIABLE}");
    let result = send(&settings, AMPLE).await;
    assert!(
        matches!(&result, SendResult::Retry(text) if text.contains("NO_SUCH_VARIABLE")),
        "{result:?}"
    );
}

#[tokio::test]
async fn bad_addresses_never_reach_the_server() {
    let server = Server::start(clear_script()).await;
    let settings = clear_settings(server.address);
    let evil = "ops@example.com>\r\nRCPT TO:<all@example.net";
    for mail in [vec![], vec![evil]] {
        let result = send_to(&settings, &mail, AMPLE).await;
        assert!(matches!(&result, SendResult::Refused(text) if text.contains("ops")), "{result:?}");
        assert!(server.seen().clear.is_empty());
    }
    assert_eq!(send_to(&settings, &[evil, "ops@example.com"], AMPLE).await, SendResult::Delivered);
    let seen = server.seen();
    let named: Vec<_> = seen.clear.iter().filter(|line| line.starts_with("RCPT")).collect();
    assert_eq!(named, ["RCPT TO:<ops@example.com>"]);
    assert!(!seen.mails[0].contains("example.net"), "{}", seen.mails[0]);
}

#[tokio::test]
async fn a_server_that_is_not_there_is_tried_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let address = listener.local_addr().expect("an address");
    drop(listener);
    let result = send(&clear_settings(address), AMPLE).await;
    assert!(
        matches!(&result, SendResult::Retry(text) if text.contains("cannot connect")),
        "{result:?}"
    );
}
