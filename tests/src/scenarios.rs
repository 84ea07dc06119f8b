//! Tier 4 of the simulation: real processes. The scenarios are the tests of whole clusters, each
//! run by its own test program as often as wanted; there is no second version of them.
//!
//! ```text
//! cargo: the programs, the tests --> each test alone, two at a time --> a line each, and a sum
//! ```

use std::collections::VecDeque;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, mpsc};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use serde_json::Value;

use crate::process::Process;
use crate::reproduce;
use crate::scratch::Scratch;

/// The program of the tests of whole clusters.
const PROGRAM: &str = "cluster";

/// So many run at once: they wait most of the time, and a cluster is ten processes.
const AT_ONCE: usize = 2;

/// Who takes longer hangs.
const LIMIT: Duration = Duration::from_secs(15 * 60);

/// Between looks whether one has ended.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// How many of the last lines of a failed scenario are shown.
const TAIL_LINES: usize = 80;

/// Where tests that choose at random read what to choose by.
const SEED: &str = "CROSSCHECK_SEED";

/// A scenario.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// The test's name: `FILE::TEST`.
    pub name: String,
    path: PathBuf,
}

/// A scenario that was run.
#[derive(Debug)]
pub struct Ran {
    /// Which.
    pub scenario: Scenario,
    /// What its random choices followed from.
    pub seed: u64,
    /// How long it took.
    pub took: Duration,
    /// The end of what it said, when it failed.
    pub failed: Option<String>,
}

impl fmt::Display for Ran {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let outcome = if self.failed.is_some() { "FAILED" } else { "ok" };
        let (seconds, name) = (self.took.as_secs_f64(), &self.scenario.name);
        write!(f, "{outcome:6} {seconds:6.1} s  {name}")?;
        if let Some(tail) = &self.failed {
            let seed = self.seed;
            let again = format!("--tier 4 --seeds 1 --first {seed} --only {name}");
            write!(f, "\n{tail}\n{}", reproduce::line(&again))?;
        }
        Ok(())
    }
}

/// Builds the programs and the tests, and lists the scenarios whose name contains `only`.
///
/// # Errors
/// They cannot be built, or there is none of that name.
pub fn list(only: &str) -> anyhow::Result<Vec<Scenario>> {
    cargo(&["build", "--workspace", "--bins", "--examples", "--quiet"])?;
    // Of the whole workspace, as above: else cargo would choose other features of the
    // dependencies, and build all of them a second time.
    let test = ["test", "--workspace", "--no-run", "--quiet", "--message-format=json"];
    let messages = cargo(&[&test[..], &["--test", PROGRAM]].concat())?;
    let path = executable(&messages).with_context(|| format!("no program `{PROGRAM}`"))?;
    let listed = Command::new(&path).args(["--list", "--format", "terse"]).output()?;
    ensure!(listed.status.success(), "{} lists no tests", path.display());
    let listed = String::from_utf8(listed.stdout)?;
    let names = listed.lines().filter_map(|line| line.strip_suffix(": test"));
    let names = names.filter(|name| name.contains(only)).map(str::to_owned);
    let found: Vec<Scenario> = names.map(|name| Scenario { name, path: path.clone() }).collect();
    ensure!(!found.is_empty(), "no scenario has `{only}` in its name");
    Ok(found)
}

/// Runs every scenario once with this seed; `each` gets them as they end.
///
/// # Errors
/// One cannot be run at all.
pub fn round(
    scenarios: &[Scenario],
    seed: u64,
    mut each: impl FnMut(&Ran),
) -> anyhow::Result<usize> {
    let waiting = Mutex::new(scenarios.iter().cloned().collect::<VecDeque<_>>());
    let (sender, ended) = mpsc::channel();
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            let (waiting, sender) = (&waiting, sender.clone());
            scope.spawn(move || {
                let next = || waiting.lock().map(|mut waiting| waiting.pop_front()).ok().flatten();
                while let Some(scenario) = next() {
                    if sender.send(run(scenario, seed)).is_err() {
                        break;
                    }
                }
            });
        }
        drop(sender);
        let mut failed = 0;
        for ran in ended {
            let ran = ran?;
            failed += usize::from(ran.failed.is_some());
            each(&ran);
        }
        Ok(failed)
    })
}

