//! `crosscheck cluster status`: every coordinator, and how it is.

use std::io::Write;

use crate::cluster::report::{ClusterReport, MemberReport};
use crate::command::remote::RemoteArgs;
use crate::command::table::{self, Cell};
use crate::command::{FINE, NOT_WELL, json, terminal};

/// Shows every coordinator: its part, how far it is, its clock, its disk.
///
/// Exit status 0: all serve. 1: at least one does not, or there is no leader.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: crosscheck cluster status --url http://127.0.0.1:7403")]
pub(super) struct StatusArgs {
    #[command(flatten)]
    remote: RemoteArgs,
    /// Print the API's answer.
    #[arg(long)]
    json: bool,
}

const HEADS: [&str; 9] =
    ["NODE", "ROLE", "STATE", "APPLIED", "LAG", "CLOCK", "DISK", "VERSION", "URL"];

pub(super) async fn status(
    args: &StatusArgs,
    out: &mut dyn Write,
    colour: bool,
) -> anyhow::Result<u8> {
    let report: ClusterReport = args.remote.get("/api/v1/cluster").await?;
    if args.json {
        json::pretty(out, &report)?;
    } else {
        draw(&report, out, colour)?;
    }
    let serves = |member: &MemberReport| member.state.as_deref() == Some("ready");
    let well = report.leader.is_some() && report.members.iter().all(serves);
    Ok(if well { FINE } else { NOT_WELL })
}

fn draw(report: &ClusterReport, out: &mut dyn Write, colour: bool) -> anyhow::Result<()> {
    let leader = report.leader.map_or("no leader".to_owned(), |node| format!("leader {node}"));
    let ClusterReport { cluster, term, level, asked, .. } = report;
    writeln!(
        out,
        "cluster {cluster}: {leader}, term {term}, format level {level}, as coordinator {asked} \
         sees it\n"
    )?;
    let rows: Vec<Vec<Cell>> = report.members.iter().map(row).collect();
    table::write(out, &HEADS, &rows, colour)?;
    for warning in &report.warnings {
        writeln!(out, "\nwarning: {}", terminal::line(warning))?;
    }
    Ok(())
}

fn row(member: &MemberReport) -> Vec<Cell> {
    let number = |value: Option<u64>| value.map_or("-".to_owned(), |value| value.to_string());
    let text = |value: &Option<String>| Cell::plain(value.as_deref().unwrap_or("-"));
    let state = match member.state.as_deref() {
        Some("ready") => Cell::coloured("ready", table::GREEN),
        Some(other) => Cell::coloured(other, table::YELLOW),
        None if member.role == "joining" => Cell::coloured("not seen yet", table::YELLOW),
        None => Cell::coloured("not reached", table::RED),
    };
    let offset = member.clock_offset_ms.map(|offset| format!("{offset:+} ms"));
    let disk = member.disk_percent.map(|percent| format!("{percent} %"));
    vec![
        Cell::plain(member.node.to_string()),
        Cell::plain(&member.role),
        state,
        Cell::plain(number(member.applied_index)),
        Cell::plain(number(member.lag)),
        text(&offset),
        text(&disk),
        text(&member.version),
        text(&member.url),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_is_drawn_with_what_is_wrong() {
        let member = |node: u64, role: &str, state: Option<&str>| MemberReport {
            node,
            role: role.to_owned(),
            url: Some(format!("http://10.0.0.{node}:7401")),
            reachable: state.is_some(),
            state: state.map(str::to_owned),
            version: state.map(|_| "0.1.0".to_owned()),
            level: state.map(|_| 2),
            last_index: state.map(|_| 420),
            applied_index: state.map(|_| 420 - node),
            lag: state.map(|_| node),
            clock_offset_ms: state.map(|_| -3),
            disk_percent: state.map(|_| 41),
        };
        let report = ClusterReport {
            cluster: "c".to_owned(),
            asked: 1,
            leader: Some(1),
            term: 7,
            level: 2,
            members: vec![member(1, "leader", Some("ready")), member(12, "voter", None)],
            warnings: vec!["not reached: coordinator 12".to_owned()],
        };
        let mut out = Vec::new();
        draw(&report, &mut out, false).expect("memory takes it");
        let text = String::from_utf8(out).expect("text");
        assert_eq!(
            text,
            "cluster c: leader 1, term 7, format level 2, as coordinator 1 sees it\n\n\
             NODE  ROLE    STATE        APPLIED  LAG  CLOCK  DISK  VERSION  URL\n\
             1     leader  ready        419      1    -3 ms  41 %  0.1.0    http://10.0.0.1:7401\n\
             12    voter   not reached  -        -    -      -     -        http://10.0.0.12:7401\n\
             \nwarning: not reached: coordinator 12\n"
        );
    }
}
