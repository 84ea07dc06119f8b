//! The history against what it promises: replay, back-dated spans, roll-ups, catching up.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crosscheck_core::Effect;
use crosscheck_core::audit::{Chain, Digest, Entry};
use crosscheck_core::operator::Role;
use crosscheck_model::config::Retention;
use crosscheck_model::observation::{Clock, Firmness, Trigger};
use crosscheck_model::{
    Cause, CheckId, Observation, Outcome, Phase, ProbeId, SiteId, Status, Timestamp,
};
use proptest::prelude::*;

use super::rollup::{Totals, Width, read_totals};
use super::*;

const DAY: u64 = 86_400_000;

pub(super) fn open(data: &Path) -> History {
    History::open(data, Fatal::new(|reason| panic!("{reason}"))).expect("opens")
}

pub(super) fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(millis)
}

/// Run `seq` of a probe at a site, begun at `started`.
pub(super) fn seen(site: &str, seq: u64, started: u64, status: Status, micros: u64) -> Effect {
    let cause = (status != Status::Up).then_some(Cause::Refused);
    let mut outcome = Outcome::new(status, cause, "the words");
    outcome.duration = Duration::from_micros(micros);
    outcome.phases.add(Phase::Connect, Duration::from_micros(micros / 2));
    outcome.excerpt = "what came back".into();
    outcome.address = Some("192.0.2.1:443".into());
    let observation = Observation {
        check: CheckId::new("shop"),
        rev: 1,
        boot: u64::MAX - 7,
        seq,
        started: at(started),
        at: at(started + micros / 1000),
        clock: Clock::Leader,
        trigger: Trigger::Confirm,
        firmness: Firmness::Hard,
        failing_since: None,
        outcome,
    };
    Effect::Record {
        probe: ProbeId::new(format!("p-{site}")),
        site: SiteId::new(site),
        observation: Box::new(observation),
    }
}

pub(super) fn span(from: u64, status: Option<Status>, maintenance: bool) -> Effect {
    Effect::Span { check: CheckId::new("shop"), from: at(from), status, maintenance }
}

/// An act as the state would give it, behind the one before.
pub(super) fn act(head: &mut Chain) -> Effect {
    let mut entry = Entry {
        index: head.index + 1,
        at: at(head.index * 10),
        actor: "li".into(),
        role: Role::Operator,
        from: "192.0.2.1".into(),
        act: "acknowledge".into(),
        subject: format!("incident {}", head.index),
        before: None,
        after: Some(Digest([7; 32])),
        previous: head.hash,
        hash: Digest::NONE,
    };
    entry.hash = entry.expected_hash();
    head.follow(&entry).expect("the next");
    Effect::Audited(Box::new(entry))
}

/// Follows the whole trail of a node.
pub(super) fn trail(history: &History) -> Chain {
    let mut chain = Chain::default();
    loop {
        let entries = history.audit(chain.index, 7).expect("reads");
        if entries.is_empty() {
            return chain;
        }
        entries.iter().for_each(|entry| chain.follow(entry).expect("whole"));
    }
}

pub(super) async fn keep(history: &History, entry: u64, effects: Vec<Effect>) {
    history.append(entry, Arc::new(effects)).await.expect("kept");
}

pub(super) fn rows(history: &History) -> Vec<Row> {
    history.observations(&"shop".into(), None, at(0), at(u64::MAX), 10_000).expect("reads")
}

/// All roll-ups by width, start and site, without the numbers that differ between nodes.
fn rollups(history: &History) -> BTreeMap<(i64, i64, String), Totals> {
    history
        .read(|db| {
            let mut query = db.prepare(&format!(
                "SELECT {}, r.width, r.start, s.name FROM rollup r JOIN name s ON s.id = r.site",
                rollup::TOTALS
            ))?;
            let found = query.query_map([], |row| {
                Ok(((row.get(8)?, row.get(9)?, row.get(10)?), read_totals(row, 0)?))
            })?;
            Ok(found.collect::<Result<_, _>>()?)
        })
        .expect("reads")
}

