//! The shell around [`super::Heart`]: HTTP requests, and words in the log.

use std::collections::BTreeMap;
use std::time::Duration;

use crosscheck_checks::env::Secrets;
use crosscheck_core::heartbeat::Standing;
use crosscheck_core::{Command, Reply};
use crosscheck_model::Text;
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};
use reqwest::Url;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Effect, Event, Heart};
use crate::raft::causes;
use crate::replica::Replica;

/// The most that one ping may take, its answer included.
const PING_LIMIT: Duration = Duration::from_secs(10);

/// Where pings go.
#[derive(Clone, Debug)]
pub struct Receiver {
    /// What it is called: the host of its address, since the rest may be secret.
    pub name: String,
    url: Text,
    post: bool,
    every: Duration,
}

/// The receivers, each with a name of its own.
///
/// # Errors
/// An address that is none, or a secret that cannot be read; what the user must correct.
pub fn receivers(
    wanted: impl IntoIterator<Item = (Text, bool, Duration)>,
    secrets: &Secrets,
) -> Result<Vec<Receiver>, String> {
    let mut known: BTreeMap<String, u32> = BTreeMap::new();
    let mut receivers = Vec::new();
    for (url, post, every) in wanted {
        let host = address(&url, secrets)?.host_str().unwrap_or_default().to_owned();
        let count = known.entry(host.clone()).or_default();
        *count += 1;
        let name = if *count == 1 { host } else { format!("{host} ({count})") };
        receivers.push(Receiver { name, url, post, every });
    }
    Ok(receivers)
}

/// Where to ping; read anew each time, so that a rotated secret needs no restart. The message
/// never quotes it.
fn address(url: &Text, secrets: &Secrets) -> Result<Url, String> {
    let text = secrets.resolve(url).map_err(|error| error.to_string())?;
    let wrong = || "`url` is no http:// or https:// URL".to_owned();
    let url = Url::parse(&text).map_err(|_| wrong())?;
    let is_web = matches!(url.scheme(), "http" | "https") && url.has_host();
    is_web.then_some(url).ok_or_else(wrong)
}

/// Pings the receivers while the replica leads and commits, until `stop`.
pub(crate) async fn run(
    replica: Replica,
    receivers: Vec<Receiver>,
    secrets: Secrets,
    stop: CancellationToken,
) {
    let Ok(client) = client().inspect_err(|error| tracing::error!(%error, "cannot ping")) else {
        return;
    };
    let pings = Pings { replica, receivers, secrets, client };
    stop.run_until_cancelled(pings.run()).await;
}

fn client() -> Result<reqwest::Client, reqwest::Error> {
    // Someone else may have chosen the provider already: there is one in the program.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        // A ping must find out whether the way is open now.
        .pool_max_idle_per_host(0)
        .timeout(PING_LIMIT)
        .user_agent(concat!("crosscheck/", env!("CARGO_PKG_VERSION")))
        .build()
}

struct Pings {
    replica: Replica,
    receivers: Vec<Receiver>,
    secrets: Secrets,
    client: reqwest::Client,
}

impl Pings {
    async fn run(self) {
        let origin = Instant::now();
        let every: Vec<Duration> = self.receivers.iter().map(|receiver| receiver.every).collect();
        let mut heart = Heart::new(&every);
        let mut leadership = self.replica.leadership();
        let mut commits = self.replica.commits();
        let mut running: FuturesUnordered<BoxFuture<'_, Option<Event>>> = FuturesUnordered::new();
        let mut led = false;
        loop {
            let leads = leadership.borrow_and_update().is_leader;
            let event = if led != leads {
                led = leads;
                if leads {
                    running.push(Box::pin(self.drop_others()));
                }
                Some(if leads { Event::Leads } else { Event::LostLeadership })
            } else {
                tokio::select! {
                    changed = leadership.changed() => match changed {
                        Ok(()) => None,
                        Err(_) => return,
                    },
                    changed = commits.changed() => match changed {
                        Ok(()) => Some(Event::Committed),
                        Err(_) => return,
                    },
                    Some(event) = running.next(), if !running.is_empty() => event,
                }
            };
            let Some(event) = event else { continue };
            for effect in heart.step(origin.elapsed(), event) {
                if let Some(work) = self.work(&heart, effect) {
                    running.push(work);
                }
            }
        }
    }

