//! `crosscheck schema`: the JSON Schema of the configuration, for editors.

use std::io::{self, Write};

use crosscheck_checks::document::{self, Catalogue};

use super::FINE;

/// Prints the JSON Schema of the configuration.
#[derive(Debug, Default, clap::Args)]
pub struct SchemaArgs {}

/// Writes the schema; the exit status.
///
/// # Errors
/// What the writer says.
pub fn schema(_: &SchemaArgs, catalogue: &Catalogue<'_>, out: &mut dyn Write) -> io::Result<u8> {
    let schema = document::schema(catalogue);
    writeln!(out, "{schema:#}")?;
    Ok(FINE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::catalogue::catalogue;

    /// Where editors and the manual find the schema.
    const KEPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/schema.json");

    #[test]
    fn the_kept_schema_is_the_generated_one() {
        let mut out = Vec::new();
        schema(&SchemaArgs::default(), &catalogue(), &mut out).expect("memory takes it");
        if std::env::var_os("WRITE_SCHEMA").is_some() {
            std::fs::write(KEPT, &out).expect("written");
        }
        let kept = std::fs::read(KEPT).unwrap_or_default();
        let hint = "regenerate it: `crosscheck schema > deploy/schema.json`";
        assert!(kept == out, "deploy/schema.json is not what the code says; {hint}");
    }
}