#[tokio::test]
async fn a_row_comes_back_as_it_was_and_an_up_one_without_words() {
    let directory = tempfile::tempdir().expect("a directory");
    let history = open(directory.path());
    keep(&history, 1, vec![seen("a", 1, 1_000, Status::Down, 2_500)]).await;
    keep(&history, 2, vec![seen("b", 1, 2_000, Status::Up, 3_000)]).await;
    assert_eq!(history.flush().await.expect("flushed"), 2);
    let found = rows(&history);
    assert_eq!((found[0].site.as_str(), found[0].detail.as_str()), ("b", ""));
    let down = &found[1];
    assert_eq!((down.started, down.at), (at(1_000), at(1_002)));
    assert_eq!((down.status, down.cause), (Status::Down, Some(Cause::Refused)));
    assert_eq!((down.detail.as_str(), down.excerpt.as_str()), ("the words", "what came back"));
    assert_eq!(down.duration, Duration::from_micros(2_500));
    assert_eq!(down.phases.get(Phase::Connect), Some(Duration::from_micros(1_250)));
    assert_eq!(down.phases.get(Phase::Dns), None);
    assert_eq!((down.trigger, down.firmness), (Trigger::Confirm, Firmness::Hard));
    assert_eq!(down.address.as_deref(), Some("192.0.2.1:443"));
    let of_site = history.observations(&"shop".into(), Some(&"a".into()), at(0), at(5_000), 5);
    assert_eq!(of_site.expect("reads").len(), 1);
}

#[tokio::test]
async fn replayed_and_resent_observations_are_kept_once() {
    let directory = tempfile::tempdir().expect("a directory");
    let entry = vec![seen("a", 1, 1_000, Status::Up, 10), seen("a", 2, 2_000, Status::Up, 20)];
    let (first_rows, first_rollups) = {
        let history = open(directory.path());
        keep(&history, 5, entry.clone()).await;
        history.flush().await.expect("flushed");
        keep(&history, 5, entry.clone()).await;
        keep(&history, 6, vec![seen("a", 2, 2_000, Status::Up, 20)]).await;
        history.flush().await.expect("flushed");
        (rows(&history), rollups(&history))
    };
    assert_eq!(first_rows.len(), 2);
    let history = open(directory.path());
    assert_eq!(history.applied(), 6, "after a restart too");
    keep(&history, 5, entry).await;
    history.flush().await.expect("flushed");
    assert_eq!((rows(&history), rollups(&history)), (first_rows, first_rollups));
}

#[tokio::test]
async fn a_back_dated_span_replaces_what_it_overlaps() {
    let directory = tempfile::tempdir().expect("a directory");
    let history = open(directory.path());
    let up = Some(Status::Up);
    keep(&history, 1, vec![span(100, up, false)]).await;
    keep(&history, 2, vec![span(500, Some(Status::Unknown), false)]).await;
    keep(&history, 3, vec![span(600, up, false)]).await;
    // An outage that began at 400 is decided later than the span that began at 600.
    keep(&history, 4, vec![span(400, Some(Status::Down), false)]).await;
    keep(&history, 5, vec![span(900, up, true)]).await;
    history.flush().await.expect("flushed");
    let found = history.spans(&"shop".into(), at(200), at(1_000)).expect("reads");
    let piece =
        |from, to, status, maintenance| Span { from: at(from), to: at(to), status, maintenance };
    let wanted = [
        piece(200, 400, up, false),
        piece(400, 900, Some(Status::Down), false),
        piece(900, 1_000, up, true),
    ];
    assert_eq!(found, wanted);
    let days = history.days(&"shop".into(), at(1_000), 1).expect("reads");
    let millis = Duration::from_millis;
    assert_eq!((days[0].up, days[0].down), (millis(300), millis(500)));
    assert_eq!((days[0].maintenance, days[0].no_data), (millis(100), millis(100)));
}

