//! `imap`: greets a mail store (RFC 9051, RFC 3501), begins TLS and logs in where told to.

use crosscheck_model::Cause;
use schemars::{JsonSchema, Schema, SchemaGenerator};

use super::service::{Credentials, Login, Place, Protocol, ServiceCheck, fits, settings};
use super::tls::starttls::Starttls;
use super::{Check, Kind, SettingsError, causes};
use crate::dialogue::Dialogue;
use crate::env::{SecretError, Secrets};
use crate::resolve::Failure;
use crate::text::{List, Pattern};

/// Greets a mail store.
#[derive(Clone, Copy, Debug)]
pub struct Imap;

/// In clear text or with STARTTLS, and over TLS from the start (RFC 8314).
const PORTS: [u16; 2] = [143, 993];

/// The most lines of one answer.
const LINES_LIMIT: usize = 512;

settings!(starttls {
    /// What the greeting must match.
    banner: Option<Pattern>,
    /// Capabilities that the server must have: `IDLE`, `AUTH=PLAIN`.
    #[serde(default)]
    capabilities: List<String>,
    /// A user and password to log in with, over TLS only.
    login: Option<Login>,
});

impl Kind for Imap {
    fn name(&self) -> &'static str {
        "imap"
    }

    fn about(&self) -> &'static str {
        "Greets an IMAP server; wants TLS, capabilities or a login of it, if told to."
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
        Some(Starttls::Imap)
    }

    async fn talk(
        &self,
        place: &Place,
        ready: &Self::Ready,
        dialogue: &mut Dialogue,
    ) -> Result<(), Failure> {
        dialogue.step("greeting");
        let greeting = dialogue.line().await?;
        self.welcome(&greeting)?;
        let mut able = capabilities(dialogue).await?;
        if place.is_secure_later() {
            dialogue.step("STARTTLS");
            if !has(&able, "STARTTLS") {
                return Err(Failure::new(Cause::NotOffered, "the server does not offer STARTTLS"));
            }
            ask(dialogue, "STARTTLS").await?.done(Cause::ServerError)?;
            place.secure(dialogue).await?;
            able = capabilities(dialogue).await?;
        }
        if let Some(wanted) = self.capabilities.iter().find(|wanted| !has(&able, wanted)) {
            let detail = format!("the server does not have {wanted}, but `{}`", able.join(" "));
            return Err(Failure::new(Cause::NotOffered, detail));
        }
        if let Some(credentials) = ready {
            dialogue.step("LOGIN");
            credentials.of_one_line()?;
            let (user, password) = (quoted(&credentials.user), quoted(&credentials.password));
            ask(dialogue, &format!("LOGIN {user} {password}")).await?.done(Cause::Login)?;
        }
        Ok(())
    }

    fn farewell(&self) -> &'static [u8] {
        b"z LOGOUT\r\n"
    }
}

impl Settings {
    /// Judges the greeting (RFC 9051, 7.1): OK, PREAUTH, or BYE.
    fn welcome(&self, greeting: &str) -> Result<(), Failure> {
        let word = greeting.strip_prefix("* ").map(|rest| rest.split(' ').next().unwrap_or(rest));
        let word = word.unwrap_or_default();
        if word.eq_ignore_ascii_case("BYE") {
            let detail = format!("the server answered `{greeting}`");
            return Err(Failure::new(Cause::ServerError, detail));
        }
        if !["OK", "PREAUTH"].iter().any(|known| word.eq_ignore_ascii_case(known)) {
            return Err(Failure::new(Cause::Protocol, "what came is no greeting of IMAP"));
        }
        fits(self.banner.as_ref(), greeting, &format!("`{greeting}`"))
    }
}

/// A string of IMAP that holds no line break.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

fn has(able: &[String], wanted: &str) -> bool {
    able.iter().any(|word| word.eq_ignore_ascii_case(wanted))
}

async fn capabilities(dialogue: &mut Dialogue) -> Result<Vec<String>, Failure> {
    dialogue.step("CAPABILITY");
    let answer = ask(dialogue, "CAPABILITY").await?.done(Cause::ServerError)?;
    let listed = answer.iter().filter_map(|line| line.strip_prefix("* CAPABILITY "));
    Ok(listed.flat_map(str::split_ascii_whitespace).map(str::to_owned).collect())
}

/// An answer: lines without the tag, and what the line with the tag says.
struct Answer {
    lines: Vec<String>,
    last: String,
}

impl Answer {
    /// The lines of an answer that is OK.
    fn done(self, otherwise: Cause) -> Result<Vec<String>, Failure> {
        let word = self.last.split(' ').next().unwrap_or_default();
        if word.eq_ignore_ascii_case("OK") {
            return Ok(self.lines);
        }
        // NO is the answer to this command; BAD, that the command itself was not understood.
        let cause = if word.eq_ignore_ascii_case("NO") { otherwise } else { Cause::ServerError };
        Err(Failure::new(cause, format!("the server answered `{}`", self.last)))
    }
}

