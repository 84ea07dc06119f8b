//! What a check may touch: everything outside it comes from here.

mod blotter;
mod readable;

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crosscheck_model::Text;
use crosscheck_model::secret::{Part, Reference};

use self::blotter::Blotter;
pub use self::readable::Allowed;
use self::readable::Readable;
use crate::guard::Guard;
use crate::programs::Programs;
use crate::resolve::Resolver;

/// The surroundings of a run.
#[derive(Clone)]
pub struct Env {
    /// Which addresses may be connected to.
    pub guard: Guard,
    /// How names become addresses.
    pub resolver: Resolver,
    /// How references to secrets become values.
    pub secrets: Secrets,
    /// Which programs may be started.
    pub programs: Programs,
}

impl Env {
    /// The same for one run; see [`Secrets::of_run`].
    pub fn of_run(&self) -> Self {
        Self { secrets: self.secrets.of_run(), ..self.clone() }
    }
}

/// Reads secrets where the check runs, and remembers their values to blot them out of what is
/// reported.
#[derive(Clone, Default)]
pub struct Secrets {
    /// Replaces the process environment, for tests.
    fixed: Option<Arc<BTreeMap<String, String>>>,
    /// What may be read; `None`: whatever the process may.
    readable: Option<Arc<Readable>>,
    seen: Arc<Mutex<Blotter>>,
    /// What is blotted out in one run only; `None`: all is remembered for good.
    of_run: Option<Arc<Mutex<Blotter>>>,
}

/// A secret that could not be read.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// No such environment variable.
    #[error("environment variable `{0}` is not set on this host")]
    NoVariable(String),
    /// The file cannot be read.
    #[error("cannot read secret file `{0}`: {1}")]
    File(String, io::Error),
    /// The file is nothing that checks read.
    #[error(
        "no check may read `{0}`: the probe's own directory, /proc and /sys are closed to them; keep the secret in another place"
    )]
    Closed(String),
    /// The file is not among those that this host lets checks read.
    #[error(
        "this probe does not let checks read `{0}`; its configuration may: `secrets: {{ files: [{1}] }}`"
    )]
    ForbiddenFile(String, String),
    /// The variable is not among those that this host lets checks read.
    #[error(
        "this probe does not let checks read the variable `{0}`; its configuration may: `secrets: {{ variables: [{0}] }}`"
    )]
    ForbiddenVariable(String),
}

impl Secrets {
    /// Secrets of the process: its environment and the files it may read.
    pub fn of_process() -> Self {
        Self::default()
    }

    /// What checks may read of the process's: what is allowed (`None`: everything), but nothing of
    /// the closed directories, nor of /proc and /sys.
    pub fn of_checks(allowed: Option<Allowed>, closed: Vec<PathBuf>) -> Self {
        Self { readable: Some(Readable::new(allowed, closed)), ..Self::default() }
    }

    /// Environment variables given here instead of the process's.
    pub fn fixed(variables: BTreeMap<String, String>) -> Self {
        Self { fixed: Some(Arc::new(variables)), ..Self::default() }
    }

    /// The same for one run, which [remembers](Self::remember) what only it has: a session's
    /// token differs each time, and must not be looked for ever after.
    pub fn of_run(&self) -> Self {
        Self { of_run: Some(Arc::default()), ..self.clone() }
    }

    /// The text with its references replaced.
    ///
    /// # Errors
    /// A variable or a file that is not there, or that must not be read.
    pub fn resolve(&self, text: &Text) -> Result<String, SecretError> {
        let mut out = String::new();
        for part in text.parts() {
            match part {
                Part::Plain(plain) => out.push_str(plain),
                Part::Secret(reference) => out.push_str(&self.value(reference)?),
            }
        }
        Ok(out)
    }

    /// The text with every secret value read so far replaced by `<redacted>`, in whatever form a
    /// server may repeat it.
    pub fn redact(&self, text: &str) -> String {
        let lists = std::iter::once(&self.seen).chain(&self.of_run);
        lists.fold(text.to_owned(), |text, list| lock(list).blot(&text))
    }

    /// The same at the end of a text that goes on, where a secret may have begun.
    pub fn redact_end(&self, text: &str) -> String {
        let lists = std::iter::once(&self.seen).chain(&self.of_run);
        lists.fold(text.to_owned(), |text, list| lock(list).blot_end(&text))
    }

    /// Blots out this value too: one that only the run has, or one made of several secrets.
    pub fn remember(&self, value: &str) {
        lock(self.of_run.as_ref().unwrap_or(&self.seen)).add(value);
    }

    /// The value of one reference.
    ///
    /// # Errors
    /// A variable or a file that is not there, or that must not be read.
    pub fn value(&self, reference: Reference<'_>) -> Result<String, SecretError> {
        let value = match reference {
            Reference::Env(name) => self.variable(name)?,
            Reference::File(path) => self.file(path)?,
        };
        lock(&self.seen).add(&value);
        Ok(value)
    }

    /// The credential of this name that systemd hands to the service; `None`: it hands none over.
    ///
    /// # Errors
    /// It is there and cannot be read.
    pub fn credential(&self, name: &str) -> Result<Option<String>, SecretError> {
        let Ok(directory) = self.variable("CREDENTIALS_DIRECTORY") else { return Ok(None) };
        match self.value(Reference::File(&format!("{directory}/{name}"))) {
            Ok(value) => Ok(Some(value)),
            Err(SecretError::File(_, error)) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn variable(&self, name: &str) -> Result<String, SecretError> {
        if let Some(readable) = &self.readable {
            readable.variable(name)?;
        }
        let value = match &self.fixed {
            Some(fixed) => fixed.get(name).cloned(),
            None => std::env::var(name).ok(),
        };
        value.ok_or_else(|| SecretError::NoVariable(name.to_owned()))
    }

    fn file(&self, path: &str) -> Result<String, SecretError> {
        let place = match &self.readable {
            Some(readable) => readable.file(path)?,
            None => PathBuf::from(path),
        };
        std::fs::read_to_string(place)
            .map(|text| text.trim_end_matches(['\n', '\r']).to_owned())
            .map_err(|error| SecretError::File(path.to_owned(), error))
    }
}

/// What is behind it is whole after each step.
fn lock(list: &Mutex<Blotter>) -> MutexGuard<'_, Blotter> {
    list.lock().unwrap_or_else(PoisonError::into_inner)
}
