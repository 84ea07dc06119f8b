//! I15, durable or dead: what a member has told others is on its disk when it starts again, a
//! damaged log is never used, and what probes were told to be taken is in every history, once.

use std::collections::BTreeMap;
use std::path::Path;

use crosscheck_coordinator::fatal::Fatal;
use crosscheck_coordinator::raft::{Log, Types, unpack};
use crosscheck_coordinator::surroundings::Question;
use crosscheck_core::level;
use futures_util::FutureExt;
use openraft::RaftLogReader;
use openraft::alias::VoteOf;
use openraft::entry::RaftEntry;
use openraft::raft::{AppendEntriesResponse, VoteRequest, VoteResponse};
use openraft::storage::RaftLogStorage;

use super::super::seat::Seat;
use super::super::witness::{Request, place};
use super::super::world::World;
use super::{Checker, Finding};
use crate::cluster::record;

/// Term, index: in this order logs are compared.
type End = (u64, u64);

/// What members have told others, by seat.
#[derive(Default)]
pub(in super::super) struct Promises {
    /// For whom they have voted at last: term, node.
    votes: BTreeMap<usize, (u64, u64)>,
    /// Up to where they have the log of which term's leader.
    logs: BTreeMap<usize, (u64, End)>,
    /// The newest term of which entries came to them: its leader may have cut their logs.
    newest: BTreeMap<usize, u64>,
    tested: u64,
}

impl Promises {
    /// A question comes to a seat.
    pub(in super::super) fn delivered(&mut self, seat: usize, question: &Question) {
        if question.path == "append"
            && let Ok(request) = unpack::<Request>(level::NEWEST, &question.body)
        {
            let newest = self.newest.entry(seat).or_default();
            *newest = request.vote.leader_id.term.max(*newest);
        }
        if question.path == "snapshot" {
            // It may stand in the place of everything before it.
            self.logs.remove(&seat);
        }
    }

    /// A seat asks to be voted for: it votes for itself.
    pub(in super::super) fn votes(&mut self, seat: usize, body: &[u8]) {
        if let Ok(request) = unpack::<VoteRequest<Types>>(level::NEWEST, body) {
            self.voted(seat, (request.vote.leader_id.term, request.vote.leader_id.voted_for));
        }
    }

    fn voted(&mut self, seat: usize, vote: (u64, u64)) {
        let newest = self.votes.entry(seat).or_default();
        *newest = vote.max(*newest);
    }

    /// A seat has answered.
    pub(in super::super) fn answered(
        &mut self,
        seat: usize,
        path: &str,
        asked: &[u8],
        answer: &[u8],
    ) {
        match path {
            "vote" => {
                if let Ok(answer) = unpack::<VoteResponse<Types>>(level::NEWEST, answer)
                    && answer.vote_granted
                {
                    self.voted(seat, (answer.vote.leader_id.term, answer.vote.leader_id.voted_for));
                }
            }
            "append" => {
                let request = unpack::<Request>(level::NEWEST, asked);
                let answer = unpack::<AppendEntriesResponse<Types>>(level::NEWEST, answer);
                if let (Ok(request), Ok(answer)) = (request, answer) {
                    self.appended(seat, &request, &answer);
                }
            }
            _ => {}
        }
    }

    fn appended(&mut self, seat: usize, request: &Request, answer: &AppendEntriesResponse<Types>) {
        let end = match answer {
            AppendEntriesResponse::Success => {
                request.entries.last().map(RaftEntry::log_id).or(request.prev_log_id)
            }
            AppendEntriesResponse::PartialSuccess(end) => *end,
            _ => None,
        };
        let Some((index, term)) = end.as_ref().map(place) else { return };
        let by = request.vote.leader_id.term;
        let known = self.logs.entry(seat).or_insert((by, (term, index)));
        *known = if known.0 < by { (by, (term, index)) } else { (by, known.1.max((term, index))) };
    }

    /// Whether a seat's disk has what it has told others, before it starts again.
    pub(in super::super) fn hold(&mut self, seat: &Seat) -> Finding {
        if !seat.data.join("log.db").exists() {
            return Ok(());
        }
        let (index, data) = (seat.index, &seat.data);
        let mut log = Log::open(data, Fatal::new(|_| {}))
            .map_err(|error| format!("seat {index} cannot be started again: {error}"))?;
        let vote = log.read_vote().now_or_never().and_then(Result::ok).flatten();
        let state = log.get_log_state().now_or_never().and_then(Result::ok);
        let end = state.and_then(|state| state.last_log_id).map(|last| {
            let (index, term) = place(&last);
            (term, index)
        });
        // A snapshot stands for everything up to its last entry: the log behind it is purged after
        // it is on the disk, and by the next start if the process dies in between.
        let snapshot = newest_snapshot(&data.join("snapshots"));
        self.tested += 1;
        // Whoever leads a term was elected by others: that binds as much as the vote did.
        let binds = |vote: &VoteOf<Types>, told: (u64, u64)| {
            let of = (vote.leader_id.term, vote.leader_id.voted_for);
            of >= told || of.0 == told.0 && vote.committed
        };
        if let Some(told) = self.votes.get(&index)
            && vote.as_ref().is_none_or(|vote| !binds(vote, *told))
        {
            return Err(format!("seat {index} has voted {told:?}, and its disk says {vote:?}"));
        }
        if let Some((by, told)) = self.logs.get(&index)
            && self.newest.get(&index).is_none_or(|newest| newest <= by)
            && end.is_none_or(|end| end < *told)
            && snapshot.is_none_or(|snapshot| snapshot < told.1)
        {
            return Err(format!(
                "seat {index} has told to have entry {told:?} (term, index), and its log ends at \
                 {end:?}, its snapshot at {snapshot:?}"
            ));
        }
        Ok(())
    }
}

/// The last entry that the newest snapshot stands for. One that cannot be read does not let the
/// process start.
pub(super) fn newest_snapshot(folder: &Path) -> Option<u64> {
    let files = std::fs::read_dir(folder).ok()?;
    let names = files.filter_map(|file| file.ok()?.file_name().into_string().ok());
    let index =
        |name: String| name.strip_prefix("state-")?.strip_suffix(".snapshot")?.parse::<u64>().ok();
    names.filter_map(index).max()
}

#[derive(Default)]
pub(super) struct Kept;

impl Checker for Kept {
    fn name(&self) -> &'static str {
        "I15 kept"
    }

    fn end(&mut self, world: &World) -> Finding {
        for seat in world.seats.iter().filter(|seat| seat.belongs() && seat.running.is_some()) {
            let kept = record::observations(&seat.data.join("history.db"));
            let kept = kept.map_err(|error| error.to_string())?;
            let told = world.acknowledged.iter();
            let missing: Vec<_> = told.filter(|told| !kept.contains_key(*told)).collect();
            if let Some(first) = missing.first() {
                return Err(format!(
                    "{first:?} and {} more that were acknowledged are not in the history of seat {}",
                    missing.len() - 1,
                    seat.index
                ));
            }
        }
        Ok(())
    }

    fn tested(&self, world: &World) -> u64 {
        world.promises.tested
    }
}
