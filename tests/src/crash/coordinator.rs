//! A coordinator's disk after a crash: opened by the real code, and compared with its script.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex};

use crosscheck_coordinator::fatal::Fatal;
use crosscheck_coordinator::history::Want;
use crosscheck_core::State;
use futures_util::TryStreamExt;
use openraft::RaftLogReader;
use openraft::entry::RaftEntry;
use openraft::storage::{RaftLogStorage, RaftStateMachine};

use super::coordinator_run::Parts;
use super::coordinator_script::{LogModel, Script, Step};
use super::mark::Bounds;
use super::subject::{Damage, Opened};
use crate::cluster::record::{self, Identity};

/// What was found.
struct Found {
    log: LogModel,
    snapshot: Option<u64>,
    applied: Option<u64>,
    state: State,
    kept: BTreeSet<Identity>,
    counted: Vec<u64>,
    lacks: Option<Want>,
}

/// Opens what the crash left, and says whether it is what the script allows.
pub(super) async fn judge(script: &Script, data: &Path, bounds: &Bounds, damage: Damage) -> Opened {
    let reasons = Arc::new(Mutex::new(Vec::new()));
    let told = reasons.clone();
    let fatal = Fatal::new(move |reason| {
        told.lock().expect("no thread panics with it").push(reason.to_owned());
    });
    let found = match open(script, data, bounds, fatal).await {
        Ok(found) => found,
        Err(reason) => return Opened::Refused(reason),
    };
    if let Some(reason) = reasons.lock().expect("no thread panics with it").first() {
        return Opened::Refused(reason.clone());
    }
    match compare(script, &found, bounds, damage) {
        Ok(()) => Opened::AsItMust,
        Err(wrong) => Opened::Wrong(wrong),
    }
}

async fn open(
    script: &Script,
    data: &Path,
    bounds: &Bounds,
    fatal: Fatal,
) -> Result<Found, String> {
    let mut parts = Parts::open(data, fatal)?;
    let log = read_log(&mut parts).await.map_err(|error| error.to_string())?;
    parts.restore().await?;
    // What the cluster had committed for sure is applied again, as its leader would tell.
    let state = parts.machine.applied_state().await.map_err(|error| error.to_string())?;
    let from = state.0.map_or(0, |applied| applied.index + 1);
    let to = applied_by(&script.steps[..bounds.done]).map_or(0, |index| index + 1);
    if from < to {
        let entries = parts.log.try_get_log_entries(from..to).await;
        let entries = entries.map_err(|error| error.to_string())?;
        parts.apply(entries).await.map_err(|error| error.to_string())?;
    }
    let applied = parts.machine.applied_state().await.map_err(|error| error.to_string())?.0;
    let snapshot = parts.machine.get_current_snapshot().await;
    let snapshot = snapshot.map_err(|error| error.to_string())?;
    parts.history.flush().await.map_err(|error| error.to_string())?;
    let lacks = parts.history.wanted();
    let state = parts.shared.read(State::clone);
    drop(parts);
    let history = data.join("history.db");
    let kept = record::observations(&history).map_err(|error| error.to_string())?;
    let counted = record::rolled_up(&history).map_err(|error| error.to_string())?;
    Ok(Found {
        log,
        snapshot: snapshot.and_then(|found| found.meta.last_log_id).map(|id| id.index),
        applied: applied.map(|id| id.index),
        state,
        kept: kept.into_keys().collect(),
        counted: counted.into_values().collect(),
        lacks,
    })
}

async fn read_log(parts: &mut Parts) -> std::io::Result<LogModel> {
    let log = &mut parts.log;
    let (vote, committed) = (log.read_vote().await?, log.read_committed().await?);
    let purged = log.get_log_state().await?.last_purged_log_id;
    let first = purged.map_or(0, |purged| purged.index + 1);
    let entries = log.entries_stream(first..).await;
    let entries = entries.map_ok(|entry| (entry.log_id().index, entry)).try_collect().await?;
    Ok(LogModel { vote, committed, purged, entries })
}

