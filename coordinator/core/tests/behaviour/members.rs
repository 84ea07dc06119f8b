//! Coordinators in the state: numbers are given once, and a full disk is one incident an episode.

use std::time::Duration;

use crosscheck_core::command::Reply;
use crosscheck_core::follower::Following;
use crosscheck_core::token::Grant;
use crosscheck_core::{Command, State, apply};
use crosscheck_model::Timestamp;
use crosscheck_model::join::{Fingerprint, JoinRefusal};

struct Book {
    state: State,
    now: Timestamp,
}

const fn digest(number: u8) -> Fingerprint {
    Fingerprint([number; 32])
}

impl Book {
    /// Coordinator 1 has founded the cluster.
    fn founded() -> Self {
        let mut book =
            Self { state: State::default(), now: Timestamp::from_millis(1_700_000_000_000) };
        book.ask(Command::Lead { node: 1, term: 1, cluster: "c".into() });
        book
    }

    fn ask(&mut self, command: Command) -> Reply {
        self.now = self.now.plus(Duration::from_secs(1));
        apply(&mut self.state, self.now, command).reply
    }

    fn issue(&mut self, token: u8, grant: Grant) {
        let lifetime = Duration::from_secs(60);
        let token = digest(token);
        let issued = self.ask(Command::IssueJoinToken { token, grant, lifetime, by: "ada".into() });
        assert_eq!(issued, Reply::Done);
    }

    fn enrol(&mut self, token: u8, key: u8, above: u64) -> Result<u64, JoinRefusal> {
        let command = Command::EnrolMember { token: digest(token), key: digest(key), above };
        let Reply::Member(answer) = self.ask(command) else { panic!("another reply") };
        answer
    }

    fn join(&mut self, number: u8) -> u64 {
        self.issue(number, Grant::Member);
        self.enrol(number, number, 0).expect("let in")
    }

    fn disk(&mut self, node: u64, percent: u8) -> Reply {
        self.ask(Command::Disk { node, percent })
    }

    /// Whether each incident is over, oldest first.
    fn edges(&self) -> Vec<bool> {
        let resolved = self.state.incidents.values().map(|i| i.resolved_at.is_some());
        resolved.collect()
    }
}

#[test]
fn a_number_is_never_given_twice() {
    let mut book = Book::founded();
    assert_eq!((book.join(2), book.join(3)), (2, 3));
    book.ask(Command::Dismiss { node: 3 });
    assert_eq!(book.state.member_belongs(3), Some(false));
    assert_eq!(book.join(4), 4, "3 was taken, also after the removal");
    book.ask(Command::Dismiss { node: 9 });
    assert_eq!(book.join(5), 10, "beyond all that were ever named");
    book.issue(6, Grant::Member);
    assert_eq!(book.enrol(6, 6, 20), Ok(21), "beyond all of Raft's membership");
    assert_eq!(book.state.member_belongs(22), None, "not heard of yet");
}

#[test]
fn a_token_is_good_for_one_newcomer_who_may_ask_again() {
    let mut book = Book::founded();
    book.issue(2, Grant::Member);
    assert_eq!(book.enrol(2, 7, 0), Ok(2));
    assert_eq!(book.enrol(2, 7, 0), Ok(2), "the answer was lost");
    assert_eq!(book.enrol(2, 8, 0), Err(JoinRefusal::UsedToken));
    assert_eq!(book.enrol(3, 8, 0), Err(JoinRefusal::UnknownToken));
    book.ask(Command::Dismiss { node: 2 });
    assert_eq!(book.enrol(2, 7, 0), Err(JoinRefusal::UsedToken), "it was removed");
    book.issue(4, Grant::Member);
    book.now = book.now.plus(Duration::from_secs(60));
    assert!(matches!(book.enrol(4, 9, 0), Err(JoinRefusal::ExpiredToken { .. })));
    assert_eq!(book.state.members.keys().copied().collect::<Vec<_>>(), [1]);
}

