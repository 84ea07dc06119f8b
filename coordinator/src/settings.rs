//! A coordinator's own settings: where it listens, where its data is. Who belongs to the cluster
//! is not here (`crosscheck cluster`), nor is what to check (`crosscheck apply`): the cluster
//! agrees on both.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crosscheck_checks::env::{SecretError, Secrets};
use crosscheck_checks::mail::direct::DirectMail;
use crosscheck_checks::text::Span;
use crosscheck_model::{Secret, Text};
use serde::Deserialize;

use crate::access::{Passphrase, PassphraseError};
use crate::heartbeat::ping::{self, Receiver};
use crate::replica::Profile;

/// A coordinator's settings file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The directory of log, snapshots and history.
    pub data: PathBuf,
    /// Where the other members reach the Raft listener, when that is not its address.
    #[serde(default)]
    pub url: Option<String>,
    /// What the first administrator shows to be let in; others show tokens.
    #[serde(default)]
    pub operator_key: Option<Secret>,
    /// What seals the key of the installation's authority on this machine's disk.
    #[serde(default)]
    pub authority_passphrase: Option<Secret>,
    /// How patient the members are with each other.
    #[serde(default)]
    pub profile: Timing,
    /// Where it listens.
    pub listen: Listen,
    /// Who is pinged while this member leads, and raises the alarm when that stops.
    #[serde(default)]
    pub heartbeats: Vec<Heartbeat>,
    /// Whom this member mails by itself when the cluster has no quorum.
    #[serde(default)]
    pub last_resort: Option<DirectMail>,
}

/// A receiver of heartbeats.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Heartbeat {
    /// Its address; may refer to secrets.
    pub url: Text,
    /// How it is asked.
    #[serde(default)]
    pub method: Method,
    /// How often.
    #[serde(default = "usual_beat")]
    pub every: Span,
}

/// How a receiver of heartbeats is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// By GET.
    #[default]
    Get,
    /// By POST, without a body.
    Post,
}

const fn usual_beat() -> Span {
    Span::new(Duration::from_secs(60))
}

/// Heartbeats follow commits, and these follow ticks a second apart.
const LEAST_BEAT: Duration = Duration::from_secs(1);

/// A shorter key is a word or nothing at all, such as an empty file.
const KEY_LEAST: usize = 16;

/// How patient the members are with each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Timing {
    /// Members in one building or city.
    #[default]
    Lan,
    /// Members in several regions.
    Wan,
}

impl From<Timing> for Profile {
    fn from(timing: Timing) -> Self {
        match timing {
            Timing::Lan => Self::Lan,
            Timing::Wan => Self::Wan,
        }
    }
}

/// Where a coordinator listens; what is left out is closed.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listen {
    /// For the other members.
    pub raft: SocketAddr,
    /// For probes.
    #[serde(default)]
    pub probes: Option<SocketAddr>,
    /// For operators: the page and the whole API.
    #[serde(default)]
    pub operators: Option<SocketAddr>,
    /// For everyone: the page and the public part of the API.
    #[serde(default)]
    pub page: Option<SocketAddr>,
}

/// Why settings cannot be used; all of it the user's to correct.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file cannot be read.
    #[error("read `{0}`: {1}")]
    Read(String, std::io::Error),
    /// It is not YAML of this shape.
    #[error("`{0}`: {1}")]
    Yaml(String, String),
    /// Something in it does not make sense.
    #[error("`{name}`: {}", .wrong.join("; "))]
    Wrong {
        /// The file.
        name: String,
        /// All of it.
        wrong: Vec<String>,
    },
    /// A receiver of heartbeats makes no sense.
    #[error("`heartbeats`: {0}")]
    Heartbeat(String),
    /// A key cannot be read.
    #[error("{0}")]
    Key(#[from] SecretError),
    /// The operators' key can be guessed.
    #[error(
        "`operator_key` has {0} characters, and {KEY_LEAST} are the least: it lets in as an administrator; make one with `openssl rand -hex 32`"
    )]
    ShortKey(usize),
    /// The key of the authority cannot be sealed.
    #[error(transparent)]
    Passphrase(#[from] PassphraseError),
}

