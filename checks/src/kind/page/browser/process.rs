//! A browser of one run: started with an empty profile of its own, gone with all its processes and
//! its profile when the run is over, however that ends.

use std::fs::{self, DirBuilder};
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crosscheck_model::Cause;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::devtools::Devtools;
use crate::dial;
use crate::kind::exec::process::Group;
use crate::resolve::Failure;

/// Gives the browser its pipes: it reads commands from descriptor 3 and writes to 4.
const HAND_OVER: &str = "exec \"$@\" 3<&0 4>&1 </dev/null >/dev/null";

/// Where programs that a browser's own starter needs are.
const SEARCH_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// No page of its own, nothing beside what the page asks for, nothing kept, no way around the
/// tunnel: WebRTC and QUIC would be datagrams, and names are the tunnel's to resolve.
const ARGUMENTS: [&str; 24] = [
    "--headless",
    "--remote-debugging-pipe",
    "--no-first-run",
    "--no-default-browser-check",
    "--no-pings",
    "--no-service-autorun",
    "--mute-audio",
    "--hide-scrollbars",
    "--disable-gpu",
    // Containers have little of /dev/shm.
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-component-extensions-with-background-pages",
    "--disable-default-apps",
    "--disable-domain-reliability",
    "--disable-extensions",
    "--disable-sync",
    "--disable-breakpad",
    "--disable-quic",
    "--password-store=basic",
    "--use-mock-keychain",
    // Frames of other sites in the page's own process: what they load is seen. There is nothing
    // in an empty profile that one site could steal from another.
    "--disable-site-isolation-trials",
    "--disable-features=IsolateOrigins,site-per-process,OptimizationHints,MediaRouter,Translate",
    "--webrtc-ip-handling-policy=disable_non_proxied_udp",
];

/// What is kept of a browser's complaints.
const COMPLAINTS_AT_MOST_BYTES: usize = 4096;

/// How long a killed browser is waited for.
const CLEAN_UP_WITHIN: Duration = Duration::from_millis(500);

/// How often, and how long apart, it is tried to remove the profile: the last processes may still
/// be ending.
const REMOVALS: u32 = 20;
const BETWEEN_REMOVALS: Duration = Duration::from_millis(20);

/// A running browser.
pub(super) struct Browser {
    // Dropped in this order: first the processes, then what they wrote.
    group: Group,
    child: Child,
    complaints: Arc<Mutex<Vec<u8>>>,
    profile: Profile,
}

/// A directory that goes when dropped.
struct Profile(PathBuf);

impl Profile {
    /// One that nobody else can have made or may read.
    fn new() -> io::Result<Self> {
        let (process, random) = (std::process::id(), rand::random::<u128>());
        let name = format!("crosscheck-browser-{process}-{random:032x}");
        let path = std::env::temp_dir().join(name);
        DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Profile {
    fn drop(&mut self) {
        for _ in 0..REMOVALS {
            match fs::remove_dir_all(&self.0) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    thread::sleep(BETWEEN_REMOVALS);
                }
                _ => return,
            }
        }
        tracing::warn!(directory = %self.0.display(), "a browser's profile cannot be removed");
    }
}

impl Browser {
    /// Starts one that goes out by this tunnel only.
    ///
    /// # Errors
    /// There is no such program, or it cannot be started; all of it the probe's.
    pub(super) fn start(program: &Path, tunnel: SocketAddr) -> Result<(Self, Devtools), Failure> {
        if !program.exists() {
            let detail = format!("there is no browser `{}`", program.display());
            return Err(Failure::new(Cause::ExecMissing, detail));
        }
        let setup = |error: io::Error| {
            let detail = format!("the browser cannot be started: {}", dial::plain(&error));
            Failure::new(Cause::Setup, detail)
        };
        let profile = Profile::new().map_err(setup)?;
        let mut command = command(program, &profile.0, tunnel);
        let mut child = command.spawn().map_err(setup)?;
        let pipes = child.stdin.take().zip(child.stdout.take());
        let (Some(group), Some((input, output))) = (Group::of(&child), pipes) else {
            return Err(Failure::new(Cause::Setup, "the browser has no process id or no pipes"));
        };
        let complaints = Arc::<Mutex<Vec<u8>>>::default();
        if let Some(errors) = child.stderr.take() {
            tokio::spawn(listen(errors, complaints.clone()));
        }
        Ok((Self { group, child, complaints, profile }, Devtools::new(input, output)))
    }

    /// Why it has ended by itself.
    pub(super) async fn post_mortem(&mut self) -> Failure {
        let status = timeout(CLEAN_UP_WITHIN, self.child.wait()).await.ok().and_then(Result::ok);
        let complaints = self.complaints.lock().unwrap_or_else(PoisonError::into_inner);
        let text = String::from_utf8_lossy(&complaints);
        let said = text.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default();
        // As the shell that starts it says it (POSIX.1-2024, 2.9.1.4).
        let cause = match status.and_then(|status| status.code()) {
            Some(126) => Cause::ExecNotExecutable,
            Some(127) => Cause::ExecMissing,
            _ => Cause::Setup,
        };
        Failure::new(cause, format!("the browser has ended: {}", said.trim()))
    }

    /// Ends it, and has all removed that it wrote.
    pub(super) async fn end(self) {
        let Self { group, mut child, profile, .. } = self;
        drop(group); // Before its number may be another's.
        let _ = timeout(CLEAN_UP_WITHIN, child.wait()).await;
        // Not waited for: a busy disk would outlast the run's deadline.
        tokio::task::spawn_blocking(move || drop(profile));
    }
}

fn command(program: &Path, profile: &Path, tunnel: SocketAddr) -> Command {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", HAND_OVER, "sh"]).arg(program).args(ARGUMENTS);
    command.arg(format!("--user-data-dir={}", profile.display()));
    command.arg(format!("--proxy-server=socks5://{tunnel}"));
    // Loopback is bypassed by itself unless told not to.
    command.arg("--proxy-bypass-list=<-loopback>");
    let exception = tunnel.ip();
    command.arg(format!("--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE {exception}"));
    // Its sandbox does not work for root; whoever runs the probe as root goes without.
    if rustix::process::geteuid().is_root() {
        command.arg("--no-sandbox");
    }
    command.arg("about:blank");
    command.env_clear().env("PATH", SEARCH_PATH).env("LANG", "C.UTF-8");
    command.env("HOME", profile).env("TMPDIR", profile).current_dir("/");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.process_group(0).kill_on_drop(true);
    command
}

/// Keeps the beginning of what it complains, and lets it go on.
async fn listen(mut errors: impl AsyncRead + Unpin, complaints: Arc<Mutex<Vec<u8>>>) {
    let mut piece = [0; 1024];
    while let Ok(count @ 1..) = errors.read(&mut piece).await {
        let mut kept = complaints.lock().unwrap_or_else(PoisonError::into_inner);
        let room = COMPLAINTS_AT_MOST_BYTES.saturating_sub(kept.len());
        kept.extend_from_slice(&piece[..count.min(room)]);
    }
}
