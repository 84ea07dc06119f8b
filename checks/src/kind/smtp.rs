//! `smtp`: greets a mail server (RFC 5321), begins TLS (RFC 3207) and logs in (RFC 4954) where
//! told to. No mail is sent.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use crosscheck_model::Cause;
use schemars::{JsonSchema, Schema, SchemaGenerator};

use super::service::{Credentials, Login, Place, Protocol, Reply, ServiceCheck, fits, settings};
use super::tls::starttls::Starttls;
use super::{Check, Kind, SettingsError, causes};
use crate::dialogue::Dialogue;
use crate::env::{SecretError, Secrets};
use crate::resolve::Failure;
use crate::text::{Host, List, Pattern};

/// Greets a mail server.
#[derive(Clone, Copy, Debug)]
pub struct Smtp;

/// Relay, and submission over TLS (RFC 8314); submission with STARTTLS is at 587 (RFC 6409).
const PORTS: [u16; 2] = [25, 465];

settings!(starttls {
    /// What the greeting must match.
    banner: Option<Pattern>,
    /// The name that the probe gives itself. Default: its address, as RFC 5321, 4.1.4 wants of
    /// those without a name.
    helo: Option<Host>,
    /// Mechanisms of authentication that the server must offer: `PLAIN`, `LOGIN`.
    #[serde(default)]
    auth: List<String>,
    /// A user and password to log in with, over TLS only.
    login: Option<Login>,
});

impl Kind for Smtp {
    fn name(&self) -> &'static str {
        "smtp"
    }

    fn about(&self) -> &'static str {
        "Greets a mail server; wants TLS, mechanisms of authentication or a login of it, if told to."
    }

    fn causes(&self) -> &'static [&'static [Cause]] {
        &[
            causes::NAMES,
            causes::REACH,
            causes::TLS,
            &[
                Cause::Protocol,
                Cause::ServerError,
                Cause::NotOffered,
                Cause::Login,
                Cause::Body,
                Cause::Slow,
            ],
        ]
    }

    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        Settings::json_schema(generator)
    }

    fn parse(&self, settings: &serde_json::Value) -> Result<Box<dyn Check>, Vec<SettingsError>> {
        let settings: Settings = super::read(settings)?;
        let place = settings.place(PORTS[0], PORTS[1])?;
        place.only_over_tls("login", settings.login.is_some())?;
        Ok(Box::new(ServiceCheck { place, protocol: settings }))
    }
}

impl Protocol for Settings {
    type Ready = Option<Credentials>;

    fn prepare(&self, secrets: &Secrets) -> Result<Self::Ready, SecretError> {
        let Some(login) = &self.login else { return Ok(None) };
        let credentials = login.read(secrets)?;
        secrets.remember(&plain(&credentials));
        Ok(Some(credentials))
    }

    fn starttls(&self) -> Option<Starttls> {
        Some(Starttls::Smtp)
    }

    async fn talk(
        &self,
        place: &Place,
        ready: &Self::Ready,
        dialogue: &mut Dialogue,
    ) -> Result<(), Failure> {
        dialogue.step("greeting");
        let greeting = Reply::hear(dialogue).await?.must_be(220)?;
        fits(self.banner.as_ref(), &greeting.lines.join("\n"), &greeting.shown())?;
        let mut offers = self.introduce(dialogue).await?;
        if place.is_secure_later() {
            dialogue.step("STARTTLS");
            if offers.arguments("STARTTLS").is_none() {
                return Err(Failure::new(Cause::NotOffered, "the server does not offer STARTTLS"));
            }
            ask(dialogue, "STARTTLS").await?.must_be(220)?;
            place.secure(dialogue).await?;
            offers = self.introduce(dialogue).await?;
        }
        dialogue.step("AUTH");
        let mechanisms = offers.arguments("AUTH").unwrap_or_default();
        let lacks = |wanted: &&String| !mechanisms.iter().any(|m| m.eq_ignore_ascii_case(wanted));
        if let Some(wanted) = self.auth.iter().find(lacks) {
            let offered = mechanisms.join(" ");
            let detail = format!("the server does not offer {wanted}, but `{offered}`");
            return Err(Failure::new(Cause::NotOffered, detail));
        }
        match ready {
            Some(credentials) => log_in(credentials, dialogue).await,
            None => Ok(()),
        }
    }

