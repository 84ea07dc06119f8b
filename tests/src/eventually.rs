//! Waiting for what must become true, for a bounded time.

use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, sleep};

/// Between looks: short beside everything waited for, long beside a look.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Looks again and again until it is `Ok`; `Err` says what is seen instead.
///
/// # Panics
/// It did not become so `within` the time; the panic tells what was seen last.
pub async fn eventually<T, F, Look>(within: Duration, what: &str, mut look: F) -> T
where
    F: FnMut() -> Look,
    Look: Future<Output = Result<T, String>>,
{
    let end = Instant::now() + within;
    loop {
        match look().await {
            Ok(seen) => return seen,
            Err(seen) => {
                assert!(Instant::now() < end, "not within {within:?}: {what}; seen last: {seen}");
            }
        }
        sleep(LOOK_EVERY).await;
    }
}
