//! What a kind of channel is to a document: a name and settings. Sending is the coordinator's.

use crosscheck_model::config::Contact;
use schemars::{Schema, SchemaGenerator};

use crate::kind::SettingsError;

/// A kind of channel.
pub trait ChannelKind: Send + Sync {
    /// The key in YAML (`mail`).
    fn name(&self) -> &'static str;

    /// The JSON Schema of its settings. Unknown keys are found by it, so it must name them all.
    fn schema(&self, generator: &mut SchemaGenerator) -> Schema;

    /// Whether these settings (a JSON object; text may refer to secrets, unresolved) are usable.
    ///
    /// # Errors
    /// What is wrong and at which path; as many as can be found at once.
    fn parse(&self, settings: &serde_json::Value) -> Result<(), Vec<SettingsError>>;

    /// What a contact lacks to be told by it (`mail address`); `None`: nothing.
    fn lacks(&self, contact: &Contact) -> Option<&'static str> {
        let _ = contact;
        None
    }
}