#[tokio::test]
async fn the_days_of_many_checks_are_those_of_each() {
    let directory = tempfile::tempdir().expect("a directory");
    let history = open(directory.path());
    let day = 24 * 60 * 60 * 1_000;
    let of = |check: &str, from: u64, status: Option<Status>| Effect::Span {
        check: check.into(),
        from: at(from),
        status,
        maintenance: from.is_multiple_of(3),
    };
    let mut effects = Vec::new();
    for (check, step) in [("acme/shop", day / 2), ("mail \"quoted\"", day), ("shop", 3 * day)] {
        for from in (1..12).map(|n| n * step) {
            let status = [None, Some(Status::Up), Some(Status::Down)][(from / step % 3) as usize];
            effects.push(of(check, from, status));
        }
    }
    keep(&history, 1, effects).await;
    history.flush().await.expect("flushed");
    let checks: Vec<CheckId> =
        ["shop", "never seen", "mail \"quoted\"", "acme/shop"].map(CheckId::from).into();
    for (until, days) in [(10 * day + 7, 90), (10 * day + 7, 3), (day / 4, 2), (40 * day, 5)] {
        let all = history.days_of(&checks, at(until), days).expect("reads");
        assert_eq!(all.len(), checks.len());
        for check in &checks {
            let alone = history.days(check, at(until), days).expect("reads");
            assert_eq!(all[check], alone, "{check} until {until}");
        }
    }
    assert!(history.days_of(&[], at(day), 9).expect("reads").is_empty());
}

#[tokio::test]
async fn latency_from_rows_and_from_roll_ups() {
    let directory = tempfile::tempdir().expect("a directory");
    let history = open(directory.path());
    let mut effects = Vec::new();
    for i in 0..100 {
        effects.push(seen("a", i, i * 60_000, Status::Up, (i + 1) * 1_000));
    }
    effects.push(seen("a", 100, 100 * 60_000, Status::Down, 9_000_000));
    keep(&history, 1, effects).await;
    history.flush().await.expect("flushed");
    let near = |found: Duration, millis: u64| {
        let found = found.as_micros().abs_diff(u128::from(millis) * 1_000);
        found <= u128::from(millis) * 1_000 / 30
    };
    for (to, buckets, counts) in [
        (101 * 60_000, 1, vec![101]),
        (101 * 60_000, 2, vec![51, 50]),
        (2 * 3_600_000, 2, vec![60, 41]),
    ] {
        let points = history.latency(&"shop".into(), at(0), at(to), buckets).expect("reads");
        let found: Vec<u32> = points.iter().map(|point| point.count).collect();
        assert_eq!(found, counts, "{to} in {buckets}");
        let last = points.last().expect("there");
        assert_eq!((last.failed, last.max), (1, Duration::from_millis(100)));
        if buckets == 1 {
            assert!(near(last.p50, 50) && near(last.p95, 95), "{last:?}");
        }
    }
}

#[tokio::test]
async fn what_is_too_old_goes_and_stays_gone() {
    let directory = tempfile::tempdir().expect("a directory");
    let history = open(directory.path());
    let late = seen("a", 9, DAY + 5, Status::Up, 10);
    for day in 0..4 {
        let effects = vec![
            seen("a", day, day * DAY + 1, Status::Up, 10),
            span(day * DAY + 1, None, day == 2),
        ];
        keep(&history, day + 1, effects).await;
    }
    let retention =
        Retention { raw: Duration::from_millis(DAY), rollups: Duration::from_millis(2 * DAY) };
    history.retain(at(3 * DAY + 10), &retention).await.expect("ordered");
    keep(&history, 5, vec![late]).await;
    history.flush().await.expect("flushed");
    let kept: Vec<u64> = rows(&history).iter().map(|row| row.started.as_millis()).collect();
    assert_eq!(kept, [3 * DAY + 1, 2 * DAY + 1]);
    let starts: Vec<i64> = rollups(&history).keys().map(|key| key.1).collect();
    assert!(starts.iter().all(|start| *start >= DAY.cast_signed()), "{starts:?}");
    assert_eq!(starts.len(), 6, "an hour and a day of each of three days");
    let spans = history.spans(&"shop".into(), at(0), at(9 * DAY)).expect("reads");
    let from: Vec<u64> = spans.iter().map(|span| span.from.as_millis()).collect();
    assert_eq!(from, [1, DAY + 1, 2 * DAY + 1, 3 * DAY + 1]);
}

