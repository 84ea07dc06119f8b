//! Which files and variables of this host checks may read as secrets. Who defines checks is not
//! who owns the host: a check sends what it reads to a target of its author's choice.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;

use super::SecretError;

/// What tells of this process itself, its environment among the rest.
const KERNEL: [&str; 2] = ["/proc", "/sys"];

/// What checks may read where the host's own configuration says so: this, and nothing else.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Allowed {
    /// Files, and directories all of whose files may be read, as absolute paths.
    #[serde(default)]
    files: Vec<PathBuf>,
    /// Environment variables: names, or beginnings of names with a `*` behind.
    #[serde(default)]
    variables: Vec<String>,
}

impl Allowed {
    /// These files and directories, and these variables.
    pub fn new(files: Vec<PathBuf>, variables: Vec<String>) -> Self {
        Self { files, variables }
    }

    /// What cannot be meant in the configuration.
    pub fn wrong(&self) -> Vec<String> {
        let relative = self.files.iter().filter(|path| !path.is_absolute());
        let odd = self.variables.iter().filter(|name| {
            let name = name.strip_suffix('*').unwrap_or(name);
            name.contains(['*', '=', '$'])
        });
        let files = relative.map(|path| {
            format!("files`: `{}` is no absolute path; begin with `/`", path.display())
        });
        let variables = odd.map(|name| {
            format!("variables`: `{name}` is no name; write `CHECK_PASSWORD` or `CHECK_*`")
        });
        files.chain(variables).collect()
    }
}

/// The bounds of what checks read.
#[derive(Clone, Debug, Default)]
pub(super) struct Readable {
    /// `None`: everything that is not closed.
    allowed: Option<Allowed>,
    /// Directories that no check may read.
    closed: Vec<PathBuf>,
}

impl Readable {
    /// What is allowed (`None`: everything), but nothing of these directories, nor of the kernel's.
    pub(super) fn new(allowed: Option<Allowed>, closed: Vec<PathBuf>) -> Arc<Self> {
        let kernel = KERNEL.into_iter().map(PathBuf::from);
        Arc::new(Self { allowed, closed: closed.into_iter().chain(kernel).collect() })
    }

    /// The file's real place. Links are followed first, so that none leads out.
    pub(super) fn file(&self, path: &str) -> Result<PathBuf, SecretError> {
        let broken = |error| SecretError::File(path.to_owned(), error);
        let real = fs::canonicalize(path);
        // Of what may not be read it is not told whether it is there.
        let asked = real.as_deref().unwrap_or(Path::new(path));
        if self.closed.iter().any(|closed| contains(closed, asked)) {
            return Err(SecretError::Closed(path.to_owned()));
        }
        if let Some(allowed) = &self.allowed
            && !allowed.files.iter().any(|entry| contains(entry, asked))
        {
            let directory = Path::new(path).parent().unwrap_or(Path::new(path));
            let directory = directory.display().to_string();
            return Err(SecretError::ForbiddenFile(path.to_owned(), directory));
        }
        let real = real.map_err(broken)?;
        // What is no file, such as a pipe, may have no end, or no beginning.
        if !fs::metadata(&real).map_err(broken)?.is_file() {
            return Err(broken(std::io::Error::other("it is no file")));
        }
        Ok(real)
    }

    /// Whether a variable may be read.
    pub(super) fn variable(&self, name: &str) -> Result<(), SecretError> {
        let fits = |entry: &String| match entry.strip_suffix('*') {
            Some(beginning) => name.starts_with(beginning),
            None => name == entry,
        };
        match &self.allowed {
            Some(allowed) if !allowed.variables.iter().any(fits) => {
                Err(SecretError::ForbiddenVariable(name.to_owned()))
            }
            _ => Ok(()),
        }
    }
}

