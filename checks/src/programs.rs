//! Which programs checks may start on this host, the browser among them, and which of its files
//! they may send. Who defines checks is not who owns the host: so the host's own configuration
//! names them, and none when it says nothing.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crosscheck_model::Cause;
use serde::Deserialize;

use crate::resolve::Failure;

/// Programs whose task is to start others: a directory does not let them in, only their own name.
/// No list of them is complete. To allow a directory is to trust all that is in it.
const STARTERS: [&str; 3] = ["negate", "urlize", "check_by_ssh"];

/// What may be started. The default is nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Programs {
    /// Programs, and directories all of whose programs may be started, as absolute paths.
    #[serde(default)]
    allow: Arc<[PathBuf]>,
    /// Names of environment variables that checks may set. Those of interpreters and loaders
    /// (`BASH_ENV`, `PERL5OPT`, `LD_PRELOAD`) would start what this list does not name.
    #[serde(default)]
    variables: Arc<[String]>,
    /// Files that checks may send, and directories all of whose files they may.
    #[serde(skip)]
    files: Arc<[PathBuf]>,
    /// The browser that checks may load pages with.
    #[serde(skip)]
    browser: Option<Arc<Path>>,
    /// Where pictures of pages that failed are kept; `None`: none are.
    #[serde(skip)]
    pictures: Option<Arc<Path>>,
}

/// The largest file that is sent: it is held in memory, as others are at the same time.
pub const SENT_AT_MOST_BYTES: u64 = 16 << 20;

impl Programs {
    /// These programs and directories, and these variables.
    pub fn new(allow: Vec<PathBuf>, variables: Vec<String>) -> Self {
        Self { allow: allow.into(), variables: variables.into(), ..Self::default() }
    }

    /// The same, and these files and directories.
    pub fn with_files(self, files: &[PathBuf]) -> Self {
        Self { files: [&self.files, files].concat().into(), ..self }
    }

    /// The same, and this browser, with a directory for pictures of pages that failed.
    pub fn with_browser(self, browser: Option<&Path>, pictures: Option<&Path>) -> Self {
        Self { browser: browser.map(Arc::from), pictures: pictures.map(Arc::from), ..self }
    }

    /// The browser. It is not one of the programs of `exec`: with arguments of their choice,
    /// checks could have it read this host's files.
    ///
    /// # Errors
    /// What to write to have one.
    pub fn browser(&self) -> Result<&Path, String> {
        self.browser.as_deref().ok_or_else(|| {
            "this probe has no browser; its configuration may name one: \
             `browser: /usr/bin/chromium`"
                .to_owned()
        })
    }

    /// Where pictures of pages that failed are kept.
    pub fn pictures(&self) -> Option<&Path> {
        self.pictures.as_deref()
    }

    /// What cannot be meant in the configuration of programs: paths that are not absolute.
    pub fn wrong(&self) -> Vec<String> {
        let relative = self.allow.iter().filter(|path| !path.is_absolute());
        relative
            .map(|path| format!("`{}` is no absolute path; begin with `/`", path.display()))
            .collect()
    }

    /// Whether the program may be started: it is named, or lies in a directory that is. Links are
    /// followed first, so that none leads out.
    ///
    /// # Errors
    /// What to write to allow it.
    pub fn allows(&self, program: &Path) -> Result<(), String> {
        // What is not there has no other place: starting it will say so.
        let real = fs::canonicalize(program).unwrap_or_else(|_| program.to_owned());
        let is_allowed = self.allow.iter().any(|entry| {
            let Ok(entry) = fs::canonicalize(entry) else { return entry == program };
            entry == real
                || (real.starts_with(&entry) && !is_starter(program) && !is_starter(&real))
        });
        if is_allowed {
            return Ok(());
        }
        let shown = program.display();
        Err(format!(
            "this probe does not allow `{shown}`; its configuration may: `exec: {{ allow: [{shown}] }}`"
        ))
    }

    /// A file that a check sends, of at most [`SENT_AT_MOST_BYTES`].
    ///
    /// # Errors
    /// It must not be sent, with what to write to allow it; it cannot be read, or is too large.
    pub fn read(&self, file: &Path) -> Result<Vec<u8>, Failure> {
        let setup = |detail: String| Failure::new(Cause::Setup, detail);
        let shown = file.display();
        let broken = |error: std::io::Error| setup(format!("cannot read `{shown}`: {error}"));
        // Without permission nothing is told of what there is.
        let real = fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
        let is_allowed = self.files.iter().any(|entry| {
            let entry = fs::canonicalize(entry).unwrap_or_else(|_| entry.clone());
            real.starts_with(entry)
        });
        if !is_allowed {
            let directory = file.parent().unwrap_or(file).display();
            return Err(setup(format!(
                "this probe does not let checks send `{shown}`; its configuration may: \
                 `files: {{ allow: [{directory}] }}`"
            )));
        }
        // What is no file, such as a pipe, may have no end, or no beginning.
        if !fs::metadata(&real).map_err(broken)?.is_file() {
            return Err(setup(format!("`{shown}` is no file")));
        }
        let mut bytes = Vec::new();
        let file = File::open(&real).map_err(broken)?;
        file.take(SENT_AT_MOST_BYTES + 1).read_to_end(&mut bytes).map_err(broken)?;
        if bytes.len() as u64 > SENT_AT_MOST_BYTES {
            return Err(setup(format!("`{shown}` has more than {SENT_AT_MOST_BYTES} bytes")));
        }
        Ok(bytes)
    }

