//! One coordinator, put together: the only place that knows all its parts.

use std::sync::Arc;

use axum::Router;
use crosscheck_checks::env::Secrets;
use crosscheck_checks::mail::direct::DirectMail;
use crosscheck_core::command::Enclosed;
use crosscheck_core::operator::{Actor, FILES, Role};
use crosscheck_core::{Command, Effect, Reply, State};
use crosscheck_model::Config;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use tokio::sync::{broadcast, mpsc};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::access::{self, Credentials};
use crate::api;
use crate::courier::{Carrier, Courier, Log, News};
use crate::heartbeat::ping::{self, Receiver};
use crate::ingest::{self, ProbeGate};
use crate::last_resort;
use crate::loopback;
use crate::operator::{Door, by_address};
use crate::page::{self, Freshness, Reader, Readings};
use crate::push;
use crate::replica::{Replica, ReplicaConfig, StartError, SubmitError};

/// News that may wait for the courier: it looks at the whole outbox at each, so few are enough.
const NEWS_QUEUE: usize = 16;

/// A running coordinator.
pub struct Member {
    replica: Replica,
    gate: ProbeGate,
    courier: JoinHandle<()>,
    stop: CancellationToken,
}

impl Member {
    /// Opens the data directory and starts all loops; the listeners are the caller's.
    ///
    /// # Errors
    /// What keeps the replica from starting.
    pub async fn start(config: ReplicaConfig, carry: Carrier) -> Result<Self, StartError> {
        let node = config.id;
        let replica = Replica::start(config).await?;
        let stop = CancellationToken::new();
        let (sender, news) = mpsc::channel(NEWS_QUEUE);
        tokio::spawn(bring_news(replica.clone(), sender, stop.clone()));
        let courier = Courier::new(Arc::new(ReplicaLog(replica.clone())), node, carry);
        let courier = tokio::spawn(courier.run(news, stop.clone()));
        let gate = ProbeGate::new(replica.clone());
        Ok(Self { replica, gate, courier, stop })
    }

    /// Pings the receivers while this member leads and commits.
    pub fn beat(&self, receivers: Vec<Receiver>, secrets: Secrets) {
        tokio::spawn(ping::run(self.replica.clone(), receivers, secrets, self.stop.clone()));
    }

    /// Mails the operators by this member's own settings when nothing is committed for long.
    pub fn keep_watch(&self, name: &str, mail: DirectMail, secrets: Secrets) {
        let rank = self.replica.rank();
        let watch = last_resort::run(self.replica.clone(), name.to_owned(), rank, mail, secrets);
        let stop = self.stop.clone();
        tokio::spawn(async move { stop.run_until_cancelled(watch).await });
    }

    /// The replica.
    pub fn replica(&self) -> &Replica {
        &self.replica
    }

    /// What probes ask, by whatever way they come.
    pub fn gate(&self) -> ProbeGate {
        self.gate.clone()
    }

    /// For the other members.
    pub fn raft_routes(&self) -> Router {
        self.replica.raft_routes()
    }

    /// For probes on a listener that nobody else can reach.
    pub fn probe_routes(&self) -> Router {
        ingest::routes(self.gate())
    }

    /// For probes and those that want to become one, on a listener that knows its peers.
    pub fn access_routes(&self, credentials: &Arc<Credentials>) -> Router {
        access::only_probes(ingest::routes(self.gate()))
            .merge(access::join_routes(self.replica.clone(), credentials.clone()))
    }

    /// For everyone: the page and what is public of the API.
    pub fn public_routes(&self) -> Router {
        by_address(
            page::routes(self.reader())
                .merge(api::public_routes(self.reader()))
                .merge(push::routes(self.replica.clone())),
        )
    }

    /// For operators who show a token or the key: the page and the whole API.
    pub fn operator_routes(&self, key: Option<&str>) -> Router {
        // Jobs show a token of their own, so their door stands beside the operators'.
        self.behind(Door::closed(self.reader(), key))
            .merge(by_address(push::routes(self.replica.clone())))
    }

    /// The same for whoever reaches loopback: people of this host.
    pub fn loopback_routes(&self) -> Router {
        let routes = self.behind(Door::open(self.reader()));
        loopback::guard(routes.merge(push::routes(self.replica.clone())))
    }

    fn behind(&self, door: Door) -> Router {
        door.guard(page::routes(self.reader()).merge(api::routes(self.reader(), self.submit())))
    }

