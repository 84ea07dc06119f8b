//! How the cluster is: each coordinator asked now, seen from the one that is asked.

use std::collections::BTreeMap;
use std::time::Duration;

use crosscheck_core::level::Level;
use crosscheck_model::Timestamp;
use futures_util::future::join_all;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::raft::Role;
use crate::replica::Replica;

/// Whoever takes longer is not reached.
const ANSWER_LIMIT: Duration = Duration::from_secs(2);
/// A clock that is further off than this is told.
const OFFSET_LIMIT_MS: i64 = 5_000;

/// What a coordinator says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Own {
    pub(crate) version: String,
    /// The newest format level that its program reads.
    #[serde(default)]
    pub(crate) level: Level,
    pub(crate) term: u64,
    pub(crate) leader: Option<u64>,
    /// The last entry of its log.
    pub(crate) last: u64,
    /// The last entry that it has applied.
    pub(crate) applied: u64,
    pub(crate) wall: Timestamp,
    /// How much of its disk is in use; `None` when it cannot be told.
    pub(crate) disk_percent: Option<u8>,
    /// What keeps it from serving.
    pub(crate) unready: Option<String>,
}

/// The cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ClusterReport {
    /// Its name: random, never another cluster's.
    pub cluster: String,
    /// The coordinator that answers.
    pub asked: u64,
    /// The leader it knows.
    pub leader: Option<u64>,
    /// The newest term it knows.
    pub term: u64,
    /// The level of the formats that the cluster writes: what every coordinator reads. It rises by
    /// itself when all run a release that reads more.
    pub level: Level,
    /// The coordinators.
    pub members: Vec<MemberReport>,
    /// What people should know or do.
    pub warnings: Vec<String>,
}

/// A coordinator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MemberReport {
    /// Its number.
    pub node: u64,
    /// `leader`, `voter`, `learner` (catching up), or `joining` (has its number and was not seen).
    pub role: String,
    /// Where the others reach it.
    pub url: Option<String>,
    /// Whether it answers.
    pub reachable: bool,
    /// `ready`, or what keeps it from serving; null when it is not reached.
    pub state: Option<String>,
    /// Its program's version.
    pub version: Option<String>,
    /// The newest format level that its program reads.
    pub level: Option<Level>,
    /// The last entry of its log.
    pub last_index: Option<u64>,
    /// The last entry that it has applied.
    pub applied_index: Option<u64>,
    /// Entries that the leader has and it does not.
    pub lag: Option<u64>,
    /// Its wall clock less the one of the coordinator that answers, in milliseconds, to within
    /// half the time of the question.
    pub clock_offset_ms: Option<i64>,
    /// How much of its disk is in use, in percent.
    pub disk_percent: Option<u8>,
}

/// An answer, and how far the clock is off.
struct Heard {
    own: Own,
    offset_ms: i64,
}

impl Replica {
    /// What this coordinator says of itself.
    pub(crate) fn own(&self) -> Own {
        let standing = *self.0.leadership.borrow();
        Own {
            version: self.0.program.version.clone(),
            level: self.0.program.level,
            term: standing.term,
            leader: standing.leader,
            last: self.0.node.ends().0,
            applied: self.applied().0,
            wall: self.0.gate.clock().wall(),
            disk_percent: *self.0.disk.borrow(),
            unready: self.unready().map(str::to_owned),
        }
    }

    /// Asks every coordinator how it is.
    pub async fn report(&self) -> ClusterReport {
        let group = self.0.node.group();
        let asked = group.iter().map(|(id, known)| self.ask(*id, &known.url));
        let heard: BTreeMap<u64, Option<Heard>> =
            group.keys().copied().zip(join_all(asked).await).collect();
        let standing = *self.0.leadership.borrow();
        let last = heard.values().flatten().map(|heard| heard.own.last).max().unwrap_or_default();
        let mut members: Vec<MemberReport> = group
            .iter()
            .map(|(id, known)| {
                let role = match known.role {
                    Role::Voter if standing.leader == Some(*id) => "leader",
                    Role::Voter => "voter",
                    Role::Learner => "learner",
                };
                let heard = heard.get(id).and_then(Option::as_ref);
                MemberReport::new(*id, role, Some(known.url.clone()), heard, last)
            })
            .collect();
        let (cluster, level, enrolled) = self.read(|state| {
            let enrolled: Vec<u64> = state.members.keys().copied().collect();
            (state.cluster.clone(), state.level(), enrolled)
        });
        let joining = enrolled.into_iter().filter(|id| !group.contains_key(id));
        members.extend(joining.map(|id| MemberReport::new(id, "joining", None, None, last)));
        let mut warnings = warnings(&members);
        warnings.extend(behind(&members, level));
        let (leader, term) = (standing.leader, standing.term);
        ClusterReport { cluster, asked: self.id(), leader, term, level, members, warnings }
    }

    /// What a coordinator says of itself, asked now.
    pub(crate) async fn ask_own(&self, id: u64, url: &str) -> Option<Own> {
        self.ask(id, url).await.map(|heard| heard.own)
    }

