//! `crosscheck cluster join`: this machine becomes a member.

use std::io::Write;
use std::path::PathBuf;

use crosscheck_checks::env::Secrets;

use super::bad_input;
use crate::cluster::Program;
use crate::cluster::join::join_at;
use crate::command::FINE;
use crate::settings::Settings;

/// Makes this machine a member of a cluster: it gets a number that no other ever has.
///
/// The data directory must be empty. Afterwards start the coordinator: it gets all data from the
/// others, and votes as soon as it has caught up (`crosscheck cluster status`). The key of the
/// installation's authority comes with the number, and is sealed here by this machine's own
/// `authority_passphrase`, if there is one.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example: crosscheck cluster join --config coordinator.yaml --token T https://10.0.1.1:7401"
)]
pub(super) struct JoinArgs {
    /// A coordinator of the cluster: its listener for other members (`listen.raft`).
    url: String,
    /// The coordinator's settings file; see `crosscheck coordinator --help`.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// What `crosscheck cluster token` printed; good once.
    #[arg(long, value_name = "TOKEN", env = "CROSSCHECK_JOIN_TOKEN", hide_env_values = true)]
    token: String,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) async fn join(
    args: &JoinArgs,
    program: &Program,
    out: &mut dyn Write,
) -> anyhow::Result<u8> {
    // Before the token is used up.
    let read = Settings::read_with_passphrase(&args.config, &Secrets::of_process());
    let (settings, passphrase) = match read {
        Ok(read) => read,
        Err(error) => return bad_input(&error),
    };
    let (url, data) = (&args.url, &settings.data);
    let joined = join_at(url, &args.token, data, passphrase.as_ref(), program).await;
    let identity = match joined {
        Ok(identity) => identity,
        Err(error) => return bad_input(&error),
    };
    let (node, cluster) = (identity.node, identity.cluster);
    if args.json {
        writeln!(out, "{}", serde_json::json!({ "node": node, "cluster": cluster }))?;
    } else {
        writeln!(
            out,
            "This machine is coordinator {node} of the cluster {cluster}.\n\
             Start it:  crosscheck coordinator --config {config}\n\
             It votes as soon as it has caught up:  crosscheck cluster status",
            config = args.config.display(),
        )?;
    }
    Ok(FINE)
}
