//! How a probe reaches out: it runs checks by their kinds and asks references. Behind a trait, so
//! that tests and simulations say themselves what a run finds.

use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crosscheck_checks::dial;
use crosscheck_checks::env::Env;
use crosscheck_checks::gather::{self, Endpoint};
use crosscheck_checks::guard::is_documentation;
use crosscheck_checks::kind::{self, Check};
use crosscheck_checks::resolve::Resolver;
use crosscheck_model::evidence::Found;
use crosscheck_model::wire::Assigned;
use crosscheck_model::{Cause, CheckId, Family, Outcome, Place};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::health::{Answer, Reference, TIMEOUT};

/// Runs checks and asks references.
pub trait Prober: Send + Sync + 'static {
    /// Runs a check once; the outcome comes by `deadline`.
    fn run(&self, check: &Arc<Assigned>, deadline: Duration) -> BoxFuture<'static, Outcome>;

    /// Whether a reference answers, if it may be asked.
    fn ask(&self, reference: &Reference) -> BoxFuture<'static, Answer>;

    /// Gathers evidence about a check that fails, at the place where its run was; `None`: where the
    /// settings say.
    fn gather(&self, check: &Arc<Assigned>, place: Option<&Place>) -> BoxFuture<'static, Found> {
        let _ = (check, place);
        std::future::ready(Found::default()).boxed()
    }

    /// What was prepared for a check is void.
    fn forget(&self, check: &CheckId) {
        let _ = check;
    }
}

/// Runs a check whatever it does: one that panics has no opinion.
pub(crate) async fn contained(run: impl Future<Output = Outcome>) -> Outcome {
    let run = std::panic::AssertUnwindSafe(run).catch_unwind();
    let panicked = |_| Outcome::unknown(Cause::Setup, "the check panicked; this is a bug");
    run.await.unwrap_or_else(panicked)
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
    /// References that it must not ask.
    told: Arc<Told>,
    /// Parsed settings by check; the schedule says which of them are void.
    parsed: Mutex<HashMap<CheckId, (u64, Parsed)>>,
}

/// Which references the log has told of, each once.
#[derive(Default)]
struct Told(Mutex<BTreeSet<String>>);

impl Told {
    /// More than anybody configures; those beyond are not told.
    const LIMIT: usize = 1_000;

    /// Says why a reference is not asked; whether it was said for the first time.
    fn tell(&self, reference: &str, why: &str) -> bool {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = known.len() < Self::LIMIT && known.insert(reference.to_owned());
        if is_new {
            tracing::warn!(%reference, %why, "this reference is not asked: it counts for nothing");
        }
        is_new
    }
}

impl KindProber {
    /// Runs checks in these surroundings.
    pub fn new(env: Env) -> Self {
        Self { env: Arc::new(env), second: None, told: Arc::default(), parsed: Mutex::default() }
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

    fn ask(&self, reference: &Reference) -> BoxFuture<'static, Answer> {
        let (reference, env, told) =
            (reference.clone(), Arc::clone(&self.env), Arc::clone(&self.told));
        async move {
            let answer = async {
                match &reference {
                    Reference::Connect { family, address }
                    | Reference::MustFail { family, address } => {
                        match may_ask(&env, &reference, address, *family).await {
                            Ok(found) => connects(found).await.into(),
                            Err(why) => {
                                told.tell(address, &why);
                                Answer::Untested
                            }
                        }
                    }
                    Reference::Name { name, resolver: None } => {
                        resolves(&env.resolver, name).await.into()
                    }
                    Reference::Name { name, resolver: Some(server) } => {
                        let Ok(server) = server.parse::<SocketAddr>() else { return Answer::No };
                        match env.guard.allows_port(server) {
                            Ok(()) => resolves(&Resolver::new(vec![server]), name).await.into(),
                            Err(why) => {
                                told.tell(&server.to_string(), why);
                                Answer::Untested
                            }
                        }
                    }
                }
            };
            tokio::time::timeout(TIMEOUT, answer).await.unwrap_or(Answer::No)
        }
        .boxed()
    }

