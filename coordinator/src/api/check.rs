//! `/api/v1/checks`: what is the case, and what each site says.

use axum::extract::{Path, State as Shared};
use axum::http::HeaderMap;
use crosscheck_core::State;
use crosscheck_core::state::{CheckState, SiteView};
use crosscheck_model::{Cause, CheckId, Status, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::ops::Bound;
use std::time::Duration;

use super::Api;
use super::answer::{Answer, ApiError, Asked, milliseconds, read};
use crate::operator::Caller;
use crate::page::{Freshness, ask, reason, segment};

/// Checks in one answer unless fewer are asked for, and at most.
const LIMIT_MOST: usize = 10_000;

/// A check.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Check {
    /// Unique: the name, preceded by `customer/` where a customer owns it.
    pub(crate) id: String,
    /// Its name.
    pub(crate) name: String,
    /// Whose it is; null for the installation's own.
    pub(crate) customer: Option<String>,
    /// The kind of check.
    pub(crate) kind: String,
    /// What is checked.
    pub(crate) target: String,
    /// The verdict; never `up` on a coordinator that hears no quorum.
    pub(crate) status: Status,
    /// Why, in one sentence.
    pub(crate) reason: String,
    /// Since when.
    #[schemars(with = "String")]
    pub(crate) since: Timestamp,
    /// A maintenance is under way: nobody is told.
    pub(crate) maintenance: bool,
    /// The number of its open incident.
    pub(crate) incident: Option<u64>,
    /// What the fault looks like, by all sites' causes and evidence; null while no site fails.
    pub(crate) finding: Option<String>,
    /// What each site says.
    pub(crate) sites: Vec<SiteVote>,
}

/// What one site says.
#[derive(Serialize, JsonSchema)]
pub(crate) struct SiteVote {
    /// The site.
    pub(crate) site: String,
    /// Its region.
    pub(crate) region: Option<String>,
    /// Its carrier.
    pub(crate) carrier: Option<String>,
    /// The probe there.
    pub(crate) probe: String,
    /// Its vote; `unknown` when it has none that counts.
    pub(crate) status: Status,
    /// Why it is not up, or has no opinion.
    pub(crate) cause: Option<Cause>,
    /// The cause in the probe's words.
    pub(crate) detail: String,
    /// How long the run took.
    pub(crate) duration_ms: Option<f64>,
    /// When the run ended.
    #[schemars(with = "Option<String>")]
    pub(crate) at: Option<Timestamp>,
    /// Why its vote does not count.
    pub(crate) silent: Option<String>,
}

impl Check {
    fn new(state: &State, id: &CheckId, check: &CheckState, fresh: Freshness) -> Self {
        let views = state.site_views(check);
        // Nothing is green without fresh evidence, and a minority has none.
        let stale = fresh.minority && check.verdict.status == Status::Up;
        let fails = views.iter().any(|v| v.vote.is_some_and(|vote| vote.status != Status::Up));
        Self {
            id: id.to_string(),
            name: check.spec.name.clone(),
            customer: check.spec.customer.as_ref().map(ToString::to_string),
            kind: check.spec.kind.clone(),
            target: check.spec.target.clone(),
            status: if stale { Status::Unknown } else { check.verdict.status },
            reason: match stale {
                true => format!("Last known up; no quorum is heard, as of {}", fresh.as_of),
                false => reason(check, &views),
            },
            since: check.since,
            maintenance: check.maintenance,
            incident: check.incident.map(|id| id.0),
            finding: if fails { state.finding_of(id) } else { None },
            sites: views.iter().map(|view| SiteVote::new(state, check, view)).collect(),
        }
    }
}

impl SiteVote {
    fn new(state: &State, check: &CheckState, view: &SiteView<'_>) -> Self {
        let vote = view.vote;
        // Whoever has no opinion says why: a setting, a file that is missing, a check held back.
        let said = vote.or_else(|| {
            let said = check.votes.get(view.probe)?;
            let is_of_now =
                said.rev == check.rev && state.now.since(said.at) <= check.spec.validity();
            (said.status == Status::Unknown && is_of_now).then_some(said)
        });
        Self {
            site: view.site.to_string(),
            region: view.place.map(|place| place.region.clone()),
            carrier: view.place.map(|place| place.carrier.clone()),
            probe: view.probe.to_string(),
            status: vote.map_or(Status::Unknown, |vote| vote.status),
            cause: said.and_then(|vote| vote.cause),
            detail: said.map_or_else(String::new, |vote| vote.detail.clone()),
            duration_ms: vote.map(|vote| milliseconds(Duration::from_micros(vote.duration_us))),
            at: vote.map(|vote| vote.at),
            silent: view.silent.map(str::to_owned),
        }
    }
}

/// Which checks are wanted.
#[derive(Deserialize, JsonSchema)]
pub(crate) struct ChecksQuery {
    /// Only those that come behind this id in the order of ids: where the page before ended.
    after: Option<String>,
    /// How many, at most 10,000, which is also how many there are unless fewer are asked for.
    limit: Option<usize>,
}

/// `GET /api/v1/checks`.
pub(super) async fn list(
    Shared(api): Shared<Api>,
    caller: Caller,
    Asked(query): Asked<ChecksQuery>,
    headers: HeaderMap,
) -> Result<Answer, ApiError> {
    read(api, move |reader| {
        let fresh = reader.freshness();
        let limit = query.limit.unwrap_or(LIMIT_MOST).clamp(1, LIMIT_MOST);
        let after = CheckId::new(query.after.unwrap_or_default());
        let (page, more) = ask(reader, |state| {
            let behind =
                state.checks.range::<CheckId, _>((Bound::Excluded(&after), Bound::Unbounded));
            let mut seen = behind.filter(|(_, check)| caller.sight.sees(check));
            let page = seen.by_ref().take(limit);
            let page: Vec<_> =
                page.map(|(id, check)| Check::new(state, id, check, fresh)).collect();
            (page, seen.next().is_some())
        });
        let next = page
            .last()
            .filter(|_| more)
            .map(|last| format!("/api/v1/checks?after={}&limit={limit}", segment(&last.id)));
        Ok(Answer::new(&page, &headers)?.with_next(next))
    })
    .await
}

/// `GET /api/v1/checks/{check}`.
pub(super) async fn one(
    Shared(api): Shared<Api>,
    Path(check): Path<String>,
    caller: Caller,
    headers: HeaderMap,
) -> Result<Answer, ApiError> {
    read(api, move |reader| {
        let id = CheckId::new(check);
        let fresh = reader.freshness();
        let found = ask(reader, |state| {
            let check = state.checks.get(&id).filter(|check| caller.sight.sees(check))?;
            Some(Check::new(state, &id, check, fresh))
        });
        Answer::new(&found.ok_or_else(|| ApiError::no_check(&id))?, &headers)
    })
    .await
}
