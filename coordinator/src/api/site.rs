//! `/api/v1/sites`: where probes stand, and how each of them is.

use axum::extract::State as Shared;
use axum::http::HeaderMap;
use crosscheck_core::State;
use crosscheck_core::state::ProbeState;
use crosscheck_model::wire::{Fitness, Health};
use crosscheck_model::{ProbeId, SiteId, Timestamp};
use schemars::JsonSchema;
use serde::Serialize;

use std::collections::BTreeSet;

use super::Api;
use super::answer::{Answer, ApiError, read};
use crate::operator::{Caller, Sight};
use crate::page::ask;

/// A site.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Site {
    /// Its name.
    site: String,
    /// Where on earth.
    region: String,
    /// Whose network.
    carrier: String,
    /// The probes that have ever reported from it.
    probes: Vec<Probe>,
}

/// A probe.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Probe {
    /// Its name.
    probe: String,
    /// It hears the coordinators and is heard.
    live: bool,
    /// When it last heard them.
    #[schemars(with = "String")]
    heard_at: Timestamp,
    /// Its opinion of itself.
    health: Fit,
    /// Since when it contradicts the other sites too often to be believed.
    #[schemars(with = "Option<String>")]
    suspect_since: Option<Timestamp>,
    /// Observations waiting on its disk.
    spooled: u64,
    /// Observations lost to the bound of its spool.
    dropped: u64,
    /// Checks it is running.
    running: u32,
    /// Its software's version.
    version: String,
}

/// Whether a probe reaches the world; null where it does not, or cannot, know.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Fit {
    /// Over IPv4.
    v4: Option<bool>,
    /// Over IPv6.
    v6: Option<bool>,
    /// Resolving names.
    names: Option<bool>,
    /// What is wrong, in its words.
    reasons: Vec<String>,
}

impl Fit {
    fn new(health: &Health) -> Self {
        let fit = |fitness: &Fitness| match fitness {
            Fitness::Untested => None,
            Fitness::Fit => Some(true),
            Fitness::Unfit(_) => Some(false),
        };
        let parts = [&health.v4, &health.v6, &health.names];
        let reason = |fitness: &Fitness| match fitness {
            Fitness::Unfit(reason) => Some(reason.clone()),
            Fitness::Untested | Fitness::Fit => None,
        };
        Self {
            v4: fit(&health.v4),
            v6: fit(&health.v6),
            names: fit(&health.names),
            reasons: parts.into_iter().filter_map(reason).collect(),
        }
    }
}

impl Probe {
    fn new(state: &State, id: &ProbeId, probe: &ProbeState) -> Self {
        Self {
            probe: id.to_string(),
            live: state.is_live(probe),
            heard_at: probe.echo,
            health: Fit::new(&probe.health),
            suspect_since: probe.suspect,
            spooled: probe.spooled,
            dropped: probe.dropped,
            running: probe.running,
            version: probe.version.clone(),
        }
    }
}

/// `GET /api/v1/sites`.
pub(super) async fn list(
    Shared(api): Shared<Api>,
    caller: Caller,
    headers: HeaderMap,
) -> Result<Answer, ApiError> {
    read(api, move |reader| {
        Answer::new(&ask(reader, |state| sites(state, &caller.sight)), &headers)
    })
    .await
}

/// The configured sites: all, or those from which a check is run that the caller sees, with the
/// probes that run it. Where other customers' probes stand is theirs.
fn sites(state: &State, sight: &Sight) -> Vec<Site> {
    let whole = *sight == Sight::Everything;
    let seen: BTreeSet<&ProbeId> = state
        .checks
        .values()
        .filter(|check| sight.sees(check))
        .flat_map(|check| &check.assigned)
        .collect();
    let probes = |site: &SiteId| -> Vec<Probe> {
        let here = state.probes.iter().filter(|(_, probe)| probe.site == *site);
        let shown = here.filter(|(id, _)| whole || seen.contains(id));
        shown.map(|(id, probe)| Probe::new(state, id, probe)).collect()
    };
    let sites = state.config.sites.iter().map(|(id, site)| Site {
        site: id.to_string(),
        region: site.region.clone(),
        carrier: site.carrier.clone(),
        probes: probes(id),
    });
    sites.filter(|site| whole || !site.probes.is_empty()).collect()
}
