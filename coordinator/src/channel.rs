//! The means of telling people: the traits they implement and the one list of them.
//!
//! A channel tries once and says what came of it. It keeps nothing, decides nothing and never
//! tries again by itself: that is the outbox's part, so that an attempt is in the log before it
//! begins.

use std::time::Duration;

use crosscheck_checks::env::Secrets;
use crosscheck_checks::kind::SettingsError;
use crosscheck_core::outbox::{Owed, SendResult};
use crosscheck_model::config::Contact;
use futures_util::future::BoxFuture;
use schemars::{Schema, SchemaGenerator};

pub mod mail;

/// Every kind of channel, in the order of the manual.
pub const CHANNELS: &[&dyn ChannelKind] = &[&mail::Mail];

/// The kind of that name.
pub fn find(name: &str) -> Option<&'static dyn ChannelKind> {
    CHANNELS.iter().copied().find(|kind| kind.name() == name)
}

/// A kind of channel: what its settings are, and how a channel is made of them.
pub trait ChannelKind: Send + Sync {
    /// The key in YAML (`mail`).
    fn name(&self) -> &'static str;

    /// What it does, in one sentence, for the manual.
    fn about(&self) -> &'static str;

    /// The JSON Schema of its settings.
    fn schema(&self, generator: &mut SchemaGenerator) -> Schema;

    /// What a contact lacks to be told by it (`mail address`); `None`: nothing.
    fn lacks(&self, contact: &Contact) -> Option<&'static str>;

    /// A channel of these settings (a JSON object; secrets are references, unresolved).
    ///
    /// # Errors
    /// What is wrong and at which path; as many as can be found at once.
    fn open(&self, settings: &serde_json::Value) -> Result<Box<dyn Channel>, Vec<SettingsError>>;
}

/// A means of telling people, ready to be used any number of times, at the same time too.
pub trait Channel: Send + Sync {
    /// Tries once. The same notification gives the same message each time, under the same id.
    fn send<'a>(&'a self, delivery: Delivery<'a>) -> BoxFuture<'a, SendResult>;
}

/// One attempt to tell one contact.
#[derive(Clone, Copy)]
pub struct Delivery<'a> {
    /// What to say, and under which id.
    pub owed: &'a Owed,
    /// What to say beside that, in the same message: of the same kind, severity and cause.
    pub others: &'a [Owed],
    /// To whom, as configured now.
    pub to: &'a Contact,
    /// How references to secrets become values.
    pub secrets: &'a Secrets,
    /// The most that the attempt may take.
    pub deadline: Duration,
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    #[test]
    fn every_channel_is_one_file_of_its_name() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/channel");
        let names: BTreeSet<&str> = CHANNELS.iter().map(|kind| kind.name()).collect();
        assert_eq!(names.len(), CHANNELS.len(), "a name given twice");
        let files: BTreeSet<String> = std::fs::read_dir(folder)
            .expect("the folder")
            .filter_map(|entry| entry.expect("an entry").file_name().into_string().ok())
            .filter_map(|name| name.strip_suffix(".rs").map(str::to_owned))
            .collect();
        assert_eq!(files, names.iter().map(|name| (*name).to_owned()).collect());
        for kind in CHANNELS {
            assert!(kind.about().ends_with('.'));
            assert!(find(kind.name()).is_some());
        }
    }
}