    fn work(&self, heart: &Heart, effect: Effect) -> Option<BoxFuture<'_, Option<Event>>> {
        match effect {
            Effect::Ping(which) => Some(Box::pin(async move {
                Some(match self.ping(&self.receivers[which]).await {
                    Ok(()) => Event::Answered(which),
                    Err(why) => Event::Failed(which, why),
                })
            })),
            Effect::Unreachable(which, deaf) => {
                let receiver = &self.receivers[which].name;
                let failures = heart.failures(which);
                tracing::error!(receiver, failures, "a heartbeat receiver is not reached");
                let since = self.replica.applied().1.minus(deaf);
                Some(Box::pin(self.say(which, Standing::Unreachable { since })))
            }
            Effect::Reached(which) => {
                let name = &self.receivers[which].name;
                let is_open = self.replica.read(|s| s.watch.heartbeats.contains_key(name));
                // What the log says already needs no entry.
                is_open
                    .then(|| -> BoxFuture<'_, _> { Box::pin(self.say(which, Standing::Reached)) })
            }
            Effect::Complain(which, why) => {
                let receiver = &self.receivers[which].name;
                tracing::warn!(receiver, why, "a heartbeat was not taken");
                None
            }
            Effect::Calm(which) => {
                tracing::info!(receiver = self.receivers[which].name, "heartbeats are taken again");
                None
            }
        }
    }

    async fn ping(&self, receiver: &Receiver) -> Result<(), String> {
        let url = address(&receiver.url, &self.secrets)?;
        let request = if receiver.post { self.client.post(url) } else { self.client.get(url) };
        match request.send().await {
            Ok(answer) if answer.status().is_success() => Ok(()),
            Ok(answer) => Err(format!("it answers {}", answer.status())),
            Err(error) => Err(self.secrets.redact(&causes(&error.without_url()))),
        }
    }

    async fn say(&self, which: usize, standing: Standing) -> Option<Event> {
        let receiver = self.receivers[which].name.clone();
        match self.replica.submit(Command::Heartbeat { receiver, standing }).await {
            Ok(Reply::Done) => None,
            _ => Some(Event::NotSaid(which)),
        }
    }

    /// Closes what earlier settings have left open.
    async fn drop_others(&self) -> Option<Event> {
        let known = |name: &String| self.receivers.iter().any(|receiver| receiver.name == *name);
        let open: Vec<String> =
            self.replica.read(|state| state.watch.heartbeats.keys().cloned().collect());
        for receiver in open.into_iter().filter(|name| !known(name)) {
            let command = Command::Heartbeat { receiver, standing: Standing::Dropped };
            if let Err(error) = self.replica.submit(command).await {
                tracing::debug!(%error, "a receiver that is gone stays open");
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Text {
        Text::new(text).expect("a text")
    }

    #[test]
    fn receivers_are_named_by_their_host_and_their_secrets_are_not_told() {
        let variables = [("PING", "https://cron.example.com/ping/5f1c"), ("BAD", "hunter2-token")];
        let secrets = Secrets::fixed(
            variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        );
        let minute = Duration::from_secs(60);
        let wanted = ["${env:PING}", "http://10.0.0.1:9000/x", "https://cron.example.com/other"];
        let found = receivers(wanted.map(|url| (text(url), false, minute)), &secrets);
        let names: Vec<String> = found.expect("good").into_iter().map(|r| r.name).collect();
        assert_eq!(names, ["cron.example.com", "10.0.0.1", "cron.example.com (2)"]);
        for bad in ["${env:BAD}", "ftp://example.com", "${env:NONE}", "cron.example.com"] {
            let error = receivers([(text(bad), false, minute)], &secrets).expect_err(bad);
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
