//! The state that all replicas share. Its serde form, behind a format version, is the snapshot.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crosscheck_model::config::Site;
use crosscheck_model::join::Fingerprint;
use crosscheck_model::mutant::{self, Mutant};
use crosscheck_model::wire::Health;
use crosscheck_model::{
    Cause, CheckId, CheckSpec, Config, IncidentId, ProbeId, SiteId, Status, Timestamp,
};
use serde::{Deserialize, Serialize};

use crate::audit::Trail;
use crate::command::Window;
use crate::domain::Troubled;
use crate::evidence::Cabinet;
use crate::grouping::Group;
use crate::identity::Identity;
use crate::incident::Incident;
use crate::inhibition::LastDown;
use crate::level::Level;
use crate::member::MemberState;
use crate::operator::Token;
use crate::outbox::{Key, Owed};
use crate::push::Reports;
use crate::quarantine::Suspicions;
use crate::quorum::Domain;
use crate::restore::Origin;
use crate::rival::Rivalry;
use crate::verdict::{Tally, Verdict};
use crate::watch::Watch;

/// Everything decisive.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// The log time: the largest stamp so far.
    pub now: Timestamp,
    /// Distinguishes this cluster's notifications from those of others.
    pub cluster: String,
    /// The configuration's revision; 0 before the first.
    pub revision: u64,
    /// The configuration.
    pub config: Config,
    /// The maintenance windows of the near future.
    pub windows: Vec<Window>,
    /// The probes that have ever opened a session, and whose site is still configured.
    pub probes: BTreeMap<ProbeId, ProbeState>,
    /// The checks.
    pub checks: BTreeMap<CheckId, CheckState>,
    /// The incidents: all open ones, and the resolved ones of late.
    pub incidents: BTreeMap<IncidentId, Incident>,
    /// Notifications: all that are owed, and the settled ones of late.
    pub outbox: BTreeMap<Key, Owed>,
    /// When the present leader took over.
    pub lead_since: Timestamp,
    /// The present leader's term: claims of another are refused.
    pub lead_term: u64,
    /// The number of the next incident.
    pub next_incident: u64,
    /// The number of the next session, confirmation order and assignment.
    pub next_number: u64,
    /// The open incidents about a domain.
    pub domains: BTreeMap<Domain, Troubled>,
    /// The checks that too few live voters are left for, with their open incident.
    pub blind: BTreeMap<CheckId, IncidentId>,
    /// When probes' conduct was last judged.
    pub conduct_judged_at: Timestamp,
    /// When checks last got probes for lost ones, and the old was forgotten.
    pub house_kept_at: Timestamp,
    /// Confirmation orders that may be given at once, in thousandths.
    pub confirm_tokens: u64,
    /// Join tokens, by the digest of the secret.
    pub join_tokens: BTreeMap<Fingerprint, crate::token::Token>,
    /// The probes that have joined by a token.
    pub identities: BTreeMap<ProbeId, Identity>,
    /// The coordinators that belong to the cluster or may join it, by their numbers.
    pub members: BTreeMap<u64, MemberState>,
    /// The largest number that a coordinator has ever had.
    pub last_member: u64,
    /// Names that more than one process has had of late; see [`crate::rival`].
    pub rivals: BTreeMap<ProbeId, Rivalry>,
    /// Who may operate, by the tokens' ids.
    pub tokens: BTreeMap<String, Token>,
    /// What operators did of late.
    pub audit: Trail,
    /// What the installation knows of its own eyes and voice.
    pub watch: Watch,
    /// What probes gathered about checks that fail.
    pub evidence: Cabinet,
    /// The level of the formats that every coordinator reads; see [`Self::level()`].
    pub level: Level,
    /// Probes that were suspect of late; see [`crate::quarantine`].
    pub suspicions: BTreeMap<ProbeId, Suspicions>,
    /// The coordinators that were taken out of the cluster, by their numbers: their public keys.
    pub dismissed: BTreeMap<u64, Option<Fingerprint>>,
    /// What this cluster was restored from, until its first leader has put it on record.
    pub origin: Option<Origin>,
    /// When the newest message of each group of notifications was begun, as far as that holds up
    /// those like it; see [`crate::grouping`].
    pub spoken: BTreeMap<Group, Timestamp>,
}

/// A probe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeState {
    /// Where it stands.
    pub site: SiteId,
    /// Its software's version.
    pub version: String,
    /// The present session.
    pub epoch: u64,
    /// The process life that the session belongs to.
    pub boot: u64,
    /// When the present session was opened.
    pub opened_at: Timestamp,
    /// The newest report of the session.
    pub report_seq: u64,
    /// The newest log time that it is known to have heard: the session is alive while this is
    /// younger than 15 s.
    pub echo: Timestamp,
    /// Its opinion of itself.
    pub health: Health,
    /// Observations waiting on its disk.
    pub spooled: u64,
    /// Observations lost to the bound of its spool.
    pub dropped: u64,
    /// Checks it is running.
    pub running: u32,
    /// Changes with what it is to run.
    pub assignment: u64,
    /// It contradicts the quorum too often, since then; see [`crate::conduct`].
    pub suspect: Option<Timestamp>,
    /// Since when it contradicts the quorum alone, while it is not suspect yet.
    pub doubted_since: Option<Timestamp>,
    /// Since when its contradictions are below the bound again.
    pub calm_since: Option<Timestamp>,
    /// Since when its votes are withheld though it is heard.
    pub troubled_since: Option<Timestamp>,
    /// The open incident about it.
    pub incident: Option<IncidentId>,
    /// It was live when a leader fell: until then its votes do not lapse for lack of contact.
    pub excused_until: Timestamp,
}

