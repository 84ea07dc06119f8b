//! What the demonstration serves: its page, the switches behind it, the mails; and all else from
//! whichever coordinator lives.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::body::Body;
use axum::extract::{Form, Path, Request, State as Shared};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::middleware::map_response;
use axum::response::sse::{Event, Sse};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures_util::StreamExt;
use futures_util::stream::{self, Stream};
use tower::ServiceExt;

use super::board::Board;
use super::cluster::Cluster;
use super::mailbox::Mailbox;
use super::perform;
use super::switchboard::{Asked, Mood, Switchboard};
use crate::origin::is_foreign;
use crate::page::{self, DEMO_SCRIPT, DEMO_STYLE, STYLE};

/// Our own files, forms and mails only; no inline script or style; shown in no foreign frame.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; \
     img-src 'self' data:; connect-src 'self'; frame-src 'self'; base-uri 'none'; \
     form-action 'self'; frame-ancestors 'none'";

/// A mail as its reader's program shows it: its own styles, and nothing that acts.
const MAIL_POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; sandbox; frame-ancestors 'self'";

/// How soon an open page hears that something changed: votes come once a second.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// What the routes share.
#[derive(Clone)]
pub(super) struct Stage {
    /// The coordinators.
    pub(super) cluster: Arc<Cluster>,
    /// The switches.
    pub(super) switches: Arc<Switchboard>,
    /// The mails.
    pub(super) mailbox: Mailbox,
    /// Whoever reaches these routes may operate the installation.
    pub(super) operate: bool,
}

impl Stage {
    fn look(&self) -> Board {
        Board::look(&self.cluster, &self.switches.now(), &self.mailbox)
    }
}

/// `/demo` and below; everything else is a coordinator's.
pub(super) fn routes(stage: Stage) -> Router {
    Router::new()
        .route("/demo", get(demo))
        .route("/demo/state", get(state))
        .route("/demo/events", get(events))
        .route("/demo/switch", post(switch))
        .layer(map_response(guard))
        .route("/demo/mails/{number}", get(mail))
        .route("/assets/{file}", get(page::serve))
        .fallback(beyond)
        .with_state(stage)
}

async fn guard(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "same-origin"),
        (header::CACHE_CONTROL, "no-store"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// A button that makes the target so.
struct MoodButton {
    word: &'static str,
    label: &'static str,
    on: bool,
}

#[derive(Template)]
#[template(path = "demo.html")]
struct DemoPage {
    board: Board,
    moods: Vec<MoodButton>,
    style: &'static str,
    own_style: &'static str,
    script: &'static str,
}

impl DemoPage {
    fn new(board: Board) -> Self {
        let target = board.target;
        let button =
            |mood: Mood| MoodButton { word: mood.word(), label: mood.label(), on: mood == target };
        Self {
            moods: Mood::ALL.into_iter().map(button).collect(),
            board,
            style: &STYLE.path,
            own_style: &DEMO_STYLE.path,
            script: &DEMO_SCRIPT.path,
        }
    }

    /// Something is broken, and the hint's own button does not heal it.
    fn offers_healing(&self) -> bool {
        let heals = self.board.advice.button.as_ref().is_some_and(|button| button.what == "heal");
        !heals && !self.is_whole()
    }

    /// Every coordinator runs, and nothing is cut or broken.
    fn is_whole(&self) -> bool {
        let Board { target, carriers, coordinators, .. } = &self.board;
        let sites = || carriers.iter().flat_map(|carrier| &carrier.sites);
        *target == Mood::Works
            && coordinators.iter().all(|coordinator| coordinator.live)
            && carriers.iter().all(|carrier| !carrier.cut)
            && sites().all(|site| !site.cut && !site.mute)
    }
}

async fn demo(Shared(stage): Shared<Stage>) -> Response {
    match DemoPage::new(stage.look()).render() {
        Ok(page) => Html(page).into_response(),
        Err(error) => {
            tracing::error!(%error, "cannot render the demonstration's page");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

async fn state(Shared(stage): Shared<Stage>) -> Json<Board> {
    Json(stage.look())
}

/// An event whenever the page would look different.
async fn events(
    Shared(stage): Shared<Stage>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let looks = tokio::time::interval(LOOK_EVERY);
    Sse::new(stream::unfold(
        (stage, looks, String::new()),
        |(stage, mut looks, known)| async move {
            loop {
                looks.tick().await;
                let now = serde_json::to_string(&stage.look()).unwrap_or_default();
                if now != known {
                    let event = Event::default().event("change").data("now");
                    return Some((Ok(event), (stage, looks, now)));
                }
            }
        },
    ))
}

/// Turns a switch, for a form of our own page and for `curl`.
async fn switch(
    Shared(stage): Shared<Stage>,
    uri: Uri,
    headers: HeaderMap,
    Form(asked): Form<Asked>,
) -> Response {
    if is_foreign(&uri, &headers) {
        return StatusCode::FORBIDDEN.into_response();
    }
    let Some(act) = asked.act() else {
        return (StatusCode::BAD_REQUEST, "no such switch\n").into_response();
    };
    // A visitor who goes away must not leave a coordinator half stopped.
    let done = tokio::spawn(async move { perform(&stage.cluster, &stage.switches, act).await });
    match done.await {
        Ok(Ok(())) => Redirect::to("/demo").into_response(),
        Ok(Err(error)) => {
            (StatusCode::INTERNAL_SERVER_ERROR, format!("{error:#}\n")).into_response()
        }
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// A mail's HTML part.
async fn mail(Shared(stage): Shared<Stage>, Path(number): Path<usize>) -> Response {
    let (before, mails) = stage.mailbox.mails();
    let index = number.checked_sub(before + 1);
    let Some(mail) = index.and_then(|index| mails.get(index)) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    ([(header::CONTENT_SECURITY_POLICY, MAIL_POLICY)], Html(mail.html.clone())).into_response()
}

/// The status page and the API, from a coordinator that lives.
async fn beyond(Shared(stage): Shared<Stage>, request: Request) -> Response {
    let Some(alive) = stage.cluster.spokesman() else {
        let why = "No coordinator runs: start one again on /demo.\n";
        return (StatusCode::SERVICE_UNAVAILABLE, why).into_response();
    };
    let routes = if stage.operate { alive.operators } else { alive.public };
    let Ok(response) = routes.oneshot(request).await;
    let is_stream = response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
    if !is_stream {
        return response;
    }
    // A stopped coordinator's events end with it: the browser then asks the next one.
    let stopped = alive.stop.cancelled_owned();
    response.map(|body| Body::from_stream(body.into_data_stream().take_until(stopped)))
}