fn run(scenario: Scenario, seed: u64) -> anyhow::Result<Ran> {
    let scratch = Scratch::new();
    let log = scratch.file("log");
    let mut command = Command::new(&scenario.path);
    command.args(["--exact", &scenario.name, "--include-ignored", "--nocapture"]);
    command.current_dir(env!("CARGO_MANIFEST_DIR")).env(SEED, seed.to_string());
    let began = Instant::now();
    let mut process = Process::start(&scenario.name, &mut command, &log);
    let status = loop {
        match process.ended() {
            Some(status) => break Some(status),
            None if began.elapsed() > LIMIT => break None,
            None => std::thread::sleep(LOOK_EVERY),
        }
    };
    let took = began.elapsed();
    let failed = match status {
        Some(status) if status.success() => None,
        Some(_) => Some(tail(&log)?),
        None => {
            // What it has started ends with it.
            process.kill9();
            Some(format!("{}\nit does not end", tail(&log)?))
        }
    };
    Ok(Ran { scenario, seed, took, failed })
}

fn tail(log: &Path) -> anyhow::Result<String> {
    let text = String::from_utf8_lossy(&fs::read(log)?).into_owned();
    let lines: Vec<&str> = text.lines().collect();
    Ok(lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n"))
}

/// Runs cargo on this workspace: what it prints. Its complaints go where ours go.
fn cargo(arguments: &[&str]) -> anyhow::Result<String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(arguments).arg("--locked").current_dir(env!("CARGO_MANIFEST_DIR"));
    let output = command.stderr(Stdio::inherit()).output().context("cargo does not run")?;
    if !output.status.success() {
        bail!("cargo {} failed", arguments.join(" "));
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// Where cargo says that it has put the program.
fn executable(messages: &str) -> Option<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(PROGRAM).join("main.rs");
    let messages = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut of_it = messages.filter(|message| {
        message["target"]["src_path"].as_str().map(Path::new) == Some(source.as_path())
    });
    of_it.find_map(|message| message["executable"].as_str().map(PathBuf::from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_test_of_a_cluster_is_in_the_program() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
        let uses = |folder: &Path| {
            let files = fs::read_dir(folder).expect("there are tests");
            let paths = files.map(|file| file.expect("a file").path());
            let of_cluster = |path: &PathBuf| {
                let text = fs::read_to_string(path).unwrap_or_default(); // None of a directory.
                text.contains("use crosscheck_tests::cluster")
            };
            paths.filter(of_cluster).count()
        };
        let others = ["", "kinds", "standalone"].map(|name| uses(&folder.join(name)));
        assert_eq!(others, [0, 0, 0]);
        assert!(uses(&folder.join(PROGRAM)) > 5);
    }

    #[test]
    fn a_failure_says_how_to_have_it_again() {
        let scenario = Scenario { name: "outage::mail::x".to_owned(), path: PathBuf::new() };
        let failed = Some("seen last: nothing".to_owned());
        let ran = Ran { scenario, seed: 7, took: Duration::from_millis(1_250), failed };
        let said = ran.to_string();
        let wanted = "FAILED    1.2 s  outage::mail::x\nseen last: nothing\n\
             REPRODUCE: cargo sim --tier 4 --seeds 1 --first 7 --only outage::mail::x";
        // Behind it stands the commit, where there is a git.
        assert!(said.starts_with(wanted), "{said}");
    }

    #[test]
    fn a_test_program_is_told_by_its_source() {
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cluster/main.rs");
        let built = |source: &str, executable: &str| {
            let target = serde_json::json!({ "name": "cluster", "src_path": source });
            serde_json::json!({ "target": target, "executable": executable }).to_string()
        };
        let elsewhere = built("/elsewhere/cluster/main.rs", "/l");
        let messages = [elsewhere.clone(), built(source, "/t")].join("\n");
        assert_eq!(executable(&messages), Some(PathBuf::from("/t")));
        assert_eq!(executable(&elsewhere), None);
    }
}
