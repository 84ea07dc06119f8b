//! Server-sent events: a word to open pages that there is something new to fetch.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{StatusCode, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use futures_util::stream::{self, BoxStream, Stream, StreamExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::reader::Reader;
use crate::operator::{Guests, Seat};

/// Open pages that one coordinator keeps up to date; the others look again by themselves.
const LISTENERS: usize = 2_000;
/// Those of one address: an office has some open, and nobody takes the others' places. Behind a
/// proxy on this host nobody is told apart; see [`Guests`].
const LISTENERS_OF_ADDRESS: usize = 16;
/// A burst of changes comes as one event.
const SETTLE: Duration = Duration::from_millis(500);
/// A sign of life, so that a page notices when it is cut off.
const ALIVE: Duration = Duration::from_secs(15);
/// An event without data is none to a browser.
const SIGN: &str = "now";
/// When a browser that was turned away asks again.
const RETRY_SECONDS: &str = "60";

/// Who may listen.
#[derive(Clone)]
pub(crate) struct Listeners {
    reader: Arc<dyn Reader>,
    places: Arc<Semaphore>,
    guests: Guests,
}

impl Listeners {
    /// Nobody listens yet.
    pub(crate) fn new(reader: Arc<dyn Reader>) -> Self {
        let places = Arc::new(Semaphore::new(LISTENERS));
        Self { reader, places, guests: Guests::new(LISTENERS_OF_ADDRESS) }
    }

    /// `GET /events`, asked from this address.
    pub(crate) fn open(&self, from: Option<IpAddr>) -> Response {
        let own = self.guests.enter(from).ok();
        let Some(place) = own.zip(self.places.clone().try_acquire_owned().ok()) else {
            let later = [(header::RETRY_AFTER, RETRY_SECONDS)];
            return (StatusCode::SERVICE_UNAVAILABLE, later).into_response();
        };
        let alive =
            KeepAlive::new().interval(ALIVE).event(Event::default().event("alive").data(SIGN));
        let events = Sse::new(events(self.reader.changes(), place)).keep_alive(alive);
        // A proxy that buffers would keep the events to itself.
        ([("x-accel-buffering", "no")], events).into_response()
    }
}

/// One event for each burst of changes.
fn events(
    changes: BoxStream<'static, ()>,
    place: (Seat, OwnedSemaphorePermit),
) -> impl Stream<Item = Result<Event, Infallible>> {
    let hello = stream::iter([Ok(Event::default().event("alive").data(SIGN))]);
    let bursts = stream::unfold((changes, place), |(mut changes, place)| async move {
        changes.next().await?;
        tokio::time::sleep(SETTLE).await;
        while let Some(Some(())) = changes.next().now_or_never() {}
        Some((Ok(Event::default().event("change").data(SIGN)), (changes, place)))
    });
    hello.chain(bursts)
}

#[cfg(test)]
mod tests {
    use crosscheck_core::State;

    use super::*;
    use crate::page::{Freshness, Readings};

    /// Nothing ever changes.
    struct Still;

    impl Reader for Still {
        fn with_state(&self, _: &mut dyn FnMut(&State)) {
            unreachable!("who listens is told that there is something, not what")
        }

        fn readings(&self) -> &dyn Readings {
            unreachable!("who listens is told that there is something, not what")
        }

        fn freshness(&self) -> Freshness {
            unreachable!("who listens is told that there is something, not what")
        }

        fn changes(&self) -> BoxStream<'static, ()> {
            stream::pending().boxed()
        }
    }

    #[tokio::test]
    async fn one_address_leaves_places_for_the_others() {
        let listeners = Listeners::new(Arc::new(Still));
        let listen = |address: &str| listeners.open(Some(address.parse().expect("an address")));
        let mut open = Vec::new();
        for _ in 0..LISTENERS_OF_ADDRESS {
            open.push(listen("192.0.2.1"));
        }
        assert!(open.iter().all(|answer| answer.status() == StatusCode::OK));
        let refused = listen("192.0.2.1");
        assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(refused.headers()[header::RETRY_AFTER], RETRY_SECONDS);
        assert_eq!(listen("192.0.2.2").status(), StatusCode::OK);
        for _ in 0..2 * LISTENERS_OF_ADDRESS {
            open.push(listen("127.0.0.1"));
        }
        assert!(open.iter().all(|answer| answer.status() == StatusCode::OK), "a proxy in front");
        open.remove(0);
        assert_eq!(listen("192.0.2.1").status(), StatusCode::OK, "one has gone");
    }
}