fn compare(script: &Script, found: &Found, bounds: &Bounds, damage: Damage) -> Result<(), String> {
    let done = &script.steps[..bounds.done];
    let least = done.iter().rposition(Script::lasts).map_or(0, |at| at + 1);
    let allowed = &script.models[least..=bounds.begun];
    if !allowed.contains(&found.log) {
        let nearest = allowed.first().cloned().unwrap_or_default();
        return Err(format!(
            "the log is of no moment between step {least} and {}: {}",
            bounds.begun,
            differences(&nearest, &found.log)
        ));
    }
    let snapshots = |steps: &[Step]| snapshots(steps).last().copied();
    let (least, most) = (snapshots(done), snapshots(&script.steps[..bounds.begun]));
    if found.snapshot < least || found.snapshot > most {
        return Err(format!(
            "the snapshot ends at {:?}, which is not between {least:?} and {most:?}",
            found.snapshot
        ));
    }
    let applied = found.applied.map_or(0, |index| index as usize + 1);
    let before = applied.checked_sub(1).and_then(|last| script.committed.get(last));
    if found.state != before.map(|one| one.state.clone()).unwrap_or_default() {
        return Err(format!("the state at entry {:?} is another one", found.applied));
    }
    match damage {
        // What is measured may be anything now. What is decided is as above.
        Damage::History => Ok(()),
        Damage::None | Damage::Checked => compare_history(script, found, bounds, applied),
    }
}

fn compare_history(
    script: &Script,
    found: &Found,
    bounds: &Bounds,
    applied: usize,
) -> Result<(), String> {
    // Only what another node's snapshot stands for may be lacking; nobody fills it here.
    let is_install = |step: &Step| matches!(step, Step::Install(_));
    let begun = &script.steps[..bounds.begun];
    let first = begun.iter().position(is_install).unwrap_or(begun.len());
    let last = begun.iter().rposition(is_install);
    let own = snapshots(&script.steps[..first.min(bounds.done)]).last().copied();
    let foreign = last.and_then(|last| snapshots(&begun[..=last]).last().copied());
    if let Some(want) = &found.lacks
        && (Some(want.after) < own || Some(want.to) > foreign)
    {
        return Err(format!("entries {} to {} are lost to the history", want.after, want.to));
    }
    let is_lacking = |index: usize| {
        let want = found.lacks.as_ref();
        want.is_some_and(|want| want.after < index as u64 && index as u64 <= want.to)
    };
    let all: BTreeSet<&Identity> =
        script.committed[..applied].iter().flat_map(|one| &one.seen).collect();
    let wanted = script.committed[..applied].iter().enumerate();
    let wanted = wanted.filter(|(index, _)| !is_lacking(*index)).flat_map(|(_, one)| &one.seen);
    if let Some((probe, boot, seq)) = wanted.clone().find(|seen| !found.kept.contains(seen)) {
        return Err(format!("observation {seq} of {probe} ({boot}) is not in the history"));
    }
    if let Some(unknown) = found.kept.iter().find(|kept| !all.contains(kept)) {
        return Err(format!("{unknown:?} is in the history, and nobody saw it"));
    }
    match found.counted.iter().find(|counted| **counted != found.kept.len() as u64) {
        Some(counted) => Err(format!("{} observations count {counted} times", found.kept.len())),
        None => Ok(()),
    }
}

/// The entries that snapshots stand for, in the order of making.
fn snapshots(steps: &[Step]) -> Vec<u64> {
    let mut applied = 0;
    let mut made = Vec::new();
    for step in steps {
        match step {
            Step::Apply(index) => applied = *index,
            Step::Build => made.push(applied),
            Step::Install(index) => {
                applied = *index;
                made.push(applied);
            }
            _ => {}
        }
    }
    made
}

/// Up to where entries are committed and known to be applied here.
fn applied_by(steps: &[Step]) -> Option<u64> {
    let index = |step: &Step| match step {
        Step::Apply(index) | Step::Install(index) => Some(*index),
        _ => None,
    };
    steps.iter().filter_map(index).next_back()
}

fn differences(wanted: &LogModel, found: &LogModel) -> String {
    let ends = |model: &LogModel| {
        let (first, last) = (model.entries.first_key_value(), model.entries.last_key_value());
        let index = |entry: Option<(&u64, _)>| entry.map_or(-1, |(index, _)| index.cast_signed());
        format!(
            "vote {:?}, committed {:?}, purged {:?}, entries {} to {}",
            model.vote.as_ref().map(ToString::to_string),
            model.committed.map(|id| id.index),
            model.purged.map(|id| id.index),
            index(first.map(|(index, _)| (index, ()))),
            index(last.map(|(index, _)| (index, ()))),
        )
    };
    format!("wanted at least {}; found {}", ends(wanted), ends(found))
}
