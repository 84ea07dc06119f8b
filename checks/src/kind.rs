//! The kinds of check: the traits they implement and the one list of them.

mod causes;
pub mod dns;
pub mod domain;
pub mod exec;
pub mod ftp;
pub mod grpc;
#[cfg(test)]
mod hostile;
pub mod http;
pub mod icmp;
pub mod imap;
pub mod journey;
pub mod mysql;
mod negate;
pub mod ntp;
pub mod page;
pub mod part;
pub mod pop3;
pub mod presence;
pub mod push;
pub mod redis;
mod retry_after;
mod service;
pub mod smtp;
mod spoken;
pub mod ssh;
pub mod tcp;
pub mod telnet;
pub mod tls;
pub mod udp;
pub mod websocket;

use std::time::Duration;

use crosscheck_model::spec::Source;
use crosscheck_model::{Cause, Family, Outcome, Severity};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use schemars::{Schema, SchemaGenerator};
use serde::de::DeserializeOwned;

use self::negate::Negatable;
pub use self::negate::is_turned;
use self::part::Part;
use self::presence::Sighting;
use crate::env::Env;
use crate::gather::Endpoint;

/// Every kind, in the order of the manual. The order of the names in messages follows it.
pub const KINDS: &[&dyn Kind] = &[
    &Negatable(http::Http),
    &Negatable(tcp::Tcp),
    &Negatable(udp::Udp),
    &Negatable(icmp::Icmp),
    &Negatable(dns::Dns),
    &Negatable(domain::Domain),
    &Negatable(tls::Tls),
    &Negatable(journey::Journey),
    &Negatable(page::Page),
    &Negatable(websocket::WebSocket),
    &Negatable(grpc::Grpc),
    &Negatable(smtp::Smtp),
    &Negatable(imap::Imap),
    &Negatable(pop3::Pop3),
    &Negatable(ftp::Ftp),
    &Negatable(ssh::Ssh),
    &Negatable(telnet::Telnet),
    &Negatable(redis::Redis),
    &Negatable(mysql::Mysql),
    &Negatable(ntp::Ntp),
    &Negatable(exec::Exec),
    &Negatable(push::Push),
];

/// The kind of that name.
pub fn find(name: &str) -> Option<&'static dyn Kind> {
    KINDS.iter().copied().find(|kind| kind.name() == name)
}

/// A kind of check: what its settings are, and how a check is made of them.
pub trait Kind: Send + Sync {
    /// The key in YAML (`http`).
    fn name(&self) -> &'static str;

    /// What it tests, in one sentence, for the manual and `--help`.
    fn about(&self) -> &'static str;

    /// What holds when people say nothing (requirement table R4).
    fn defaults(&self) -> Defaults {
        Defaults::default()
    }

    /// The causes that its failures may have, for the manual; in groups, for many kinds share some.
    fn causes(&self) -> &'static [&'static [Cause]] {
        &[]
    }

    /// What `negate` makes of it, for the manual.
    fn turned_round(&self) -> &'static str {
        "what is described here must not be there"
    }

    /// The JSON Schema of its settings. Unknown keys are found by it, so it must name them all.
    fn schema(&self, generator: &mut SchemaGenerator) -> Schema;

    /// A check of these settings (a JSON object; text may refer to secrets, unresolved).
    ///
    /// # Errors
    /// What is wrong and at which path; as many as can be found at once.
    fn parse(&self, settings: &serde_json::Value) -> Result<Box<dyn Check>, Vec<SettingsError>>;
}

/// A check, ready to run any number of times, at the same time too.
pub trait Check: Send + Sync {
    /// What is checked, in a few words, without secrets.
    fn target(&self) -> String;

    /// The address family it uses.
    fn family(&self) -> Family;

    /// Who says how it is.
    fn source(&self) -> Source {
        Source::Probes
    }

    /// Where evidence can be gathered when it fails; `None`: nowhere.
    fn endpoint(&self) -> Option<Endpoint> {
        None
    }

    /// Runs it once. Everything it does ends by `deadline`, and it says so in the cause.
    fn run<'a>(&'a self, env: &'a Env, deadline: Duration) -> BoxFuture<'a, Outcome>;

    /// The same, with what it says of whether the described is there, for a check turned round. Most
    /// kinds tell by the cause; where somebody stands between or is asked about the target, the kind
    /// knows who has failed.
    fn look<'a>(&'a self, env: &'a Env, deadline: Duration) -> BoxFuture<'a, Sighting> {
        self.run(env, deadline).map(Sighting::by_cause).boxed()
    }

    /// The same as [`Self::run`], with the parts of what it loaded, the slowest first: for whoever
    /// runs it by hand.
    fn tell<'a>(&'a self, env: &'a Env, deadline: Duration) -> BoxFuture<'a, (Outcome, Vec<Part>)> {
        self.run(env, deadline).map(|outcome| (outcome, Vec::new())).boxed()
    }
}

/// What holds for a kind when people say nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Defaults {
    /// Between runs.
    pub interval: Duration,
    /// Between runs while the target fails.
    pub retry_interval: Duration,
    /// The most a run may take.
    pub timeout: Duration,
    /// Consecutive rounds until the alarm.
    pub after: u32,
    /// How bad a failure is.
    pub severity: Severity,
}

impl Default for Defaults {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(60),
            retry_interval: Duration::from_secs(60),
            timeout: Duration::from_secs(10),
            after: 1,
            severity: Severity::High,
        }
    }
}

/// What is wrong with a kind's settings, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingsError {
    /// The keys and indices that lead to it (`["body", "matches"]`); empty: the settings as a whole.
    pub path: Vec<String>,
    /// What is wrong, as a lowercase fragment.
    pub message: String,
    /// What to write instead, where one can tell.
    pub hint: Option<String>,
}

/// Reads settings into a kind's own type, with the path of what does not fit.
///
/// # Errors
/// The first value that does not fit.
pub fn read<T: DeserializeOwned>(settings: &serde_json::Value) -> Result<T, Vec<SettingsError>> {
    serde_path_to_error::deserialize(settings).map_err(|error| {
        let path = error
            .path()
            .iter()
            .filter_map(|segment| match segment {
                serde_path_to_error::Segment::Map { key } => Some(key.clone()),
                serde_path_to_error::Segment::Seq { index } => Some(index.to_string()),
                _ => None,
            })
            .collect();
        vec![SettingsError { path, message: error.inner().to_string(), hint: None }]
    })
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn every_kind_has_an_example_that_parses() {
        for kind in KINDS {
            let name = kind.name();
            let path = format!("{}/examples/{name}.yaml", env!("CARGO_MANIFEST_DIR"));
            let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
            let document: Value = serde_saphyr::from_str(&text).expect("well-formed YAML");
            let checks = document["checks"].as_array().expect("a list of checks");
            for check in checks {
                if let Err(errors) = kind.parse(&check[name]) {
                    panic!("{path}: {}: {errors:?}", check["name"]);
                }
            }
        }
    }
}