#[tokio::test]
async fn a_node_that_was_away_ends_up_with_the_same() {
    let directories = [tempfile::tempdir(), tempfile::tempdir()].map(|d| d.expect("a directory"));
    let (leader, away) = (open(directories[0].path()), open(directories[1].path()));
    let retention = Retention { raw: Duration::from_millis(2 * DAY), ..Retention::default() };
    let mut head = Chain::default();
    for entry in 1..=60u64 {
        let started = entry * DAY / 10;
        let acts = [act(&mut head), act(&mut head)];
        let mut effects: Vec<Effect> = (0..300)
            .map(|i| {
                seen(["a", "b"][i as usize % 2], entry * 1_000 + i, started + i, Status::Up, i)
            })
            .collect();
        let from = started - (entry % 7) * DAY / 12;
        effects.push(span(from, Some(Status::Down).filter(|_| entry % 2 == 0), entry % 5 == 0));
        effects.extend(acts);
        keep(&leader, entry, effects.clone()).await;
        leader.retain(at(started), &retention).await.expect("ordered");
        if entry <= 20 || entry > 50 {
            keep(&away, entry, effects).await;
            away.retain(at(started), &retention).await.expect("ordered");
        }
        if entry == 50 {
            away.lack(50).await.expect("noted");
        }
    }
    leader.flush().await.expect("flushed");
    away.flush().await.expect("flushed");
    let mut want = away.wanted().expect("lacks something");
    assert_eq!((want.after, want.to), (20, 50));
    assert_eq!(away.page(&want).expect("reads"), None, "it must not serve what it lacks");
    let mut first = None;
    let mut pages = 0;
    loop {
        let page = leader.page(&want).expect("reads").expect("has it");
        let bytes = postcard::to_stdvec(&page).expect("encodes");
        let next = page.next.clone();
        let page = postcard::from_bytes(&bytes).expect("decodes");
        assert!(away.fill(&want, page, &mut first).await.expect("kept"));
        pages += 1;
        match next {
            Some(cursor) => want.cursor = cursor,
            None => break,
        }
    }
    assert!(pages > 3, "{pages}: more than one page of a kind");
    assert_eq!(away.wanted(), None);
    // Each forgets in its own steps: let both finish.
    for node in [&leader, &away] {
        for _ in 0..10 {
            node.flush().await.expect("flushed");
        }
    }
    assert_eq!(rows(&leader), rows(&away));
    assert_eq!((trail(&leader), trail(&away)), (head, head), "no act is ever forgotten");
    assert!(rollups(&leader) == rollups(&away), "roll-ups differ");
    let spans = |node: &History| node.spans(&"shop".into(), at(0), at(9 * DAY)).expect("reads");
    assert_eq!(spans(&leader), spans(&away));
}

#[tokio::test]
async fn a_snapshot_that_comes_while_it_catches_up_is_caught_up_with_as_well() {
    let directories = [tempfile::tempdir(), tempfile::tempdir()].map(|d| d.expect("a directory"));
    let (leader, away) = (open(directories[0].path()), open(directories[1].path()));
    for entry in 1..=9 {
        keep(&leader, entry, vec![seen("a", entry, entry * 1_000, Status::Up, 1)]).await;
    }
    leader.flush().await.expect("flushed");
    away.lack(4).await.expect("noted");
    away.flush().await.expect("flushed");
    let first_want = away.wanted().expect("lacks something");
    away.lack(9).await.expect("noted");
    for (want, lacks) in [(first_want, Some((4, 9))), (away_wants(4, 9), None)] {
        let (mut want, mut first) = (want, None);
        loop {
            let page = leader.page(&want).expect("reads").expect("has it");
            let next = page.next.clone();
            assert!(away.fill(&want, page, &mut first).await.expect("kept"));
            match next {
                Some(cursor) => want.cursor = cursor,
                None => break,
            }
        }
        assert_eq!(away.wanted().map(|want| (want.after, want.to)), lacks);
    }
    assert_eq!(rows(&leader), rows(&away));
}

fn away_wants(after: u64, to: u64) -> Want {
    Want { after, to, rollups_from: 0, cursor: Cursor::Rollups(0) }
}

