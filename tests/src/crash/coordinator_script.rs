//! What a recorded coordinator does, and what its disk must hold after each step.

use std::collections::BTreeMap;
use std::time::Duration;

use crosscheck_coordinator::raft::{Proposal, Types};
use crosscheck_core::command::Stamped;
use crosscheck_core::level::NEWEST;
use crosscheck_core::{Command, Effect, Reply, State, apply};
use crosscheck_model::config::Site;
use crosscheck_model::observation::{Clock, Firmness, Trigger};
use crosscheck_model::spec::{Rule, Schedule, SiteChoice, Source};
use crosscheck_model::wire::{Health, Hello, Report, WIRE_VERSION};
use crosscheck_model::{
    CheckSpec, Config, Family, Observation, Outcome, Severity, SiteQuorum, Status, Timestamp,
};
use openraft::alias::{EntryOf, LogIdOf, VoteOf};
use openraft::entry::RaftEntry;
use openraft::testing::{blank_ent, log_id};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::cluster::record::Identity;

pub(super) type Entry = EntryOf<Types>;
pub(super) type LogId = LogIdOf<Types>;
pub(super) type Vote = VoteOf<Types>;

/// 2026-03-01 00:00:00 UTC.
const START: Timestamp = Timestamp::from_millis(1_772_323_200_000);
/// Rounds of work in one script.
const ROUNDS: usize = 20;
/// The node whose disk it is.
pub(super) const NODE: u64 = 1;

/// Something that openraft asks of the disk.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Vote(Vote),
    /// `wait`: before the next step; else with the first step after it that is waited for.
    Append {
        entries: Vec<Entry>,
        wait: bool,
    },
    Committed(LogId),
    Truncate(Option<LogId>),
    Purge(LogId),
    /// Apply all up to this entry.
    Apply(u64),
    /// Wait until the history has committed, without a sync, what was applied.
    Settle,
    /// Build a snapshot of what is applied.
    Build,
    /// Install another node's snapshot that ends at this entry.
    Install(u64),
    /// Close everything in order, and open it again.
    Reopen,
}

/// What the log holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct LogModel {
    pub(super) vote: Option<Vote>,
    pub(super) committed: Option<LogId>,
    pub(super) purged: Option<LogId>,
    pub(super) entries: BTreeMap<u64, Entry>,
}

impl LogModel {
    fn take(&mut self, step: &Step) {
        match step {
            Step::Vote(vote) => self.vote = Some(*vote),
            Step::Append { entries, .. } => {
                self.entries.extend(entries.iter().map(|e| (e.log_id().index, e.clone())));
            }
            Step::Committed(id) => self.committed = Some(*id),
            Step::Truncate(last) => {
                self.entries.split_off(&last.map_or(0, |last| last.index + 1));
            }
            Step::Purge(id) => {
                self.entries = self.entries.split_off(&(id.index + 1));
                self.purged = Some(*id);
            }
            _ => {}
        }
    }
}

/// A committed entry, and what comes of it.
#[derive(Clone, Debug)]
pub(super) struct Committed {
    pub(super) entry: Entry,
    /// The state after it.
    pub(super) state: State,
    /// The observations in it.
    pub(super) seen: Vec<Identity>,
}

/// Steps, and what they must leave.
pub(super) struct Script {
    pub(super) steps: Vec<Step>,
    /// After so many steps.
    pub(super) models: Vec<LogModel>,
    /// By index.
    pub(super) committed: Vec<Committed>,
}

impl Script {
    /// The script of a seed. `small`: without entries so large that the write-ahead file is
    /// folded in while it is in use.
    pub(super) fn new(seed: u64, small: bool) -> Self {
        let mut writer = ScriptWriter::new(seed, small);
        writer.begin();
        for round in 0..ROUNDS {
            writer.round(round);
        }
        let mut models = vec![LogModel::default()];
        for step in &writer.steps {
            let mut model = models.last().cloned().unwrap_or_default();
            model.take(step);
            models.push(model);
        }
        Self { steps: writer.steps, models, committed: writer.committed }
    }

    /// Whether the log has the step on its disk when the step is done.
    pub(super) fn lasts(step: &Step) -> bool {
        use Step::{Append, Purge, Truncate, Vote};
        matches!(step, Vote(_) | Append { .. } | Truncate(_) | Purge(_))
    }
}

