//! `crosscheck audit`: what operators did, and whether the record of it is whole.

use std::io::Write;

use crosscheck_core::audit::{Break, Chain, Digest, Entry};
use serde_json::json as object;

use super::remote::RemoteArgs;
use super::table::{self, Cell};
use super::{FINE, NOT_WELL, json};
use crate::api::audit::{Act, Trail};
use crate::history::AUDIT_LIMIT;

/// Shows what operators did, or verifies that the record of it is whole.
///
/// Every act is an entry that carries the hash of the entry before it. --verify fetches all of
/// them, computes every hash anew, and compares the end with the one that the cluster agrees on.
/// Whoever could write anew the data of every coordinator could still make a whole new record:
/// keep the end that --verify prints, and give it as --kept the next time.
///
/// Exit status 0: fine. 1: the record is broken, or not reached.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct AuditArgs {
    /// Verify the whole record.
    #[arg(long)]
    pub verify: bool,
    /// With --verify: an end that was printed earlier and must still be part of the record.
    #[arg(long, value_name = "INDEX:HASH", requires = "verify", value_parser = kept)]
    pub kept: Option<Chain>,
    /// How many of the newest entries to show.
    #[arg(long, value_name = "NUMBER", default_value_t = 50)]
    pub last: usize,
    /// Where to ask.
    #[command(flatten)]
    pub remote: RemoteArgs,
    /// Print the API's answer; with --verify, what was found.
    #[arg(long)]
    pub json: bool,
}

const EXAMPLE: &str = "\
Examples:
  crosscheck audit --last 20
  crosscheck audit --verify
  crosscheck audit --verify --kept 12:9f86d081884c7d65..";

fn kept(text: &str) -> Result<Chain, String> {
    let (index, hash) = text.split_once(':').ok_or("write INDEX:HASH, as --verify prints it")?;
    let index = index.parse().map_err(|_| format!("`{index}` is no entry's number"))?;
    Ok(Chain { index, hash: hash.parse::<Digest>()? })
}

/// Asks and shows; the exit status.
///
/// # Errors
/// The coordinator is not reached or refuses, or what the writer says.
pub async fn audit(args: &AuditArgs, out: &mut dyn Write, colour: bool) -> anyhow::Result<u8> {
    if args.verify {
        return verify(args, out).await;
    }
    let last = args.last.clamp(1, AUDIT_LIMIT);
    let trail: Trail = args.remote.get(&format!("/api/v1/audit?last={last}")).await?;
    if args.json {
        json::pretty(out, &trail)?;
    } else if trail.entries.is_empty() {
        writeln!(out, "nobody has done anything yet")?;
    } else {
        let entries = trail.entries.into_iter().map(Entry::from);
        let rows: Vec<Vec<Cell>> = entries.map(|entry| row(&entry)).collect();
        table::write(out, &["NO", "AT", "WHO", "ROLE", "FROM", "DID", "TO"], &rows, colour)?;
    }
    Ok(FINE)
}

fn row(entry: &Entry) -> Vec<Cell> {
    vec![
        Cell::plain(entry.index.to_string()),
        Cell::plain(entry.at.to_string()),
        Cell::plain(&entry.actor),
        Cell::plain(entry.role.as_str()),
        Cell::plain(&entry.from),
        Cell::plain(&entry.act),
        Cell::plain(&entry.subject),
    ]
}

async fn verify(args: &AuditArgs, out: &mut dyn Write) -> anyhow::Result<u8> {
    let mut check = Check { chain: Chain::default(), kept: args.kept };
    let found = loop {
        let after = check.chain.index;
        let path = format!("/api/v1/audit?after={after}&limit={AUDIT_LIMIT}");
        let trail: Trail = args.remote.get(&path).await?;
        let head = Chain::from(trail.head);
        let end = trail.entries.is_empty();
        if let Err(found) = check.follow(trail.entries) {
            break Err(found);
        }
        if end || check.chain.index >= head.index {
            break check.finish(head);
        }
    };
    let Chain { index, hash } = check.chain;
    match (&found, args.json) {
        (Ok(()), false) => writeln!(out, "whole: {index} entries, the end is {index}:{hash}")?,
        (Err(found), false) => writeln!(out, "BROKEN: {found}; whole up to {index}:{hash}")?,
        (found, true) => {
            let broken = found.as_ref().err().map(ToString::to_string);
            let answer = object!({ "whole": broken.is_none(), "broken": broken, "index": index, "hash": hash });
            json::pretty(out, &answer)?;
        }
    }
    Ok(if found.is_ok() { FINE } else { NOT_WELL })
}

/// A walk along the record.
struct Check {
    chain: Chain,
    kept: Option<Chain>,
}

impl Check {
    fn follow(&mut self, entries: Vec<Act>) -> Result<(), Break> {
        for entry in entries {
            self.chain.follow(&Entry::from(entry))?;
            if let Some(kept) = self.kept.filter(|kept| kept.index == self.chain.index) {
                self.chain.ends_at(kept)?;
            }
        }
        Ok(())
    }

    /// Nothing more comes.
    fn finish(&self, head: Chain) -> Result<(), Break> {
        self.chain.ends_at(head)?;
        match self.kept {
            Some(kept) if kept.index > self.chain.index => self.chain.ends_at(kept),
            _ => Ok(()),
        }
    }
}
