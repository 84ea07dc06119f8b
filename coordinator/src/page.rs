//! The status page, rendered on the server: complete without scripts, live with one.
//!
//! ```text
//! request -> Scope (whose page) -> State + History -> view models (pure) -> template -> HTML
//! ```
//!
//! **Invariants**
//! - View models are functions of the state, the readings and one moment; nothing here has a clock.
//! - Targets' words are escaped and stripped of control characters; no script or style is inline.
//! - What is stale is never shown green.
//! - A page shows the checks of its `Scope`, which no visitor sees beyond their own sight.

mod asset;
mod availability;
mod bars;
mod chart;
mod closeup;
mod component;
mod exhibit;
mod live;
mod overview;
mod reader;
mod scope;
mod story;
mod text;
mod tone;
mod view;
mod works;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Query, Request, State as Shared};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::middleware::{map_response, map_response_with_state};
use axum::response::Response;
use axum::routing::get;
use crosscheck_core::State;
use crosscheck_model::{CheckId, IncidentId};
use serde::Deserialize;
use tower_http::compression::CompressionLayer;

use crate::operator::{Sight, address_of};
use closeup::{Closeup, Measured, Range};
use live::Listeners;
use overview::Overview;
pub use reader::{Freshness, ReadError, Reader, Readings, Stretch};
use view::{Frame, Html, PageError};

pub(crate) use asset::{DEMO_SCRIPT, DEMO_STYLE, STYLE, is_known, serve, tag, weak};
pub(crate) use availability::{RULE, Total};
pub(crate) use bars::DAYS as PAGE_DAYS;
pub(crate) use component::{SiteVote, reason};
pub(crate) use overview::Overall;
pub(crate) use reader::ask;
pub(crate) use scope::Scope;
pub(crate) use story::Story;
pub(crate) use text::{Moment, segment};
pub(crate) use tone::Tone;
pub(crate) use works::Work;

/// Nothing but our own files; no inline script or style; shown in no foreign frame.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; \
     img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; \
     frame-ancestors 'none'";

/// What the page's routes share.
#[derive(Clone)]
struct Site {
    reader: Arc<dyn Reader>,
    listeners: Listeners,
}

/// The public page: `/`, `/pages/{page}`, and below each `checks/{check}` and `incidents/{id}`;
/// `/events` and `/assets`.
pub fn routes(reader: Arc<dyn Reader>) -> Router {
    let site = Site { reader: reader.clone(), listeners: Listeners::new(reader.clone()) };
    Router::new()
        .route("/", get(home))
        .route("/checks/{check}", get(check))
        .route("/incidents/{incident}", get(incident))
        .route("/pages/{page}", get(page))
        .route("/pages/{page}/checks/{check}", get(page_check))
        .route("/pages/{page}/incidents/{incident}", get(page_incident))
        .route("/events", get(events))
        .route("/assets/{file}", get(asset::serve))
        .with_state(site)
        .layer(map_response_with_state(reader, count))
        .layer(map_response(guard))
        .layer(CompressionLayer::new())
}

/// Counts answers, where a coordinator is behind the page.
async fn count(Shared(reader): Shared<Arc<dyn Reader>>, response: Response) -> Response {
    if let Some(replica) = reader.replica() {
        replica.0.shared.counter.page(response.status().as_u16());
    }
    response
}

