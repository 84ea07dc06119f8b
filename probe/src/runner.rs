//! How a probe reaches out: it runs checks by their kinds and asks references. Behind a trait, so
//! that tests and simulations say themselves what a run finds.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crosscheck_checks::env::Env;
use crosscheck_checks::gather;
use crosscheck_checks::kind::{self, Check};
use crosscheck_checks::resolve::Resolver;
use crosscheck_model::evidence::Found;
use crosscheck_model::wire::Assigned;
use crosscheck_model::{Cause, CheckId, Family, Outcome};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::health::{Reference, TIMEOUT};

/// A check that ignores its deadline is stopped this much later.
const GRACE: Duration = Duration::from_millis(500);

/// Runs checks and asks references.
pub trait Prober: Send + Sync + 'static {
    /// Runs a check once; the outcome comes by `deadline`.
    fn run(&self, check: &Arc<Assigned>, deadline: Duration) -> BoxFuture<'static, Outcome>;

    /// Whether a reference answers.
    fn ask(&self, reference: &Reference) -> BoxFuture<'static, bool>;

    /// Gathers evidence about a check that fails.
    fn gather(&self, check: &Arc<Assigned>) -> BoxFuture<'static, Found> {
        let _ = check;
        std::future::ready(Found::default()).boxed()
    }

    /// What was prepared for a check is void.
    fn forget(&self, check: &CheckId) {
        let _ = check;
    }
}

/// Runs a check whatever it does: one that panics or never ends has no opinion.
pub(crate) async fn contained(run: BoxFuture<'static, Outcome>, deadline: Duration) -> Outcome {
    let run = std::panic::AssertUnwindSafe(run).catch_unwind();
    match tokio::time::timeout(deadline + GRACE, run).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(_)) => Outcome::unknown(Cause::Setup, "the check panicked; this is a bug"),
        Err(_) => Outcome::unknown(Cause::Setup, "the check ignored its deadline; this is a bug"),
    }
}

/// Gathers evidence whatever it does: nothing is found by one that panics or never ends.
pub(crate) async fn gathered(work: BoxFuture<'static, Found>) -> Found {
    let work = std::panic::AssertUnwindSafe(work).catch_unwind();
    match tokio::time::timeout(gather::LIMIT, work).await {
        Ok(Ok(found)) => found,
        Ok(Err(_)) | Err(_) => {
            tracing::warn!("the evidence about a failure could not be gathered; this is a bug");
            Found::default()
        }
    }
}

type Parsed = Result<Arc<dyn Check>, String>;

/// Runs the kinds of `crosscheck_checks`.
pub struct KindProber {
    env: Arc<Env>,
    /// Asked beside the probe's own name servers when evidence is gathered.
    second: Option<Resolver>,
    /// Parsed settings by check; the schedule says which of them are void.
    parsed: Mutex<HashMap<CheckId, (u64, Parsed)>>,
}

impl KindProber {
    /// Runs checks in these surroundings.
    pub fn new(env: Env) -> Self {
        Self { env: Arc::new(env), second: None, parsed: Mutex::default() }
    }

    /// Evidence about names comes from this name server too.
    #[must_use]
    pub fn with_second_resolver(mut self, server: Option<SocketAddr>) -> Self {
        self.second = server.map(|server| Resolver::new(vec![server]));
        self
    }

    fn prepare(&self, check: &Assigned) -> Parsed {
        let mut parsed = self.parsed.lock().unwrap_or_else(PoisonError::into_inner);
        match parsed.get(&check.spec.id) {
            Some((rev, ready)) if *rev == check.rev => ready.clone(),
            _ => {
                let ready = parse(check);
                parsed.insert(check.spec.id.clone(), (check.rev, ready.clone()));
                ready
            }
        }
    }
}

impl Prober for KindProber {
    fn run(&self, check: &Arc<Assigned>, deadline: Duration) -> BoxFuture<'static, Outcome> {
        let (ready, env) = (self.prepare(check), Arc::clone(&self.env));
        async move {
            match ready {
                Ok(check) => check.run(&env, deadline).await,
                Err(why) => Outcome::unknown(Cause::Setup, why),
            }
        }
        .boxed()
    }

    fn ask(&self, reference: &Reference) -> BoxFuture<'static, bool> {
        let (reference, env) = (reference.clone(), Arc::clone(&self.env));
        async move {
            let answer = async {
                match &reference {
                    Reference::Connect { family, address }
                    | Reference::MustFail { family, address } => {
                        connects(&env.resolver, address, *family).await
                    }
                    Reference::Name { name, resolver: None } => resolves(&env.resolver, name).await,
                    Reference::Name { name, resolver: Some(server) } => {
                        match server.parse::<SocketAddr>() {
                            Ok(server) => resolves(&Resolver::new(vec![server]), name).await,
                            Err(_) => false,
                        }
                    }
                }
            };
            tokio::time::timeout(TIMEOUT, answer).await.unwrap_or(false)
        }
        .boxed()
    }

    fn gather(&self, check: &Arc<Assigned>) -> BoxFuture<'static, Found> {
        let endpoint = self.prepare(check).ok().and_then(|check| check.endpoint());
        let (env, second) = (Arc::clone(&self.env), self.second.clone());
        async move {
            match endpoint {
                Some(endpoint) => gather::gather(&env, second.as_ref(), &endpoint).await,
                None => Found::default(),
            }
        }
        .boxed()
    }

    fn forget(&self, check: &CheckId) {
        self.parsed.lock().unwrap_or_else(PoisonError::into_inner).remove(check);
    }
}

/// A check of the assigned settings, or why this probe cannot run it.
fn parse(check: &Assigned) -> Parsed {
    let kind = kind::find(&check.spec.kind).ok_or_else(|| {
        format!("this probe does not know the kind `{}`; upgrade the probe", check.spec.kind)
    })?;
    let settings = serde_json::from_str(&check.spec.settings)
        .map_err(|error| format!("settings are not JSON: {error}"))?;
    kind.parse(&settings).map(Arc::from).map_err(|errors| {
        let lines: Vec<_> = errors
            .iter()
            .map(|error| format!("{}: {}", error.path.join("."), error.message))
            .collect();
        format!("this probe does not understand the settings: {}", lines.join("; "))
    })
}

async fn connects(resolver: &Resolver, address: &str, family: Family) -> bool {
    let Some((host, port)) = address.rsplit_once(':') else { return false };
    let Ok(port) = port.parse::<u16>() else { return false };
    match resolver.lookup(host, family, TIMEOUT).await.as_deref() {
        Ok([first, ..]) => tokio::net::TcpStream::connect((*first, port)).await.is_ok(),
        _ => false,
    }
}

async fn resolves(resolver: &Resolver, name: &str) -> bool {
    for family in [Family::V4, Family::V6] {
        if resolver.lookup(name, family, TIMEOUT / 2).await.is_ok_and(|found| !found.is_empty()) {
            return true;
        }
    }
    false
}