struct ScriptWriter {
    random: StdRng,
    small: bool,
    steps: Vec<Step>,
    committed: Vec<Committed>,
    term: u64,
    /// The log's last index, and how far it is applied, snapshotted.
    last: Option<LogId>,
    applied: u64,
    snapshot: u64,
    purged: u64,
    seq: u64,
    report: u64,
    epoch: u64,
}

impl ScriptWriter {
    fn new(seed: u64, small: bool) -> Self {
        Self {
            random: StdRng::seed_from_u64(seed),
            small,
            steps: Vec::new(),
            committed: Vec::new(),
            term: 0,
            last: None,
            applied: 0,
            snapshot: 0,
            purged: 0,
            seq: 0,
            report: 0,
            epoch: 0,
        }
    }

    /// The first entries: a leader, a configuration, a probe with a session.
    fn begin(&mut self) {
        self.elect();
        let place = Site { region: "r".to_owned(), carrier: "c".to_owned() };
        let sites = BTreeMap::from([("s".into(), place)]);
        let config = Config { sites, checks: vec![check()], ..Config::default() };
        let hello = Hello {
            wire: WIRE_VERSION,
            probe: "p".into(),
            site: "s".into(),
            boot: 1,
            version: String::new(),
        };
        let entries = vec![
            self.blank(),
            self.command(Command::Lead { node: NODE, term: self.term, cluster: "x".to_owned() }),
            self.command(Command::Configure(Box::new(config))),
            self.command(Command::Open(hello)),
        ];
        for entry in &entries {
            if let Some(Reply::Opened(Ok(welcome))) = self.commit(entry.clone()) {
                self.epoch = welcome.epoch;
            }
        }
        self.append(entries, true);
        self.apply();
    }

    fn round(&mut self, round: usize) {
        match self.random.random_range(0..10) {
            0 => self.elect(),
            1 => self.overrule(),
            _ => {}
        }
        let appends = self.random.random_range(1..4);
        for append in 0..appends {
            let entries = (0..self.random.random_range(1..4)).map(|_| self.batch(20)).collect();
            self.append_committed(entries, append + 1 == appends);
        }
        // Late: every disk after it is large, and slow to open.
        if !self.small && round == ROUNDS - 2 {
            self.fill_write_ahead_file();
        }
        self.apply();
        match round % 9 {
            2 => self.snapshot(false),
            4 => self.snapshot(true),
            6 => self.install(),
            7 => self.steps.push(Step::Reopen),
            _ => {}
        }
    }

    /// Until SQLite folds it into the table while the log goes on.
    fn fill_write_ahead_file(&mut self) {
        for _ in 0..6 {
            let entries = vec![self.batch(900)];
            self.append_committed(entries, true);
        }
    }

    /// A new term.
    fn elect(&mut self) {
        self.term += 1;
        self.steps.push(Step::Vote(Vote::new(self.term, 2)));
        let vote = Vote::new_committed(self.term, 2);
        self.steps.push(Step::Vote(vote));
    }

    /// Entries of a leader that had no majority, and then those of its successor.
    fn overrule(&mut self) {
        let before = self.last;
        let count = self.random.random_range(1..4);
        let lost = (0..count).map(|_| self.batch(5)).collect();
        self.append(lost, true);
        self.elect();
        self.steps.push(Step::Truncate(before));
        self.last = before;
    }

    fn append_committed(&mut self, entries: Vec<Entry>, wait: bool) {
        for entry in &entries {
            self.commit(entry.clone());
        }
        self.append(entries, wait);
    }

    fn append(&mut self, entries: Vec<Entry>, wait: bool) {
        // Numbered late, so that those of one append follow each other.
        self.last = entries.last().map(RaftEntry::log_id).or(self.last);
        self.steps.push(Step::Append { entries, wait });
    }

    fn apply(&mut self) {
        let Some(last) = self.last else { return };
        self.steps.push(Step::Committed(last));
        self.steps.push(Step::Apply(last.index));
        self.applied = last.index;
    }

    /// `settle`: once the history has nothing left to write.
    fn snapshot(&mut self, settle: bool) {
        if settle {
            self.steps.push(Step::Settle);
        }
        self.steps.push(Step::Build);
        self.snapshot = self.applied;
        let keep = self.random.random_range(0..6);
        self.purged = self.purged.max(self.snapshot.saturating_sub(keep));
        self.steps.push(Step::Purge(self.id(self.purged)));
    }