#[tokio::test]
async fn a_file_of_the_first_version_gets_the_audit_trail() {
    let directory = tempfile::tempdir().expect("a directory");
    let history = open(directory.path());
    keep(&history, 1, vec![seen("a", 1, 1_000, Status::Up, 2_500)]).await;
    history.flush().await.expect("flushed");
    drop(history);
    let db = Connection::open(directory.path().join("history.db")).expect("opens");
    let as_it_was =
        "DROP TABLE audit; ALTER TABLE progress DROP COLUMN commits; PRAGMA user_version = 1;";
    db.execute_batch(as_it_was).expect("runs");
    drop(db);
    let history = open(directory.path());
    let mut head = Chain::default();
    keep(&history, 2, vec![act(&mut head)]).await;
    history.flush().await.expect("flushed");
    assert_eq!((rows(&history).len(), trail(&history)), (1, head));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn roll_ups_equal_a_recount(
        runs in prop::collection::vec((0u64..3 * DAY, 0usize..4, 0u64..5_000_000, any::<bool>()), 1..200),
    ) {
        let statuses = [Status::Up, Status::Degraded, Status::Down, Status::Unknown];
        let directory = tempfile::tempdir().expect("a directory");
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let history = open(directory.path());
        runtime.block_on(async {
            for (entry, chunk) in runs.chunks(7).enumerate() {
                let effects = chunk.iter().enumerate().map(|(i, (started, status, micros, a))| {
                    let seq = (entry * 7 + i) as u64;
                    seen(if *a { "a" } else { "b" }, seq, *started, statuses[*status], *micros)
                });
                keep(&history, entry as u64 + 1, effects.collect()).await;
                if entry % 5 == 0 {
                    history.flush().await.expect("flushed");
                }
            }
            history.flush().await.expect("flushed");
        });
        let found = rollups(&history);
        let mut recount = BTreeMap::new();
        for row in rows(&history) {
            for width in Width::ALL {
                let start = width.start(row.started).cast_signed();
                let key = (width.code(), start, row.site.to_string());
                let (counts, total, slowest) =
                    recount.entry(key).or_insert_with(|| (vec![0u32; 4], 0u64, 0u64));
                counts[usize::from(record::status_code(row.status))] += 1;
                if matches!(row.status, Status::Up | Status::Degraded) {
                    let micros = row.duration.as_micros() as u64;
                    *total += micros;
                    *slowest = (*slowest).max(micros);
                }
            }
        }
        let found: BTreeMap<_, _> = found
            .into_iter()
            .map(|(key, t)| (key, (t.by_status.to_vec(), t.total_us, t.slowest_us)))
            .collect();
        prop_assert_eq!(found, recount);
    }
}

/// A stored format: what version 1 has written must be read by every later program.
#[tokio::test]
async fn a_history_of_version_1_is_read_and_goes_on_and_a_newer_one_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("history.db");
    let db = Connection::open(&file).expect("opens");
    db.execute_batch(include_str!("golden/history-1.sql")).expect("runs");
    drop(db);
    let history = open(directory.path());
    let Effect::Record { observation, .. } = seen("a", 4, 1_000, Status::Down, 5_000) else {
        panic!("a record")
    };
    let row = &rows(&history)[0];
    assert_eq!(
        (row.started, row.status, row.cause),
        (at(1_000), Status::Down, Some(Cause::Refused))
    );
    assert_eq!(
        (&row.detail, &row.excerpt),
        (&observation.outcome.detail, &observation.outcome.excerpt)
    );
    assert_eq!(history.applied(), 9);
    keep(&history, 9, vec![seen("a", 5, 2_000, Status::Up, 5_000)]).await;
    keep(&history, 10, vec![seen("a", 6, 3_000, Status::Up, 5_000)]).await;
    history.flush().await.expect("flushed");
    assert_eq!(rows(&history).len(), 2, "entry 9 was there already");
    drop(history);

    let db = Connection::open(&file).expect("opens");
    db.pragma_update(None, "user_version", 3).expect("written");
    drop(db);
    let opened = History::open(directory.path(), Fatal::new(|_| {}));
    let error = opened.err().expect("refused").to_string();
    assert!(error.contains("version 3") && error.contains("update it"), "{error}");
}
