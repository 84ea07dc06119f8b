//! `/metrics`: what a coordinator says about itself, in Prometheus' text format. The manual lists
//! all of it (`docs/manual/metrics.md`).
//!
//! **Invariants**
//! - No label names a check, a target, a contact or a customer: who reads metrics need not be
//!   allowed to see those.

pub(crate) mod counts;

use std::collections::BTreeMap;

use crosscheck_core::State;
use crosscheck_core::level::Level;
use crosscheck_core::outbox::Progress;
use crosscheck_model::{Severity, Status};
use crosscheck_probe::exposition::Exposition;

use crate::raft::Role;
use crate::replica::Replica;
use counts::{Counts, LATENESS_BOUNDS};

/// Everything that a coordinator tells about itself, at one moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Figures {
    node: u64,
    version: String,
    /// What the program reads, and what the cluster writes.
    levels: [Level; 2],
    term: u64,
    leader: Option<u64>,
    leads: bool,
    quorum: bool,
    /// Voters and learners.
    members: [u64; 2],
    /// The log's last entry, the last committed, the last applied.
    indexes: [u64; 3],
    /// The newest entry whose measurements can be read.
    history: u64,
    /// How many entries each follower is behind, on a leader.
    lag: BTreeMap<u64, u64>,
    disk_percent: Option<u8>,
    counts: Counts,
    state: Summary,
}

/// What the state holds, counted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Summary {
    checks: BTreeMap<&'static str, u64>,
    maintenance: u64,
    incidents: BTreeMap<Severity, u64>,
    probes: BTreeMap<&'static str, u64>,
    owed: BTreeMap<&'static str, u64>,
    /// How long the oldest notification has been owed, in seconds.
    oldest: f64,
}

impl Summary {
    fn of(state: &State) -> Self {
        let mut sum = Self::default();
        for status in [Status::Up, Status::Degraded, Status::Down, Status::Unknown] {
            sum.checks.insert(status.as_str(), 0);
        }
        for check in state.checks.values() {
            *sum.checks.entry(check.verdict.status.as_str()).or_default() += 1;
            sum.maintenance += u64::from(check.maintenance);
        }
        for severity in [Severity::Disaster, Severity::High, Severity::Average, Severity::Warning] {
            sum.incidents.insert(severity, 0);
        }
        for incident in state.incidents.values().filter(|open| open.resolved_at.is_none()) {
            *sum.incidents.entry(incident.severity).or_default() += 1;
        }
        sum.probes = ["live", "silent", "suspect", "quarantined"].map(|word| (word, 0)).into();
        for (id, probe) in &state.probes {
            let word = match () {
                () if state.quarantine(id).is_some() => "quarantined",
                () if !state.is_live(probe) => "silent",
                () if probe.suspect.is_some() => "suspect",
                () => "live",
            };
            *sum.probes.entry(word).or_default() += 1;
        }
        sum.owed = ["queued", "claimed", "retry"].map(|word| (word, 0)).into();
        for owed in state.outbox.values() {
            let word = match owed.progress {
                Progress::Queued => "queued",
                Progress::Claimed { .. } => "claimed",
                Progress::Retry { .. } => "retry",
                _ => continue,
            };
            *sum.owed.entry(word).or_default() += 1;
            sum.oldest = sum.oldest.max(state.now.since(owed.created).as_secs_f64());
        }
        sum
    }
}

impl Replica {
    /// What this coordinator says about itself now.
    pub(crate) fn figures(&self) -> Figures {
        let inner = &self.0;
        let standing = *inner.leadership.borrow();
        let (last, committed) = inner.node.ends();
        let group = inner.node.group();
        let count = |role| group.values().filter(|known| known.role == role).count() as u64;
        let followed = inner.node.followed().into_iter();
        let lag = followed.map(|(id, at)| (id, last.saturating_sub(at.unwrap_or_default())));
        let (level, state) = self.read(|state| (state.level(), Summary::of(state)));
        Figures {
            node: inner.id,
            version: inner.program.version.clone(),
            levels: [inner.program.level, level],
            term: standing.term,
            leader: standing.leader,
            leads: standing.is_leader,
            quorum: inner.has_quorum(),
            members: [count(Role::Voter), count(Role::Learner)],
            indexes: [last, committed, self.applied().0],
            history: self.history().applied(),
            lag: lag.collect(),
            disk_percent: *inner.disk.borrow(),
            counts: inner.shared.counter.now(),
            state,
        }
    }
}

