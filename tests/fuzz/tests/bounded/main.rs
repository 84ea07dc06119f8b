//! Every target reads its corpus, and seeded mutations of it. A failure prints what was read; the
//! same run again: `FUZZ_SEED=.. cargo test -p crosscheck-fuzz`, a longer one: `FUZZ_TIMES=100`.

mod mutate;
mod written;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use crosscheck_fuzz::{TARGETS, Target};
use rand::SeedableRng;
use rand::rngs::StdRng;

use self::mutate::mutated;

/// No target needs more, whatever it reads.
const MEMORY_LIMIT_KIB: u64 = 1024 * 1024;

fn here() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn from_environment(name: &str, otherwise: u64) -> u64 {
    let given = std::env::var(name).ok();
    given.map_or(otherwise, |text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

/// The seeds of a target, in order: those that are kept, and what today's program writes.
fn corpus(target: &Target) -> Vec<Vec<u8>> {
    let directory = here().join("corpus").join(target.name);
    let entries = fs::read_dir(&directory).unwrap_or_else(|error| panic!("{directory:?}: {error}"));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    let kept = paths.iter().map(|path| fs::read(path).expect("a seed"));
    let written = written::seeds().into_iter().filter(|(of, ..)| *of == target.name);
    kept.chain(written.map(|(.., seed)| seed)).collect()
}

/// Reads once; what broke an invariant is kept to be looked at.
fn read(target: &Target, bytes: &[u8], what: &str) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| (target.read)(bytes))) {
        let kept = std::env::temp_dir().join(format!("crosscheck-fuzz-{}", target.name));
        fs::write(&kept, bytes).expect("a file");
        tell(target, what, &kept);
        std::panic::resume_unwind(panic);
    }
}

fn tell(target: &Target, what: &str, kept: &Path) {
    use std::io::Write;
    let said = format!("{}: {what}, kept as {}\n", target.name, kept.display());
    // The panic itself is told in any case.
    drop(std::io::stderr().write_all(said.as_bytes()));
}

/// The most memory that this process ever had.
fn peak_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux tells");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
    line.trim().trim_end_matches("kB").trim().parse().expect("a number")
}

fn bounded(name: &str) {
    let target = TARGETS.iter().find(|target| target.name == name).expect("a target");
    let seeds = corpus(target);
    assert!(seeds.len() >= 2, "a good seed and a bad one at least");
    let seed = from_environment("FUZZ_SEED", 1);
    let times = u32::try_from(from_environment("FUZZ_TIMES", 1)).expect("few");
    for (at, bytes) in seeds.iter().enumerate() {
        read(target, bytes, &format!("seed {at} of the corpus"));
    }
    let mut random = StdRng::seed_from_u64(seed);
    for round in 0..target.mutations * times {
        let bytes = mutated(&seeds, &mut random);
        read(target, &bytes, &format!("FUZZ_SEED={seed}, mutation {round}"));
    }
    assert!(peak_kib() < MEMORY_LIMIT_KIB, "{} KiB of memory", peak_kib());
}

macro_rules! bounded_tests {
    ($($name:ident),+) => {
        $(#[test] fn $name() { bounded(stringify!($name)); })+

        #[test]
        fn every_target_is_run_here_has_a_program_and_a_corpus() {
            let names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
            assert_eq!(names, [$(stringify!($name)),+]);
            let manifest = fs::read_to_string(here().join("Cargo.toml")).expect("a manifest");
            for name in &names {
                assert!(manifest.contains(&format!("path = \"targets/{name}.rs\"")), "{name}");
                assert!(here().join("targets").join(format!("{name}.rs")).exists(), "{name}");
            }
            for entry in fs::read_dir(here().join("corpus")).expect("corpora") {
                let name = entry.expect("an entry").file_name();
                assert!(names.contains(&name.to_str().expect("ASCII")), "{name:?} is no target");
            }
        }
    };
}

bounded_tests!(
    document,
    report,
    join,
    excerpt,
    command,
    snapshot,
    log_record,
    spool,
    history_page,
    backup,
    dns_answer,
    http_answer,
    journey_answer,
    service_answer
);
