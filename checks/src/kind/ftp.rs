//! `ftp`: greets a file server (RFC 959), begins TLS (RFC 4217) and logs in where told to. No
//! data connection is made.

use crosscheck_model::Cause;
use schemars::{JsonSchema, Schema, SchemaGenerator};

use super::service::{Credentials, Login, Place, Protocol, Reply, ServiceCheck, fits, settings};
use super::tls::starttls::Starttls;
use super::{Check, Kind, SettingsError, causes};
use crate::dialogue::Dialogue;
use crate::env::{SecretError, Secrets};
use crate::resolve::Failure;
use crate::text::{List, Pattern};

/// Greets a file server.
#[derive(Clone, Copy, Debug)]
pub struct Ftp;

/// In clear text or with AUTH TLS, and over TLS from the start.
const PORTS: [u16; 2] = [21, 990];

settings!(starttls {
    /// What the greeting must match.
    banner: Option<Pattern>,
    /// Features that the server must have (RFC 2389): `MLST`, `UTF8`.
    #[serde(default)]
    features: List<String>,
    /// A user and password to log in with; in clear text, as FTP has it, unless TLS begins before.
    login: Option<Login>,
});

impl Kind for Ftp {
    fn name(&self) -> &'static str {
        "ftp"
    }

    fn about(&self) -> &'static str {
        "Greets an FTP server; wants TLS, features or a login of it, if told to."
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
        Ok(Box::new(ServiceCheck { place, protocol: settings }))
    }
}

impl Protocol for Settings {
    type Ready = Option<Credentials>;

    fn prepare(&self, secrets: &Secrets) -> Result<Self::Ready, SecretError> {
        self.login.as_ref().map(|login| login.read(secrets)).transpose()
    }

    fn starttls(&self) -> Option<Starttls> {
        Some(Starttls::Ftp)
    }