#[test]
fn a_number_keeps_its_key_also_when_it_is_taken_away() {
    let mut book = Book::founded();
    assert_eq!(book.state.member_key(1), None, "it has not told it yet");
    let introduce = |node, key| Command::Introduce { node, key: digest(key) };
    assert_eq!(book.ask(introduce(1, 40)), Reply::Done);
    assert_eq!(book.ask(introduce(1, 40)), Reply::Done, "said again");
    assert_eq!(book.join(2), 2);
    for (node, key) in [(1, 41), (2, 41), (3, 41)] {
        let reply = book.ask(introduce(node, key));
        assert!(matches!(reply, Reply::Rejected(_)), "{node}: {reply:?}");
    }
    book.ask(Command::Dismiss { node: 2 });
    book.ask(Command::Dismiss { node: 2 });
    let keys = [1, 2, 3].map(|node| book.state.member_key(node));
    assert_eq!(keys, [Some(digest(40)), Some(digest(2)), None]);
    // It had won an election before it heard that it is to go.
    book.ask(Command::Lead { node: 2, term: 2, cluster: "c".into() });
    assert_eq!(book.state.member_belongs(2), Some(false));
}

#[test]
fn a_full_disk_is_one_incident_an_episode_and_coordinator() {
    let mut book = Book::founded();
    book.join(2);
    for percent in [10, 89] {
        assert_eq!(book.disk(1, percent), Reply::Done);
    }
    assert!(book.edges().is_empty());
    for percent in [90, 94, 89, 92, 85] {
        book.disk(1, percent);
    }
    assert_eq!(book.edges(), [false], "between 85 and 90 it goes on");
    book.disk(2, 91);
    book.disk(1, 84);
    assert_eq!(book.edges(), [true, false], "each coordinator has its own");
    book.disk(1, 90);
    assert_eq!(book.edges(), [true, false, false], "another episode");
    book.ask(Command::Dismiss { node: 2 });
    assert_eq!(book.edges(), [true, true, false], "who is gone has no trouble");
    assert!(matches!(book.disk(2, 99), Reply::Rejected(_)), "and makes none");
}

#[test]
fn a_coordinator_that_does_not_follow_is_one_incident_an_episode_and_its_recovery() {
    let mut book = Book::founded();
    book.join(2);
    let since = Timestamp::ZERO;
    let mut say = |following| {
        assert_eq!(book.ask(Command::Follower { node: 2, following }), Reply::Done);
        book.edges()
    };
    assert!(say(Following::Caught).is_empty());
    assert!(say(Following::Gone).is_empty());
    assert_eq!(say(Following::Behind { since }), [false]);
    assert_eq!(say(Following::Behind { since }), [false], "the same episode");
    assert_eq!(say(Following::Caught), [true]);
    assert_eq!(say(Following::Behind { since }), [true, false]);
    assert_eq!(say(Following::Gone), [true, true]);
    assert_eq!(say(Following::Behind { since }), [true, true, false]);
    let summary = book.state.incidents.values().next_back().map(|i| i.summary.clone());
    let summary = summary.expect("it is open");
    assert!(summary.starts_with("coordinator 2 does not follow the log"), "{summary}");
    assert_eq!(book.ask(Command::Dismiss { node: 2 }), Reply::Done);
    assert_eq!(book.edges(), [true, true, true], "it goes with its coordinator");
}

#[test]
fn a_wrong_clock_is_one_incident_an_episode_and_its_recovery() {
    let mut book = Book::founded();
    book.join(2);
    let mut clock = |off_ms| {
        let node = 2;
        assert_eq!(book.ask(Command::Clock { node, off_ms }), Reply::Done);
        book.edges()
    };
    assert!(clock(5_000).is_empty(), "within what is tolerated");
    assert_eq!(clock(-5_001), [false]);
    for off_ms in [-86_400_000, 6_000, 2_500] {
        assert_eq!(clock(off_ms), [false], "the same episode at {off_ms} ms");
    }
    assert_eq!(clock(2_499), [true]);
    assert_eq!(clock(3_000), [true]);
    assert_eq!(clock(86_400_000), [true, false]);
    let summary = book.state.incidents.values().next_back().map(|i| i.summary.clone());
    let summary = summary.expect("it is open");
    assert!(summary.starts_with("the clock of coordinator 2 is 86400 s ahead of"), "{summary}");
    assert_eq!(book.ask(Command::Dismiss { node: 2 }), Reply::Done);
    assert_eq!(book.edges(), [true, true], "it goes with its coordinator");
}
