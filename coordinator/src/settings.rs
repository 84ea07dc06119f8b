//! A coordinator's own settings: who it is, who the others are, where it listens. What to check
//! is not here: that is agreed on by the cluster (`crosscheck apply`).

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crosscheck_checks::env::{SecretError, Secrets};
use crosscheck_checks::mail::direct::DirectMail;
use crosscheck_checks::text::Span;
use crosscheck_model::{Secret, Text};
use serde::Deserialize;

use crate::heartbeat::ping::{self, Receiver};
use crate::replica::Profile;

/// A coordinator's settings file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// This member's number; never given to another machine.
    pub node: u64,
    /// All members, this one too: number to the URL of its Raft listener.
    pub members: BTreeMap<u64, String>,
    /// The directory of log, snapshots and history.
    pub data: PathBuf,
    /// What members and probes show to be let in.
    #[serde(default)]
    pub key: Option<Secret>,
    /// What operators show to be let in.
    #[serde(default)]
    pub operator_key: Option<Secret>,
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

    /// Reads and checks a text, whose `name` stands in errors.
    ///
    /// # Errors
    /// What the user must correct.
    pub fn parse(name: &str, text: &str) -> Result<Self, SettingsError> {
        let settings: Self = serde_saphyr::from_str(text)
            .map_err(|error| SettingsError::Yaml(name.to_owned(), error.to_string()))?;
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
        if !self.members.contains_key(&self.node) {
            wrong.push(format!("`node` is {}, which is not among `members`", self.node));
        }
        if self.members.len().is_multiple_of(2) {
            let count = self.members.len();
            wrong.push(format!(
                "{count} members stand the loss of no more than {} would; make it 1, 3 or 5",
                count - 1
            ));
        }
        for (node, url) in &self.members {
            if !url.starts_with("http://") && !url.starts_with("https://") {
                wrong.push(format!("member {node}: `{url}` is no http:// URL"));
            }
        }
        if self.heartbeats.iter().any(|beat| beat.every.get() < LEAST_BEAT) {
            wrong.push("`heartbeats`: `every` is at least 1s".to_owned());
        }
        let strangers = |address: &SocketAddr| !address.ip().is_loopback();
        let inner = [Some(self.listen.raft), self.listen.probes];
        if self.key.is_none() && inner.iter().flatten().any(strangers) {
            wrong.push("without a `key` the listeners for members and probes must be on loopback: anyone could vote".to_owned());
        }
        if self.operator_key.is_none() && self.listen.operators.as_ref().is_some_and(strangers) {
            wrong.push("without an `operator_key` the listener for operators must be on loopback: anyone could acknowledge and configure".to_owned());
        }
        wrong
    }

    /// The key of members and probes, read now.
    ///
    /// # Errors
    /// The variable or the file is not there.
    pub fn key(&self, secrets: &Secrets) -> Result<Option<String>, SettingsError> {
        Ok(self.key.as_ref().map(|key| secrets.resolve(key.text())).transpose()?)
    }

    /// The operators' key, read now.
    ///
    /// # Errors
    /// The variable or the file is not there.
    pub fn operator_key(&self, secrets: &Secrets) -> Result<Option<String>, SettingsError> {
        Ok(self.operator_key.as_ref().map(|key| secrets.resolve(key.text())).transpose()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(text: &str) -> String {
        Settings::parse("c.yaml", text).map(|_| ()).expect_err("refused").to_string()
    }

    const GOOD: &str = r#"
node: 1
members: { 1: "http://127.0.0.1:7401", 2: "http://127.0.0.1:7411", 3: "http://127.0.0.1:7421" }
data: /tmp/c1
listen: { raft: "127.0.0.1:7401", probes: "127.0.0.1:7402" }
"#;

    #[test]
    fn good_settings_are_read() {
        let settings = Settings::parse("c.yaml", GOOD).expect("good");
        assert_eq!((settings.node, settings.members.len()), (1, 3));
        assert_eq!(settings.profile, Timing::Lan);
    }

    #[test]
    fn the_example_is_good() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/example/coordinator.yaml");
        let settings = Settings::read(Path::new(path)).expect("good");
        assert_eq!(settings.members.len(), 3);
        assert_eq!(settings.heartbeats.len(), 2);
        assert!(settings.last_resort.is_some());
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for (from, to, words) in [
            ("node: 1", "node: 7", "not among `members`"),
            (", 3: \"http://127.0.0.1:7421\"", "", "make it 1, 3 or 5"),
            ("http://127.0.0.1:7411", "127.0.0.1:7411", "no http:// URL"),
            ("raft: \"127.0.0.1:7401\"", "raft: \"0.0.0.0:7401\"", "without a `key`"),
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
        let open = GOOD.replace("probes:", "operators: \"0.0.0.0:7403\", probes:");
        assert!(wrong(&open).contains("operator_key"));
    }
}