/// Headers that every answer carries.
async fn guard(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

type Held = Shared<Site>;
type Answer = Result<Html, PageError>;

async fn home(Shared(site): Held, sight: Sight, headers: HeaderMap) -> Answer {
    render(site, headers, move |reader| status(reader, &sight, None)).await
}

async fn page(
    Shared(site): Held,
    Path(page): Path<String>,
    sight: Sight,
    headers: HeaderMap,
) -> Answer {
    render(site, headers, move |reader| status(reader, &sight, Some(&page))).await
}

/// Which range a chart shows.
#[derive(Deserialize)]
struct Asked {
    range: Option<String>,
}

async fn check(
    Shared(site): Held,
    Path(check): Path<String>,
    Query(asked): Query<Asked>,
    sight: Sight,
    headers: HeaderMap,
) -> Answer {
    render(site, headers, move |reader| closeup(reader, &sight, None, &check, &asked)).await
}

async fn page_check(
    Shared(site): Held,
    Path((page, check)): Path<(String, String)>,
    Query(asked): Query<Asked>,
    sight: Sight,
    headers: HeaderMap,
) -> Answer {
    render(site, headers, move |reader| closeup(reader, &sight, Some(&page), &check, &asked)).await
}

async fn incident(
    Shared(site): Held,
    Path(id): Path<String>,
    sight: Sight,
    headers: HeaderMap,
) -> Answer {
    render(site, headers, move |reader| story(reader, &sight, None, &id)).await
}

async fn page_incident(
    Shared(site): Held,
    Path((page, id)): Path<(String, String)>,
    sight: Sight,
    headers: HeaderMap,
) -> Answer {
    render(site, headers, move |reader| story(reader, &sight, Some(&page), &id)).await
}

async fn events(Shared(site): Held, request: Request) -> Response {
    site.listeners.open(address_of(&request))
}

/// Reads and renders off the async threads.
async fn render(
    site: Site,
    headers: HeaderMap,
    work: impl FnOnce(&dyn Reader) -> Result<String, PageError> + Send + 'static,
) -> Answer {
    let body = tokio::task::spawn_blocking(move || work(site.reader.as_ref())).await;
    let body = body.map_err(|_| PageError::internal())??;
    Ok(Html::new(body, &headers))
}

/// A status page.
fn status(reader: &dyn Reader, sight: &Sight, page: Option<&str>) -> Result<String, PageError> {
    let freshness = reader.freshness();
    let known = |state: &State| {
        let scope = Scope::of(state, sight, page)?;
        let ids: Vec<CheckId> = scope.checks(state).into_iter().map(|(id, _)| id.clone()).collect();
        Some((scope, ids))
    };
    let (scope, ids) = ask(reader, known).ok_or_else(PageError::no_page)?;
    let days = reader.readings().days_of(&ids, freshness.as_of, bars::DAYS as u32)?;
    let overview = ask(reader, |state| Overview::new(state, &days, &scope, freshness));
    view::status(Frame::new(&scope, freshness), overview)
}

/// A check's own page.
fn closeup(
    reader: &dyn Reader,
    sight: &Sight,
    page: Option<&str>,
    check: &str,
    asked: &Asked,
) -> Result<String, PageError> {
    let freshness = reader.freshness();
    let id = CheckId::new(check);
    let scope =
        ask(reader, |state| Scope::of(state, sight, page)).ok_or_else(PageError::no_page)?;
    if !scope.has(&id) {
        return Err(PageError::no_check());
    }
    let range = Range::of(asked.range.as_deref());
    let readings = reader.readings();
    let days = readings.days(&id, freshness.as_of, bars::DAYS as u32)?;
    let points = readings.latency(&id, range.until(freshness.as_of), range.parts)?;
    let measured = Measured { days: &days, points: &points, range };
    let closeup = ask(reader, |state| {
        let found = state.checks.get_key_value(&id)?;
        Some(Closeup::new(state, found, &measured, &scope, freshness.as_of))
    });
    view::check(Frame::new(&scope, freshness), closeup.ok_or_else(PageError::no_check)?)
}

/// An incident's own page.
fn story(
    reader: &dyn Reader,
    sight: &Sight,
    page: Option<&str>,
    id: &str,
) -> Result<String, PageError> {
    let freshness = reader.freshness();
    let id = id.parse().map(IncidentId).map_err(|_| PageError::no_incident())?;
    let scope =
        ask(reader, |state| Scope::of(state, sight, page)).ok_or_else(PageError::no_page)?;
    let story = ask(reader, |state| {
        let incident = state.incidents.get(&id).filter(|incident| scope.shows(incident))?;
        Some(Story::new(state, incident, &scope, freshness.as_of))
    });
    view::incident(Frame::new(&scope, freshness), story.ok_or_else(PageError::no_incident)?)
}
