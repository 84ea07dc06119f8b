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

    /// A channel of these settings (a JSON object; secrets are references, unresolved).
    ///
    /// # Errors
    /// What is wrong and at which path; as many as can be found at once.
    fn parse(&self, settings: &serde_json::Value) -> Result<Box<dyn Channel>, Vec<SettingsError>>;

    /// What a contact lacks to be told by it (`mail address`); `None`: nothing.
    fn lacks(&self, contact: &Contact) -> Option<&'static str> {
        let _ = contact;
        None
    }
}

/// A means of telling people, ready to be used any number of times, at the same time too.
pub trait Channel: Send + Sync {
    /// Tries once. The same notification gives the same message each time, under the same id.
    fn send<'a>(&'a self, delivery: Delivery<'a>) -> BoxFuture<'a, SendResult>;
}

/// One attempt to tell one contact.
#[derive(Clone, Copy)]
pub struct Delivery<'a> {
    /// What to say.
    pub owed: &'a Owed,
    /// To whom, as configured now.
    pub to: &'a Contact,
    /// How references to secrets become values.
    pub secrets: &'a Secrets,
    /// The most that the attempt may take.
    pub deadline: Duration,
}
