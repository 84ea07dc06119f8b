//! The operators' and customers' API: JSON from applied state and history.
//!
//! ```text
//! OPERATIONS --> routes          one table: what is served is what the OpenAPI document says
//!           \--> openapi.json
//! ```
//!
//! **Invariants**
//! - Reads come from this coordinator; the one write goes through the log, by `submit`.
//! - Every error is `{error, hint}` with the right status code; every time is RFC 3339 UTC.

mod acknowledge;
mod answer;
mod backup;
mod check;
pub(crate) mod cluster;
pub(crate) mod configuration;
mod health;
mod incident;
mod openapi;
mod outbox;
mod probe;
mod reading;
mod site;
mod statuspage;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{MethodRouter, get, post};
use crosscheck_core::command::{Command, Reply};
use futures_util::future::BoxFuture;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use tower_http::compression::CompressionLayer;

use crate::page::Reader;
use answer::ApiError;

/// The largest request body: an acknowledgement with its note.
const BODY_LIMIT_BYTES: usize = 16 * 1024;

/// Puts a command into the log and brings back what applying it gave.
pub type Submit =
    Arc<dyn Fn(Command) -> BoxFuture<'static, Result<Reply, SubmitError>> + Send + Sync>;

/// A command did not get into the log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// There is no leader at present.
    #[error("there is no leader at present")]
    NoLeader,
    /// No answer came in time: it may or may not have been done.
    #[error("no answer came in time")]
    Lost,
}

/// What the API's routes share.
#[derive(Clone)]
pub(crate) struct Api {
    reader: Arc<dyn Reader>,
    submit: Submit,
}

/// Who may be let in to an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Audience {
    /// Whoever sees the status page.
    Public,
    /// The installation's staff.
    Operators,
}

/// Makes the schema of a type.
type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// One operation: how it is served and what the OpenAPI document says of it.
struct Operation {
    method: &'static str,
    path: &'static str,
    summary: &'static str,
    audience: Audience,
    query: Option<SchemaOf>,
    body: Option<SchemaOf>,
    answer: SchemaOf,
    route: fn() -> MethodRouter<Api>,
}

impl Operation {
    const fn get(
        path: &'static str,
        summary: &'static str,
        answer: SchemaOf,
        route: fn() -> MethodRouter<Api>,
    ) -> Self {
        let audience = Audience::Operators;
        Self { method: "get", path, summary, audience, query: None, body: None, answer, route }
    }

    const fn asking(self, query: SchemaOf) -> Self {
        Self { query: Some(query), ..self }
    }

    const fn public(self) -> Self {
        Self { audience: Audience::Public, ..self }
    }
}

/// The schema of `T`, inline.
fn inline<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    T::json_schema(generator)
}

/// A reference to the schema of `T`.
fn schema<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

