//! Who is let in to the operators' listener, and as whom.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State as Shared};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use crosscheck_core::operator::{Actor, KEY, Role};
use http::{HeaderMap, Method, header};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::caller::{Caller, Sight};
use super::limit::{Buckets, Neighbour, Rate, address_of, too_many};
use super::secret::Shown;
use super::verified::Verified;
use crate::api::{ApiError, harden};
use crate::bearer::BearerKey;
use crate::loopback::names_this_host;
use crate::origin::is_foreign;
use crate::page::{Reader, ask};

/// What one token may ask: a page that polls, and a script that walks over all checks.
const PER_TOKEN: Rate = Rate { burst: 200, every: Duration::from_millis(50) };
/// What one address may ask, whoever is behind it.
const PER_ADDRESS: Rate = Rate { burst: 600, every: Duration::from_millis(10) };
/// What one address may get wrong of one token: its secret, which takes a core to tell. Whoever
/// shares the address, behind a proxy, still gets in by their own token.
const FAILURES: Rate = Rate { burst: 10, every: Duration::from_secs(6) };
/// How often the log tells of an address that shows what is not good.
const TOLD: Rate = Rate { burst: 10, every: Duration::from_secs(6) };
/// Tokens that are checked at once: each takes 19 MiB and a core.
const CHECKS_AT_ONCE: usize = 2;

/// Lets operators in.
#[derive(Clone)]
pub struct Door(Arc<Inner>);

struct Inner {
    reader: Arc<dyn Reader>,
    /// The key of the settings: the first administrator.
    key: Option<BearerKey>,
    /// Who shows nothing is let in: only where nobody but this host's own people come.
    open: bool,
    verified: Mutex<Verified>,
    failures: Mutex<Buckets<(Neighbour, String)>>,
    told: Mutex<Buckets<Neighbour>>,
    addresses: Mutex<Buckets<Neighbour>>,
    tokens: Mutex<Buckets<String>>,
    checks: Semaphore,
    started: Instant,
}

impl Door {
    /// Lets in whoever shows a good token, or the key where there is one.
    pub fn closed(reader: Arc<dyn Reader>, key: Option<&str>) -> Self {
        Self::new(reader, key, false)
    }

    /// Lets in everybody who asks for this host by its own name, as an administrator; who shows a
    /// token all the same is let in by it. Who came by another name (a proxy's, or a page's in a
    /// browser on this host) is the public; and what a page of another site has such a browser
    /// send is looked at only.
    pub fn open(reader: Arc<dyn Reader>) -> Self {
        Self::new(reader, None, true)
    }

    fn new(reader: Arc<dyn Reader>, key: Option<&str>, open: bool) -> Self {
        Self(Arc::new(Inner {
            reader,
            key: key.map(BearerKey::new),
            open,
            verified: Mutex::default(),
            failures: Mutex::new(Buckets::new(FAILURES)),
            told: Mutex::new(Buckets::new(TOLD)),
            addresses: Mutex::new(Buckets::new(PER_ADDRESS)),
            tokens: Mutex::new(Buckets::new(PER_TOKEN)),
            checks: Semaphore::new(CHECKS_AT_ONCE),
            started: Instant::now(),
        }))
    }

    /// Puts the door in front of routes.
    pub fn guard(self, routes: Router) -> Router {
        routes.layer(middleware::from_fn_with_state(self, pass))
    }

    /// Who it is; `None`: the public, where the door is open.
    async fn caller(&self, asking: Asking) -> Result<Option<Caller>, Response> {
        let Asking { address, token, silent, here, foreign } = asking;
        let neighbour = Neighbour::of(address);
        let local = address.is_some_and(|address| address.is_loopback());
        if !local {
            take(&self.0.addresses, neighbour, self.now()).map_err(too_many)?;
        }
        let from = address.map_or_else(|| "unknown".to_owned(), |address| address.to_string());
        let Some(token) = token else {
            if self.0.open && silent {
                if here && foreign {
                    tracing::warn!(%from, "a page of another site tried to act as this host's people");
                    return Err(ApiError::foreign().into_response());
                }
                return Ok(here.then(|| Caller::local(from)));
            }
            return Err(ApiError::nobody().into_response());
        };
        let caller = match self.known(&token, &from) {
            Some(caller) => caller,
            None => self.check(token, neighbour, from).await?,
        };
        take(&self.0.tokens, caller.actor.name.clone(), self.now()).map_err(too_many)?;
        Ok(Some(caller))
    }