/// Whether a path is an entry, or lies below it, wherever links lead to it from.
fn contains(entry: &Path, path: &Path) -> bool {
    let real = fs::canonicalize(entry);
    path.starts_with(entry) || real.is_ok_and(|real| path.starts_with(real))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// What is told of a file: its content's place, or why not.
    fn told(readable: &Readable, path: &Path) -> String {
        match readable.file(&path.display().to_string()) {
            Ok(real) => format!("read {}", real.display()),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn no_check_reads_the_probes_own_directory_nor_the_kernels() {
        let scratch = tempfile::tempdir().expect("a directory");
        let at = |name: &str| scratch.path().join(name);
        fs::create_dir_all(at("data/deep")).expect("a directory");
        for file in ["data/key.pem", "data/deep/spool", "data-of-others", "secret"] {
            fs::write(at(file), file).expect("a file");
        }
        symlink(at("data"), at("linked")).expect("a link");
        symlink(at("data/key.pem"), at("innocent")).expect("a link");
        symlink("/proc/self/environ", at("own")).expect("a link");
        let all = Allowed::new(vec![PathBuf::from("/")], vec!["*".to_owned()]);
        for allowed in [None, Some(all)] {
            for data in ["data", "linked"] {
                let readable = Readable::new(allowed.clone(), vec![at(data)]);
                for (file, is_closed) in [
                    ("data/key.pem", true),
                    ("data/deep/spool", true),
                    ("data/gone", true),
                    ("linked/key.pem", true),
                    ("data/../data/key.pem", true),
                    ("innocent", true),
                    ("own", true),
                    ("data-of-others", false),
                    ("secret", false),
                ] {
                    let told = told(&readable, &at(file));
                    assert_eq!(told.contains("no check"), is_closed, "{data} {file}: {told}");
                    assert_eq!(told.starts_with("read "), !is_closed, "{data} {file}: {told}");
                }
                for file in ["/proc/self/environ", "/proc/1/environ", "/sys/kernel", "/proc/gone"] {
                    let told = told(&readable, Path::new(file));
                    assert!(told.contains("no check"), "{file}: {told}");
                }
            }
        }
    }

    #[test]
    fn where_files_are_named_no_other_is_read_and_no_link_leads_out() {
        let scratch = tempfile::tempdir().expect("a directory");
        let at = |name: &str| scratch.path().join(name);
        fs::create_dir_all(at("open/deep")).expect("a directory");
        fs::create_dir_all(at("open-too")).expect("a directory");
        for file in ["open/a", "open/deep/b", "open-too/c", "single", "closed"] {
            fs::write(at(file), file).expect("a file");
        }
        symlink(at("closed"), at("open/out")).expect("a link");
        symlink(at("open"), at("linked")).expect("a link");
        let allowed = Allowed::new(vec![at("open"), at("single")], Vec::new());
        let readable = Readable::new(Some(allowed), Vec::new());
        for (file, words) in [
            ("open/a", "read "),
            ("open/deep/b", "read "),
            ("linked/a", "read "),
            ("single", "read "),
            ("open/gone", "cannot read secret file"),
            ("open/deep", "it is no file"),
            ("open/out", "secrets: { files: ["),
            ("open/../closed", "secrets: { files: ["),
            ("open-too/c", "secrets: { files: ["),
            ("closed", "secrets: { files: ["),
            ("gone", "secrets: { files: ["),
        ] {
            let told = told(&readable, &at(file));
            assert!(told.contains(words), "{file}: {told}");
        }
    }

    #[test]
    fn variables_are_named_or_begin_as_named() {
        let names = vec!["TOKEN".to_owned(), "CHECK_*".to_owned()];
        let readable = Readable::new(Some(Allowed::new(Vec::new(), names)), Vec::new());
        for (name, is_allowed) in [
            ("TOKEN", true),
            ("TOKENS", false),
            ("CHECK_", true),
            ("CHECK_PASSWORD", true),
            ("CHECK", false),
            ("SMTP_PASSWORD", false),
        ] {
            let told = readable.variable(name);
            assert_eq!(told.is_ok(), is_allowed, "{name}");
            let told = told.map_err(|error| error.to_string());
            assert!(told.is_ok() || told.is_err_and(|why| why.contains("secrets: { variables: [")));
        }
        assert!(Readable::new(None, Vec::new()).variable("SMTP_PASSWORD").is_ok());
        let none = Readable::new(Some(Allowed::default()), Vec::new());
        assert!(none.variable("TOKEN").is_err());
    }
}
