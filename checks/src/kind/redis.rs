//! `redis`: asks a Redis or Valkey server whether it is well: PING and its PONG, by the
//! specification of RESP.

use crosscheck_model::Cause;
use schemars::{JsonSchema, Schema, SchemaGenerator};

use super::service::{Place, Protocol, ServiceCheck, settings};
use super::{Check, Kind, SettingsError, causes};
use crate::dialogue::Dialogue;
use crate::env::{SecretError, Secrets};
use crate::resolve::Failure;
use crosscheck_model::{Secret, Text};

/// Asks a Redis server.
#[derive(Clone, Copy, Debug)]
pub struct Redis;

/// The usual port, with TLS and without.
const PORT: u16 = 6379;

settings!(tls {
    /// The user to log in as (Redis 6); left out: the default user.
    user: Option<Text>,
    /// The password to log in with.
    password: Option<Secret>,
});

impl Kind for Redis {
    fn name(&self) -> &'static str {
        "redis"
    }

    fn about(&self) -> &'static str {
        "Logs in to a Redis server, if told to, and wants the PONG to its PING."
    }

    fn causes(&self) -> &'static [&'static [Cause]] {
        &[
            causes::NAMES,
            causes::REACH,
            causes::TLS,
            &[Cause::Protocol, Cause::ServerError, Cause::Login, Cause::Slow],
        ]
    }

    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        Settings::json_schema(generator)
    }

    fn parse(&self, settings: &serde_json::Value) -> Result<Box<dyn Check>, Vec<SettingsError>> {
        let settings: Settings = super::read(settings)?;
        if settings.user.is_some() && settings.password.is_none() {
            let path = vec!["user".to_owned()];
            let message = "`user` without `password`".to_owned();
            return Err(vec![SettingsError { path, message, hint: None }]);
        }
        let place = settings.place(PORT, PORT)?;
        Ok(Box::new(ServiceCheck { place, protocol: settings }))
    }
}

impl Protocol for Settings {
    /// The words after AUTH.
    type Ready = Vec<String>;

    fn prepare(&self, secrets: &Secrets) -> Result<Vec<String>, SecretError> {
        let words = self.user.iter().chain(self.password.as_ref().map(Secret::text));
        words.map(|text| secrets.resolve(text)).collect()
    }

    async fn talk(
        &self,
        _: &Place,
        login: &Vec<String>,
        dialogue: &mut Dialogue,
    ) -> Result<(), Failure> {
        if !login.is_empty() {
            dialogue.step("AUTH");
            let words: Vec<&str> =
                ["AUTH"].into_iter().chain(login.iter().map(String::as_str)).collect();
            let answer = ask(dialogue, &words).await?;
            if answer != "+OK" {
                return Err(refusal(&answer));
            }
        }
        dialogue.step("PING");
        let answer = ask(dialogue, &["PING"]).await?;
        if answer == "+PONG" { Ok(()) } else { Err(refusal(&answer)) }
    }

    fn farewell(&self) -> &'static [u8] {
        b"*1\r\n$4\r\nQUIT\r\n"
    }
}

/// Sends a command as an array of strings, which may hold any bytes; takes the line that answers.
async fn ask(dialogue: &mut Dialogue, words: &[&str]) -> Result<String, Failure> {
    let mut command = format!("*{}\r\n", words.len());
    for word in words {
        command.push_str(&format!("${}\r\n{word}\r\n", word.len()));
    }
    dialogue.say(command.as_bytes()).await?;
    dialogue.line().await
}

/// What an answer means that is not the one wanted; its first word tells the kind of error.
fn refusal(answer: &str) -> Failure {
    let Some(error) = answer.strip_prefix('-') else {
        return Failure::new(Cause::Protocol, "what came is no answer of Redis to this");
    };
    let cause = match error.split(' ').next().unwrap_or_default() {
        "NOAUTH" | "WRONGPASS" | "NOPERM" => Cause::Login,
        // Older servers say so under the general word.
        _ if error.contains("invalid password") || error.contains("AUTH") => Cause::Login,
        _ => Cause::ServerError,
    };
    Failure::new(cause, format!("the server answered `{answer}`"))
}

#[cfg(test)]
mod tests {
    use crosscheck_model::Status;
    use serde_json::json;

    use super::*;
    use crate::kind::service::scripted::{Turn, refusals, run, run_over_tls};

    const PING: Turn = Turn::Hears("*1\r\n$4\r\nPING\r\n");
    const PONG: Turn = Turn::Says("+PONG\r\n");

    #[tokio::test]
    async fn a_ping_is_answered() {
        let outcome = run(&Redis, json!({}), &[PING, PONG]).await;
        assert_eq!(outcome.status, Status::Up, "{}", outcome.detail);
        let outcome =
            run_over_tls(&Redis, json!({ "tls": true }), &[Turn::BeginsTls, PING, PONG]).await;
        assert_eq!(outcome.status, Status::Up, "{}", outcome.detail);
        for (answer, cause) in [
            ("-NOAUTH Authentication required.\r\n", Cause::Login),
            ("-LOADING Redis is loading the dataset in memory\r\n", Cause::ServerError),
            ("-MISCONF cannot write to disk\r\n", Cause::ServerError),
            ("HTTP/1.1 400 Bad Request\r\n", Cause::Protocol),
            ("+PON", Cause::Reset),
            ("", Cause::Reset),
        ] {
            let outcome = run(&Redis, json!({}), &[PING, Turn::Says(answer)]).await;
            assert_eq!(outcome.cause, Some(cause), "{}", outcome.detail);
            assert!(outcome.detail.starts_with("PING: "), "{}", outcome.detail);
        }
    }

    #[tokio::test]
    async fn a_login_goes_before() {
        let settings = json!({ "user": "ann", "password": "${env:PASSWORD}" });
        let auth = Turn::Hears("*3\r\n$4\r\nAUTH\r\n$3\r\nann\r\n$8\r\nhunter22\r\n");
        let outcome =
            run(&Redis, settings.clone(), &[auth, Turn::Says("+OK\r\n"), PING, PONG]).await;
        assert_eq!(outcome.status, Status::Up, "{}", outcome.detail);
        let wrong = Turn::Says("-WRONGPASS hunter22\r\n");
        let outcome = run(&Redis, settings, &[auth, wrong]).await;
        assert_eq!(outcome.cause, Some(Cause::Login), "{}", outcome.detail);
        assert_eq!(outcome.detail, "AUTH: the server answered `-WRONGPASS <redacted>`");
        refusals(
            &Redis,
            &[(json!({ "address": "r", "user": "ann" }), "user", "without `password`")],
        );
    }
}
