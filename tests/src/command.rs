//! Commands that answer and end.

use std::process::{Command, Stdio};

use crate::binary;

/// What a command said.
#[derive(Debug)]
pub struct Said {
    /// Its exit status.
    pub status: i32,
    /// Its standard output.
    pub out: String,
    /// Its standard error.
    pub err: String,
}

/// Runs `crosscheck` with arguments, and variables besides the test's own.
///
/// # Panics
/// It cannot be started, is ended by a signal, or says what is no text.
pub fn crosscheck(arguments: &[&str], variables: &[(&str, &str)]) -> Said {
    let mut command = Command::new(binary::crosscheck());
    command.args(arguments).envs(variables.iter().copied()).stdin(Stdio::null());
    let output = command.output().expect("crosscheck starts");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    Said {
        status: output.status.code().expect("it ends by itself"),
        out: text(output.stdout),
        err: text(output.stderr),
    }
}
