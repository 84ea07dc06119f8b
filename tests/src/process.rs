//! A program that a test has started, and that ends with the test.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// How long a program may take to end when it is asked to.
const GRACE: Duration = Duration::from_secs(10);

/// Between looks whether it has ended.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// How many of the last lines of a log are shown when a test fails.
const TAIL_LINES: usize = 60;

/// A running program.
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts a program; all that it prints goes to the end of the file `log`.
    ///
    /// # Panics
    /// It cannot be started.
    pub fn start(name: &str, command: &mut Command, log: &Path) -> Self {
        let open = || File::options().create(true).append(true).open(log).expect("a log file");
        let started = command.stdin(Stdio::null()).stdout(open()).stderr(open()).spawn();
        let child = started.unwrap_or_else(|error| panic!("cannot start {name}: {error}"));
        Self { name: name.to_owned(), child, log: log.to_owned() }
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// All that it has printed, and those before it that had the same log.
    pub fn log(&self) -> String {
        let bytes = fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// How it ended; `None` while it runs.
    ///
    /// # Panics
    /// The system does not say.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("the system says whether a child runs")
    }

    /// Ends it with SIGKILL, as a power cut would.
    pub fn kill9(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Asks it to end with SIGTERM.
    pub fn ask_to_end(&mut self) {
        self.signal(Signal::TERM);
    }

    /// Asks it to end with SIGTERM, and waits.
    ///
    /// # Panics
    /// It does not end.
    pub fn terminate(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        let status = self.wait_for_end();
        status.unwrap_or_else(|| panic!("{} does not end when asked to", self.name))
    }

    /// Waits until it ends; `None`: it does not.
    pub(crate) fn wait_for_end(&mut self) -> Option<ExitStatus> {
        let asked = Instant::now();
        loop {
            let status = self.ended();
            if status.is_some() || asked.elapsed() > GRACE {
                return status;
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// Suspends it, as an overloaded host would.
    pub fn stop(&mut self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on.
    pub fn cont(&mut self) {
        self.signal(Signal::CONT);
    }

    fn signal(&mut self, signal: Signal) {
        if self.ended().is_none() {
            let id = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
            kill_process(id.expect("a process id"), signal).expect("a child of this process");
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if std::thread::panicking() {
            show(&self.name, &self.log());
        }
        self.kill9();
    }
}

fn show(name: &str, log: &str) {
    let lines: Vec<&str> = log.lines().collect();
    let tail = &lines[lines.len().saturating_sub(TAIL_LINES)..];
    let _ = writeln!(std::io::stderr(), "--- log of {name} ---\n{}", tail.join("\n"));
}
