//! A program run under strace, and everything that it asked of the kernel.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::subject::Subject;
use super::trace::{self, CALLS, Call};

/// Longer than any write: strace cuts texts at this length.
const TEXT_LIMIT: &str = "67108864";

/// Which program, and what it does.
#[derive(Clone, Copy, Debug)]
pub(super) struct Script {
    pub(super) subject: Subject,
    pub(super) seed: u64,
    pub(super) small: bool,
}

impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let length = if self.small { "short" } else { "long" };
        write!(f, "{:?}, seed {}, {length} run", self.subject, self.seed)
    }
}

/// An error that the kernel is made to give.
#[derive(Clone, Debug)]
pub(super) struct Injection {
    /// Which system calls.
    pub(super) calls: &'static str,
    pub(super) error: &'static str,
    /// From which on, counted in each thread; `for_ever`: and all after it.
    pub(super) when: usize,
    pub(super) for_ever: bool,
    /// Of these files alone, by their names in the directory; empty: all.
    pub(super) files: &'static [&'static str],
}

/// A program's run.
pub(super) struct Recording {
    pub(super) data: PathBuf,
    pub(super) marks: PathBuf,
    pub(super) calls: Vec<Call>,
    /// It ended by itself, with success.
    pub(super) is_success: bool,
    _folder: TempDir,
}

impl Recording {
    /// Runs the recorder, a program that takes `--record`, under strace.
    pub(super) fn new(
        recorder: &Path,
        script: Script,
        injection: Option<&Injection>,
    ) -> anyhow::Result<Self> {
        let folder = folder()?;
        let path = folder.path().canonicalize()?;
        let (data, marks, trace) = (path.join("data"), path.join("marks"), path.join("trace"));
        fs::create_dir(&data)?;
        let mut command = Command::new("strace");
        command.args(["-f", "--seccomp-bpf", "-qq", "-xx", "-s", TEXT_LIMIT, "-o"]).arg(&trace);
        command.arg("-e").arg(format!("trace={CALLS}"));
        if let Some(Injection { calls, error, when, for_ever, files }) = injection {
            let more = if *for_ever { "+" } else { "" };
            command.arg("-e").arg(format!("inject={calls}:error={error}:when={when}{more}"));
            for file in *files {
                command.arg("-P").arg(data.join(file));
            }
            if !files.is_empty() {
                command.arg("-P").arg(&marks);
            }
        }
        command.arg(recorder).arg("--record").arg(&path);
        command.arg("--first").arg(script.seed.to_string());
        if script.subject == Subject::Spool {
            command.arg("--spool");
        }
        if script.small {
            command.arg("--small");
        }
        let output = command.output().map_err(|error| anyhow::anyhow!("strace: {error}"))?;
        let text = fs::read_to_string(&trace)?;
        let calls = trace::parse(&text).map_err(anyhow::Error::msg)?;
        let is_success = output.status.success();
        anyhow::ensure!(
            is_success || injection.is_some(),
            "the recorded program failed: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(Self { data, marks, calls, is_success, _folder: folder })
    }
}

/// Where the recorded program works in the folder that it is given: data and marks.
pub(super) fn places(folder: &Path) -> (PathBuf, PathBuf) {
    (folder.join("data"), folder.join("marks"))
}

/// A folder in memory where the system has such: it is all the same to what is tested.
pub(crate) fn folder() -> std::io::Result<TempDir> {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }
}
