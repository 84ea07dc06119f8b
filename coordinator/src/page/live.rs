//! Server-sent events: a word to open pages that there is something new to fetch.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{StatusCode, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use futures_util::stream::{self, BoxStream, Stream, StreamExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::reader::Reader;

/// Open pages that one coordinator keeps up to date; the others look again by themselves.
const LISTENERS: usize = 2_000;
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
}

impl Listeners {
    /// Nobody listens yet.
    pub(crate) fn new(reader: Arc<dyn Reader>) -> Self {
        Self { reader, places: Arc::new(Semaphore::new(LISTENERS)) }
    }

    /// `GET /events`.
    pub(crate) fn open(&self) -> Response {
        let Ok(place) = self.places.clone().try_acquire_owned() else {
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
    place: OwnedSemaphorePermit,
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
