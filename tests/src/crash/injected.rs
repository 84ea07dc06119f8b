//! Disks that refuse: an error of the n-th sync, and a disk that is full from the n-th write on.

use std::path::Path;

use super::coordinator_script;
use super::image::Image;
use super::mark::Bounds;
use super::recording::{Injection, Recording, Script};
use super::replay::Replay;
use super::subject::{Opened, Play, Subject};
use super::{Sum, Violation, reproduce};

/// Files that fail together.
type Files = &'static [&'static str];

const LOG: Files = &["log.db", "log.db-wal", "log.db-journal", "log.head"];
const HISTORY: Files = &["history.db", "history.db-wal", "history.db-journal"];
const SNAPSHOTS: Files = &["snapshots", "snapshots/unfinished"];

/// Of the writes, one in so many is the first that fails.
const EVERY: usize = 40;
const SYNCS: &str = "fsync,fdatasync";
const WRITES: &str = "write,pwrite64";

/// Lets everything fail that can.
pub(super) fn run(recorder: &Path, script: Script) -> anyhow::Result<Sum> {
    let mut sum = Sum::default();
    let groups: &[Files] = match script.subject {
        Subject::Coordinator => &[LOG, HISTORY, SNAPSHOTS],
        Subject::Spool => &[&[]],
    };
    for files in groups {
        let mut when = 1;
        while inject(recorder, script, files, (SYNCS, "EIO", when, false), &mut sum)? {
            when += 1 + when / 2;
        }
        let mut when = 1 + script.seed as usize % EVERY;
        while inject(recorder, script, files, (WRITES, "ENOSPC", when, true), &mut sum)? {
            when += EVERY;
        }
    }
    Ok(sum)
}

/// Whether the run came so far.
fn inject(
    recorder: &Path,
    script: Script,
    files: Files,
    (calls, error, when, for_ever): (&'static str, &'static str, usize, bool),
    sum: &mut Sum,
) -> anyhow::Result<bool> {
    let injection = Injection { calls, error, when, for_ever, files };
    let recording = Recording::new(recorder, script, Some(&injection))?;
    if !recording.calls.iter().any(|call| call.is_injected) {
        return Ok(false);
    }
    sum.injected += 1;
    let play = Play::new(script.subject, script.seed, script.small);
    if let Err(wrong) = judge(&play, &recording, files) {
        let what = format!("{:?}, {error} of {calls} {when} of {files:?}: {wrong}", script.subject);
        sum.violations.push(Violation { what, reproduce: reproduce(script) });
    }
    Ok(true)
}

fn judge(play: &Play, recording: &Recording, files: Files) -> Result<(), String> {
    let mut replay = Replay::new(&recording.data, &recording.marks);
    let mut hit = None;
    for call in &recording.calls {
        if call.is_injected && hit.is_none() && !is_closing(play, &replay.bounds) {
            hit = Some(replay.bounds.done);
        }
        // Of some files alone there is not enough in the trace to follow the disk.
        if files.is_empty() { replay.step(call).map(drop)? } else { replay.mark(call)? }
    }
    let bounds = &replay.bounds;
    if let (Play::Coordinator(script), Some(before)) = (play, hit) {
        if recording.is_success {
            return Err("the process went on".to_owned());
        }
        let mut after = script.steps[before..bounds.done.max(before)].iter();
        if let Some(step) = after.find(|step| needs(files, step)) {
            return Err(format!("{step:?} was acknowledged"));
        }
    }
    opened(play.judge(&recording.data, bounds, false))?;
    if !files.is_empty() {
        return Ok(());
    }
    let folder = super::recording::folder().map_err(|error| error.to_string())?;
    let lost = Image::new(&replay.disk.lasting);
    lost.write(folder.path()).map_err(|error| error.to_string())?;
    opened(play.judge(folder.path(), bounds, false)).map_err(|wrong| format!("power cut: {wrong}"))
}

/// Whether the program is closing its files: what it cannot fold then, the next start does.
fn is_closing(play: &Play, bounds: &Bounds) -> bool {
    let Play::Coordinator(script) = play else { return false };
    let reopens =
        || matches!(script.steps.get(bounds.done), Some(coordinator_script::Step::Reopen));
    bounds.done == script.steps.len() || (bounds.begun > bounds.done && reopens())
}

fn opened(opened: Opened) -> Result<(), String> {
    match opened {
        Opened::AsItMust => Ok(()),
        Opened::Refused(reason) => Err(format!("it does not start again: {reason}")),
        Opened::Wrong(wrong) => Err(wrong),
    }
}

/// Whether a step is done only when these files are written.
fn needs(files: Files, step: &coordinator_script::Step) -> bool {
    use coordinator_script::{Script, Step};
    if files == LOG { Script::lasts(step) } else { matches!(step, Step::Build | Step::Install(_)) }
}
