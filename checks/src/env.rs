//! What a check may touch: everything outside it comes from here.

mod blotter;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crosscheck_model::Text;
use crosscheck_model::secret::{Part, Reference};

use self::blotter::Blotter;
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

/// Reads secrets where the check runs, and remembers their values to blot them out of what is
/// reported.
#[derive(Clone, Default)]
pub struct Secrets {
    /// Replaces the process environment, for tests.
    fixed: Option<Arc<BTreeMap<String, String>>>,
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
    File(String, std::io::Error),
}

impl Secrets {
    /// Secrets of the process: its environment and the files it may read.
    pub fn of_process() -> Self {
        Self::default()
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
    /// A variable or a file that is not there.
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
    /// A variable or a file that is not there.
    pub fn value(&self, reference: Reference<'_>) -> Result<String, SecretError> {
        let value = match reference {
            Reference::Env(name) => match &self.fixed {
                Some(fixed) => fixed.get(name).cloned(),
                None => std::env::var(name).ok(),
            }
            .ok_or_else(|| SecretError::NoVariable(name.to_owned()))?,
            Reference::File(path) => std::fs::read_to_string(path)
                .map(|text| text.trim_end_matches(['\n', '\r']).to_owned())
                .map_err(|error| SecretError::File(path.to_owned(), error))?,
        };
        lock(&self.seen).add(&value);
        Ok(value)
    }
}

/// What is behind it is whole after each step.
fn lock(list: &Mutex<Blotter>) -> MutexGuard<'_, Blotter> {
    list.lock().unwrap_or_else(PoisonError::into_inner)
}
