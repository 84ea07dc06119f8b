//! Checks that nobody runs: a job reports by itself, and silence is the failure.

use std::time::Duration;

use crosscheck_core::outbox::Edge;
use crosscheck_core::push::{PushReport, Stage};
use crosscheck_core::{Command, Effect, Reply, State, apply};
use crosscheck_model::join::Fingerprint;
use crosscheck_model::spec::{Push, SiteChoice, Source};
use crosscheck_model::{Cause, CheckId, Config, SiteQuorum, Status, Timestamp};

const TOKEN: Fingerprint = Fingerprint([7; 32]);
const EVERY: Duration = Duration::from_secs(24 * 60 * 60);
const GRACE: Duration = Duration::from_secs(60 * 60);
const AT_MOST: Duration = Duration::from_secs(2 * 60 * 60);

/// A state machine under a leader that ticks, with one job.
struct Job {
    state: State,
    now: Timestamp,
    effects: Vec<Effect>,
}

fn config() -> Config {
    let mut config = crate::world::config("ABC", 1);
    let check = &mut config.checks[0];
    check.source =
        Source::Push(Push { every: EVERY, grace: GRACE, at_most: Some(AT_MOST), token: TOKEN });
    check.sites = SiteChoice::List(Vec::new());
    check.quorum = SiteQuorum::Single;
    config
}

impl Job {
    fn new() -> Self {
        let mut job = Self {
            state: State::default(),
            now: Timestamp::from_millis(1_800_000_000_000),
            effects: Vec::new(),
        };
        job.apply(Command::Lead { node: 1, term: 1, cluster: "c".to_owned() });
        job.apply(Command::Configure(Box::new(config())));
        job
    }

    fn apply(&mut self, command: Command) -> Reply {
        let applied = apply(&mut self.state, self.now, command);
        self.effects.extend(applied.effects);
        applied.reply
    }

    fn pass(&mut self, time: Duration) {
        let end = self.now.plus(time);
        while self.now < end {
            self.now = self.now.plus(Duration::from_secs(10)).min(end);
            self.apply(Command::Tick);
        }
    }

    fn report(&mut self, stage: Stage, text: &str) -> Reply {
        let (detail, excerpt) = (text.to_owned(), format!("{text} and more"));
        let report = PushReport { stage, took: None, detail, excerpt };
        self.apply(Command::Push { token: TOKEN, report })
    }

    fn ends(&mut self, status: Status, text: &str) {
        assert_eq!(self.report(Stage::Ended(status), text), Reply::Done);
    }

    fn status(&self) -> Status {
        self.state.checks[&CheckId::new("check 0")].verdict.status
    }

    /// What is owed of the job, in the order of its creation.
    fn told(&self) -> Vec<Edge> {
        let mut owed: Vec<_> =
            self.state.outbox.values().filter(|owed| owed.contact.as_str() == "ops").collect();
        owed.sort_by_key(|owed| owed.created);
        owed.iter().map(|owed| owed.notice.edge).collect()
    }

    fn cause(&self) -> Option<Cause> {
        let check = &self.state.checks[&CheckId::new("check 0")];
        self.state.site_views(check)[0].vote.and_then(|vote| vote.cause)
    }
}

#[test]
fn nothing_is_green_before_the_first_report_and_none_ever_is_an_alarm() {
    let mut job = Job::new();
    job.pass(EVERY + GRACE);
    assert_eq!((job.status(), job.told().len()), (Status::Unknown, 0), "still awaited");
    job.pass(Duration::from_secs(60));
    assert_eq!((job.status(), job.cause()), (Status::Down, Some(Cause::NoReport)));
    assert_eq!(job.told(), [Edge::Alarm(Status::Down)]);
}

#[test]
fn a_report_in_time_keeps_it_green_and_a_missing_one_is_told_once() {
    let mut job = Job::new();
    for _ in 0..3 {
        job.ends(Status::Up, "fine");
        assert_eq!(job.status(), Status::Up);
        job.pass(EVERY + GRACE);
    }
    assert_eq!((job.status(), job.told().len()), (Status::Up, 0), "within its grace");
    job.pass(3 * EVERY);
    assert_eq!(job.status(), Status::Down);
    assert_eq!(job.told(), [Edge::Alarm(Status::Down)], "once, however long it lasts");
    let incident = job.state.incidents.values().next().expect("an incident");
    let due = job.now.minus(3 * EVERY);
    assert_eq!(incident.first_failed_at, due, "since it was due with its grace");
    assert!(incident.summary.contains("no report came in time: the last one came at"));

    job.ends(Status::Up, "");
    job.pass(Duration::from_secs(30));
    assert_eq!(job.status(), Status::Down, "not before it has been well for the hold");
    job.pass(Duration::from_secs(60));
    assert_eq!(job.status(), Status::Up);
    assert_eq!(job.told(), [Edge::Alarm(Status::Down), Edge::Recovery]);
}