    fn gather(&self, check: &Arc<Assigned>, place: Option<&Place>) -> BoxFuture<'static, Found> {
        let configured = || self.prepare(check).ok().and_then(|check| check.endpoint());
        let endpoint = place.cloned().map(Endpoint::from).or_else(configured);
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

/// Where a reference is, as far as this probe may speak to it; nowhere if there is no such place.
/// References come from the cluster's configuration, like checks, and lead no further than those.
/// What must not answer may be an address kept for documentation, where nobody is.
///
/// # Errors
/// Why this probe must not.
async fn may_ask(
    env: &Env,
    reference: &Reference,
    address: &str,
    family: Family,
) -> Result<Vec<SocketAddr>, String> {
    let Some((host, port)) = address.rsplit_once(':') else { return Ok(Vec::new()) };
    let Ok(port) = port.parse::<u16>() else { return Ok(Vec::new()) };
    let found = env.resolver.lookup(host, family, TIMEOUT).await.unwrap_or_default();
    let found: Vec<_> = found.into_iter().map(|ip| SocketAddr::new(ip, port)).collect();
    let is_nobodys = found.iter().all(|address| is_documentation(address.ip()));
    if is_nobodys && matches!(reference, Reference::MustFail { .. }) {
        return Ok(found);
    }
    dial::allowed(&env.guard, &found).map_err(|failure| failure.detail)
}

async fn connects(addresses: Vec<SocketAddr>) -> bool {
    match addresses.first() {
        Some(first) => tokio::net::TcpStream::connect(first).await.is_ok(),
        None => false,
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

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, TcpListener};

    use crosscheck_checks::env::Secrets;
    use crosscheck_checks::guard::Guard;
    use crosscheck_checks::programs::Programs;

    use super::*;

    fn env(guard: Guard) -> Env {
        let (resolver, programs) = (Resolver::system(), Programs::default());
        Env { guard, resolver, secrets: Secrets::of_checks(None, Vec::new()), programs }
    }

    fn references(address: SocketAddr) -> [Reference; 2] {
        let (family, address) = (Family::V4, address.to_string());
        let must_fail = Reference::MustFail { family, address: address.clone() };
        [Reference::Connect { family, address }, must_fail]
    }

    #[tokio::test]
    async fn what_no_check_may_connect_to_is_not_asked() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.set_nonblocking(true).expect("a socket can do that");
        let address = listener.local_addr().expect("bound");
        let prober = KindProber::new(env(Guard::public()));
        for reference in references(address) {
            assert_eq!(prober.ask(&reference).await, Answer::Untested, "{reference:?}");
        }
        let came = listener.accept().expect_err("nobody knocked");
        assert_eq!(came.kind(), std::io::ErrorKind::WouldBlock);
        assert!(!prober.told.tell(&address.to_string(), "again"), "told already");
        let prober = KindProber::new(env(Guard::Internal));
        for reference in references(address) {
            assert_eq!(prober.ask(&reference).await, Answer::Yes, "{reference:?}");
        }
        drop(listener);
        for reference in references(address) {
            assert_eq!(prober.ask(&reference).await, Answer::No, "{reference:?}");
        }
    }

    #[tokio::test]
    async fn a_name_server_that_no_check_may_ask_is_not_asked() {
        let listener = tokio::net::UdpSocket::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound").to_string();
        let name = "www.example.com".to_owned();
        let reference = Reference::Name { name, resolver: Some(address) };
        let prober = KindProber::new(env(Guard::public()));
        assert_eq!(prober.ask(&reference).await, Answer::Untested);
        let came = listener.try_recv(&mut [0; 512]).expect_err("nobody asked");
        assert_eq!(came.kind(), std::io::ErrorKind::WouldBlock);
    }

    #[tokio::test]
    async fn what_must_fail_may_be_where_nobody_is() {
        let env = env(Guard::public());
        let nobody: IpAddr = "192.0.2.9".parse().expect("an address");
        for (reference, may) in references(SocketAddr::new(nobody, 443)).iter().zip([false, true]) {
            let found = may_ask(&env, reference, "192.0.2.9:443", Family::V4).await;
            assert_eq!(found.is_ok(), may, "{reference:?}: {found:?}");
        }
    }
}
