//! What a check may touch: everything outside it comes from here.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crosscheck_model::Text;
use crosscheck_model::secret::{Part, Reference};

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
    seen: Arc<Mutex<Vec<String>>>,
    /// What is blotted out in one run only; `None`: all is remembered for good.
    of_run: Option<Arc<Mutex<Vec<String>>>>,
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

/// Secrets shorter than this are not blotted out: they would tear holes into unrelated text.
const REDACT_FROM_BYTES: usize = 4;

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

    /// The text with every secret value read so far replaced by `<redacted>`.
    pub fn redact(&self, text: &str) -> String {
        let lists = std::iter::once(&self.seen).chain(&self.of_run);
        lists.fold(text.to_owned(), |text, list| {
            let list = list.lock().unwrap_or_else(PoisonError::into_inner);
            list.iter().fold(text, |text, secret| text.replace(secret, "<redacted>"))
        })
    }

    /// Blots out this value too: one made of secrets, as the base64 of a password is.
    pub fn remember(&self, value: &str) {
        push(self.of_run.as_ref().unwrap_or(&self.seen), value);
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
        push(&self.seen, &value);
        Ok(value)
    }
}

fn push(list: &Mutex<Vec<String>>, value: &str) {
    if value.len() >= REDACT_FROM_BYTES {
        let mut list = list.lock().unwrap_or_else(PoisonError::into_inner);
        if !list.iter().any(|known| known == value) {
            list.push(value.to_owned());
        }
    }
}