    fn farewell(&self) -> &'static [u8] {
        b"QUIT\r\n"
    }
}

impl Settings {
    /// Says EHLO; gives what the server offers.
    async fn introduce(&self, dialogue: &mut Dialogue) -> Result<Offers, Failure> {
        dialogue.step("EHLO");
        let name = match (&self.helo, dialogue.own_address()) {
            (Some(name), _) => name.to_string(),
            (None, Some(own)) if own.is_ipv4() => format!("[{}]", own.ip()),
            (None, Some(own)) => format!("[IPv6:{}]", own.ip()),
            (None, None) => "localhost".to_owned(),
        };
        let reply = ask(dialogue, &format!("EHLO {name}")).await?.must_be(250)?;
        Ok(Offers(reply.lines.into_iter().skip(1).collect()))
    }
}

/// What a server offers, a keyword and its arguments on each line (RFC 5321, 4.1.1.1).
struct Offers(Vec<String>);

impl Offers {
    /// The arguments of a keyword.
    fn arguments(&self, keyword: &str) -> Option<Vec<&str>> {
        self.0.iter().find_map(|line| {
            let mut words = line.split_ascii_whitespace();
            words.next().filter(|word| word.eq_ignore_ascii_case(keyword))?;
            Some(words.collect())
        })
    }
}

async fn ask(dialogue: &mut Dialogue, command: &str) -> Result<Reply, Failure> {
    dialogue.say(format!("{command}\r\n").as_bytes()).await?;
    Reply::hear(dialogue).await
}

/// The initial response of PLAIN.
fn plain(Credentials { user, password }: &Credentials) -> String {
    BASE64.encode(format!("\0{user}\0{password}"))
}

/// AUTH PLAIN (RFC 4616): the one mechanism that every server knows that knows passwords.
async fn log_in(credentials: &Credentials, dialogue: &mut Dialogue) -> Result<(), Failure> {
    credentials.of_one_line()?;
    let reply = ask(dialogue, &format!("AUTH PLAIN {}", plain(credentials))).await?;
    match reply.code {
        235 => Ok(()),
        530..=538 => Err(reply.refusal(Cause::Login)),
        _ => Err(reply.refusal(Cause::ServerError)),
    }
}

#[cfg(test)]
mod tests {
    use crosscheck_model::Status;
    use serde_json::json;

    use super::*;
    use crate::kind::service::scripted::{Turn, refusals, run, run_over_tls};

    const HELLO: Turn = Turn::Says("220 mail.test ESMTP\r\n");
    const EHLO: Turn = Turn::Hears("EHLO probe.test\r\n");

    #[tokio::test]
    async fn a_mail_server_greets_and_offers() {
        let turns =
            [HELLO, EHLO, Turn::Says("250-mail.test\r\n250-SIZE 1\r\n250 AUTH PLAIN LOGIN\r\n")];
        let bye = [Turn::Hears("QUIT\r\n"), Turn::Says("221 bye\r\n")];
        let settings = json!({ "helo": "probe.test", "auth": "login", "banner": "^mail" });
        let outcome = run(&Smtp, settings, &[&turns[..], &bye].concat()).await;
        assert_eq!(outcome.status, Status::Up, "{}", outcome.detail);
    }

