//! Checks and observations for tests.

use std::time::Duration;

use crosscheck_model::observation::{Clock, Firmness, Trigger};
use crosscheck_model::spec::{Rule, Schedule, SiteChoice, Source};
use crosscheck_model::wire::Assigned;
use crosscheck_model::{
    CheckSpec, Family, Observation, Outcome, Severity, SiteQuorum, Status, Timestamp,
};

/// A check with 10 s time-out and two attempts, 3 s apart; intervals in seconds.
pub(crate) fn assigned(name: &str, interval: u64, retry_interval: u64) -> Assigned {
    let schedule = Schedule {
        interval: Duration::from_secs(interval),
        retry_interval: Duration::from_secs(retry_interval),
        timeout: Duration::from_secs(10),
        attempts: 2,
        attempt_gap: Duration::from_secs(3),
    };
    let spec = CheckSpec {
        id: name.into(),
        name: name.to_owned(),
        customer: None,
        kind: "tcp".to_owned(),
        settings: "{}".to_owned(),
        target: name.to_owned(),
        source: Source::Probes,
        family: Family::V4,
        schedule,
        rule: Rule::Consecutive(1),
        recovery_hold: std::time::Duration::from_secs(60),
        severity: Severity::High,
        sites: SiteChoice::All,
        quorum: SiteQuorum::Diverse,
        runbook: None,
        depends_on: Vec::new(),
    };
    Assigned { rev: 1, spec }
}

/// An observation told from others by its number.
pub(crate) fn observation(seq: u64, status: Status) -> Observation {
    Observation {
        check: "c".into(),
        rev: 1,
        boot: 1,
        seq,
        started: Timestamp::from_millis(seq),
        at: Timestamp::from_millis(seq + 1),
        clock: Clock::Leader,
        trigger: Trigger::Schedule,
        firmness: Firmness::Hard,
        failing_since: None,
        outcome: Outcome::new(status, None, format!("number {seq}")),
    }
}
