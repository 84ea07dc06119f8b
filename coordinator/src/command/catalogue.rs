//! What a configuration of this program may be made of: every kind of check and of channel.

use std::sync::LazyLock;

use crosscheck_checks::channel_kind;
use crosscheck_checks::document::Catalogue;
use crosscheck_checks::kind::{KINDS, SettingsError};
use crosscheck_model::config::Contact;
use schemars::{Schema, SchemaGenerator};

use crate::channel::{CHANNELS, ChannelKind};

/// A kind of channel as documents see it: without sending.
struct Described(&'static dyn ChannelKind);

impl channel_kind::ChannelKind for Described {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        self.0.schema(generator)
    }

    fn parse(&self, settings: &serde_json::Value) -> Result<(), Vec<SettingsError>> {
        self.0.open(settings).map(drop)
    }

    fn lacks(&self, contact: &Contact) -> Option<&'static str> {
        self.0.lacks(contact)
    }
}

static DESCRIBED: LazyLock<Vec<Described>> =
    LazyLock::new(|| CHANNELS.iter().map(|kind| Described(*kind)).collect());

static LISTED: LazyLock<Vec<&'static dyn channel_kind::ChannelKind>> = LazyLock::new(|| {
    DESCRIBED.iter().map(|kind| -> &'static dyn channel_kind::ChannelKind { kind }).collect()
});

/// Every kind of check and of channel.
pub fn catalogue() -> Catalogue<'static> {
    Catalogue { kinds: KINDS, channels: &LISTED }
}
