//! Tokens and the audit trail: what an act leaves behind, and that nothing can be taken from it.

use std::time::Duration;

use crosscheck_core::audit::{Break, Chain, Digest, Entry, TAIL_LIMIT};
use crosscheck_core::command::Enclosed;
use crosscheck_core::operator::{Actor, NewToken, Role};
use crosscheck_core::{Command, Effect, Reply, State, apply, snapshot};
use crosscheck_model::{Config, Timestamp};

fn actor() -> Actor {
    Actor { name: "li".to_owned(), role: Role::Administrator, from: "192.0.2.1".to_owned() }
}

fn token(id: &str, name: &str) -> NewToken {
    NewToken {
        id: id.to_owned(),
        name: name.to_owned(),
        role: Role::Operator,
        customers: None,
        hash: "$argon2id$..".to_owned(),
        ttl: None,
        by: "li".to_owned(),
    }
}

/// A state, with everything that it gave out for the history.
#[derive(Default)]
struct World {
    state: State,
    millis: u64,
    kept: Vec<Entry>,
}

impl World {
    fn act(&mut self, command: &Command) -> Reply {
        self.propose(Command::Act { actor: actor(), command: Enclosed::new(command) })
    }

    fn propose(&mut self, command: Command) -> Reply {
        self.millis += 1_000;
        let applied = apply(&mut self.state, Timestamp::from_millis(self.millis), command);
        self.kept.extend(applied.effects.into_iter().filter_map(|effect| match effect {
            Effect::Audited(entry) => Some(*entry),
            _ => None,
        }));
        applied.reply
    }

    /// A trail of many entries.
    fn busy(acts: usize) -> Self {
        let mut world = Self::default();
        for n in 0..acts {
            let id = format!("{n:04}");
            assert_eq!(world.act(&Command::CreateToken(token(&id, &id))), Reply::Done);
        }
        world
    }
}

fn configuration(url: &str) -> Command {
    Command::Configure(Box::new(Config { public_url: Some(url.to_owned()), ..Config::default() }))
}

fn follow(entries: &[Entry]) -> Result<Chain, Break> {
    let mut chain = Chain::default();
    entries.iter().try_for_each(|entry| chain.follow(entry))?;
    Ok(chain)
}

#[test]
fn an_act_leaves_who_what_when_and_both_hashes() {
    let mut world = World::default();
    assert_eq!(world.act(&configuration("https://a.example")), Reply::Configured(1));
    assert_eq!(world.act(&configuration("https://b.example")), Reply::Configured(2));
    let [first, second] = &world.kept[..] else { panic!("two entries: {:?}", world.kept) };
    assert_eq!((first.index, second.index), (1, 2));
    assert_eq!((first.actor.as_str(), first.role), ("li", Role::Administrator));
    assert_eq!((first.from.as_str(), first.act.as_str()), ("192.0.2.1", "configure"));
    assert_eq!(first.subject, "configuration, revision 1");
    assert_eq!(first.at, Timestamp::from_millis(1_000));
    assert_eq!((first.before, first.previous), (None, Digest::NONE));
    assert_eq!(second.before, first.after, "the second edits what the first left");
    assert_ne!(second.after, second.before);
    assert_eq!(second.previous, first.hash);
}

#[test]
fn what_changes_nothing_leaves_nothing() {
    let mut world = World::default();
    world.act(&configuration("https://a.example"));
    let revision = world.act(&configuration("https://a.example"));
    assert_eq!(revision, Reply::Configured(1));
    for rejected in [Command::RevokeToken { id: "none".to_owned() }, Command::Tick] {
        assert!(matches!(world.act(&rejected), Reply::Rejected(_)), "{rejected:?}");
    }
    assert_eq!(world.kept.len(), 1);
}

#[test]
fn a_backup_changes_nothing_and_is_on_record_each_time() {
    let mut world = World::default();
    for node in [2, 3] {
        assert_eq!(world.act(&Command::BackUp { node }), Reply::Done);
    }
    let told: Vec<_> = world.kept.iter().map(|e| (e.act.as_str(), e.subject.as_str())).collect();
    assert_eq!(told, [("back up", "from coordinator 2"), ("back up", "from coordinator 3")]);
}

#[test]
fn acts_do_not_nest() {
    let mut world = World::default();
    let inner = Command::Act {
        actor: Actor { name: "somebody else".to_owned(), ..actor() },
        command: Enclosed::new(&Command::CreateToken(token("1", "ci"))),
    };
    assert!(matches!(world.act(&inner), Reply::Rejected(_)));
    assert!(world.state.tokens.is_empty() && world.kept.is_empty());
}

