//! View models into HTML: the templates, what frames every page, and the pages for errors.

use askama::Template;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::asset::{self, SCRIPT, STYLE};
use super::availability::RULE;
use super::closeup::{Closeup, RANGES};
use super::overview::{Overview, stale_line};
use super::reader::{Freshness, ReadError};
use super::scope::Scope;
use super::story::Story;
use super::text::Moment;

/// What stands around every page.
pub(crate) struct Frame {
    /// The page's title.
    title: String,
    /// Where the page is.
    home: String,
    /// Where the page's summary for machines is.
    summary: String,
    /// What the state stands for.
    as_of: Moment,
    /// Who answers.
    node: u64,
    /// Who leads.
    leader: Option<u64>,
    /// Why none of it can be trusted.
    stale: Option<String>,
    /// The style sheet's address.
    style: &'static str,
    /// The script's address.
    script: &'static str,
}

impl Frame {
    /// The frame of a page.
    pub(crate) fn new(scope: &Scope, freshness: Freshness) -> Self {
        Self {
            title: scope.title.clone(),
            home: scope.home(),
            summary: format!("{}/api/v2/summary.json", scope.base()),
            as_of: Moment::second(freshness.as_of),
            node: freshness.node,
            leader: freshness.leader,
            stale: stale_line(freshness),
            style: &STYLE.path,
            script: &SCRIPT.path,
        }
    }
}

#[derive(Template)]
#[template(path = "status.html")]
struct StatusPage {
    frame: Frame,
    overview: Overview,
    rule: &'static str,
}

#[derive(Template)]
#[template(path = "check.html")]
struct CheckPage {
    frame: Frame,
    closeup: Closeup,
    rule: &'static str,
}

#[derive(Template)]
#[template(path = "incident.html")]
struct IncidentPage {
    frame: Frame,
    story: Story,
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage<'a> {
    style: &'static str,
    title: &'a str,
    hint: &'a str,
}

/// A status page.
pub(crate) fn status(frame: Frame, overview: Overview) -> Result<String, PageError> {
    Ok(StatusPage { frame, overview, rule: RULE }.render()?)
}

/// A check's own page.
pub(crate) fn check(frame: Frame, closeup: Closeup) -> Result<String, PageError> {
    Ok(CheckPage { frame, closeup, rule: RULE }.render()?)
}

/// An incident's own page.
pub(crate) fn incident(frame: Frame, story: Story) -> Result<String, PageError> {
    Ok(IncidentPage { frame, story }.render()?)
}

/// A rendered page, or the word that the browser has it already.
pub(crate) struct Html {
    body: Option<String>,
    tag: String,
}

impl Html {
    /// An answer to a request with these headers.
    pub(crate) fn new(body: String, headers: &HeaderMap) -> Self {
        let tag = asset::tag(body.as_bytes());
        let body = (!asset::is_known(headers, &tag)).then_some(body);
        Self { body, tag }
    }
}

impl IntoResponse for Html {
    fn into_response(self) -> Response {
        let kept = [
            (header::ETAG, asset::weak(&self.tag)),
            (header::CACHE_CONTROL, "no-cache".to_owned()),
        ];
        match self.body {
            Some(body) => (kept, axum::response::Html(body)).into_response(),
            None => (StatusCode::NOT_MODIFIED, kept).into_response(),
        }
    }
}

/// Why there is no page to show.
#[derive(Debug)]
pub(crate) struct PageError {
    status: StatusCode,
    title: &'static str,
    hint: &'static str,
}

impl PageError {
    /// No page of that name.
    pub(crate) const fn no_page() -> Self {
        Self {
            status: StatusCode::NOT_FOUND,
            title: "There is no such status page",
            hint: "Check the address; pages are named in the configuration.",
        }
    }

    /// No check of that name on the page.
    pub(crate) const fn no_check() -> Self {
        Self {
            status: StatusCode::NOT_FOUND,
            title: "There is no such check on this page",
            hint: "It may have been renamed or removed.",
        }
    }

    /// No incident of that number on the page.
    pub(crate) const fn no_incident() -> Self {
        Self {
            status: StatusCode::NOT_FOUND,
            title: "There is no such incident on this page",
            hint: "Incidents resolved long ago are kept in the reports.",
        }
    }

    /// Our own fault; the log knows more than the reader should.
    pub(crate) const fn internal() -> Self {
        Self {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            title: "This page cannot be shown at the moment",
            hint: "Checks and alarms are not affected. Try again, or another coordinator.",
        }
    }
}

impl From<askama::Error> for PageError {
    fn from(error: askama::Error) -> Self {
        tracing::error!(%error, "cannot render the page");
        Self::internal()
    }
}

impl From<ReadError> for PageError {
    fn from(error: ReadError) -> Self {
        tracing::error!(%error, "cannot show the page");
        Self::internal()
    }
}

impl IntoResponse for PageError {
    fn into_response(self) -> Response {
        let page = ErrorPage { style: &STYLE.path, title: self.title, hint: self.hint };
        let body = page.render().unwrap_or_else(|_| self.title.to_owned());
        let fresh = [(header::CACHE_CONTROL, "no-store")];
        (self.status, fresh, axum::response::Html(body)).into_response()
    }
}
