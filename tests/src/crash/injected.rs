//! Disks that refuse: an error of the n-th sync, and a disk that is full from the n-th write on.

use std::path::Path;
use std::sync::Mutex;

use super::coordinator_script;
use super::image::Image;
use super::mark::Bounds;
use super::recording::{Injection, Recording, Script};
use super::replay::Replay;
use super::subject::{Damage, Opened, Play, Subject};
use super::{ENOUGH, Reach, Sum, Violation, reproduce};

/// Files that fail together.
type Files = &'static [&'static str];

const LOG: Files = &["log.db", "log.db-wal", "log.db-journal", "log.head"];
const HISTORY: Files = &["history.db", "history.db-wal", "history.db-journal"];
const SNAPSHOTS: Files = &["snapshots", "snapshots/unfinished"];

/// Of the writes, one in so many is the first that fails in a sample.
const SAMPLED: usize = 40;
const SYNCS: &str = "fsync,fdatasync";
const WRITES: &str = "write,pwrite64";

/// What fails, and how.
#[derive(Clone, Copy)]
struct Failure {
    files: Files,
    calls: &'static str,
    error: &'static str,
    for_ever: bool,
}

impl Failure {
    /// Which call fails first, after `before`.
    fn next(self, reach: Reach, seed: u64, before: Option<usize>) -> usize {
        match (reach, before) {
            (Reach::Every, before) => before.unwrap_or(0) + 1,
            (Reach::Sample, None) if self.for_ever => 1 + seed as usize % SAMPLED,
            (Reach::Sample, Some(before)) if self.for_ever => before + SAMPLED,
            (Reach::Sample, None) => 1,
            (Reach::Sample, Some(before)) => before + 1 + before / 2,
        }
    }
}

/// Lets everything fail that can.
pub(super) fn run(recorder: &Path, script: Script, reach: Reach) -> anyhow::Result<Sum> {
    let groups: &[Files] = match script.subject {
        Subject::Coordinator => &[LOG, HISTORY, SNAPSHOTS],
        Subject::Spool => &[&[]],
    };
    let failures = groups.iter().flat_map(|&files| {
        let sync = Failure { files, calls: SYNCS, error: "EIO", for_ever: false };
        [sync, Failure { files, calls: WRITES, error: "ENOSPC", for_ever: true }]
    });
    let waiting: Mutex<Vec<Failure>> = Mutex::new(failures.collect());
    let sum = Mutex::new(Sum::default());
    let work = || -> anyhow::Result<()> {
        loop {
            let failure = waiting.lock().expect("no worker panics").pop();
            let Some(failure) = failure else { return Ok(()) };
            let mut when = failure.next(reach, script.seed, None);
            while inject(recorder, script, reach, failure, when, &sum)? {
                when = failure.next(reach, script.seed, Some(when));
            }
        }
    };
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        threads.into_iter().try_for_each(|thread| thread.join().expect("no worker panics"))
    })?;
    Ok(sum.into_inner().expect("no worker panics"))
}

/// Whether the run came so far.
fn inject(
    recorder: &Path,
    script: Script,
    reach: Reach,
    failure: Failure,
    when: usize,
    sum: &Mutex<Sum>,
) -> anyhow::Result<bool> {
    let Failure { files, calls, error, for_ever } = failure;
    let injection = Injection { calls, error, when, for_ever, files };
    let recording = Recording::new(recorder, script, Some(&injection))?;
    if !recording.calls.iter().any(|call| call.is_injected) {
        return Ok(false);
    }
    let play = Play::new(script.subject, script.seed, script.small);
    let judged = judge(&play, &recording, files);
    let mut sum = sum.lock().expect("no worker panics");
    sum.injected += 1;
    if let Err(wrong) = judged {
        let what = format!("{:?}, {error} of {calls} {when} of {files:?}: {wrong}", script.subject);
        sum.violations.push(Violation { what, reproduce: reproduce(script, reach) });
    }
    Ok(sum.violations.len() < ENOUGH)
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
    opened(play.judge(&recording.data, bounds, Damage::None))?;
    if !files.is_empty() {
        return Ok(());
    }
    let folder = super::recording::folder().map_err(|error| error.to_string())?;
    let lost = Image::new(&replay.disk.lasting);
    lost.write(folder.path()).map_err(|error| error.to_string())?;
    opened(play.judge(folder.path(), bounds, Damage::None))
        .map_err(|wrong| format!("power cut: {wrong}"))
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