    #[tokio::test]
    async fn what_a_mail_server_lacks_is_told() {
        let table = [
            ("220 other ESMTP\r\n", "", Cause::Body, "greeting: `220 other ESMTP` does not match"),
            (
                "554 go away\r\n",
                "",
                Cause::ServerError,
                "greeting: the server answered `554 go away`",
            ),
            ("SSH-2.0-x\r\n", "", Cause::Protocol, "greeting: what came is no reply"),
            ("220-half", "", Cause::Reset, "greeting: the connection was closed in the midst"),
            ("220 mail\r\n", "421 busy\r\n", Cause::ServerError, "EHLO: the server answered `421"),
            (
                "220 mail\r\n",
                "250 mail\r\n",
                Cause::NotOffered,
                "AUTH: the server does not offer PLAIN",
            ),
        ];
        for (greeting, answer, cause, detail) in table {
            let settings = json!({ "helo": "probe.test", "auth": ["PLAIN"], "banner": "mail" });
            let turns = match answer {
                "" => vec![Turn::Says(greeting)],
                answer => vec![Turn::Says(greeting), EHLO, Turn::Says(answer)],
            };
            let outcome = run(&Smtp, settings, &turns).await;
            assert_eq!((outcome.status, outcome.cause), (Status::Down, Some(cause)), "{outcome:?}");
            assert!(outcome.detail.starts_with(detail), "{}", outcome.detail);
        }
        let turns = [HELLO, EHLO, Turn::Says("250 mail.test\r\n")];
        let outcome = run(&Smtp, json!({ "helo": "probe.test", "starttls": true }), &turns).await;
        assert_eq!(outcome.cause, Some(Cause::NotOffered), "{}", outcome.detail);
    }

    #[tokio::test]
    async fn a_login_is_said_over_tls_and_its_refusal_told_without_the_password() {
        let before = [
            HELLO,
            EHLO,
            Turn::Says("250-mail.test\r\n250 STARTTLS\r\n"),
            Turn::Hears("STARTTLS\r\n"),
            Turn::Says("220 go\r\n"),
            Turn::BeginsTls,
            EHLO,
            Turn::Says("250-mail.test\r\n250 AUTH PLAIN\r\n"),
            Turn::Hears("AUTH PLAIN AGFubgBodW50ZXIyMg==\r\n"),
        ];
        let settings = json!({ "starttls": true, "helo": "probe.test",
            "login": { "user": "ann", "password": "${env:PASSWORD}" } });
        for (answer, cause) in [
            ("235 welcome\r\n", None),
            ("535 5.7.8 hunter22 is AGFubgBodW50ZXIyMg==\r\n", Some(Cause::Login)),
            ("454 4.7.0 later\r\n", Some(Cause::ServerError)),
        ] {
            let turns = [&before[..], &[Turn::Says(answer)]].concat();
            let outcome = run_over_tls(&Smtp, settings.clone(), &turns).await;
            assert_eq!(outcome.cause, cause, "{}", outcome.detail);
            let shown = format!("{outcome:?}");
            assert!(!shown.contains("hunter22") && !shown.contains("AGFub"), "{shown}");
        }
    }

    #[test]
    fn settings_that_do_not_fit_are_refused() {
        let login = json!({ "address": "m", "login": { "user": "a", "password": "${env:P}" } });
        refusals(
            &Smtp,
            &[
                (login, "login", "over TLS"),
                (
                    json!({ "address": "m", "tls": true, "starttls": true }),
                    "starttls",
                    "beside `tls`",
                ),
                (json!({ "address": "m", "server_name": "x" }), "server_name", "without TLS"),
                (json!({ "address": "m:0" }), "address", "no port"),
            ],
        );
        let at = |settings| Smtp.parse(&settings).expect("fits").target();
        assert_eq!(at(json!({ "address": "mail.test" })), "mail.test:25");
        assert_eq!(at(json!({ "address": "mail.test", "tls": true })), "mail.test:465");
        assert_eq!(at(json!({ "address": "mail.test:587", "tls": true })), "mail.test:587");
    }
}