#[test]
fn a_job_that_says_it_failed_is_down_at_once_with_its_words() {
    let mut job = Job::new();
    job.ends(Status::Up, "");
    job.pass(Duration::from_secs(3600));
    job.report(Stage::Started, "");
    job.pass(Duration::from_secs(600));
    job.ends(Status::Down, "disk full");
    assert_eq!((job.status(), job.cause()), (Status::Down, Some(Cause::JobFailed)));
    let incident = job.state.incidents.values().next().expect("an incident");
    assert!(incident.summary.ends_with(": disk full"), "{}", incident.summary);
    let recorded = job.effects.iter().rev().find_map(|effect| match effect {
        Effect::Record { observation, .. } => Some(observation),
        _ => None,
    });
    let recorded = &recorded.expect("kept in the history").outcome;
    assert_eq!(recorded.duration, Duration::from_secs(600), "since it started");
    assert_eq!(recorded.excerpt, "disk full and more");
}

#[test]
fn a_flaw_is_told_as_degraded_one_severity_lower() {
    let mut job = Job::new();
    job.ends(Status::Degraded, "2 files skipped");
    assert_eq!((job.status(), job.cause()), (Status::Degraded, Some(Cause::JobWarning)));
    assert_eq!(job.told(), [Edge::Alarm(Status::Degraded)]);
}

#[test]
fn a_start_is_no_evidence_and_one_without_an_end_is_a_failure() {
    let mut job = Job::new();
    job.report(Stage::Started, "");
    assert_eq!(job.status(), Status::Unknown);
    job.pass(AT_MOST);
    assert_eq!(job.told().len(), 0);
    job.pass(Duration::from_secs(10));
    assert_eq!((job.status(), job.cause()), (Status::Down, Some(Cause::NoReport)));
    job.ends(Status::Up, "late, but done");
    job.pass(Duration::from_secs(90));
    assert_eq!(job.status(), Status::Up);
}

#[test]
fn a_report_that_nobody_could_take_is_no_failure_and_no_green_either() {
    let mut job = Job::new();
    job.ends(Status::Up, "");
    job.pass(EVERY);
    // No coordinator for longer than the grace: whether the job reported is not known.
    job.now = job.now.plus(2 * GRACE);
    job.pass(Duration::from_secs(60));
    assert_eq!(job.status(), Status::Unknown);
    assert!(!job.told().contains(&Edge::Alarm(Status::Down)));
    job.pass(EVERY + GRACE);
    assert_eq!(job.status(), Status::Down, "a whole time heard, and nothing came");
}

#[test]
fn a_report_within_the_time_after_a_gap_is_green_again() {
    let mut job = Job::new();
    job.ends(Status::Up, "");
    job.pass(EVERY);
    job.now = job.now.plus(2 * GRACE);
    job.pass(Duration::from_secs(60));
    job.ends(Status::Up, "");
    job.pass(Duration::from_secs(90));
    assert_eq!(job.status(), Status::Up);
    assert!(!job.told().contains(&Edge::Alarm(Status::Down)));
}

#[test]
fn a_token_of_nobody_is_refused_and_changes_nothing() {
    let mut job = Job::new();
    let before = job.state.clone();
    let (stage, detail, excerpt) = (Stage::Ended(Status::Up), String::new(), String::new());
    let report = PushReport { stage, took: None, detail, excerpt };
    let reply = job.apply(Command::Push { token: Fingerprint([8; 32]), report });
    assert!(matches!(reply, Reply::Rejected(_)), "{reply:?}");
    assert_eq!(job.state, before);
}

#[test]
fn an_edit_of_its_terms_loses_no_report_and_a_change_of_kind_begins_anew() {
    let mut job = Job::new();
    job.ends(Status::Up, "");
    let mut edited = config();
    let Source::Push(push) = &mut edited.checks[0].source else { panic!("a job") };
    push.every = 2 * EVERY;
    edited.checks[0].settings = "{\"every\":\"48h\"}".to_owned();
    job.apply(Command::Configure(Box::new(edited.clone())));
    job.pass(EVERY + 2 * GRACE);
    assert_eq!(job.status(), Status::Up);
    edited.checks[0].source = Source::Probes;
    job.apply(Command::Configure(Box::new(edited)));
    let check = &job.state.checks[&CheckId::new("check 0")];
    assert!(check.votes.is_empty());
}