    /// Whether a check may set this variable.
    ///
    /// # Errors
    /// What to write to allow it.
    pub fn allows_variable(&self, name: &str) -> Result<(), String> {
        if self.variables.iter().any(|known| known == name) {
            return Ok(());
        }
        Err(format!(
            "this probe does not let checks set `{name}`; its configuration may: \
             `exec: {{ variables: [{name}] }}`"
        ))
    }
}

fn is_starter(program: &Path) -> bool {
    let name = program.file_name().and_then(|name| name.to_str());
    name.is_some_and(|name| STARTERS.contains(&name))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn only_what_is_named_is_allowed_and_no_link_leads_out() {
        let scratch = tempfile::tempdir().expect("a directory");
        let at = |name: &str| scratch.path().join(name);
        fs::create_dir_all(at("plugins/deep")).expect("a directory");
        fs::create_dir_all(at("plugins-of-others")).expect("a directory");
        let files = ["plugins/a", "plugins/deep/b", "plugins/negate", "plugins-of-others/c", "d"];
        for file in files {
            fs::write(at(file), "").expect("a file");
        }
        symlink(at("d"), at("plugins/out")).expect("a link");
        symlink(at("plugins/a"), at("plugins/same")).expect("a link");
        symlink(at("plugins/negate"), at("plugins/innocent")).expect("a link");
        symlink(at("plugins"), at("linked")).expect("a link");
        let allows = |allow: &[&str], program: &str| {
            let allow = allow.iter().map(|path| at(path)).collect();
            Programs::new(allow, Vec::new()).allows(&at(program)).is_ok()
        };
        for (allow, program, wanted) in [
            (&[][..], "plugins/a", false),
            (&["plugins"], "plugins/a", true),
            (&["plugins/"], "plugins/a", true),
            (&["linked"], "plugins/a", true),
            (&["plugins"], "linked/a", true),
            (&["plugins"], "plugins/same", true),
            (&["plugins"], "plugins/deep/b", true),
            (&["plugins"], "plugins/gone", true),
            (&["plugins"], "plugins/out", false),
            (&["plugins"], "plugins/../d", false),
            (&["plugins"], "plugins-of-others/c", false),
            (&["plugins"], "plugins/negate", false),
            (&["plugins"], "plugins/innocent", false),
            (&["plugins/negate"], "plugins/negate", true),
            (&["plugins/a"], "plugins/a", true),
            (&["plugins/a"], "plugins/deep/b", false),
            (&["gone"], "gone", true),
            (&["gone"], "plugins/a", false),
        ] {
            assert_eq!(allows(allow, program), wanted, "{allow:?} {program}");
        }
        assert!(Programs::default().allows(Path::new("/bin/true")).is_err());
    }

    #[test]
    fn only_files_of_allowed_directories_are_sent() {
        let scratch = tempfile::tempdir().expect("a directory");
        let at = |name: &str| scratch.path().join(name);
        fs::create_dir_all(at("open/deep")).expect("a directory");
        for file in ["open/a", "open/deep/b", "closed"] {
            fs::write(at(file), file).expect("a file");
        }
        symlink(at("closed"), at("open/out")).expect("a link");
        let large = File::create(at("open/large")).expect("a file");
        large.set_len(SENT_AT_MOST_BYTES + 1).expect("a sparse file");
        let programs = Programs::default().with_files(&[at("open")]);
        assert_eq!(programs.read(&at("open/a")).expect("allowed"), b"open/a");
        assert_eq!(programs.read(&at("open/deep/b")).expect("allowed"), b"open/deep/b");
        for (file, words) in [
            ("closed", "files: { allow: ["),
            ("open/out", "does not let checks send"),
            ("open/../closed", "does not let checks send"),
            ("open/gone", "cannot read"),
            ("open/deep", "is no file"),
            ("open/large", "bytes"),
        ] {
            let failure = programs.read(&at(file)).expect_err(file);
            assert_eq!(failure.cause, Cause::Setup);
            assert!(failure.detail.contains(words), "{}", failure.detail);
        }
        assert!(Programs::default().read(&at("open/a")).is_err());
    }

    #[test]
    fn variables_are_named_one_by_one() {
        let programs = Programs::new(Vec::new(), vec!["PGPASSWORD".to_owned()]);
        assert_eq!(programs.allows_variable("PGPASSWORD"), Ok(()));
        assert!(programs.allows_variable("BASH_ENV").is_err_and(|why| why.contains("variables")));
    }
}