/// The figures as text.
pub(crate) fn text(figures: &Figures) -> String {
    let mut out = Exposition::new("crosscheck_coordinator");
    let node = figures.node.to_string();
    out.head("info", "gauge", "This coordinator: always 1.");
    out.line("info", &[("node", &node), ("version", &figures.version)], 1.0);
    raft(&mut out, figures);
    ingest(&mut out, figures);
    decisions(&mut out, &figures.state);
    outbox(&mut out, figures);
    if let Some(percent) = figures.disk_percent {
        let about = "How much of the data directory's disk is in use, from 0 to 1.";
        out.one("disk_used_ratio", "gauge", about, f64::from(percent) / 100.0);
    }
    out.head("page_requests_total", "counter", "Answers of the status page, by status code.");
    for (status, count) in &figures.counts.pages {
        out.line("page_requests_total", &[("code", &status.to_string())], *count as f64);
    }
    out.into_text()
}

fn raft(out: &mut Exposition, figures: &Figures) {
    let yes = |value: bool| f64::from(u8::from(value));
    let [last, committed, applied] = figures.indexes.map(|index| index as f64);
    for (name, about, value) in [
        ("raft_term", "The newest term known.", figures.term as f64),
        (
            "raft_leader",
            "The leader's number; 0: none is known.",
            figures.leader.unwrap_or(0) as f64,
        ),
        ("raft_leads", "Whether this coordinator leads.", yes(figures.leads)),
        ("raft_quorum", "Whether the cluster works, as seen from here.", yes(figures.quorum)),
        ("raft_last_index", "The last entry of the log here.", last),
        ("raft_committed_index", "The last entry known to be committed.", committed),
        ("raft_applied_index", "The last entry applied here.", applied),
        (
            "history_index",
            "The last entry whose measurements can be read here.",
            figures.history as f64,
        ),
    ] {
        out.one(name, "gauge", about, value);
    }
    out.head("raft_members", "gauge", "Coordinators by their part.");
    for (role, count) in ["voter", "learner"].into_iter().zip(figures.members) {
        out.line("raft_members", &[("role", role)], count as f64);
    }
    out.head(
        "raft_follower_lag_entries",
        "gauge",
        "Entries a follower lacks; the leader tells it.",
    );
    for (node, lag) in &figures.lag {
        out.line("raft_follower_lag_entries", &[("node", &node.to_string())], *lag as f64);
    }
    out.head("format_level", "gauge", "What this program reads, and what the cluster writes.");
    for (of, level) in ["program", "cluster"].into_iter().zip(figures.levels) {
        out.line("format_level", &[("of", of)], f64::from(level));
    }
    let counts = &figures.counts;
    let about = "How late the leader's ticks were, in log time.";
    let (buckets, sum) = (&counts.lateness, counts.lateness_sum);
    out.histogram("tick_lateness_seconds", about, &LATENESS_BOUNDS, buckets, sum);
    let about = "Log entries applied since the process began.";
    out.one("entries_total", "counter", about, counts.entries as f64);
}

fn ingest(out: &mut Exposition, figures: &Figures) {
    let counts = &figures.counts;
    out.head("reports_total", "counter", "Probes' reports, by what came of them.");
    for (result, count) in ["taken", "refused"].into_iter().zip(counts.reports) {
        out.line("reports_total", &[("result", result)], count as f64);
    }
    let about = "Observations that went into the history.";
    out.one("observations_total", "counter", about, counts.observations as f64);
    let about = "Observations of checks that their probe was never given; not kept.";
    out.one("observations_refused_total", "counter", about, counts.unasked as f64);
}

fn decisions(out: &mut Exposition, state: &Summary) {
    out.head("checks", "gauge", "Checks by verdict.");
    for (status, count) in &state.checks {
        out.line("checks", &[("status", status)], *count as f64);
    }
    let about = "Checks in a maintenance.";
    out.one("checks_in_maintenance", "gauge", about, state.maintenance as f64);
    out.head("incidents_open", "gauge", "Open incidents by severity.");
    for (severity, count) in &state.incidents {
        out.line("incidents_open", &[("severity", severity.as_str())], *count as f64);
    }
    out.head("probes", "gauge", "Probes by whether they are heard and believed.");
    for (word, count) in &state.probes {
        out.line("probes", &[("state", word)], *count as f64);
    }
}