/// Everything the API can do.
const OPERATIONS: &[Operation] = &[
    Operation::get(
        "/api/v1/checks",
        "All checks with every site's vote",
        schema::<Vec<check::Check>>,
        || get(check::list),
    ),
    Operation::get("/api/v1/checks/{check}", "One check", schema::<check::Check>, || {
        get(check::one)
    }),
    Operation::get(
        "/api/v1/checks/{check}/observations",
        "What probes saw, newest first",
        schema::<Vec<reading::Observation>>,
        || get(reading::observations),
    )
    .asking(inline::<reading::ObservationsQuery>),
    Operation::get(
        "/api/v1/checks/{check}/latency",
        "Run times per site in equal parts of a stretch of time",
        schema::<reading::Latency>,
        || get(reading::latency),
    )
    .asking(inline::<reading::LatencyQuery>),
    Operation::get(
        "/api/v1/checks/{check}/availability",
        "Availability and how each day was spent",
        schema::<reading::Availability>,
        || get(reading::availability),
    )
    .asking(inline::<reading::AvailabilityQuery>),
    Operation::get(
        "/api/v1/incidents",
        "Incidents, newest first; the Link header names the next page",
        schema::<Vec<incident::Incident>>,
        || get(incident::list),
    )
    .asking(inline::<incident::IncidentsQuery>),
    Operation::get(
        "/api/v1/incidents/{incident}",
        "One incident",
        schema::<incident::Incident>,
        || get(incident::one),
    ),
    Operation {
        method: "post",
        path: "/api/v1/incidents/{incident}/acknowledge",
        summary: "Take an incident on",
        audience: Audience::Operators,
        query: None,
        body: Some(schema::<acknowledge::Acknowledge>),
        answer: schema::<acknowledge::Acknowledged>,
        route: || post(acknowledge::acknowledge),
    },
    Operation {
        method: "post",
        path: "/api/v1/configuration",
        summary: "Have the cluster take a configuration over",
        audience: Audience::Operators,
        query: None,
        body: Some(schema::<configuration::Configuration>),
        answer: schema::<configuration::Applied>,
        route: || {
            let limit = DefaultBodyLimit::max(configuration::BODY_LIMIT_BYTES);
            post(configuration::apply).layer(limit)
        },
    },
    Operation::get("/api/v1/sites", "Sites and their probes", schema::<Vec<site::Site>>, || {
        get(site::list)
    }),
    Operation::get(
        "/api/v1/outbox",
        "Notifications owed and sent of late, newest first",
        schema::<Vec<outbox::Notification>>,
        || get(outbox::list),
    ),
    Operation::get(
        "/api/v1/cluster",
        "The coordinators and how each is",
        schema::<crate::cluster::report::ClusterReport>,
        || get(cluster::show),
    ),
    Operation {
        method: "post",
        path: "/api/v1/cluster/tokens",
        summary: "Let one more coordinator join, once",
        audience: Audience::Operators,
        query: None,
        body: Some(schema::<cluster::WantToken>),
        answer: schema::<cluster::Token>,
        route: || post(cluster::token),
    },
    Operation {
        method: "post",
        path: "/api/v1/cluster/members/{node}/remove",
        summary: "Take a coordinator out of the cluster, for good",
        audience: Audience::Operators,
        query: None,
        body: None,
        answer: schema::<cluster::Changes>,
        route: || post(cluster::remove),
    },
    Operation {
        method: "post",
        path: "/api/v1/cluster/members/{node}/transfer",
        summary: "Have a coordinator lead",
        audience: Audience::Operators,
        query: None,
        body: None,
        answer: schema::<cluster::Changes>,
        route: || post(cluster::transfer),
    },
    Operation::get(
        "/api/v1/probes",
        "Probes that have joined, and how each is",
        schema::<Vec<probe::Enrolled>>,
        || get(probe::list),
    ),
    Operation {
        method: "post",
        path: "/api/v1/probes/tokens",
        summary: "Let one probe join, once, at one site",
        audience: Audience::Operators,
        query: None,
        body: Some(schema::<probe::WantProbeToken>),
        answer: schema::<probe::ProbeToken>,
        route: || post(probe::token),
    },
    Operation {
        method: "post",
        path: "/api/v1/probes/{probe}/revoke",
        summary: "Shut a probe out, at once",
        audience: Audience::Operators,
        query: None,
        body: None,
        answer: schema::<probe::Acted>,
        route: || post(probe::revoke),
    },
    Operation {
        method: "post",
        path: "/api/v1/probes/{probe}/reinstate",
        summary: "Believe a quarantined probe again",
        audience: Audience::Operators,
        query: None,
        body: None,
        answer: schema::<probe::Acted>,
        route: || post(probe::reinstate),
    },
    Operation::get(
        "/api/v1/backup",
        "A backup of state and history, as a stream of bytes",
        inline::<Vec<u8>>,
        || get(backup::download),
    ),
    Operation::get("/api/v1/openapi.json", "This document", schema::<serde_json::Value>, || {
        get(openapi::serve)
    })
    .public(),
    Operation::get(
        "/api/v2/summary.json",
        "The whole page in Atlassian Statuspage's shape",
        schema::<statuspage::Summary>,
        || get(statuspage::home),
    )
    .public(),
    Operation::get(
        "/pages/{page}/api/v2/summary.json",
        "One page in Atlassian Statuspage's shape",
        schema::<statuspage::Summary>,
        || get(statuspage::page),
    )
    .public(),
    Operation::get("/healthz", "The process answers", schema::<health::Health>, || {
        get(health::alive)
    })
    .public(),
    Operation::get(
        "/readyz",
        "It can be relied on: it votes, hears a quorum and a leader, and has caught up",
        schema::<health::Health>,
        || get(health::ready),
    )
    .public(),
];

/// The whole API, for a listener that lets operators in.
pub fn routes(reader: Arc<dyn Reader>, submit: Submit) -> Router {
    serve(Api { reader, submit }, |_| true)
}

/// What may stand beside the status page on a public listener: page summaries and health.
pub fn public_routes(reader: Arc<dyn Reader>) -> Router {
    // Nothing public submits a command.
    let submit: Submit = Arc::new(|_| Box::pin(async { Err(SubmitError::NoLeader) }));
    serve(Api { reader, submit }, |operation| operation.audience == Audience::Public)
}

/// Routes for the operations wanted.
fn serve(api: Api, wanted: fn(&Operation) -> bool) -> Router {
    let router = OPERATIONS
        .iter()
        .filter(|operation| wanted(operation))
        .fold(Router::new(), |router, operation| router.route(operation.path, (operation.route)()));
    router
        .route("/api/{*rest}", axum::routing::any(|| async { ApiError::no_route() }))
        .method_not_allowed_fallback(|| async { ApiError::wrong_method() })
        .layer(DefaultBodyLimit::max(BODY_LIMIT_BYTES))
        .layer(CompressionLayer::new())
        .with_state(api)
}
