//! The line under a failure: the command that repeats it, and the code that it was seen on.

use std::process::Command;

/// `REPRODUCE: cargo sim .. # commit 1234abc`; without git, the command alone. The remark is one to
/// a shell, too, so that the whole line can be pasted.
pub fn line(arguments: &str) -> String {
    with(arguments, commit().as_deref())
}

fn with(arguments: &str, commit: Option<&str>) -> String {
    let command = format!("REPRODUCE: cargo sim {arguments}");
    match commit {
        Some(commit) => format!("{command} # commit {commit}"),
        None => command,
    }
}

/// What is checked out at present, with `-dirty` when the tree is another one.
fn commit() -> Option<String> {
    let commit = git(&["rev-parse", "--short", "HEAD"])?;
    let changes = git(&["status", "--porcelain"])?;
    Some(if changes.is_empty() { commit } else { format!("{commit}-dirty") })
}

fn git(arguments: &[&str]) -> Option<String> {
    let mut git = Command::new("git");
    let output = git.args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output().ok()?;
    let said = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| said.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_comes_with_the_code_it_was_seen_on() {
        let arguments = "--tier 1 --seeds 1 --first 7";
        assert_eq!(with(arguments, None), "REPRODUCE: cargo sim --tier 1 --seeds 1 --first 7");
        assert_eq!(
            with(arguments, Some("1234abc-dirty")),
            "REPRODUCE: cargo sim --tier 1 --seeds 1 --first 7 # commit 1234abc-dirty"
        );
        assert!(line(arguments).starts_with(&with(arguments, None)));
    }
}
