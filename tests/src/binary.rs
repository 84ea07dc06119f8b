//! The programs under test, as the workspace's build left them.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// `crosscheck`.
pub fn crosscheck() -> PathBuf {
    built("crosscheck")
}

/// `crosscheck` as the release before.
pub fn earlier() -> PathBuf {
    built("crosscheck-earlier")
}

/// `crosscheck-probe`.
pub fn crosscheck_probe() -> PathBuf {
    built("crosscheck-probe")
}

/// The coordinator's example that serves the page in every state.
pub fn show_page() -> PathBuf {
    built("examples/show_page")
}

/// Cargo tells only a package's own tests where its programs are, but puts all of a profile into
/// one directory: `PROFILE/NAME` beside `PROFILE/deps/TEST` and other programs.
fn built(name: &str) -> PathBuf {
    let own = std::env::current_exe().expect("a test has a file");
    let folder = own.parent().expect("it lies in PROFILE or PROFILE/deps");
    let profile = if folder.ends_with("deps") { folder.parent() } else { Some(folder) };
    let profile = profile.expect("it lies in PROFILE/deps");
    let program = profile.join(name);
    let hint = "hint: `cargo build --workspace --bins --examples` first, with `--release` if that \
                is what you run; or test by `tests/run`";
    let Some(made) = modified(&program) else {
        panic!("{} is not built\n{hint}", program.display());
    };
    let newer = sources(&profile.join(format!("{name}.d")))
        .into_iter()
        .find(|source| modified(source).is_some_and(|changed| changed > made));
    if let Some(source) = newer {
        panic!("{} is older than {}\n{hint}", program.display(), source.display());
    }
    program
}

fn modified(path: &Path) -> Option<SystemTime> {
    path.metadata().and_then(|found| found.modified()).ok()
}

/// What a program was made from, as Cargo wrote it down: `PROGRAM: SOURCE SOURCE ..`.
fn sources(list: &Path) -> Vec<PathBuf> {
    let text = std::fs::read_to_string(list).unwrap_or_default();
    let named = text.lines().filter_map(|line| line.split_once(": "));
    named.flat_map(|(_, sources)| sources.split(' ')).map(PathBuf::from).collect()
}
