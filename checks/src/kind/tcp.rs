//! `tcp`: connects to a port, and talks there as the settings tell.

mod script;
mod settings;

#[cfg(test)]
mod tests;

use crosscheck_model::Cause;
use schemars::{JsonSchema, Schema, SchemaGenerator};

use self::script::Script;
use self::settings::Settings;
use super::service::{Place, Protocol, ServiceCheck};
use super::{Check, Defaults, Kind, SettingsError, causes};
use crate::dialogue::Dialogue;
use crate::env::{SecretError, Secrets};
use crate::resolve::Failure;

/// Connects to a port.
#[derive(Clone, Copy, Debug)]
pub struct Tcp;

impl Kind for Tcp {
    fn name(&self) -> &'static str {
        "tcp"
    }

    fn about(&self) -> &'static str {
        "Connects to a port; follows a script of what to send and what to expect, if there is one."
    }

    fn defaults(&self) -> Defaults {
        Defaults { after: 3, ..Defaults::default() }
    }

    fn causes(&self) -> &'static [&'static [Cause]] {
        &[causes::NAMES, causes::REACH, causes::TLS, &[Cause::Protocol, Cause::Body, Cause::Slow]]
    }

    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        Settings::json_schema(generator)
    }

    fn parse(&self, settings: &serde_json::Value) -> Result<Box<dyn Check>, Vec<SettingsError>> {
        let (place, protocol) = super::read::<Settings>(settings)?.into_parts()?;
        Ok(Box::new(ServiceCheck { place, protocol }))
    }
}

impl Protocol for Script {
    type Ready = script::Ready;

    fn prepare(&self, secrets: &Secrets) -> Result<script::Ready, SecretError> {
        self.read(secrets)
    }

    async fn talk(
        &self,
        place: &Place,
        ready: &script::Ready,
        dialogue: &mut Dialogue,
    ) -> Result<(), Failure> {
        self.follow(place, ready, dialogue).await
    }
}
