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
