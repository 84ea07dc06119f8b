//! `crosscheck cluster init`: a new cluster of one.

use std::io::Write;
use std::path::PathBuf;

use crosscheck_checks::env::Secrets;

use super::bad_input;
use crate::cluster::Program;
use crate::cluster::init::form;
use crate::command::FINE;
use crate::settings::Settings;

/// Forms a new cluster on the first machine: a cluster of one, which others then join.
///
/// The data directory must be empty. Afterwards start the coordinator. The key of the
/// installation's authority is sealed, if there is an `authority_passphrase`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example: crosscheck cluster init --config /etc/crosscheck/coordinator.yaml"
)]
pub(super) struct InitArgs {
    /// The coordinator's settings file; see `crosscheck coordinator --help`.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) async fn init(
    args: &InitArgs,
    program: Program,
    out: &mut dyn Write,
) -> anyhow::Result<u8> {
    let read = Settings::read_with_passphrase(&args.config, &Secrets::of_process());
    let (settings, passphrase) = match read {
        Ok(read) => read,
        Err(error) => return bad_input(&error),
    };
    let identity = match form(&settings, passphrase.as_ref(), program).await {
        Ok(identity) => identity,
        Err(error) => return bad_input(&error),
    };
    let (node, cluster) = (identity.node, identity.cluster);
    if args.json {
        writeln!(out, "{}", serde_json::json!({ "node": node, "cluster": cluster }))?;
    } else {
        writeln!(
            out,
            "This is coordinator {node} of the new cluster {cluster}.\n\
             Start it:       crosscheck coordinator --config {config}\n\
             Then a token for each further machine; --url is `listen.operators`, --token the \
             `operator_key`:\n\
             \x20               crosscheck cluster token --url URL --token KEY",
            config = args.config.display(),
        )?;
    }
    Ok(FINE)
}