fn outbox(out: &mut Exposition, figures: &Figures) {
    out.head("outbox_notifications", "gauge", "Notifications owed, by how far they are.");
    for (word, count) in &figures.state.owed {
        out.line("outbox_notifications", &[("progress", word)], *count as f64);
    }
    let about = "How long the oldest notification has been owed; 0: none is.";
    out.one("outbox_oldest_seconds", "gauge", about, figures.state.oldest);
    let name = "notification_attempts_total";
    out.head(name, "counter", "Attempts to send, by channel and what came of them.");
    for ((channel, result), count) in &figures.counts.attempts {
        out.line(name, &[("channel", channel), ("result", result)], *count as f64);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use crosscheck_core::{Effect, Reply};
    use crosscheck_model::wire::{Receipt, Refusal};
    use crosscheck_model::{CheckId, Config, Timestamp};

    use super::counts::Counter;
    use super::*;

    fn figures() -> Figures {
        let counter = Counter::default();
        let at = Timestamp::from_millis;
        for (tick, reply) in [
            (Some(1_000), Reply::Done),
            (Some(2_000), Reply::Done),
            (Some(9_000), Reply::Done),
            (
                None,
                Reply::Batch(vec![
                    Ok(Receipt { seq: 1, now: at(1) }),
                    Err(Refusal::UnknownSession),
                ]),
            ),
        ] {
            counter.applied(
                at(tick.unwrap_or(0)),
                tick.is_some(),
                &reply,
                &[
                    Effect::Unasked { probe: "p".into(), observations: 3 },
                    Effect::Attempted { channel: "mail".into(), outcome: "retry" },
                ],
            );
        }
        counter.page(200);
        let mut state = State::default();
        let mut config = Config::default();
        config.checks.push(crate::ingest::tests::check());
        crosscheck_core::apply(
            &mut state,
            at(1),
            crosscheck_core::Command::Configure(Box::new(config)),
        );
        Figures {
            node: 3,
            version: "0.1.0".into(),
            leader: Some(2),
            lag: BTreeMap::from([(1, 7)]),
            disk_percent: Some(41),
            counts: counter.now(),
            state: Summary::of(&state),
            ..Figures::default()
        }
    }

    #[test]
    fn figures_as_prometheus_reads_them() {
        let text = text(&figures());
        for line in [
            "crosscheck_coordinator_info{node=\"3\",version=\"0.1.0\"} 1",
            "crosscheck_coordinator_raft_leader 2",
            "crosscheck_coordinator_raft_follower_lag_entries{node=\"1\"} 7",
            "crosscheck_coordinator_tick_lateness_seconds_bucket{le=\"0.01\"} 1",
            "crosscheck_coordinator_tick_lateness_seconds_bucket{le=\"15\"} 2",
            "crosscheck_coordinator_tick_lateness_seconds_sum 6",
            "crosscheck_coordinator_reports_total{result=\"taken\"} 1",
            "crosscheck_coordinator_reports_total{result=\"refused\"} 1",
            "crosscheck_coordinator_observations_refused_total 12",
            "crosscheck_coordinator_checks{status=\"unknown\"} 1",
            "crosscheck_coordinator_checks{status=\"down\"} 0",
            "crosscheck_coordinator_notification_attempts_total{channel=\"mail\",result=\"retry\"} 4",
            "crosscheck_coordinator_disk_used_ratio 0.41",
            "crosscheck_coordinator_page_requests_total{code=\"200\"} 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
        }
        assert!(!text.contains(CheckId::from("shop").as_str()), "no check is named");
    }

    #[test]
    fn the_manual_lists_what_there_is_and_nothing_else() {
        let text = text(&figures());
        let names = |text: &str, before: &str, after: char| -> BTreeSet<String> {
            let lines = text.lines().filter_map(|line| line.strip_prefix(before));
            lines.filter_map(|line| line.split(after).next()).map(str::to_owned).collect()
        };
        let told = names(&text, "# TYPE ", ' ');
        let manual = include_str!("../../docs/manual/metrics.md");
        let listed: BTreeSet<String> = names(manual, "| `", '`')
            .into_iter()
            .filter(|name| name.starts_with("crosscheck_coordinator_"))
            .collect();
        assert_eq!(listed, told);
    }
}
