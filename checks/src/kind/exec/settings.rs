//! The settings of `exec`, as people write them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crosscheck_model::{Family, Text};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::kind::SettingsError;
use crate::text::Span;

/// A program and what it is given.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Settings {
    /// The program's path on the probe: `/usr/lib/nagios/plugins/check_disk`.
    pub(super) plugin: PathBuf,
    /// Its arguments, one a list's item. No shell looks at them.
    #[serde(default, rename = "args")]
    pub(super) arguments: Vec<Argument>,
    /// Its environment; nothing else is in it. Secrets belong here: arguments are seen by every
    /// process of the host.
    #[serde(default, rename = "env")]
    pub(super) environment: BTreeMap<String, Text>,
    /// The address family that it uses; v4 when left out. The probe has no opinion while its own
    /// family fails. The program is not told: which family it uses, its arguments say (`-6`, or a
    /// literal address), so a check of both families is two checks.
    pub(super) family: Option<Family>,
    /// A run that takes longer is degraded.
    pub(super) slower_than: Option<Span>,
}

/// One argument; YAML reads unquoted digits as a number.
#[derive(Debug)]
pub(super) struct Argument(pub(super) String);

impl<'de> Deserialize<'de> for Argument {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::String(text) => Ok(Self(text)),
            Value::Number(number) => Ok(Self(number.to_string())),
            _ => Err(D::Error::custom("an argument is text; put it in quotes")),
        }
    }
}

impl JsonSchema for Argument {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Argument".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "number"], "description": "one argument" })
    }
}

impl Settings {
    /// The program's name and its arguments, in one line.
    pub(super) fn target(&self) -> String {
        let name = self.plugin.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let words = self.arguments.iter().map(|argument| argument.0.as_str());
        std::iter::once(name.as_str()).chain(words).collect::<Vec<_>>().join(" ")
    }

    /// What is wrong, all at once.
    pub(super) fn errors(&self) -> Vec<SettingsError> {
        let mut errors = Vec::new();
        let mut add = |path: &[&str], message: String, hint: &str| {
            let path = path.iter().map(|key| (*key).to_owned()).collect();
            errors.push(SettingsError { path, message, hint: Some(hint.to_owned()) });
        };
        if !self.plugin.is_absolute() {
            let message = format!("`{}` is no absolute path", self.plugin.display());
            let hint = "no search path is used; write `/usr/lib/nagios/plugins/check_disk`";
            add(&["plugin"], message, hint);
        }
        for (at, Argument(text)) in self.arguments.iter().enumerate() {
            let place = ["args", &at.to_string()];
            if text.contains("${") {
                let message = "a secret in an argument, which every process of the host sees";
                add(&place, message.to_owned(), "write it in `env`");
            } else if text.contains('\0') {
                add(&place, "an argument with a NUL character".to_owned(), "leave it out");
            }
        }
        for name in self.environment.keys() {
            if name.is_empty() || name.contains(['=', '\0']) {
                let message = format!("`{name}` cannot be a variable's name");
                add(&["env", name], message, "letters, digits and `_`");
            }
        }
        errors
    }
}