/// Asks under a tag. One is enough: no second command is sent before the answer.
async fn ask(dialogue: &mut Dialogue, command: &str) -> Result<Answer, Failure> {
    dialogue.say(format!("a {command}\r\n").as_bytes()).await?;
    let mut lines = Vec::new();
    loop {
        let line = dialogue.line().await?;
        if let Some(last) = line.strip_prefix("a ") {
            return Ok(Answer { lines, last: last.to_owned() });
        }
        if line.get(..6).is_some_and(|start| start.eq_ignore_ascii_case("* BYE ")) {
            let detail = format!("the server answered `{line}`");
            return Err(Failure::new(Cause::ServerError, detail));
        }
        if lines.len() == LINES_LIMIT {
            let detail = format!("an answer of more than {LINES_LIMIT} lines");
            return Err(Failure::new(Cause::Protocol, detail));
        }
        lines.push(line);
    }
}

#[cfg(test)]
mod tests {
    use crosscheck_model::Status;
    use serde_json::json;

    use super::*;
    use crate::kind::service::scripted::{Turn, refusals, run, run_over_tls};

    const HELLO: Turn = Turn::Says("* OK [CAPABILITY IMAP4rev1] store ready\r\n");
    const ASKED: Turn = Turn::Hears("a CAPABILITY\r\n");
    const ABLE: Turn = Turn::Says("* CAPABILITY IMAP4rev1 IDLE STARTTLS\r\na OK done\r\n");

    #[tokio::test]
    async fn a_mail_store_greets_and_has_capabilities() {
        let bye = [Turn::Hears("z LOGOUT\r\n"), Turn::Says("* BYE\r\nz OK\r\n")];
        let turns = [&[HELLO, ASKED, ABLE][..], &bye].concat();
        let settings = json!({ "capabilities": ["idle", "IMAP4rev1"], "banner": "ready$" });
        let outcome = run(&Imap, settings, &turns).await;
        assert_eq!(outcome.status, Status::Up, "{}", outcome.detail);
    }

    #[tokio::test]
    async fn what_is_wrong_is_told() {
        let refused = Turn::Says("a BAD what\r\n");
        let bye = Turn::Says("* BYE overloaded\r\n");
        let table = [
            (vec![bye], Cause::ServerError, "greeting: the server answered `* BYE overloaded`"),
            (
                vec![Turn::Says("+OK pop\r\n")],
                Cause::Protocol,
                "greeting: what came is no greeting",
            ),
            (vec![Turn::Says("* OK other\r\n")], Cause::Body, "greeting: `* OK other` does not"),
            (
                vec![HELLO, ASKED, refused],
                Cause::ServerError,
                "CAPABILITY: the server answered `BAD",
            ),
            (vec![HELLO, ASKED, bye], Cause::ServerError, "CAPABILITY: the server answered `* BYE"),
            (
                vec![HELLO, ASKED, ABLE],
                Cause::NotOffered,
                "CAPABILITY: the server does not have QUOTA",
            ),
            (vec![HELLO, ASKED], Cause::Reset, "CAPABILITY: the connection was closed without"),
        ];
        for (turns, cause, detail) in table {
            let settings = json!({ "banner": "ready", "capabilities": ["QUOTA"] });
            let outcome = run(&Imap, settings, &turns).await;
            assert_eq!(outcome.cause, Some(cause), "{}", outcome.detail);
            assert!(outcome.detail.starts_with(detail), "{}", outcome.detail);
        }
    }

    #[tokio::test]
    async fn a_login_is_quoted_and_its_refusal_told() {
        let settings = json!({ "starttls": true,
            "login": { "user": "a\"n\\n", "password": "${env:PASSWORD}" } });
        let before = [
            HELLO,
            ASKED,
            ABLE,
            Turn::Hears("a STARTTLS\r\n"),
            Turn::Says("a OK\r\n"),
            Turn::BeginsTls,
            ASKED,
            ABLE,
            Turn::Hears("a LOGIN \"a\\\"n\\\\n\" \"hunter22\"\r\n"),
        ];
        for (answer, cause) in [
            ("a OK in\r\n", None),
            ("a NO [AUTHENTICATIONFAILED] hunter22?\r\n", Some(Cause::Login)),
        ] {
            let outcome = run_over_tls(
                &Imap,
                settings.clone(),
                &[&before[..], &[Turn::Says(answer)]].concat(),
            )
            .await;
            assert_eq!(outcome.cause, cause, "{}", outcome.detail);
            assert!(!format!("{outcome:?}").contains("hunter22"), "{outcome:?}");
        }
        let login = json!({ "address": "m", "login": { "user": "a", "password": "${env:P}" } });
        refusals(&Imap, &[(login, "login", "over TLS")]);
    }
}
