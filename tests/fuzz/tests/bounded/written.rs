//! Seeds of the stored formats: what today's program writes. They are made anew at each run, since
//! formats change, and what was sound yesterday would be nonsense today.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crosscheck_checks::document::{Document, Source};
use crosscheck_coordinator::command::catalogue::catalogue;
use crosscheck_coordinator::raft::{Proposal, Types};
use crosscheck_core::command::Stamped;
use crosscheck_core::{Command, State, apply, snapshot};
use crosscheck_model::observation::{Clock, Firmness, Observation, Trigger};
use crosscheck_model::wire::{Fitness, Health, Hello, Report, WIRE_VERSION};
use crosscheck_model::{Cause, Config, IncidentId, Outcome, Status, Timestamp};
use crosscheck_probe::spool::Record;
use crosscheck_probe::state::Weight;
use crosscheck_probe::store::frame;
use openraft::entry::RaftEntry;
use openraft::testing::log_id;

const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

fn config() -> Config {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../checks/examples/complete.yaml");
    let text = fs::read_to_string(path).expect("the example");
    let sources = [Source { name: "complete.yaml".to_owned(), text }];
    Document::parse(&sources, &catalogue()).config().expect("sound").clone()
}

fn observation(config: &Config) -> Observation {
    let check = config.checks.first().expect("there are checks");
    let mut outcome = Outcome::new(Status::Down, Some(Cause::Status), "status 500, wanted 200");
    outcome.duration = Duration::from_millis(12);
    outcome.address = Some("[2001:db8::1]:443".to_owned());
    outcome.values = [("status".to_owned(), 500.0)].into();
    outcome.excerpt = "<h1>sorry</h1> déjà vu".to_owned();
    Observation {
        check: check.id.clone(),
        rev: 1,
        boot: 7,
        seq: 3,
        started: NOW,
        at: NOW.plus(Duration::from_millis(12)),
        clock: Clock::Leader,
        trigger: Trigger::Schedule,
        firmness: Firmness::Hard,
        failing_since: Some(NOW),
        outcome,
    }
}

fn hello() -> Hello {
    let (probe, site) = ("bj-1".into(), "bj-ct".into());
    Hello { wire: WIRE_VERSION, probe, site, boot: 7, version: "0.1.0".to_owned() }
}

fn report(config: &Config, epoch: u64) -> Report {
    let unfit = Fitness::Unfit("no reference answers".to_owned());
    Report {
        probe: "bj-1".into(),
        epoch,
        seq: 1,
        echo: NOW,
        health: Health { v4: Fitness::Fit, v6: unfit, names: Fitness::Untested },
        observations: vec![observation(config); 2],
        evidence: Vec::new(),
        spooled: 5,
        dropped: 1,
        running: 2,
    }
}

/// Some commands, and the state after them.
fn commands() -> (Vec<Command>, State) {
    let config = config();
    let mut state = State::default();
    let commands = vec![
        Command::Lead { node: 1, term: 1, cluster: "c".to_owned() },
        Command::Configure(Box::new(config.clone())),
        Command::Open(hello()),
        Command::Batch(vec![report(&config, 1)]),
        Command::Acknowledge { incident: IncidentId(7), by: "li".into(), note: "looking".into() },
        Command::Tick,
    ];
    for command in &commands {
        apply(&mut state, NOW, command.clone());
    }
    (commands, state)
}

/// The bytes of a proposal's command: what stands in its blob.
fn stamped(command: Command) -> (Vec<u8>, Proposal) {
    let proposal = Proposal::encode(&Stamped { at: NOW, command }).expect("encodes");
    let blob = postcard::to_stdvec(&proposal).expect("encodes");
    let (length, bytes): (u64, &[u8]) = postcard::take_from_bytes(&blob).expect("a length");
    assert_eq!(usize::try_from(length).expect("small"), bytes.len());
    (bytes.to_vec(), proposal)
}

/// A page of measurements: no row of it, and a span.
fn pages() -> [Vec<u8>; 2] {
    let none: [u8; 0] = [];
    let empty = (0_u64, Vec::from(none), Vec::from(none), Vec::from(none), Vec::from(none));
    let span = (9_u64, "shop", NOW, Some(Status::Down), false);
    let spans = (5_u64, Vec::from(none), vec![span], Vec::from(none), Vec::from(none));
    [
        postcard::to_stdvec(&(empty, None::<u8>)).expect("encodes"),
        // And where to go on: after the record of number 3.
        postcard::to_stdvec(&(spans, Some((2_u8, 3_i64)))).expect("encodes"),
    ]
}

/// Frames of a backup in units of 16 bytes, as the target takes them; what is over is not read.
fn backup(state: &State) -> Vec<u8> {
    let state = snapshot::encode(state).expect("encodes");
    let [page, _] = pages();
    let head = (0_u8, "c", 7_u64, NOW, "0.1.0");
    let frames = [
        postcard::to_stdvec(&head).expect("encodes"),
        [vec![1], postcard::to_stdvec(&state).expect("encodes")].concat(),
        [vec![2], page].concat(),
        [vec![3], vec![0; 32]].concat(),
    ];
    let mut bytes = Vec::new();
    for mut frame in frames {
        let units = frame.len().div_ceil(16);
        bytes.push(u8::try_from(units).expect("a small state"));
        frame.resize(units * 16, 0);
        bytes.extend(frame);
    }
    bytes
}

/// The target, the seed's name, the seed.
pub(crate) fn seeds() -> Vec<(&'static str, String, Vec<u8>)> {
    let (commands, state) = commands();
    let mut seeds = Vec::new();
    for (at, command) in commands.into_iter().enumerate() {
        let (bytes, proposal) = stamped(command);
        seeds.push(("command", format!("written-{at}"), bytes));
        let entry =
            openraft::alias::EntryOf::<Types>::new_normal(log_id::<Types>(3, 0, 9), proposal);
        let entry = postcard::to_stdvec(&entry).expect("encodes");
        seeds.push(("log_record", format!("written-{at}"), entry));
    }
    seeds.push(("snapshot", "written".to_owned(), snapshot::encode(&state).expect("encodes")));
    let small = State { revision: 5, cluster: "c".into(), ..State::default() };
    seeds.push(("backup", "written".to_owned(), backup(&small)));
    for (at, page) in pages().into_iter().enumerate() {
        seeds.push(("history_page", format!("written-{at}"), page));
    }
    let observation = observation(&config());
    let mut framed = Vec::new();
    let record = Record { id: 3, weight: Weight::Transition, observation };
    let length = frame::write(&record, &mut framed).expect("encodes");
    seeds.push(("spool", "written-framed".to_owned(), framed.clone()));
    seeds.push(("spool", "written".to_owned(), framed[framed.len() - length + 8..].to_vec()));
    let json = serde_json::to_vec(&report(&config(), 1)).expect("JSON");
    seeds.push(("report", "written".to_owned(), [vec![1], json].concat()));
    seeds
}

/// They are sound; and with `CROSSCHECK_CORPUS` in the environment, the directory of that name gets
/// them for libFuzzer.
#[test]
fn what_todays_program_writes_is_read() {
    let directory = std::env::var_os("CROSSCHECK_CORPUS").map(PathBuf::from);
    for (target, name, seed) in seeds() {
        crosscheck_fuzz::run(target, &seed);
        if let Some(directory) = &directory {
            fs::create_dir_all(directory.join(target)).expect("a directory");
            fs::write(directory.join(target).join(name), seed).expect("a file");
        }
    }
}