#[test]
fn every_change_to_a_trail_is_found() {
    let world = World::busy(5);
    let good = &world.kept;
    let chain = follow(good).expect("whole");
    assert_eq!(chain.ends_at(world.state.audit.head()), Ok(()));

    let edits: [fn(&mut Entry); 9] = [
        |entry| entry.at = entry.at.plus(Duration::from_millis(1)),
        |entry| entry.actor.push('x'),
        |entry| entry.role = Role::Viewer,
        |entry| entry.from = "198.51.100.1".to_owned(),
        |entry| entry.act = "acknowledge".to_owned(),
        |entry| entry.subject.clear(),
        |entry| entry.before = entry.after,
        |entry| entry.after = None,
        // A letter moved from one field to the next.
        |entry| (entry.actor, entry.from) = ("l".to_owned(), "i192.0.2.1".to_owned()),
    ];
    for (n, edit) in edits.into_iter().enumerate() {
        let mut changed = good.clone();
        edit(&mut changed[2]);
        assert_eq!(follow(&changed), Err(Break::Changed(3)), "edit {n}");
        // Whoever corrects the entry's own hash breaks the chain behind it.
        changed[2].hash = changed[2].expected_hash();
        assert_eq!(follow(&changed), Err(Break::Unlinked(4)), "edit {n}");
    }

    let without: Vec<Entry> = good.iter().filter(|entry| entry.index != 3).cloned().collect();
    assert_eq!(follow(&without), Err(Break::Missing { expected: 3, found: 4 }));
    let short = follow(&good[..4]).expect("whole as far as it goes");
    let head = world.state.audit.head();
    assert_eq!(short.ends_at(head), Err(Break::Short { found: 4, expected: 5 }));
    let mut anew = Chain::default();
    let mut last = good[4].clone();
    last.subject = "another".to_owned();
    last.hash = last.expected_hash();
    for entry in good[..4].iter().chain([&last]) {
        anew.follow(entry).expect("consistent in itself");
    }
    assert_eq!(anew.ends_at(head), Err(Break::Replaced(5)));
}

#[test]
fn the_state_keeps_a_bounded_end_of_the_same_chain() {
    let world = World::busy(TAIL_LIMIT + 10);
    let tail: Vec<&Entry> = world.state.audit.entries().collect();
    assert_eq!(tail.len(), TAIL_LIMIT);
    assert_eq!(tail, world.kept.iter().skip(10).collect::<Vec<_>>());
    assert_eq!(follow(&world.kept), Ok(world.state.audit.head()));
}

#[test]
fn a_snapshot_carries_tokens_and_trail_on() {
    let world = World::busy(3);
    let bytes = snapshot::encode(&world.state).expect("encodes");
    assert_eq!(snapshot::decode(&bytes).expect("decodes"), world.state);
}

#[test]
fn tokens_end_by_time_and_by_word() {
    let mut world = World::default();
    let short = NewToken { ttl: Some(Duration::from_secs(60)), ..token("1", "short") };
    assert_eq!(world.act(&Command::CreateToken(short)), Reply::Done);
    assert_eq!(world.act(&Command::CreateToken(token("2", "long"))), Reply::Done);
    assert!(world.state.token("1").is_some() && world.state.token("2").is_some());
    world.millis += 59_000;
    world.propose(Command::Tick);
    assert!(world.state.token("1").is_none(), "its time is over");
    assert!(world.state.tokens.contains_key("1"), "but people see what it was");
    assert_eq!(world.act(&Command::RevokeToken { id: "2".to_owned() }), Reply::Done);
    assert!(world.state.token("2").is_none());
    world.millis += 31 * 24 * 3_600_000;
    world.propose(Command::Tick);
    assert!(world.state.tokens.is_empty());
    let acts: Vec<&str> = world.kept.iter().map(|entry| entry.subject.as_str()).collect();
    assert_eq!(acts[2], "long (2)", "{acts:?}");
}

#[test]
fn a_token_that_would_confuse_is_refused() {
    let mut world = World::default();
    world.act(&Command::CreateToken(token("1", "ci")));
    let none = Some(std::collections::BTreeSet::new());
    for (why, new) in [
        ("the name is taken", token("2", "ci")),
        ("the id is taken", token("1", "other")),
        ("no name", token("2", "")),
        ("a name that breaks lines", token("2", "a\nb")),
        ("a name that turns text around", token("2", "a\u{202e}b")),
        ("a long name", token("2", &"x".repeat(65))),
        ("for nobody", NewToken { customers: none, ..token("2", "other") }),
        ("a huge hash", NewToken { hash: "x".repeat(600), ..token("2", "other") }),
    ] {
        let reply = world.act(&Command::CreateToken(new));
        assert!(matches!(reply, Reply::Rejected(_)), "{why}: {reply:?}");
    }
    assert_eq!(world.state.tokens.len(), 1);
}

#[test]
fn no_token_is_called_like_those_who_need_none() {
    let mut world = World::default();
    for name in ["operator_key", "local", "files"] {
        let reply = world.act(&Command::CreateToken(token(name, name)));
        assert!(matches!(reply, Reply::Rejected(_)), "{name}: {reply:?}");
    }
    assert!(world.state.tokens.is_empty());
}
