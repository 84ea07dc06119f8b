//! Which programs checks may start on this host. Who defines checks is not who owns the host: so
//! the host's own configuration names the programs, and none when it says nothing.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;

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
}

impl Programs {
    /// These programs and directories, and these variables.
    pub fn new(allow: Vec<PathBuf>, variables: Vec<String>) -> Self {
        Self { allow: allow.into(), variables: variables.into() }
    }

    /// What cannot be meant: paths that are not absolute.
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
    fn variables_are_named_one_by_one() {
        let programs = Programs::new(Vec::new(), vec!["PGPASSWORD".to_owned()]);
        assert_eq!(programs.allows_variable("PGPASSWORD"), Ok(()));
        assert!(programs.allows_variable("BASH_ENV").is_err_and(|why| why.contains("variables")));
    }
}