    /// Has the cluster take over a configuration that was read from this host's files; its
    /// revision.
    ///
    /// # Errors
    /// There is no leader, or no answer came in time.
    pub async fn configure(&self, config: Config) -> Result<u64, SubmitError> {
        let from = "this host".to_owned();
        let actor = Actor { name: FILES.to_owned(), role: Role::Administrator, from };
        let command = Enclosed::new(&Command::Configure(Box::new(config)));
        match self.replica.submit(Command::Act { actor, command }).await? {
            Reply::Configured(revision) => Ok(revision),
            other => {
                tracing::error!(?other, "a configuration got another command's reply");
                Err(SubmitError::Unknown)
            }
        }
    }

    /// Ends the courier when what it has begun is settled, then the replica.
    pub async fn stop(self) {
        self.stop.cancel();
        if let Err(error) = self.courier.await {
            tracing::error!(%error, "the courier did not end well");
        }
        self.replica.shutdown().await;
    }

    fn reader(&self) -> Arc<dyn Reader> {
        Arc::new(ReplicaReader(self.replica.clone()))
    }

    fn submit(&self) -> api::Submit {
        let replica = self.replica.clone();
        Arc::new(move |command| {
            let replica = replica.clone();
            Box::pin(async move {
                replica.submit(command).await.map_err(|error| match error {
                    SubmitError::NoLeader => api::SubmitError::NoLeader,
                    _ => api::SubmitError::Lost,
                })
            })
        })
    }
}

/// The log, as the courier uses it.
struct ReplicaLog(Replica);

impl Log for ReplicaLog {
    async fn submit(&self, command: Command) -> Result<Reply, String> {
        self.0.submit(command).await.map_err(|error| error.to_string())
    }

    async fn still_leads(&self, term: u64) -> bool {
        // Asked first: what was confirmed could be a newer term than the one looked at before.
        let confirmed = self.0.confirm_leadership().await;
        let standing = *self.0.leadership().borrow();
        confirmed && standing.is_leader && standing.term == term
    }

    fn read<R>(&self, look: impl FnOnce(&State) -> R) -> R {
        self.0.read(look)
    }
}

/// Tells the courier of leadership and of what became owed.
async fn bring_news(replica: Replica, news: mpsc::Sender<News>, stop: CancellationToken) {
    let mut leadership = replica.leadership();
    let mut effects = replica.subscribe();
    let mut told = None;
    loop {
        let standing = *leadership.borrow_and_update();
        let leads = standing.is_leader.then_some(standing.term);
        if told != leads {
            told = leads;
            if news.send(News::Lead(leads)).await.is_err() {
                return;
            }
        }
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            changed = leadership.changed() => if changed.is_err() { return },
            received = effects.recv() => match received {
                Ok(effects) if !effects.contains(&Effect::Owed) => {}
                Err(broadcast::error::RecvError::Closed) => return,
                // Whoever lags looks at the outbox itself.
                Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {
                    if news.send(News::Owed).await.is_err() {
                        return;
                    }
                }
            },
        }
    }
}

/// What the page and the API read.
struct ReplicaReader(Replica);

impl Reader for ReplicaReader {
    fn with_state(&self, look: &mut dyn FnMut(&State)) {
        self.0.read(|state| look(state));
    }

    fn readings(&self) -> &dyn Readings {
        self.0.history()
    }

    fn freshness(&self) -> Freshness {
        let standing = *self.0.leadership().borrow();
        Freshness {
            as_of: self.0.applied().1,
            minority: !self.0.has_quorum(),
            node: self.0.id(),
            leader: standing.leader,
        }
    }

    fn unready(&self) -> Option<&'static str> {
        self.0.unready()
    }

    fn replica(&self) -> Option<Replica> {
        Some(self.0.clone())
    }

    fn changes(&self) -> BoxStream<'static, ()> {
        let effects = self.0.subscribe();
        let shown = |effect: &Effect| {
            matches!(effect, Effect::Incident(_) | Effect::Owed | Effect::Span { .. })
        };
        stream::unfold(effects, move |mut effects| async move {
            loop {
                match effects.recv().await {
                    Ok(batch) if batch.iter().any(shown) => return Some(((), effects)),
                    Ok(_) => {}
                    Err(broadcast::error::RecvError::Lagged(_)) => return Some(((), effects)),
                    Err(broadcast::error::RecvError::Closed) => return None,
                }
            }
        })
        .boxed()
    }
}
