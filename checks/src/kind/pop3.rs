//! `pop3`: greets a post office (RFC 1939), begins TLS (RFC 2595) and logs in where told to.

use crosscheck_model::Cause;
use schemars::{JsonSchema, Schema, SchemaGenerator};

use super::service::{Credentials, Login, Place, Protocol, ServiceCheck, fits, settings};
use super::tls::starttls::Starttls;
use super::{Check, Kind, SettingsError, causes};
use crate::dialogue::Dialogue;
use crate::env::{SecretError, Secrets};
use crate::resolve::Failure;
use crate::text::{List, Pattern};

/// Greets a post office.
#[derive(Clone, Copy, Debug)]
pub struct Pop3;

/// In clear text or with STLS, and over TLS from the start (RFC 8314).
const PORTS: [u16; 2] = [110, 995];

/// The most capabilities.
const LINES_LIMIT: usize = 512;

settings!(starttls {
    /// What the greeting must match.
    banner: Option<Pattern>,
    /// Capabilities that the server must have (RFC 2449): `UIDL`, `TOP`.
    #[serde(default)]
    capabilities: List<String>,
    /// A user and password to log in with, over TLS only.
    login: Option<Login>,
});

impl Kind for Pop3 {
    fn name(&self) -> &'static str {
        "pop3"
    }

    fn about(&self) -> &'static str {
        "Greets a POP3 server; wants TLS, capabilities or a login of it, if told to."
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
        self.login.as_ref().map(|login| login.read(secrets)).transpose()
    }

    fn starttls(&self) -> Option<Starttls> {
        Some(Starttls::Pop3)
    }

    async fn talk(
        &self,
        place: &Place,
        ready: &Self::Ready,
        dialogue: &mut Dialogue,
    ) -> Result<(), Failure> {
        dialogue.step("greeting");
        let greeting = answer(dialogue, Cause::ServerError).await?;
        fits(self.banner.as_ref(), &greeting, &format!("`{greeting}`"))?;
        if place.is_secure_later() {
            dialogue.step("STLS");
            // Servers without CAPA (RFC 2449) refuse here.
            ask(dialogue, "STLS", Cause::NotOffered).await?;
            place.secure(dialogue).await?;
        }
        if !self.capabilities.is_empty() {
            dialogue.step("CAPA");
            let able = capabilities(dialogue).await?;
            let lacks =
                |wanted: &&String| !able.iter().any(|word| word.eq_ignore_ascii_case(wanted));
            if let Some(wanted) = self.capabilities.iter().find(lacks) {
                let detail = format!("the server does not have {wanted}, but `{}`", able.join(" "));
                return Err(Failure::new(Cause::NotOffered, detail));
            }
        }
        if let Some(credentials) = ready {
            credentials.of_one_line()?;
            dialogue.step("USER");
            ask(dialogue, &format!("USER {}", credentials.user), Cause::Login).await?;
            dialogue.step("PASS");
            ask(dialogue, &format!("PASS {}", credentials.password), Cause::Login).await?;
        }
        Ok(())
    }

    fn farewell(&self) -> &'static [u8] {
        b"QUIT\r\n"
    }
}

/// Takes the line of an answer that is positive (RFC 1939, 3).
async fn answer(dialogue: &mut Dialogue, otherwise: Cause) -> Result<String, Failure> {
    let line = dialogue.line().await?;
    if line.starts_with("+OK") {
        return Ok(line);
    }
    if line.starts_with("-ERR") {
        return Err(Failure::new(otherwise, format!("the server answered `{line}`")));
    }
    Err(Failure::new(Cause::Protocol, "what came is neither `+OK` nor `-ERR`"))
}

async fn ask(dialogue: &mut Dialogue, command: &str, otherwise: Cause) -> Result<(), Failure> {
    dialogue.say(format!("{command}\r\n").as_bytes()).await?;
    answer(dialogue, otherwise).await.map(drop)
}

