//! How long nobody could see anything fresh: what the coordinators' public pages tell, asked all
//! the time, as visitors would.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crosscheck_model::Timestamp;
use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::api::Api;
use crate::cluster::{CHECK, Cluster};

/// Between two questions to a coordinator: well within what an address may ask.
const ASK_EVERY: Duration = Duration::from_millis(50);

/// Watches all coordinators until it is dropped.
pub(super) struct Sight {
    seen: Arc<Mutex<Seen>>,
    _asking: JoinSet<()>,
}

/// The newest that any of them has shown.
struct Seen {
    as_of: Timestamp,
    at: Instant,
    longest: Duration,
}

impl Sight {
    pub(super) fn of(cluster: &Cluster) -> Self {
        let seen = Seen { as_of: Timestamp::ZERO, at: Instant::now(), longest: Duration::ZERO };
        let seen = Arc::new(Mutex::new(seen));
        let mut asking = JoinSet::new();
        for node in cluster.members() {
            asking.spawn(ask(cluster.coordinator(node).page.clone(), seen.clone()));
        }
        Self { seen, _asking: asking }
    }

    /// Begins anew.
    pub(super) fn begin(&self) {
        let mut seen = lock(&self.seen);
        seen.longest = Duration::ZERO;
    }

    /// The longest time, since the beginning, in which no coordinator showed a newer state of the
    /// cluster in which the check that is well is shown as being well.
    pub(super) fn longest_blind(&self) -> Duration {
        let seen = lock(&self.seen);
        seen.longest.max(seen.at.elapsed())
    }
}

async fn ask(page: Api, seen: Arc<Mutex<Seen>>) {
    loop {
        // One that is gone shows nothing.
        if let Ok(summary) = page.json("/api/v2/summary.json").await
            && let Some(as_of) = shown(&summary)
        {
            lock(&seen).take(as_of);
        }
        sleep(ASK_EVERY).await;
    }
}

impl Seen {
    fn take(&mut self, as_of: Timestamp) {
        if as_of > self.as_of {
            self.longest = self.longest.max(self.at.elapsed());
            (self.as_of, self.at) = (as_of, Instant::now());
        }
    }
}

/// As of when a page shows that the check is well; `None` when it does not. A coordinator without
/// a quorum shows nothing as well.
fn shown(summary: &Value) -> Option<Timestamp> {
    let components = summary["components"].as_array()?;
    let check = components.iter().find(|component| component["name"] == CHECK)?;
    let as_of = serde_json::from_value(summary["page"]["updated_at"].clone()).ok()?;
    (check["status"] == "operational").then_some(as_of)
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().expect("nobody panics with it")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_a_check_that_is_shown_as_well_is_seen() {
        let page = |status: &str| {
            let at = Timestamp::from_millis(1_500);
            let components = json!([{ "name": CHECK, "status": status }]);
            json!({ "page": { "updated_at": at }, "components": components })
        };
        assert_eq!(shown(&page("operational")), Some(Timestamp::from_millis(1_500)));
        assert_eq!(shown(&page("major_outage")), None);
        assert_eq!(shown(&json!({ "components": [] })), None);
    }

    #[test]
    fn what_is_not_newer_does_not_end_blindness() {
        let second = Duration::from_secs(1);
        let begun = Instant::now().checked_sub(second).expect("the machine runs for longer");
        let mut seen =
            Seen { as_of: Timestamp::from_millis(5), at: begun, longest: Duration::ZERO };
        seen.take(Timestamp::from_millis(5));
        assert_eq!((seen.at, seen.longest), (begun, Duration::ZERO));
        seen.take(Timestamp::from_millis(6));
        assert!(seen.at > begun && seen.longest >= second);
    }
}
