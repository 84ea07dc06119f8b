//! Tier 3 of the simulation: what is acknowledged is there after a crash at any moment.
//!
//! ```text
//! script -> the real stores, in a process under strace -> every system call, marks between them
//!        -> at each of them: what a crash may leave -> the real stores again -> as the script says
//! ```
//!
//! The stores are those of production, SQLite included: nothing is put in their place, so nothing
//! has to be believed about how they use the disk. What is modelled is the disk; see `disk`.

use std::fmt;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, sync_channel};

mod coordinator;
mod coordinator_run;
mod coordinator_script;
mod disk;
mod image;
mod injected;
mod mark;
mod points;
mod recording;
mod replay;
mod spool;
mod subject;
mod trace;

pub(crate) use recording::folder;
pub use subject::Subject;

use crate::reproduce;
use image::Image;
use points::{Case, Points};
use recording::{Recording, Script};
use subject::{Damage, Opened, Play};

/// After so many violations of one recording the rest would say the same.
const ENOUGH: usize = 10;

/// How much of a recorded run is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// A crash of each kind and a flipped bit at every operation; each sync and each write failing.
    Every,
    /// What fits into the time of a gate: of a long stretch of writes, of damages and of failing
    /// calls some.
    Sample,
}

/// Takes a word of how far it is.
pub type Progress<'a> = &'a dyn Fn(&str);

/// What did not hold.
#[derive(Clone, Debug)]
pub struct Violation {
    /// In words.
    pub what: String,
    /// The line that says how to have it again.
    pub reproduce: String,
}

/// What came of recorded runs.
#[derive(Debug, Default)]
pub struct Sum {
    /// Recorded runs.
    pub runs: u64,
    /// Moments at which a crash was tried.
    pub points: u64,
    /// Disks that were opened, without those that were equal.
    pub images: u64,
    /// Of them, damaged ones.
    pub damaged: u64,
    /// Of the damaged ones, those that were refused.
    pub refused: u64,
    /// Runs in which the kernel was made to refuse a write or a sync.
    pub injected: u64,
    /// What did not hold.
    pub violations: Vec<Violation>,
}

impl fmt::Display for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "tier 3: {} crash points, {} images ({} damaged, {} of them refused), {} failing \
             disks, {} violations, {} recorded runs",
            self.points,
            self.images,
            self.damaged,
            self.refused,
            self.injected,
            self.violations.len(),
            self.runs
        )
    }
}

impl Sum {
    fn add(&mut self, other: Self) {
        self.runs += other.runs;
        self.points += other.points;
        self.images += other.images;
        self.damaged += other.damaged;
        self.refused += other.refused;
        self.injected += other.injected;
        self.violations.extend(other.violations);
    }
}

/// The recorded program's work, in `folder`, which has an empty folder `data`.
///
/// # Errors
/// A store has failed.
pub fn record(subject: Subject, seed: u64, small: bool, folder: &Path) -> anyhow::Result<()> {
    let (data, marks) = recording::places(folder);
    Play::new(subject, seed, small).record(&data, &marks)
}

/// Every seed; see [`run`].
///
/// # Errors
/// As there.
pub fn run_all(
    recorder: &Path,
    seeds: Range<u64>,
    reach: Reach,
    progress: Progress<'_>,
) -> anyhow::Result<Sum> {
    let mut sum = Sum::default();
    for seed in seeds {
        sum.add(run(recorder, seed, reach, progress)?);
    }
    Ok(sum)
}

/// Records a run of each kind with `recorder`, crashes it everywhere, and lets the disk fail in
/// as many ways.
///
/// # Errors
/// A run could not be recorded, or what it does is not modelled.
pub fn run(
    recorder: &Path,
    seed: u64,
    reach: Reach,
    progress: Progress<'_>,
) -> anyhow::Result<Sum> {
    let mut sum = Sum::default();
    for subject in Subject::ALL {
        for small in [false, true] {
            let script = Script { subject, seed, small };
            sum.add(crash_everywhere(recorder, script, reach, progress)?);
        }
        let script = Script { subject, seed, small: true };
        progress(&format!("{script}: failing disks"));
        sum.add(injected::run(recorder, script, reach)?);
    }
    Ok(sum)
}

fn crash_everywhere(
    recorder: &Path,
    script: Script,
    reach: Reach,
    progress: Progress<'_>,
) -> anyhow::Result<Sum> {
    let recording = Recording::new(recorder, script, None)?;
    let play = Play::new(script.subject, script.seed, script.small);
    let (cases, receiver) = sync_channel(8);
    let receiver = Mutex::new(receiver);
    let sum = Mutex::new(Sum { runs: 1, ..Sum::default() });
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let points = std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| examine(&play, script, reach, &receiver, &sum));
        }
        Points::new(script, reach, cases).walk(&recording, progress)
    });
    let mut sum = sum.into_inner().expect("no worker panics");
    sum.points += points.map_err(anyhow::Error::msg)?;
    Ok(sum)
}

fn examine(
    play: &Play,
    script: Script,
    reach: Reach,
    cases: &Mutex<Receiver<Case>>,
    sum: &Mutex<Sum>,
) {
    loop {
        let case = cases.lock().expect("no worker panics").recv();
        let Ok(case) = case else { return };
        if sum.lock().expect("no worker panics").violations.len() >= ENOUGH {
            continue;
        }
        let folder = recording::folder().expect("room for an image");
        case.image.write(folder.path()).expect("room for an image");
        let damage = case.variant.damage();
        let damaged = damage != Damage::None;
        let judge = AssertUnwindSafe(|| play.judge(folder.path(), &case.bounds, damage));
        let opened = catch_unwind(judge)
            .unwrap_or_else(|_| Opened::Wrong("it panics; its message stands above".to_owned()));
        let mut sum = sum.lock().expect("no worker panics");
        sum.images += 1;
        sum.damaged += u64::from(damaged);
        let wrong = match opened {
            Opened::AsItMust => continue,
            Opened::Refused(_) if damaged => {
                sum.refused += 1;
                continue;
            }
            Opened::Refused(reason) => format!("it does not start: {reason}"),
            Opened::Wrong(wrong) => wrong,
        };
        let kept = keep(&case.image, script, case.point);
        let what = format!(
            "{:?} crashed at operation {}, {:?}, steps {} done and {} begun: {wrong}; its disk \
             is in {}",
            script.subject,
            case.point,
            case.variant,
            case.bounds.done,
            case.bounds.begun,
            kept.display()
        );
        sum.violations.push(Violation { what, reproduce: reproduce(script, reach) });
    }
}

/// Keeps an image for people: a second recording is never quite like the first.
fn keep(image: &Image, script: Script, point: u64) -> PathBuf {
    let name = format!("crosscheck-crash-{:?}-{}-{point}", script.subject, script.seed);
    let folder = std::env::temp_dir().join(name);
    image.write(&folder).expect("room for an image");
    folder
}

fn reproduce(script: Script, reach: Reach) -> String {
    let sample = if reach == Reach::Sample { " --sample" } else { "" };
    reproduce::line(&format!("--tier 3 --seeds 1 --first {}{sample}", script.seed))
}
