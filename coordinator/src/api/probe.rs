//! `/api/v1/probes`: who has joined, and who may; tokens, revocation, quarantine.

use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State as Shared};
use crosscheck_core::State;
use crosscheck_core::command::{Command, Reply};
use crosscheck_core::identity::Identity;
use crosscheck_core::state::ProbeState;
use crosscheck_core::token::{Grant, LONGEST_LIFETIME};
use crosscheck_model::join::JoinToken;
use crosscheck_model::{ProbeId, Timestamp};
use crosscheck_probe::trust;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Api;
use super::answer::{ApiError, Told};
use crate::operator::Caller;
use crate::page::ask;

/// A probe that has joined, or that has a session without having had to.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Enrolled {
    /// Its name.
    probe: String,
    /// Where it stands.
    site: String,
    /// It hears the coordinators and is heard.
    live: bool,
    /// When it last heard them.
    #[schemars(with = "Option<String>")]
    heard_at: Option<Timestamp>,
    /// Its software's version.
    version: Option<String>,
    /// When it joined; null for one on a coordinator's own host, which need not.
    #[schemars(with = "Option<String>")]
    joined_at: Option<Timestamp>,
    /// Who issued its token.
    invited_by: Option<String>,
    /// When its certificate ends; it is renewed at half its time.
    #[schemars(with = "Option<String>")]
    certificate_until: Option<Timestamp>,
    /// Since when it is shut out.
    #[schemars(with = "Option<String>")]
    revoked_at: Option<Timestamp>,
    /// Since when its votes are withheld until an operator reinstates it.
    #[schemars(with = "Option<String>")]
    quarantined_at: Option<Timestamp>,
    /// Why: `rivals` (two processes run under its name) or `suspect` (it alone contradicted the
    /// others three times within a day).
    quarantined_for: Option<String>,
    /// Since when its votes are withheld because it alone contradicts the others; that passes by
    /// itself.
    #[schemars(with = "Option<String>")]
    suspect_since: Option<Timestamp>,
}

/// A token is wanted.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WantProbeToken {
    /// Where the probe stands; it cannot choose another site.
    pub(crate) site: String,
    /// The only name that it may take, even if a probe of this name has joined before.
    #[serde(default)]
    pub(crate) name: Option<String>,
    /// How long the token is good for, at most 7 days.
    pub(crate) lifetime_seconds: u64,
}

/// A probe may join by it, once. Shown here only.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct ProbeToken {
    /// What to hand to `crosscheck-probe join`.
    pub(crate) token: String,
    /// Until then.
    #[schemars(with = "String")]
    pub(crate) until: Timestamp,
}

/// It is done.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Acted {
    /// The probe.
    probe: String,
}

/// `GET /api/v1/probes`.
pub(super) async fn list(Shared(api): Shared<Api>) -> Json<Vec<Enrolled>> {
    Json(ask(api.reader.as_ref(), probes))
}

fn probes(state: &State) -> Vec<Enrolled> {
    let mut names: Vec<&ProbeId> = state.identities.keys().chain(state.probes.keys()).collect();
    names.sort();
    names.dedup();
    let probe = |name| describe(state, name, state.identities.get(name), state.probes.get(name));
    names.into_iter().map(probe).collect()
}

fn describe(
    state: &State,
    name: &ProbeId,
    identity: Option<&Identity>,
    session: Option<&ProbeState>,
) -> Enrolled {
    let quarantine = state.quarantine(name);
    let site = session.map(|session| &session.site).or(identity.map(|identity| &identity.site));
    Enrolled {
        probe: name.to_string(),
        site: site.map(ToString::to_string).unwrap_or_default(),
        live: session.is_some_and(|session| state.is_live(session)),
        heard_at: session.map(|session| session.echo),
        version: session.map(|session| session.version.clone()),
        joined_at: identity.map(|identity| identity.joined_at),
        invited_by: identity.map(|identity| identity.invited_by.clone()),
        certificate_until: identity.map(|identity| identity.certified_until),
        revoked_at: identity.and_then(|identity| identity.revoked.as_ref()).map(|by| by.at),
        quarantined_at: quarantine.map(|(since, _)| since),
        quarantined_for: quarantine.map(|(_, why)| why.as_str().to_owned()),
        suspect_since: session.and_then(|session| session.suspect),
    }
}

/// `POST /api/v1/probes/tokens`.
pub(super) async fn token(
    Shared(api): Shared<Api>,
    caller: Caller,
    Told(told): Told<WantProbeToken>,
) -> Result<Json<ProbeToken>, ApiError> {
    let Some(authority) = authority(&api) else {
        let hint = "probes on a coordinator's own host need none; `--probes` beyond loopback lets others join";
        return Err(ApiError::bad("nobody can join here", hint));
    };
    let lifetime = Duration::from_secs(told.lifetime_seconds).min(2 * LONGEST_LIFETIME);
    let token = JoinToken { secret: rand::random(), authority };
    let grant = Grant::Probe {
        site: told.site.as_str().into(),
        name: told.name.as_deref().map(ProbeId::from),
    };
    let digest = trust::fingerprint(&token.secret);
    let by = caller.actor.name.clone();
    let command = Command::IssueJoinToken { token: digest, grant, lifetime, by };
    match api.submit(caller.act(&command)).await? {
        Reply::Rejected(reason) => Err(ApiError::bad(reason, "correct it and ask again")),
        _ => {
            let now = ask(api.reader.as_ref(), |state| state.now);
            Ok(Json(ProbeToken { token: token.reveal(), until: now.plus(lifetime) }))
        }
    }
}

fn authority(api: &Api) -> Option<crosscheck_model::join::Fingerprint> {
    let replica = api.reader.replica()?;
    Some(replica.credentials()?.authority().fingerprint())
}

/// `POST /api/v1/probes/{probe}/revoke`.
pub(super) async fn revoke(
    Shared(api): Shared<Api>,
    Path(probe): Path<String>,
    caller: Caller,
) -> Result<Json<Acted>, ApiError> {
    let by = caller.actor.name.clone();
    act(&api, &caller, probe, |probe| Command::Revoke { probe, by }).await
}

/// `POST /api/v1/probes/{probe}/reinstate`.
pub(super) async fn reinstate(
    Shared(api): Shared<Api>,
    Path(probe): Path<String>,
    caller: Caller,
) -> Result<Json<Acted>, ApiError> {
    let by = caller.actor.name.clone();
    act(&api, &caller, probe, |probe| Command::Reinstate { probe, by }).await
}

async fn act(
    api: &Api,
    caller: &Caller,
    probe: String,
    command: impl FnOnce(ProbeId) -> Command,
) -> Result<Json<Acted>, ApiError> {
    let hint = "GET /api/v1/probes (`crosscheck probe list`) shows how things are";
    match api.submit(caller.act(&command(ProbeId::new(probe.as_str())))).await? {
        Reply::Rejected(reason) => Err(ApiError::refused(reason, hint)),
        _ => Ok(Json(Acted { probe })),
    }
}
