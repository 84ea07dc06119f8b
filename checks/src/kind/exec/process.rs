//! Starting a program and waiting for its end, whatever it does: what it prints is bounded, and its
//! whole process group is gone when the run is over.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use crosscheck_model::Cause;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, timeout, timeout_at};

use crate::dial;
use crate::resolve::Failure;

/// The most that a program may print to either stream: Nagios itself keeps 8 KiB.
pub(super) const OUTPUT_AT_MOST_BYTES: usize = 64 << 10;

/// Read at once.
const PIECE_BYTES: usize = 4096;

/// How long to wait, once the program has ended and its group is killed, for the end of its output
/// and for the system to let go of it. Only what left the group can keep the output open.
const CLEAN_UP_WITHIN: Duration = Duration::from_millis(200);

/// ENOEXEC: neither a binary of this machine nor a script with an interpreter.
const NOT_A_PROGRAM: i32 = 8;

/// A program that has ended.
#[derive(Debug)]
pub(super) struct Ended {
    /// How.
    pub(super) exit: Exit,
    /// Its standard output.
    pub(super) output: Vec<u8>,
    /// Its standard error.
    pub(super) errors: Vec<u8>,
}

/// How a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exit {
    Code(i32),
    Signal(i32),
}

impl Ended {
    /// The first line that is not empty of standard error.
    pub(super) fn first_error(&self) -> String {
        let text = String::from_utf8_lossy(&self.errors);
        text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default().to_owned()
    }
}

/// Kills the group when dropped: also when the run is.
pub(in crate::kind) struct Group(Pid);

impl Group {
    /// The group that the child leads: it was started with `process_group(0)`.
    pub(in crate::kind) fn of(child: &Child) -> Option<Self> {
        child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw).map(Self)
    }

    fn kill(&self) {
        let _ = kill_process_group(self.0, Signal::KILL); // It may be gone.
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

/// One of the program's streams.
struct Stream<R> {
    pipe: Option<R>,
    bytes: Vec<u8>,
}

impl<R: AsyncRead + Unpin> Stream<R> {
    fn new(pipe: Option<R>) -> Self {
        Self { pipe, bytes: Vec::new() }
    }

    fn is_open(&self) -> bool {
        self.pipe.is_some()
    }

    /// Reads a piece; safe to be dropped while it waits.
    async fn read(&mut self) -> Result<(), Failure> {
        let Some(pipe) = &mut self.pipe else { return Ok(()) };
        let mut piece = [0; PIECE_BYTES];
        match pipe.read(&mut piece).await {
            Ok(count @ 1..) => self.bytes.extend_from_slice(&piece[..count]),
            Ok(_) | Err(_) => self.pipe = None,
        }
        if self.bytes.len() > OUTPUT_AT_MOST_BYTES {
            let detail = format!("it printed more than {OUTPUT_AT_MOST_BYTES} bytes");
            return Err(Failure::new(Cause::ExecOutput, detail));
        }
        Ok(())
    }
}

/// Runs the program to its end, or to the deadline. `limit` is the time it was given, for words.
pub(super) async fn run(
    mut command: Command,
    deadline: Instant,
    limit: Duration,
) -> Result<Ended, Failure> {
    let streams = [Stdio::null(), Stdio::piped(), Stdio::piped()];
    let [input, output, errors] = streams;
    command.stdin(input).stdout(output).stderr(errors).process_group(0).kill_on_drop(true);
    let children = signal(SignalKind::child()).map_err(|error| unwatched(&error))?;
    let mut child = command.spawn().map_err(|error| not_started(&error))?;
    let Some(group) = Group::of(&child) else {
        return Err(Failure::new(Cause::Setup, "the program has no process id"));
    };
    let mut end = End { id: group.0, children };
    let mut output = Stream::new(child.stdout.take());
    let mut errors = Stream::new(child.stderr.take());
    let ended = timeout_at(deadline, until_end(&mut end, &mut output, &mut errors)).await;
    // Before the system may give its number to another: until `wait` it stays the group's.
    group.kill();
    let result = match ended {
        Ok(Ok(())) => drain(&mut output, &mut errors).await,
        Ok(Err(failure)) => Err(failure),
        Err(_) => {
            let detail = format!("it had not ended after {limit:?} and was killed");
            Err(Failure::new(Cause::ExecTimeout, detail))
        }
    };
    let status = reap(&mut child).await;
    drop(group);
    result?;
    let exit = status.and_then(|status| match (status.code(), status.signal()) {
        (Some(code), _) => Some(Exit::Code(code)),
        (None, signal) => signal.map(Exit::Signal),
    });
    let exit =
        exit.ok_or_else(|| Failure::new(Cause::Setup, "the system does not say how it ended"))?;
    Ok(Ended { exit, output: output.bytes, errors: errors.bytes })
}

/// A process that can be waited for without being collected: until that is done, its number and
/// its group's are given to no other.
struct End {
    id: Pid,
    children: tokio::signal::unix::Signal,
}

impl End {
    /// Comes back when the process has ended.
    async fn reached(&mut self) -> Result<(), Failure> {
        let peek = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        // Listening began before the process did, so no end is missed.
        while waitid(WaitId::Pid(self.id), peek)
            .map_err(|error| unwatched(&error.into()))?
            .is_none()
        {
            self.children.recv().await;
        }
        Ok(())
    }
}

fn unwatched(error: &io::Error) -> Failure {
    let detail = format!("the program cannot be watched: {}", dial::plain(error));
    Failure::new(Cause::Setup, detail)
}

async fn until_end<O, E>(
    end: &mut End,
    output: &mut Stream<O>,
    errors: &mut Stream<E>,
) -> Result<(), Failure>
where
    O: AsyncRead + Unpin,
    E: AsyncRead + Unpin,
{
    loop {
        tokio::select! {
            ended = end.reached() => return ended,
            read = output.read(), if output.is_open() => read?,
            read = errors.read(), if errors.is_open() => read?,
        }
    }
}

/// What is still in the pipes.
async fn drain<O, E>(output: &mut Stream<O>, errors: &mut Stream<E>) -> Result<(), Failure>
where
    O: AsyncRead + Unpin,
    E: AsyncRead + Unpin,
{
    let rest = async {
        while output.is_open() || errors.is_open() {
            tokio::select! {
                read = output.read(), if output.is_open() => read?,
                read = errors.read(), if errors.is_open() => read?,
            }
        }
        Ok(())
    };
    timeout(CLEAN_UP_WITHIN, rest).await.unwrap_or(Ok(()))
}

async fn reap(child: &mut Child) -> Option<ExitStatus> {
    timeout(CLEAN_UP_WITHIN, child.wait()).await.ok()?.ok()
}

fn not_started(error: &io::Error) -> Failure {
    let (cause, detail) = match error.kind() {
        io::ErrorKind::NotFound => {
            (Cause::ExecMissing, "there is no such program, or no interpreter for it")
        }
        io::ErrorKind::PermissionDenied => {
            (Cause::ExecNotExecutable, "this probe may not execute it")
        }
        _ if error.raw_os_error() == Some(NOT_A_PROGRAM) => {
            (Cause::ExecNotExecutable, "it is no program of this machine and has no `#!` line")
        }
        _ => {
            let detail = format!("the program cannot be started: {}", dial::plain(error));
            return Failure::new(Cause::Setup, detail);
        }
    };
    Failure::new(cause, detail)
}