/// A check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckState {
    /// As configured.
    pub spec: CheckSpec,
    /// Changes with what affects results: votes of another revision do not count.
    pub rev: u64,
    /// Who runs it.
    pub assigned: BTreeSet<ProbeId>,
    /// Who ran it until when: what they have seen may still arrive.
    pub former: BTreeMap<ProbeId, Timestamp>,
    /// The newest vote of each.
    pub votes: BTreeMap<ProbeId, Vote>,
    /// What is the case.
    pub verdict: Verdict,
    /// Since when.
    pub since: Timestamp,
    /// A maintenance is under way.
    pub maintenance: bool,
    /// Progress towards a verdict that needs more than one round.
    pub tally: Tally,
    /// The open incident.
    pub incident: Option<IncidentId>,
    /// Votes about runs before this moment are history: the last incident closed here.
    pub closed_at: Timestamp,
    /// When the first failing run of the present failure began.
    pub failed_from: Option<Timestamp>,
    /// When probes were last asked to confirm.
    pub confirmed_at: Timestamp,
    /// A failure was seen that nobody has been asked to confirm yet.
    pub confirm_wanted: bool,
    /// Until then a lack of votes means nothing: the check was changed, or its probes were.
    pub settling_until: Timestamp,
    /// What the history was last told: status and maintenance; `None` before the first word.
    pub drawn: Option<(Option<Status>, bool)>,
    /// The cluster was stopped, and no quorum has spoken since.
    pub gap: bool,
    /// When its incidents of late opened and ended; see [`crate::flapping`].
    pub edges: Vec<Timestamp>,
    /// When it was last down and people were told; see [`crate::inhibition`].
    pub last_down: Option<LastDown>,
    /// What is known of its reports, where it reports by itself; see [`crate::push`].
    pub reports: Reports,
}

/// A probe's newest word on a check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vote {
    /// The probe's process life.
    pub boot: u64,
    /// Grows within the probe's process life.
    pub seq: u64,
    /// The revision that was run.
    pub rev: u64,
    /// What it says.
    pub status: Status,
    /// Why.
    pub cause: Option<Cause>,
    /// In its words.
    pub detail: String,
    /// When the run began.
    pub started: Timestamp,
    /// When it ended: the vote's age counts from here.
    pub at: Timestamp,
    /// When the first run of the present failure began.
    pub failing_since: Option<Timestamp>,
    /// How long the run took, in microseconds.
    pub duration_us: u64,
}

/// A check at one site, for the page, the API and mails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteView<'a> {
    /// The site.
    pub site: &'a SiteId,
    /// Where it stands.
    pub place: Option<&'a Site>,
    /// The probe.
    pub probe: &'a ProbeId,
    /// Its newest vote, when that counts at present.
    pub vote: Option<&'a Vote>,
    /// Why it does not count.
    pub silent: Option<&'static str>,
}

impl State {
    /// The check as each assigned probe sees it, in the order of sites.
    pub fn site_views<'a>(&'a self, check: &'a CheckState) -> Vec<SiteView<'a>> {
        if let Some(view) = self.push_view(check) {
            return vec![view];
        }
        let mut views: Vec<SiteView<'a>> = check
            .assigned
            .iter()
            .filter_map(|id| Some((id, self.probes.get(id)?)))
            .map(|(id, probe)| {
                let counts = self.vote_that_counts(check, id, probe);
                SiteView {
                    site: &probe.site,
                    place: self.config.sites.get(&probe.site),
                    probe: id,
                    vote: counts.ok(),
                    silent: counts.err(),
                }
            })
            .collect();
        views.sort_by_key(|view| (view.site, view.probe));
        views
    }

    /// The probe's vote on the check, if it counts now; else why not.
    ///
    /// # Errors
    /// The first condition that does not hold.
    pub fn vote_that_counts<'a>(
        &self,
        check: &'a CheckState,
        id: &ProbeId,
        probe: &ProbeState,
    ) -> Result<&'a Vote, &'static str> {
        if !self.counts_as_heard(probe) {
            return Err("the probe does not reach the coordinators");
        }
        if let Some((_, why)) = self.quarantine(id) {
            return Err(why.withheld());
        }
        if probe.suspect.is_some() {
            return Err("withheld: the probe contradicts the other sites");
        }
        if !probe.health.of(check.spec.family).may_vote() {
            return Err("withheld: the probe does not reach its references");
        }
        let vote = check.votes.get(id).ok_or("no result yet")?;
        if vote.rev != check.rev {
            return Err("no result yet with the present settings");
        }
        if !self.is_fresh(vote, check.spec.validity()) {
            return Err("the last result is too old");
        }
        if vote.status == Status::Unknown {
            return Err("the probe has no opinion");
        }
        // A failure seen before the last incident closed is not a new one.
        if vote.status == Status::Down && vote.started <= check.closed_at {
            return Err("no result yet since the last incident");
        }
        Ok(vote)
    }

    /// Whether the vote is not too old to count.
    pub(crate) fn is_fresh(&self, vote: &Vote, validity: Duration) -> bool {
        self.now.since(vote.at) <= validity || mutant::is(Mutant::NoExpiry)
    }

    /// A number never given before.
    pub(crate) fn number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number
    }
}
