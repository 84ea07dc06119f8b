//! The operators' and customers' API: JSON from applied state and history.
//!
//! ```text
//! OPERATIONS --> routes          one table: what is served is what the OpenAPI document says
//!           \--> openapi.json
//! ```
//!
//! **Invariants**
//! - Reads come from this coordinator; writes go through the log, by `submit`, each as an act of
//!   its caller, so that the audit trail has it.
//! - Every operation says who may use it; what a caller may not see does not exist for them.
//! - Every error is `{error, hint}` with the right status code; every time is RFC 3339 UTC.

mod acknowledge;
mod answer;
pub(crate) mod audit;
mod backup;
pub(crate) mod bounce;
mod check;
pub(crate) mod cluster;
pub(crate) mod configuration;
mod drill;
mod health;
mod incident;
mod metrics;
mod openapi;
mod outbox;
mod probe;
mod reading;
mod site;
mod statuspage;
pub(crate) mod token;

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State as Shared};
use axum::middleware::{self, Next, map_response};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use crosscheck_core::command::{Command, Reply};
use crosscheck_core::operator::Role;
use futures_util::future::BoxFuture;
use http::{HeaderValue, header};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use tower_http::compression::CompressionLayer;

use crate::operator::{Caller, Sight};
use crate::page::Reader;
pub(crate) use answer::ApiError;

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

impl Api {
    /// Puts a command into the log. A coordinator without a quorum can only be read, and says so.
    async fn submit(&self, command: Command) -> Result<Reply, ApiError> {
        (self.submit)(command).await.map_err(|error| {
            let freshness = self.reader.freshness();
            let refused = error == SubmitError::NoLeader && freshness.minority;
            if refused { ApiError::read_only(freshness.as_of) } else { error.into() }
        })
    }
}

/// Who may use an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Access {
    /// Whoever sees the status page.
    Public,
    /// Operators of this role or a higher one.
    Least(Role),
    /// The same, but not those who are for some customers only: it concerns everybody.
    Whole(Role),
}

/// Makes the schema of a type.
type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// One operation: how it is served and what the OpenAPI document says of it.
struct Operation {
    method: &'static str,
    path: &'static str,
    summary: &'static str,
    access: Access,
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
        let access = Access::Least(Role::Viewer);
        Self { method: "get", path, summary, access, query: None, body: None, answer, route }
    }

    const fn post(
        path: &'static str,
        summary: &'static str,
        body: Option<SchemaOf>,
        answer: SchemaOf,
        route: fn() -> MethodRouter<Api>,
    ) -> Self {
        let access = Access::Least(Role::Operator);
        Self { method: "post", path, summary, access, query: None, body, answer, route }
    }

    const fn asking(self, query: SchemaOf) -> Self {
        Self { query: Some(query), ..self }
    }

    const fn open_to(self, access: Access) -> Self {
        Self { access, ..self }
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
        "Checks with every site's vote, by id; the Link header names the next page",
        schema::<Vec<check::Check>>,
        || get(check::list),
    )
    .asking(inline::<check::ChecksQuery>),
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
    Operation::post(
        "/api/v1/incidents/{incident}/acknowledge",
        "Take an incident on",
        Some(schema::<acknowledge::Acknowledge>),
        schema::<acknowledge::Acknowledged>,
        || post(acknowledge::acknowledge),
    ),
    Operation::post(
        "/api/v1/drills",
        "Simulate a failure: an alarm to whom a real one would go, marked as a drill, and its end",
        Some(schema::<drill::Wanted>),
        schema::<drill::Begun>,
        || post(drill::begin),
    ),
    Operation::post(
        "/api/v1/bounces",
        "Tell that a mail has come back: its alarm is told by other ways",
        Some(schema::<bounce::CameBack>),
        schema::<bounce::Known>,
        || post(bounce::take),
    )
    .open_to(Access::Whole(Role::Operator)),
    Operation::post(
        "/api/v1/configuration",
        "Have the cluster take a configuration over",
        Some(schema::<configuration::Configuration>),
        schema::<configuration::Applied>,
        || {
            let limit = DefaultBodyLimit::max(configuration::BODY_LIMIT_BYTES);
            post(configuration::apply).layer(limit)
        },
    )
    .open_to(Access::Whole(Role::Administrator)),
    Operation::get("/api/v1/tokens", "Operators' tokens", schema::<Vec<token::Token>>, || {
        get(token::list)
    })
    .open_to(Access::Least(Role::Administrator)),
    Operation::post(
        "/api/v1/tokens",
        "Make a token; its secret is in this answer and never shown again",
        Some(schema::<token::Wanted>),
        schema::<token::Made>,
        || post(token::create),
    )
    .open_to(Access::Least(Role::Administrator)),
    Operation::post(
        "/api/v1/tokens/{token}/revoke",
        "Let nobody in by a token any more; named by its id or its name",
        None,
        schema::<token::Revoked>,
        || post(token::revoke),
    )
    .open_to(Access::Least(Role::Administrator)),
    Operation::get(
        "/api/v1/audit",
        "What operators did, oldest first, each entry chained to the one before by its hash",
        schema::<audit::Trail>,
        || get(audit::list),
    )
    .asking(inline::<audit::AuditQuery>)
    .open_to(Access::Whole(Role::Administrator)),
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
    )
    .open_to(Access::Whole(Role::Viewer)),
    Operation {
        method: "post",
        path: "/api/v1/cluster/tokens",
        summary: "Let one more coordinator join, once",
        access: Access::Whole(Role::Administrator),
        query: None,
        body: Some(schema::<cluster::WantToken>),
        answer: schema::<cluster::Token>,
        route: || post(cluster::token),
    },
    Operation {
        method: "post",
        path: "/api/v1/cluster/members/{node}/remove",
        summary: "Take a coordinator out of the cluster, for good",
        access: Access::Whole(Role::Administrator),
        query: None,
        body: None,
        answer: schema::<cluster::Changes>,
        route: || post(cluster::remove),
    },
    Operation {
        method: "post",
        path: "/api/v1/cluster/members/{node}/transfer",
        summary: "Have a coordinator lead",
        access: Access::Whole(Role::Administrator),
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
    )
    .open_to(Access::Whole(Role::Viewer)),
    Operation {
        method: "post",
        path: "/api/v1/probes/tokens",
        summary: "Let one probe join, once, at one site",
        access: Access::Whole(Role::Administrator),
        query: None,
        body: Some(schema::<probe::WantProbeToken>),
        answer: schema::<probe::ProbeToken>,
        route: || post(probe::token),
    },
    Operation {
        method: "post",
        path: "/api/v1/probes/{probe}/revoke",
        summary: "Shut a probe out, at once",
        access: Access::Whole(Role::Administrator),
        query: None,
        body: None,
        answer: schema::<probe::Acted>,
        route: || post(probe::revoke),
    },
    Operation {
        method: "post",
        path: "/api/v1/probes/{probe}/reinstate",
        summary: "Believe a quarantined probe again",
        access: Access::Whole(Role::Administrator),
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
    )
    .open_to(Access::Whole(Role::Administrator)),
    Operation::get("/api/v1/openapi.json", "This document", schema::<serde_json::Value>, || {
        get(openapi::serve)
    })
    .open_to(Access::Public),
    Operation::get(
        "/api/v2/summary.json",
        "The whole page in Atlassian Statuspage's shape",
        schema::<statuspage::Summary>,
        || get(statuspage::home),
    )
    .open_to(Access::Public),
    Operation::get(
        "/pages/{page}/api/v2/summary.json",
        "One page in Atlassian Statuspage's shape",
        schema::<statuspage::Summary>,
        || get(statuspage::page),
    )
    .open_to(Access::Public),
    Operation::get(
        "/metrics",
        "What this coordinator says about itself, in Prometheus' text format",
        inline::<String>,
        || get(metrics::show),
    )
    .open_to(Access::Whole(Role::Viewer)),
    Operation::get("/healthz", "The process answers", schema::<health::Health>, || {
        get(health::alive)
    })
    .open_to(Access::Public),
    Operation::get(
        "/readyz",
        "It can be relied on: it votes, hears a quorum and a leader, and has caught up",
        schema::<health::Health>,
        || get(health::ready),
    )
    .open_to(Access::Public),
];