    /// The leader has gone on without this node, and has purged what it lacks.
    fn install(&mut self) {
        for _ in 0..self.random.random_range(2..6) {
            let entry = self.batch(3);
            self.commit(entry.clone());
            self.last = Some(entry.log_id());
        }
        let Some(last) = self.last else { return };
        (self.applied, self.snapshot, self.purged) = (last.index, last.index, last.index);
        self.steps.push(Step::Install(last.index));
        self.steps.push(Step::Purge(last));
    }

    fn id(&self, index: u64) -> LogId {
        self.committed[usize::try_from(index).expect("a short log")].entry.log_id()
    }

    fn next(&self) -> u64 {
        self.last.map_or(0, |last| last.index + 1)
    }

    fn blank(&mut self) -> Entry {
        let entry = blank_ent::<Types>(self.term, 2, self.next());
        self.last = Some(entry.log_id());
        entry
    }

    fn command(&mut self, command: Command) -> Entry {
        let index = self.next();
        let stamped = Stamped { at: START.plus(Duration::from_millis(index * 250)), command };
        let proposal = Proposal::encode(&stamped).expect("it has bytes");
        let entry = Entry::new_normal(log_id::<Types>(self.term, 2, index), proposal);
        self.last = Some(entry.log_id());
        entry
    }

    /// An entry with at most so many observations.
    fn batch(&mut self, most: usize) -> Entry {
        let count = if most > 100 { most } else { self.random.random_range(1..=most) };
        self.report += 1;
        let observations = (0..count).map(|_| self.observation()).collect();
        let report = Report {
            probe: "p".into(),
            epoch: self.epoch,
            seq: self.report,
            echo: START,
            health: Health::UNTESTED,
            observations,
            evidence: Vec::new(),
            spooled: 0,
            dropped: 0,
            running: 0,
        };
        self.command(Command::Batch(vec![report]))
    }

    fn observation(&mut self) -> Observation {
        self.seq += 1;
        let mut outcome = Outcome::new(Status::Down, None, format!("number {}", self.seq));
        outcome.excerpt = "x".repeat(self.random.random_range(0..600));
        Observation {
            check: "c".into(),
            rev: 1,
            boot: 1,
            seq: self.seq,
            started: START.plus(Duration::from_millis(self.seq * 10)),
            at: START.plus(Duration::from_millis(self.seq * 10 + 5)),
            clock: Clock::Leader,
            trigger: Trigger::Schedule,
            firmness: Firmness::Hard,
            failing_since: None,
            outcome,
        }
    }

    /// The entry will be committed: what comes of it.
    fn commit(&mut self, entry: Entry) -> Option<Reply> {
        let mut state = self.committed.last().map(|last| last.state.clone()).unwrap_or_default();
        let mut seen = Vec::new();
        let mut reply = None;
        if let openraft::EntryPayload::Normal(proposal) = &entry.payload {
            let stamped = proposal.decode(NEWEST).expect("encoded here");
            let applied = apply(&mut state, stamped.at, stamped.command);
            for effect in applied.effects {
                if let Effect::Record { probe, observation, .. } = effect {
                    seen.push((probe.to_string(), observation.boot, observation.seq));
                }
            }
            reply = Some(applied.reply);
        }
        self.committed.push(Committed { entry, state, seen });
        reply
    }
}

/// The check that the probe reports on: the history keeps nothing else.
fn check() -> CheckSpec {
    let second = Duration::from_secs(1);
    CheckSpec {
        id: "c".into(),
        name: "c".into(),
        customer: None,
        kind: "tcp".into(),
        settings: "{}".into(),
        target: "192.0.2.1:80".into(),
        family: Family::V4,
        schedule: Schedule {
            interval: 60 * second,
            retry_interval: 60 * second,
            timeout: 10 * second,
            attempts: 2,
            attempt_gap: 3 * second,
        },
        rule: Rule::Consecutive(1),
        recovery_hold: 60 * second,
        severity: Severity::High,
        source: Source::Probes,
        sites: SiteChoice::All,
        quorum: SiteQuorum::Single,
        runbook: None,
        depends_on: Vec::new(),
    }
}