    async fn talk(
        &self,
        place: &Place,
        ready: &Self::Ready,
        dialogue: &mut Dialogue,
    ) -> Result<(), Failure> {
        dialogue.step("greeting");
        let mut greeting = Reply::hear(dialogue).await?;
        if greeting.code == 120 {
            greeting = Reply::hear(dialogue).await?; // "Ready in some minutes": it will say so.
        }
        let greeting = greeting.must_be(220)?;
        fits(self.banner.as_ref(), &greeting.lines.join("\n"), &greeting.shown())?;
        if place.is_secure_later() {
            dialogue.step("AUTH TLS");
            let reply = ask(dialogue, "AUTH TLS").await?;
            match reply.code {
                234 => place.secure(dialogue).await?,
                421 => return Err(reply.refusal(Cause::ServerError)),
                _ => return Err(reply.refusal(Cause::NotOffered)),
            }
        }
        if !self.features.is_empty() {
            self.judge_features(dialogue).await?;
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
    async fn judge_features(&self, dialogue: &mut Dialogue) -> Result<(), Failure> {
        dialogue.step("FEAT");
        let reply = ask(dialogue, "FEAT").await?;
        if reply.code != 211 {
            return Err(reply.refusal(Cause::NotOffered));
        }
        let words = reply.lines.iter().filter_map(|line| line.split_ascii_whitespace().next());
        let offered: Vec<&str> = words.collect();
        let lacks =
            |wanted: &&String| !offered.iter().any(|word| word.eq_ignore_ascii_case(wanted));
        match self.features.iter().find(lacks) {
            Some(wanted) => {
                let detail = format!("the server does not have {wanted}, but {}", reply.shown());
                Err(Failure::new(Cause::NotOffered, detail))
            }
            None => Ok(()),
        }
    }
}

async fn ask(dialogue: &mut Dialogue, command: &str) -> Result<Reply, Failure> {
    dialogue.say(format!("{command}\r\n").as_bytes()).await?;
    Reply::hear(dialogue).await
}

/// A user may need no password (230 at once).
async fn log_in(credentials: &Credentials, dialogue: &mut Dialogue) -> Result<(), Failure> {
    credentials.of_one_line()?;
    dialogue.step("USER");
    let mut reply = ask(dialogue, &format!("USER {}", credentials.user)).await?;
    if reply.code == 331 {
        dialogue.step("PASS");
        reply = ask(dialogue, &format!("PASS {}", credentials.password)).await?;
    }
    match reply.code {
        230 => Ok(()),
        530..=532 | 332 => Err(reply.refusal(Cause::Login)),
        _ => Err(reply.refusal(Cause::ServerError)),
    }
}

#[cfg(test)]
mod tests {
    use crosscheck_model::Status;
    use serde_json::json;

    use super::*;
    use crate::kind::service::scripted::{Turn, run, run_over_tls};

    const HELLO: Turn = Turn::Says("220-files\r\n  since 1985\r\n220 ready\r\n");

    #[tokio::test]
    async fn a_file_server_greets_and_has_features() {
        let features = Turn::Says("211-Features:\r\n MLST type*;size*;\r\n UTF8\r\n211 End\r\n");
        let wait = Turn::Says("120 ready in 1 minute\r\n");
        let turns = [wait, HELLO, Turn::Hears("FEAT\r\n"), features, Turn::Hears("QUIT\r\n")];
        let outcome =
            run(&Ftp, json!({ "features": ["utf8", "MLST"], "banner": "1985" }), &turns).await;
        assert_eq!(outcome.status, Status::Up, "{}", outcome.detail);
        let endless: &'static str = "220-x\r\n".repeat(600).leak();
        let table = [
            (
                vec![Turn::Says("421 too many\r\n")],
                Cause::ServerError,
                "greeting: the server answered `421",
            ),
            (vec![Turn::Says("SSH-2.0-x\r\n")], Cause::Protocol, "greeting: what came is no reply"),
            (vec![Turn::Says(endless)], Cause::Protocol, "greeting: a reply of more than"),
            (
                vec![Turn::Says("220 other\r\n")],
                Cause::Body,
                "greeting: `220 other` does not match",
            ),
            (
                vec![HELLO, Turn::Hears("FEAT\r\n"), Turn::Says("500 what\r\n")],
                Cause::NotOffered,
                "FEAT: ",
            ),
            (
                vec![HELLO, Turn::Hears("FEAT\r\n"), features],
                Cause::NotOffered,
                "FEAT: the server does not have SITE",
            ),
        ];
        for (turns, cause, detail) in table {
            let outcome = run(&Ftp, json!({ "features": "SITE", "banner": "ready" }), &turns).await;
            assert_eq!(outcome.cause, Some(cause), "{}", outcome.detail);
            assert!(outcome.detail.starts_with(detail), "{}", outcome.detail);
        }
    }

    #[tokio::test]
    async fn tls_may_begin_before_the_login() {
        let settings =
            json!({ "starttls": true, "login": { "user": "ann", "password": "${env:PASSWORD}" } });
        let auth = [HELLO, Turn::Hears("AUTH TLS\r\n")];
        for (answer, cause) in
            [("500 what\r\n", Cause::NotOffered), ("421 bye\r\n", Cause::ServerError)]
        {
            let turns = [&auth[..], &[Turn::Says(answer)]].concat();
            let outcome = run_over_tls(&Ftp, settings.clone(), &turns).await;
            assert_eq!(outcome.cause, Some(cause), "{}", outcome.detail);
        }
        let user = [Turn::Says("234 go\r\n"), Turn::BeginsTls, Turn::Hears("USER ann\r\n")];
        let password = [Turn::Says("331 and?\r\n"), Turn::Hears("PASS hunter22\r\n")];
        for (turns, answer, cause) in [
            (&password[..], "230 in\r\n", None),
            (&[], "230 in\r\n", None),
            (&password, "530 hunter22 is wrong\r\n", Some(Cause::Login)),
            (&password, "421 bye\r\n", Some(Cause::ServerError)),
        ] {
            let turns = [&auth[..], &user, turns, &[Turn::Says(answer)]].concat();
            let outcome = run_over_tls(&Ftp, settings.clone(), &turns).await;
            assert_eq!(outcome.cause, cause, "{}", outcome.detail);
            assert!(!format!("{outcome:?}").contains("hunter22"), "{outcome:?}");
        }
    }
}