impl Settings {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// What the user must correct.
    pub fn read(path: &Path) -> Result<Self, SettingsError> {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path)
            .map_err(|error| SettingsError::Read(name.clone(), error))?;
        Self::parse(&name, &text)
    }

    /// Reads and checks a file, and what seals the authority's key.
    ///
    /// # Errors
    /// What the user must correct.
    pub fn read_with_passphrase(
        path: &Path,
        secrets: &Secrets,
    ) -> Result<(Self, Option<Passphrase>), SettingsError> {
        let settings = Self::read(path)?;
        let passphrase = Passphrase::find(settings.authority_passphrase.as_ref(), secrets)?;
        Ok((settings, passphrase))
    }

    /// Reads and checks a text, whose `name` stands in errors.
    ///
    /// # Errors
    /// What the user must correct.
    pub fn parse(name: &str, text: &str) -> Result<Self, SettingsError> {
        let settings: Self = serde_saphyr::from_str(text).map_err(|error| {
            SettingsError::Yaml(name.to_owned(), error.without_snippet().to_string())
        })?;
        let wrong = settings.wrong();
        if wrong.is_empty() {
            Ok(settings)
        } else {
            Err(SettingsError::Wrong { name: name.to_owned(), wrong })
        }
    }

    /// The receivers of heartbeats.
    ///
    /// # Errors
    /// What the user must correct.
    pub fn receivers(&self, secrets: &Secrets) -> Result<Vec<Receiver>, SettingsError> {
        let wanted = self.heartbeats.iter();
        let parts =
            wanted.map(|beat| (beat.url.clone(), beat.method == Method::Post, beat.every.get()));
        ping::receivers(parts, secrets).map_err(SettingsError::Heartbeat)
    }

    fn wrong(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        match &self.url {
            Some(url) if !url.starts_with("https://") => {
                wrong.push(format!("`url`: `{url}` is no https:// URL; members talk TLS"));
            }
            None if self.listen.raft.ip().is_unspecified() => wrong.push(format!(
                "`listen.raft` is {}, every address of this machine: say as `url` where the \
                 other members reach it",
                self.listen.raft
            )),
            _ => {}
        }
        if self.heartbeats.iter().any(|beat| beat.every.get() < LEAST_BEAT) {
            wrong.push("`heartbeats`: `every` is at least 1s".to_owned());
        }
        wrong
    }

    /// Where the other members reach this one: the base URL of its Raft listener.
    pub fn raft_url(&self) -> String {
        self.url.clone().unwrap_or_else(|| format!("https://{}", self.listen.raft))
    }

    /// The operators' key, read now.
    ///
    /// # Errors
    /// The variable or the file is not there, or what it has can be guessed.
    pub fn operator_key(&self, secrets: &Secrets) -> Result<Option<String>, SettingsError> {
        let Some(key) = &self.operator_key else { return Ok(None) };
        let key = secrets.resolve(key.text())?;
        let length = key.trim().chars().count();
        if length < KEY_LEAST { Err(SettingsError::ShortKey(length)) } else { Ok(Some(key)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(text: &str) -> String {
        Settings::parse("c.yaml", text).map(|_| ()).expect_err("refused").to_string()
    }

    const GOOD: &str = r#"
data: /tmp/c1
listen: { raft: "127.0.0.1:7401", probes: "127.0.0.1:7402" }
"#;

    #[test]
    fn good_settings_are_read() {
        let settings = Settings::parse("c.yaml", GOOD).expect("good");
        assert_eq!(settings.raft_url(), "https://127.0.0.1:7401");
        assert_eq!(settings.profile, Timing::Lan);
        let named = GOOD.replace("data:", "url: \"https://c1.example.com:7401\"\ndata:");
        let settings = Settings::parse("c.yaml", &named).expect("good");
        assert_eq!(settings.raft_url(), "https://c1.example.com:7401");
    }

    #[test]
    fn a_secret_in_clear_is_refused_and_not_repeated() {
        for text in [
            format!("operator_key: hunter2-hunter2-hunter2{GOOD}"),
            format!(
                "last_resort: {{ mail: [a@example.com], smtp: 'smtp://m.example.com', from: \
                 a@example.com, user: a, password: hunter2 }}{GOOD}"
            ),
        ] {
            let said = wrong(&text);
            assert!(said.contains("secret in clear") && said.contains("line "), "{said}");
            assert!(!said.contains("hunter2"), "{said}");
        }
    }

    #[test]
    fn a_key_that_can_be_guessed_lets_nobody_in() {
        let key = |value: &str| {
            let text = format!("operator_key: \"${{env:KEY}}\"{GOOD}");
            let settings = Settings::parse("c.yaml", &text).expect("good");
            let variables = [("KEY".to_owned(), value.to_owned())].into();
            settings.operator_key(&Secrets::fixed(variables))
        };
        for short in ["", "\n", "letmein", "                    "] {
            assert!(matches!(key(short), Err(SettingsError::ShortKey(_))), "{short:?}");
        }
        assert!(matches!(key("0123456789abcdef"), Ok(Some(_))));
    }

    #[test]
    fn the_example_is_good() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/example/coordinator.yaml");
        let settings = Settings::read(Path::new(path)).expect("good");
        assert_eq!(settings.profile, Timing::Wan);
        assert_eq!(settings.heartbeats.len(), 2);
        assert!(settings.last_resort.is_some());
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for (from, to, words) in [
            ("data:", "url: \"127.0.0.1:7411\"\ndata:", "no https:// URL"),
            ("raft: \"127.0.0.1:7401\"", "raft: \"0.0.0.0:7401\"", "say as `url`"),
            ("data:", "dta:", "dta"),
        ] {
            let message = wrong(&GOOD.replace(from, to));
            assert!(message.contains(words), "{message}");
        }
        for (line, words) in [
            ("heartbeats: [{ url: \"https://h/x\", every: 10ms }]", "at least 1s"),
            ("heartbeats: [{ url: \"https://h/x\", every: 60 }]", "no unit"),
            ("last_resort: { mail: [a@b.c], from: a@b.c }", "smtp"),
            ("last_resort: { mail: nobody, smtp: \"smtp://h\", from: a@b.c }", "`nobody`"),
            ("last_resort: { mail: a@b.c, smtp: \"smtp://h\", from: a@b.c, user: u }", "`user`"),
        ] {
            let message = wrong(&format!("{GOOD}{line}\n"));
            assert!(message.contains(words), "{message}");
        }
    }
}
