//! What people type: one file per command.

pub mod ack;
pub mod apply;
pub mod audit;
pub mod backup;
pub mod bounce;
pub mod catalogue;
pub mod cluster;
pub mod coordinator;
pub mod demo;
pub mod drill;
pub mod exec;
pub mod import;
pub mod incidents;
mod json;
pub mod probe;
pub mod push;
pub mod remote;
pub mod restore;
pub mod run;
pub mod schema;
pub mod standalone;
pub mod status;
mod table;
pub mod terminal;
pub mod token;
pub mod validate;

use std::ffi::OsString;

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Exit status: fine.
pub const FINE: u8 = 0;

/// Exit status: it ran, and something is not as it should be.
pub const NOT_WELL: u8 = 1;

/// Exit status: the user's input cannot be used.
pub const BAD_INPUT: u8 = 2;

/// The process is asked to end, by SIGTERM or SIGINT.
pub struct Termination {
    terminate: Signal,
    interrupt: Signal,
}

impl Termination {
    /// Listens from now on.
    ///
    /// # Errors
    /// The operating system does not allow it.
    pub fn new() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("listen to signals");
        let (terminate, interrupt) =
            (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
        Ok(Self { terminate, interrupt })
    }

    /// Waits until it is asked.
    pub async fn asked(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Whether to colour what goes to a terminal: yes, unless `NO_COLOR` is set and not empty
/// (<https://no-color.org>) or the terminal is a `dumb` one.
pub fn colour(terminal: bool, variable: impl Fn(&str) -> Option<OsString>) -> bool {
    let refused = variable("NO_COLOR").is_some_and(|value| !value.is_empty());
    let dumb = variable("TERM").is_some_and(|value| value == "dumb");
    terminal && !refused && !dumb
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_terminal_that_wants_it_is_coloured() {
        let with = |name: &'static str, value: &'static str| {
            move |asked: &str| (asked == name).then(|| OsString::from(value))
        };
        assert!(colour(true, |_| None));
        assert!(!colour(false, |_| None));
        assert!(!colour(true, with("NO_COLOR", "1")));
        assert!(colour(true, with("NO_COLOR", "")));
        assert!(!colour(true, with("TERM", "dumb")));
    }
}