    async fn ask(&self, id: u64, url: &str) -> Option<Heard> {
        if id == self.id() {
            return Some(Heard { own: self.own(), offset_ms: 0 });
        }
        let clock = self.0.gate.clock();
        let (wall, began) = (clock.wall(), clock.elapsed());
        let own: String = self.0.peers.call((id, url), "report", &(), ANSWER_LIMIT).await.ok()?;
        let own: Own = serde_json::from_str(&own).ok()?;
        let middle = wall.plus(clock.elapsed().saturating_sub(began) / 2);
        let offset_ms = signed(own.wall).saturating_sub(signed(middle));
        Some(Heard { own, offset_ms })
    }
}

fn signed(at: Timestamp) -> i64 {
    i64::try_from(at.as_millis()).unwrap_or(i64::MAX)
}

impl MemberReport {
    fn new(node: u64, role: &str, url: Option<String>, heard: Option<&Heard>, last: u64) -> Self {
        let own = heard.map(|heard| &heard.own);
        let state = |own: &Own| own.unready.clone().unwrap_or_else(|| "ready".to_owned());
        Self {
            node,
            role: role.to_owned(),
            url,
            reachable: heard.is_some(),
            state: own.map(state),
            version: own.map(|own| own.version.clone()),
            level: own.map(|own| own.level),
            last_index: own.map(|own| own.last),
            applied_index: own.map(|own| own.applied),
            lag: own.map(|own| last.saturating_sub(own.applied)),
            clock_offset_ms: heard.map(|heard| heard.offset_ms),
            disk_percent: own.and_then(|own| own.disk_percent),
        }
    }

    fn votes(&self) -> bool {
        self.role == "leader" || self.role == "voter"
    }
}

/// Who keeps the cluster from writing newer formats.
fn behind(members: &[MemberReport], level: Level) -> Option<String> {
    let newest = members.iter().filter_map(|member| member.level).max()?;
    if newest <= level {
        return None;
    }
    let reads_less = |member: &&MemberReport| member.level.is_none_or(|reads| reads < newest);
    let who: Vec<String> =
        members.iter().filter(reads_less).map(|member| member.node.to_string()).collect();
    let who = if who.is_empty() { "nobody any more".to_owned() } else { who.join(", ") };
    Some(format!(
        "the upgrade is not done: the cluster writes formats of level {level} until every \
         coordinator reads {newest}; still to come: {who}"
    ))
}

fn warnings(members: &[MemberReport]) -> Vec<String> {
    let voters: Vec<&MemberReport> = members.iter().filter(|member| member.votes()).collect();
    let mut warnings = Vec::new();
    if voters.len() == 1 {
        warnings.push("one voter stands no failure; three stand one".to_owned());
    } else if voters.len().is_multiple_of(2) {
        let (now, fewer) = (voters.len(), voters.len() - 1);
        warnings.push(format!(
            "{now} voters stand no more failures than {fewer}: join one more, or remove one"
        ));
    }
    let silent: Vec<u64> = voters.iter().filter(|m| !m.reachable).map(|m| m.node).collect();
    if !silent.is_empty() {
        let names: Vec<String> = silent.iter().map(u64::to_string).collect();
        let names = names.join(", ");
        let spare = voters.len().div_ceil(2).saturating_sub(1).saturating_sub(silent.len());
        warnings.push(format!(
            "not reached: coordinator {names}; {spare} more may fail. One that is lost for good: \
             `crosscheck cluster remove`, then join a new one"
        ));
    }
    let versions: std::collections::BTreeSet<&str> =
        members.iter().filter_map(|member| member.version.as_deref()).collect();
    if versions.len() > 1 {
        let versions: Vec<&str> = versions.into_iter().collect();
        warnings.push(format!("different versions run: {}", versions.join(", ")));
    }
    for member in members {
        if member.clock_offset_ms.is_some_and(|offset| offset.abs() > OFFSET_LIMIT_MS) {
            warnings.push(format!("the clock of coordinator {} is wrong", member.node));
        }
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(node: u64, role: &str, reachable: bool) -> MemberReport {
        MemberReport { reachable, ..MemberReport::new(node, role, None, None, 0) }
    }

    #[test]
    fn an_upgrade_that_is_not_done_names_who_is_left() {
        let reads = |node, level| MemberReport { level, ..member(node, "voter", true) };
        let members = [reads(1, Some(2)), reads(2, Some(1)), reads(3, None)];
        let told = behind(&members, 1).expect("two are left");
        assert!(told.contains("still to come: 2, 3"), "{told}");
        assert_eq!(behind(&members, 2), None, "level 2 is written");
        assert_eq!(behind(&members[1..], 1), None, "nobody reads more");
    }

    #[test]
    fn an_even_size_and_the_silent_are_told() {
        let three = |third| [member(1, "leader", true), member(2, "voter", true), third];
        assert_eq!(warnings(&three(member(3, "voter", true))), Vec::<String>::new());
        let told = warnings(&three(member(3, "voter", false))).join("\n");
        assert!(told.contains("coordinator 3; 0 more may fail"), "{told}");
        let told = warnings(&three(member(3, "learner", true))).join("\n");
        assert!(told.contains("2 voters stand no more failures than 1"), "{told}");
        let told = warnings(&three(member(3, "voter", true))[..1]).join("\n");
        assert!(told.contains("one voter"), "{told}");
        let mut off = three(member(3, "voter", true));
        off[1].clock_offset_ms = Some(-6_000);
        assert!(warnings(&off).join("\n").contains("clock of coordinator 2"));
    }
}
