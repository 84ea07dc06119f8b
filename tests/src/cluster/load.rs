//! Scripted probes that speak the wire protocol, and note every observation that a coordinator has
//! acknowledged.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use crosscheck_model::observation::{Clock, Firmness, Observation, Outcome, Trigger};
use crosscheck_model::wire::{Health, Hello, Receipt, Refusal, Report, WIRE_VERSION, Welcome};
use crosscheck_model::{Status, Timestamp};
use reqwest::StatusCode;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio::time::sleep;

use super::record::Identity;

/// Observations in a report.
const BATCH: u64 = 10;
/// A coordinator that takes longer is passed over, as a probe does.
const ANSWER_LIMIT: Duration = Duration::from_secs(4);
/// After an attempt that failed.
const PAUSE: Duration = Duration::from_millis(100);

/// A scripted probe.
pub struct Script {
    probe: &'static str,
    check: &'static str,
    coordinators: Vec<String>,
    client: reqwest::Client,
    next_coordinator: usize,
    next_seq: u64,
    acknowledged: BTreeSet<Identity>,
}

/// The only process life of a script.
const BOOT: u64 = 7;

/// What speaks for a probe that joins by `token` at the site of its name.
async fn client(
    probe: &str,
    coordinators: &[String],
    token: &str,
    data: PathBuf,
) -> reqwest::Client {
    let mut config = crosscheck_probe::Config::new(probe, probe);
    (config.coordinators, config.data) = (coordinators.to_vec(), Some(data));
    let token = token.parse().expect("a token");
    let outcome = crosscheck_probe::join::join(&config, &token).await;
    let identity = outcome.unwrap_or_else(|error| panic!("{probe}: {error}")).identity;
    let client = reqwest::Client::builder()
        .tls_backend_preconfigured(identity.client().expect("a certificate"))
        .timeout(ANSWER_LIMIT)
        .no_proxy()
        .build();
    client.expect("a client")
}

fn hello(probe: &str) -> Hello {
    Hello {
        wire: WIRE_VERSION,
        probe: probe.into(),
        site: probe.into(),
        boot: BOOT,
        version: "script".to_owned(),
    }
}

impl Script {
    /// A probe of this name, at the site of the same name, that joins by `token` and keeps its
    /// certificate in `data`.
    ///
    /// # Panics
    /// It is not let in.
    pub async fn join(
        probe: &'static str,
        check: &'static str,
        coordinators: Vec<String>,
        token: &str,
        data: PathBuf,
    ) -> Self {
        let client = client(probe, &coordinators, token, data).await;
        Self {
            probe,
            check,
            coordinators,
            client,
            next_coordinator: 0,
            next_seq: 1,
            acknowledged: BTreeSet::new(),
        }
    }

    /// Reports without a pause until told to stop, and until the last report is acknowledged:
    /// what was acknowledged.
    ///
    /// # Panics
    /// A coordinator refuses what it must not.
    pub async fn run(mut self, stop: watch::Receiver<bool>) -> BTreeSet<Identity> {
        let mut ended = false;
        while !ended {
            let (epoch, now) = self.open().await;
            ended = self.session(epoch, now, &stop).await;
        }
        self.acknowledged
    }

    async fn open(&mut self) -> (u64, Timestamp) {
        let hello = hello(self.probe);
        loop {
            match self.post::<_, Welcome>("session", &hello).await {
                Some(Ok(welcome)) => return (welcome.epoch, welcome.now),
                Some(Err(refusal)) => panic!("a session was refused: {refusal:?}"),
                None => sleep(PAUSE).await,
            }
        }
    }

    /// Reports until the session ends (`false`), or the script (`true`).
    async fn session(
        &mut self,
        epoch: u64,
        mut now: Timestamp,
        stop: &watch::Receiver<bool>,
    ) -> bool {
        let mut number = 0;
        loop {
            number += 1;
            let report = self.report(epoch, number, now);
            let receipt = loop {
                match self.post::<_, Receipt>("report", &report).await {
                    Some(answer) => break answer,
                    None => sleep(PAUSE).await,
                }
            };
            match receipt {
                Ok(receipt) => {
                    now = receipt.now;
                    let seen = report.observations.iter();
                    self.acknowledged
                        .extend(seen.map(|seen| (self.probe.to_owned(), seen.boot, seen.seq)));
                    self.next_seq += BATCH;
                }
                // The same observations go into the first report of the next session.
                Err(Refusal::UnknownSession) => return false,
                Err(refusal) => panic!("a report was refused: {refusal:?}"),
            }
            if *stop.borrow() {
                return true;
            }
        }
    }

    fn report(&self, epoch: u64, seq: u64, now: Timestamp) -> Report {
        let seen = |seq| Observation {
            check: self.check.into(),
            rev: 1,
            boot: BOOT,
            seq,
            started: now,
            at: now,
            clock: Clock::Leader,
            trigger: Trigger::Schedule,
            firmness: Firmness::Hard,
            failing_since: None,
            outcome: Outcome::new(Status::Up, None, ""),
        };
        Report {
            probe: self.probe.into(),
            epoch,
            seq,
            echo: now,
            health: Health::UNTESTED,
            observations: (self.next_seq..self.next_seq + BATCH).map(seen).collect(),
            evidence: Vec::new(),
            spooled: 0,
            dropped: 0,
            running: 1,
        }
    }

    /// Asks the next coordinator; `None` when it is of no use at present.
    async fn post<Q: Serialize, A: DeserializeOwned>(
        &mut self,
        path: &str,
        question: &Q,
    ) -> Option<Result<A, Refusal>> {
        let url = &self.coordinators[self.next_coordinator % self.coordinators.len()];
        self.next_coordinator += 1;
        let request = self.client.post(format!("{url}/probe/v1/{path}"));
        let response = request.json(question).send().await.ok()?;
        let status = response.status();
        let body = response.bytes().await.ok()?;
        if status == StatusCode::OK {
            return Some(Ok(serde_json::from_slice(&body).expect("the protocol's answer")));
        }
        match serde_json::from_slice(&body) {
            Ok(Refusal::Unavailable) => None,
            Ok(refusal) => Some(Err(refusal)),
            Err(_) => panic!("{path}: {status}: {}", String::from_utf8_lossy(&body)),
        }
    }
}