/// The whole API, for a listener with a [`crate::operator::Door`] in front: without one it answers
/// nobody.
pub fn routes(reader: Arc<dyn Reader>, submit: Submit) -> Router {
    serve(Api { reader, submit }, |_| true)
}

/// What may stand beside the status page on a public listener: page summaries and health.
pub fn public_routes(reader: Arc<dyn Reader>) -> Router {
    // Nothing public submits a command.
    let submit: Submit = Arc::new(|_| Box::pin(async { Err(SubmitError::NoLeader) }));
    serve(Api { reader, submit }, |operation| operation.access == Access::Public)
}

/// Routes for the operations wanted.
fn serve(api: Api, wanted: fn(&Operation) -> bool) -> Router {
    let router = OPERATIONS.iter().filter(|operation| wanted(operation)).fold(
        Router::new(),
        |router, operation| {
            let guarded = middleware::from_fn_with_state(operation.access, admit);
            router.route(operation.path, (operation.route)().layer(guarded))
        },
    );
    router
        .route("/api/{*rest}", axum::routing::any(|| async { ApiError::no_route() }))
        .method_not_allowed_fallback(|| async { ApiError::wrong_method() })
        .layer(DefaultBodyLimit::max(BODY_LIMIT_BYTES))
        .layer(CompressionLayer::new())
        .layer(map_response(|response| async { harden(response) }))
        .with_state(api)
}

/// Lets only those to an operation who may use it.
async fn admit(Shared(access): Shared<Access>, request: Request, next: Next) -> Response {
    let caller = request.extensions().get::<Caller>();
    match refusal(access, caller) {
        None => next.run(request).await,
        Some(refusal) => refusal.into_response(),
    }
}

/// Why a caller may not use an operation.
fn refusal(access: Access, caller: Option<&Caller>) -> Option<ApiError> {
    let (Access::Least(role) | Access::Whole(role)) = access else { return None };
    let Some(caller) = caller else { return Some(ApiError::nobody()) };
    if caller.actor.role < role {
        return Some(ApiError::role(caller, role));
    }
    let whole = matches!(access, Access::Whole(_)) && caller.sight != Sight::Everything;
    whole.then(|| ApiError::whole(caller))
}

/// Headers that every answer carries: it is data, for whoever asked and nobody in between.
pub(crate) fn harden(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}