    /// Who shows what costs nothing to check.
    fn known(&self, token: &str, from: &str) -> Option<Caller> {
        if self.0.key.as_ref().is_some_and(|key| key.is(token)) {
            let (name, role) = (KEY.to_owned(), Role::Administrator);
            let actor = Actor { name, role, from: from.to_owned() };
            return Some(Caller { actor, sight: Sight::Everything });
        }
        let (hash, caller) = self.holder(Shown::parse(token)?.id, from)?;
        lock(&self.0.verified).knows(token, &hash, self.now()).then_some(caller)
    }

    /// Checks a token that was not seen for a while.
    async fn check(
        &self,
        token: String,
        neighbour: Neighbour,
        from: String,
    ) -> Result<Caller, Response> {
        let shown = Shown::parse(&token);
        let Some((id, (hash, caller))) =
            shown.and_then(|shown| Some((shown.id.to_owned(), self.holder(shown.id, &from)?)))
        else {
            // It costs nothing to tell, so nobody is kept waiting for it.
            return Err(self.turn_away(neighbour, &from));
        };
        // Taken before, so that those who try many at once do not get around it.
        let tries = (neighbour, id);
        take(&self.0.failures, tries.clone(), self.now()).map_err(too_many)?;
        let Ok(_place) = self.0.checks.acquire().await else {
            return Err(ApiError::internal().into_response());
        };
        let (text, against) = (token.clone(), hash.clone());
        let fits = tokio::task::spawn_blocking(move || {
            Shown::parse(&text).is_some_and(|shown| shown.fits(&against))
        });
        if !fits.await.unwrap_or(false) {
            return Err(self.turn_away(neighbour, &from));
        }
        lock(&self.0.verified).remember(&token, hash, self.now());
        lock(&self.0.failures).give_back(&tries);
        Ok(caller)
    }

    /// The answer to what is not good.
    fn turn_away(&self, neighbour: Neighbour, from: &str) -> Response {
        if take(&self.0.told, neighbour, self.now()).is_ok() {
            tracing::warn!(%from, "a request with a wrong, expired or revoked token");
        }
        ApiError::stranger().into_response()
    }

    /// Whom a token's record is about, and the hash that the token must fit.
    fn holder(&self, id: &str, from: &str) -> Option<(String, Caller)> {
        let token = ask(self.0.reader.as_ref(), |state| state.token(id).cloned())?;
        let actor = Actor { name: token.name, role: token.role, from: from.to_owned() };
        let sight = token.customers.map_or(Sight::Everything, Sight::Customers);
        Some((token.hash, Caller { actor, sight }))
    }

    fn now(&self) -> Duration {
        self.0.started.elapsed()
    }
}

/// What a request says of who sends it.
struct Asking {
    address: Option<IpAddr>,
    token: Option<String>,
    /// It claims nothing.
    silent: bool,
    /// It names this host.
    here: bool,
    /// It is to change something, and a page of another site has the visitor's browser send it.
    foreign: bool,
}

impl Asking {
    fn of(request: &Request) -> Self {
        let silent = !request.headers().contains_key(header::AUTHORIZATION);
        let here = names_this_host(request);
        let foreign = !only_looks(request) && is_foreign(request.uri(), request.headers());
        Self { address: address_of(request), token: shown(request), silent, here, foreign }
    }
}

/// Lets a request in with its caller, or turns it away.
async fn pass(Shared(door): Shared<Door>, mut request: Request, next: Next) -> Response {
    // Whoever balances load asks for them, and they tell nothing.
    if matches!(request.uri().path(), "/healthz" | "/readyz") {
        return next.run(request).await;
    }
    match door.caller(Asking::of(&request)).await {
        Ok(caller) => {
            if let Some(caller) = caller {
                request.extensions_mut().insert(caller);
            }
            next.run(request).await
        }
        Err(refusal) => harden(refusal),
    }
}

/// The token that a request shows: as a bearer's, or, to look only, as the password that a
/// browser asks for. A browser adds that one to requests that other sites' pages make it send, so
/// nothing can be done by it.
fn shown(request: &Request) -> Option<String> {
    let value = authorization(request.headers())?;
    if let Some(token) = value.strip_prefix("Bearer ") {
        return Some(token.trim().to_owned());
    }
    let basic = value.strip_prefix("Basic ").filter(|_| only_looks(request))?;
    let pair = String::from_utf8(STANDARD.decode(basic.trim()).ok()?).ok()?;
    pair.split_once(':').map(|(_, password)| password.to_owned())
}

fn only_looks(request: &Request) -> bool {
    matches!(*request.method(), Method::GET | Method::HEAD)
}

fn authorization(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::AUTHORIZATION)?.to_str().ok()
}

fn take<K: std::hash::Hash + Eq>(
    buckets: &Mutex<Buckets<K>>,
    key: K,
    now: Duration,
) -> Result<(), Duration> {
    lock(buckets).take(key, now)
}

/// What is behind these locks is whole after each step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
