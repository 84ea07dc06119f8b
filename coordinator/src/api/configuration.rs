//! `POST /api/v1/configuration`: the cluster takes a configuration over, whole or not at all.
//!
//! The files come as people wrote them and are read here, so that what is in force has passed
//! the rules of the coordinator that runs it, and secrets stay references.

use axum::Json;
use axum::extract::State as Shared;
use crosscheck_checks::document::{self, Document, Source};
use crosscheck_core::command::{Command, Reply};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Api;
use super::answer::{ApiError, Told};
use crate::command::catalogue::catalogue;
use crate::operator::Caller;

/// A configuration of 100,000 checks has a quarter of it.
pub(super) const BODY_LIMIT_BYTES: usize = 64 << 20;

/// A configuration.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Configuration {
    /// Its files, merged in this order.
    pub(crate) files: Vec<File>,
}

/// A file of a configuration.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct File {
    /// Its name, for messages.
    pub(crate) name: String,
    /// Its content: YAML.
    pub(crate) text: String,
}

/// It is in force.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct Applied {
    /// The configuration's number: one more than the last, or the same when nothing changed.
    pub(crate) revision: u64,
}

/// The route.
pub(super) async fn apply(
    Shared(api): Shared<Api>,
    caller: Caller,
    Told(told): Told<Configuration>,
) -> Result<Json<Applied>, ApiError> {
    let source = |file: File| Source { name: file.name, text: file.text };
    let sources: Vec<Source> = told.files.into_iter().map(source).collect();
    let read = tokio::task::spawn_blocking(move || Document::parse(&sources, &catalogue())).await;
    let document = read.map_err(|error| {
        tracing::error!(%error, "cannot read a configuration");
        ApiError::internal()
    })?;
    let Some(config) = document.config().cloned() else {
        let mut report = Vec::new();
        // Memory takes everything.
        let _ = document::report(&mut report, document.diagnostics(), false);
        let report = String::from_utf8_lossy(&report).into_owned();
        return Err(ApiError::bad(
            report,
            "nothing was changed; `crosscheck validate` says the same",
        ));
    };
    match api.submit(caller.act(&Command::Configure(Box::new(config)))).await? {
        Reply::Configured(revision) => Ok(Json(Applied { revision })),
        other => {
            tracing::error!(?other, "a configuration got another command's reply");
            Err(ApiError::internal())
        }
    }
}
