//! So many requests a second from whom: a token bucket each, in bounded memory.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::{ConnectInfo, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use http::{StatusCode, header};
use serde_json::json;
use tokio::time::Instant;

use crate::api::harden;

/// The most keys that are told apart; more share one bucket while they come all at once.
const KEYS_LIMIT: usize = 4_096;

/// How much is let through.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rate {
    /// At once.
    pub(crate) burst: u32,
    /// After that, one each.
    pub(crate) every: Duration,
}

/// Buckets by key. Each is one number: when it will be full again (GCRA).
pub(crate) struct Buckets<K> {
    rate: Rate,
    full_at: HashMap<K, Duration>,
    /// Of all keys that there is no room for.
    others: Duration,
}

impl<K: Hash + Eq> Buckets<K> {
    pub(crate) fn new(rate: Rate) -> Self {
        Self { rate, full_at: HashMap::new(), others: Duration::ZERO }
    }

    /// Takes one at the time `now` (of any clock that does not go back).
    ///
    /// # Errors
    /// The bucket is empty; how long until there is one again.
    pub(crate) fn take(&mut self, key: K, now: Duration) -> Result<(), Duration> {
        if self.full_at.len() >= KEYS_LIMIT && !self.full_at.contains_key(&key) {
            // Who is full again is as one who never came.
            self.full_at.retain(|_, full_at| *full_at > now);
        }
        let room = self.full_at.len() < KEYS_LIMIT;
        let full_at = match self.full_at.contains_key(&key) || room {
            true => self.full_at.entry(key).or_default(),
            false => &mut self.others,
        };
        let next = (*full_at).max(now) + self.rate.every;
        let over = next.saturating_sub(now).saturating_sub(self.rate.every * self.rate.burst);
        if over.is_zero() {
            *full_at = next;
            return Ok(());
        }
        Err(over)
    }

    /// Gives one back: what it was taken for turned out well.
    pub(super) fn give_back(&mut self, key: &K) {
        if let Some(full_at) = self.full_at.get_mut(key) {
            *full_at = full_at.saturating_sub(self.rate.every);
        }
    }
}

/// Whose address it is, as far as limits tell addresses apart: one host of IPv4, one network of
/// IPv6 (a /64, of which one host may use every address).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Neighbour {
    Host([u8; 4]),
    Network([u8; 8]),
    /// The listener does not say.
    Unknown,
}

impl Neighbour {
    pub(crate) fn of(address: Option<IpAddr>) -> Self {
        match address.map(|address| address.to_canonical()) {
            Some(IpAddr::V4(address)) => Self::Host(address.octets()),
            Some(IpAddr::V6(address)) => {
                let mut network = [0; 8];
                network.copy_from_slice(&address.octets()[..8]);
                Self::Network(network)
            }
            None => Self::Unknown,
        }
    }
}

/// The address that a request came from, as the listener says. What a proxy's headers say is not
/// believed: anyone can send them.
pub(crate) fn address_of(request: &Request) -> Option<IpAddr> {
    let known = request.extensions().get::<ConnectInfo<SocketAddr>>();
    known.map(|ConnectInfo(address)| address.ip().to_canonical())
}

/// Come again later.
pub(crate) fn too_many(wait: Duration) -> Response {
    let seconds = wait.as_millis().div_ceil(1_000).max(1).to_string();
    let body = json!({
        "error": "too many requests",
        "hint": format!("wait {seconds} s, as the Retry-After header says, and ask less often"),
    });
    let headers = [(header::RETRY_AFTER, seconds), (header::CACHE_CONTROL, "no-store".to_owned())];
    (StatusCode::TOO_MANY_REQUESTS, headers, Json(body)).into_response()
}

/// What one address may ask of the public page: an office full of people behind one address
/// looks at it, each page load some five requests.
const PUBLIC: Rate = Rate { burst: 300, every: Duration::from_millis(20) };

/// Limits each address. Loopback is a proxy in front, which has all visitors behind it.
pub(crate) fn by_address(routes: Router) -> Router {
    let limit =
        Limit { buckets: Arc::new(Mutex::new(Buckets::new(PUBLIC))), started: Instant::now() };
    routes.layer(middleware::from_fn_with_state(limit, admit))
}

#[derive(Clone)]
struct Limit {
    buckets: Arc<Mutex<Buckets<Neighbour>>>,
    started: Instant,
}

async fn admit(State(limit): State<Limit>, request: Request, next: Next) -> Response {
    let address = address_of(&request);
    if address.is_none_or(|address| !address.is_loopback()) {
        let now = limit.started.elapsed();
        let mut buckets = limit.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = buckets.take(Neighbour::of(address), now);
        drop(buckets);
        if let Err(wait) = taken {
            return harden(too_many(wait));
        }
    }
    next.run(request).await
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { burst: 3, every: Duration::from_secs(2) };

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_burst_then_one_each() {
        let mut buckets = Buckets::new(RATE);
        for _ in 0..3 {
            assert_eq!(buckets.take("a", at(10)), Ok(()));
        }
        assert_eq!(buckets.take("a", at(10)), Err(at(2)));
        assert_eq!(buckets.take("a", at(11)), Err(at(1)), "refusals cost nothing");
        assert_eq!(buckets.take("b", at(11)), Ok(()), "another has its own");
        assert_eq!(buckets.take("a", at(12)), Ok(()));
        assert_eq!(buckets.take("a", at(12)), Err(at(2)));
        for _ in 0..3 {
            assert_eq!(buckets.take("a", at(100)), Ok(()), "a pause fills it, and no more");
        }
        assert!(buckets.take("a", at(100)).is_err());
    }

    #[test]
    fn what_turned_out_well_is_given_back() {
        let mut buckets = Buckets::new(RATE);
        for _ in 0..100 {
            assert_eq!(buckets.take("a", at(1)), Ok(()));
            buckets.give_back(&"a");
        }
    }

    #[test]
    fn a_flood_of_keys_shares_one_bucket_and_pushes_nobody_out() {
        let mut buckets = Buckets::new(RATE);
        for _ in 0..3 {
            buckets.take(0, at(1)).expect("a first burst");
        }
        let let_in = (1..100_000).filter(|key| buckets.take(*key, at(1)).is_ok()).count();
        assert_eq!(let_in, KEYS_LIMIT - 1 + 3, "each with room once, and one burst of the others");
        assert!(buckets.full_at.len() <= KEYS_LIMIT);
        assert!(buckets.take(0, at(1)).is_err(), "who was limited before is so still");
        assert_eq!(buckets.take(200_000, at(60)), Ok(()), "later there is room again");
        assert_eq!(buckets.full_at.len(), 1);
    }

    #[test]
    fn one_host_has_one_name() {
        let of = |text: &str| Neighbour::of(Some(text.parse().expect("an address")));
        assert_eq!(of("192.0.2.1"), of("::ffff:192.0.2.1"));
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
    }
}
