//! Filling in what a request leaves open when it is written: secrets, and in a journey the values
//! that its earlier steps have saved.

use std::collections::BTreeMap;

use crosscheck_model::secret::Part;
use crosscheck_model::{Cause, Text};

use super::target::Target;
use crate::env::Secrets;
use crate::kind::http::template::{self, Piece};
use crate::programs::Programs;
use crate::resolve::Failure;

/// Values by name.
pub(in crate::kind) type Saved = BTreeMap<String, SavedValue>;

/// A value that a step took out of its answer.
pub(in crate::kind) struct SavedValue {
    /// Itself.
    pub(in crate::kind) text: String,
    /// The URL whose answer it comes from: a relative reference means this one's neighbour.
    pub(in crate::kind) from: Target,
}

/// Where the open places' contents come from.
#[derive(Clone, Copy)]
pub(in crate::kind) struct Words<'a> {
    /// Secrets, read on this host.
    pub(in crate::kind) secrets: &'a Secrets,
    /// Which files of this host may be sent.
    pub(in crate::kind) host: &'a Programs,
    /// Values for `{{name}}`; `None` outside of journeys, where that is text as any other.
    pub(in crate::kind) saved: Option<&'a Saved>,
}

impl Words<'_> {
    /// The text with everything filled in. What is filled in is not looked at again: no answer
    /// can refer to a secret.
    pub(super) fn resolve(&self, text: &Text) -> Result<String, Failure> {
        let Some(saved) = self.saved else {
            return self.secrets.resolve(text).map_err(|error| setup(&error.to_string()));
        };
        let mut out = String::new();
        for part in text.parts() {
            match part {
                Part::Plain(plain) => fill(plain, saved, &mut out)?,
                Part::Secret(reference) => {
                    let value = self.secrets.value(reference);
                    out.push_str(&value.map_err(|error| setup(&error.to_string()))?);
                }
            }
        }
        Ok(out)
    }

    /// Whether the text holds what must not be carried to another origin.
    pub(super) fn is_secret(&self, text: &Text) -> bool {
        let saved = || template::names(text.as_written()).next().is_some();
        text.references().next().is_some() || (self.saved.is_some() && saved())
    }
}

fn fill(plain: &str, saved: &Saved, out: &mut String) -> Result<(), Failure> {
    for piece in template::pieces(plain).map_err(|error| setup(&error))? {
        match piece {
            Piece::Plain(plain) => out.push_str(plain),
            Piece::Saved(name) => out.push_str(&value(saved, name)?.text),
        }
    }
    Ok(())
}

/// The saved value of that name.
pub(in crate::kind) fn value<'a>(saved: &'a Saved, name: &str) -> Result<&'a SavedValue, Failure> {
    saved.get(name).ok_or_else(|| setup(&format!("no step has saved `{name}`")))
}

fn setup(detail: &str) -> Failure {
    Failure::new(Cause::Setup, detail)
}