/// The words that each line begins with, up to the line of a dot.
async fn capabilities(dialogue: &mut Dialogue) -> Result<Vec<String>, Failure> {
    ask(dialogue, "CAPA", Cause::NotOffered).await?;
    let mut able = Vec::new();
    for _ in 0..LINES_LIMIT {
        let line = dialogue.line().await?;
        if line == "." {
            return Ok(able);
        }
        able.extend(line.split_ascii_whitespace().next().map(str::to_owned));
    }
    let detail = format!("an answer of more than {LINES_LIMIT} lines");
    Err(Failure::new(Cause::Protocol, detail))
}

#[cfg(test)]
mod tests {
    use crosscheck_model::Status;
    use serde_json::json;

    use super::*;
    use crate::kind::service::scripted::{Turn, refusals, run, run_over_tls};

    const HELLO: Turn = Turn::Says("+OK post office\r\n");
    const ASKED: Turn = Turn::Hears("CAPA\r\n");

    #[tokio::test]
    async fn a_post_office_greets_and_has_capabilities() {
        let able = Turn::Says("+OK\r\nTOP\r\nSASL PLAIN LOGIN\r\n.\r\n");
        let turns = [HELLO, ASKED, able, Turn::Hears("QUIT\r\n"), Turn::Says("+OK\r\n")];
        let settings = json!({ "capabilities": ["top", "SASL"], "banner": "post" });
        let outcome = run(&Pop3, settings, &turns).await;
        assert_eq!(outcome.status, Status::Up, "{}", outcome.detail);
        let endless: &'static str = "X\r\n".repeat(LINES_LIMIT + 1).leak();
        let table = [
            (
                vec![Turn::Says("-ERR busy\r\n")],
                Cause::ServerError,
                "greeting: the server answered `-ERR",
            ),
            (vec![Turn::Says("220 ftp\r\n")], Cause::Protocol, "greeting: what came is neither"),
            (
                vec![Turn::Says("+OK other\r\n")],
                Cause::Body,
                "greeting: `+OK other` does not match",
            ),
            (
                vec![HELLO, ASKED, Turn::Says("-ERR\r\n")],
                Cause::NotOffered,
                "CAPA: the server answered",
            ),
            (vec![HELLO, ASKED, able], Cause::NotOffered, "CAPA: the server does not have UIDL"),
            (
                vec![HELLO, ASKED, Turn::Says("+OK\r\n"), Turn::Says(endless)],
                Cause::Protocol,
                "CAPA: an answer of more",
            ),
        ];
        for (turns, cause, detail) in table {
            let settings = json!({ "capabilities": "UIDL", "banner": "post" });
            let outcome = run(&Pop3, settings, &turns).await;
            assert_eq!(outcome.cause, Some(cause), "{}", outcome.detail);
            assert!(outcome.detail.starts_with(detail), "{}", outcome.detail);
        }
    }

    #[tokio::test]
    async fn a_login_is_said_over_tls_and_its_refusal_told() {
        let settings =
            json!({ "starttls": true, "login": { "user": "ann", "password": "${env:PASSWORD}" } });
        let outcome = run_over_tls(
            &Pop3,
            settings.clone(),
            &[HELLO, Turn::Hears("STLS\r\n"), Turn::Says("-ERR\r\n")],
        )
        .await;
        assert_eq!(outcome.cause, Some(Cause::NotOffered), "{}", outcome.detail);
        let before = [
            HELLO,
            Turn::Hears("STLS\r\n"),
            Turn::Says("+OK\r\n"),
            Turn::BeginsTls,
            Turn::Hears("USER ann\r\n"),
            Turn::Says("+OK\r\n"),
            Turn::Hears("PASS hunter22\r\n"),
        ];
        for (answer, cause) in
            [("+OK 2 mails\r\n", None), ("-ERR hunter22 is wrong\r\n", Some(Cause::Login))]
        {
            let turns = [&before[..], &[Turn::Says(answer)]].concat();
            let outcome = run_over_tls(&Pop3, settings.clone(), &turns).await;
            assert_eq!(outcome.cause, cause, "{}", outcome.detail);
            assert!(!format!("{outcome:?}").contains("hunter22"), "{outcome:?}");
        }
        let login = json!({ "address": "m", "login": { "user": "a", "password": "${env:P}" } });
        refusals(&Pop3, &[(login, "login", "over TLS")]);
    }
}
