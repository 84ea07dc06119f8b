//! The invariants over random histories. A failing case prints its seed; proptest keeps it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::world::{Faults, Honesty, INTERVAL, World, config, is_down, is_recovery, spec};
use crosscheck_core::outbox::{Edge, Key};
use crosscheck_core::{Command, Effect, State, apply, snapshot};
use crosscheck_model::config::Maintenance;
use crosscheck_model::join::Fingerprint;
use crosscheck_model::observation::{Clock, Firmness};
use crosscheck_model::{CheckId, Observation, ProbeId, SiteId, Status, Timestamp};
use proptest::prelude::*;

const LAYOUTS: [&str; 5] = ["AABBC", "ABCDE", "AABBCC", "AABBCCD", "ABCD"];
const CHECKS: usize = 5;
/// A probe is heard while its echo is not older.
const SESSION: Duration = Duration::from_secs(15);

fn rough() -> Faults {
    Faults { doubled: 100, late_secs: 3, leader: 10, mail: 150, noise: 3 }
}

/// What a domain suffers.
fn hurt(world: &mut World, carrier: &str, kind: u64) {
    for probe in &mut world.probes {
        let hit = carrier == "every" || probe.carrier == carrier;
        probe.targets = !(hit && (kind == 0 || kind == 4));
        probe.out = !(hit && (kind == 1 || kind == 3 || kind == 4));
        probe.back = !(hit && (kind == 1 || kind == 2 || kind == 4));
    }
}

fn some_carrier(world: &mut World) -> String {
    let index = world.random.below(world.probes.len() as u64) as usize;
    world.probes[index].carrier.clone()
}

/// A history in which everything happens, checked by `each` after every second.
fn rough_history(seed: u64, minutes: u64, mut each: impl FnMut(&mut World)) -> World {
    let layout = LAYOUTS[(seed % 5) as usize];
    let mut world = World::new(seed, config(layout, CHECKS), rough());
    for _ in 0..minutes {
        match world.random.below(9) {
            0 => {
                let (carrier, kind) = (some_carrier(&mut world), world.random.below(5));
                hurt(&mut world, &carrier, kind);
            }
            1 | 2 => hurt(&mut world, "none", 0),
            3 | 4 => {
                let (check, down) = (world.random.below(CHECKS as u64), world.random.chance(500));
                world.set_down(check as usize, down);
            }
            5 => {
                let index = world.random.below(world.probes.len() as u64) as usize;
                world.restart(index);
            }
            6 => hurt(&mut world, "every", 1),
            7 => world.elect(),
            _ => {}
        }
        for _ in 0..60 {
            world.second();
            each(&mut world);
        }
    }
    world
}

/// The evidence as a stranger would collect it from the log alone: who is heard, and what each
/// said last.
#[derive(Default)]
struct Evidence {
    read: usize,
    echo: BTreeMap<ProbeId, Timestamp>,
    /// Until when those are counted whom a new leader has not heard.
    excused: BTreeMap<ProbeId, Timestamp>,
    now: Timestamp,
    newest: BTreeMap<(ProbeId, CheckId), Observation>,
    order: BTreeMap<ProbeId, (u64, u64)>,
    epoch: u64,
}

impl Evidence {
    fn read(&mut self, world: &World) {
        for (at, command) in &world.log[self.read..] {
            let before = self.now;
            self.now = before.max(*at);
            match command {
                Command::Lead { .. } => {
                    let live = self.echo.iter().filter(|(_, echo)| before.since(**echo) <= SESSION);
                    let until = self.now.plus(Duration::from_secs(30));
                    self.excused.extend(live.map(|(id, _)| (id.clone(), until)));
                }
                Command::Open(hello) => {
                    self.epoch = self.epoch.max(world.state.probes[&hello.probe].epoch);
                }
                Command::Batch(reports) => reports.iter().for_each(|report| {
                    let last = self.order.entry(report.probe.clone()).or_default();
                    if (report.epoch, report.seq) <= *last {
                        return;
                    }
                    *last = (report.epoch, report.seq);
                    let echo = self.echo.entry(report.probe.clone()).or_default();
                    *echo = (*echo).max(report.echo);
                    for seen in report.observations.iter().filter(|o| o.firmness == Firmness::Hard)
                    {
                        let key = (report.probe.clone(), seen.check.clone());
                        self.newest.insert(key, seen.clone());
                    }
                }),
                _ => {}
            }
        }
        self.read = world.log.len();
    }

    /// Whether the probe is heard now; with `grace`, also whether it was when a leader fell.
    fn is_heard(&self, probe: &ProbeId, now: Timestamp, grace: bool) -> bool {
        self.echo.get(probe).is_some_and(|echo| now.since(*echo) <= SESSION)
            || grace && self.excused.get(probe).is_some_and(|until| now < *until)
    }

    /// The carriers of those who are heard and said Down (or anything else) within the validity,
    /// and of all who said anything. Down may rest on those whom a new leader has not heard yet;
    /// green may not.
    fn voters(&self, world: &World, check: &CheckId, down: bool) -> (Vec<String>, Vec<String>) {
        let validity = spec("any").validity();
        let now = world.state.now;
        let mut members = Vec::new();
        let mut all = Vec::new();
        for probe in &world.probes {
            // Whoever is suspect has no vote, by a rule of its own.
            let suspect = world.state.probes.get(&probe.id).is_some_and(|p| p.suspect.is_some());
            let heard = !suspect && self.is_heard(&probe.id, now, down);
            let Some(seen) = self.newest.get(&(probe.id.clone(), check.clone())) else { continue };
            if !heard || now.since(seen.at) > validity {
                continue;
            }
            all.push(probe.carrier.clone());
            if (seen.outcome.status == Status::Down) == down {
                members.push(probe.carrier.clone());
            }
        }
        (members, all)
    }

    /// Leave one carrier out, by counting.
    fn suffices(&self, world: &World, check: &CheckId, down: bool) -> bool {
        let (members, all) = self.voters(world, check, down);
        let carriers: BTreeSet<&String> = all.iter().collect();
        members.len() >= 2
            && carriers.len() >= 2
            && carriers.iter().all(|out| {
                let left = |of: &[String]| of.iter().filter(|carrier| carrier != out).count();
                2 * left(&members) > left(&all)
            })
    }
}

/// So many cases, or as many as `PROPTEST_CASES` says.
fn cases(count: u32) -> ProptestConfig {
    let base = ProptestConfig::default();
    let asked = std::env::var_os("PROPTEST_CASES").is_some();
    ProptestConfig {
        cases: if asked { base.cases } else { count },
        failure_persistence: None,
        ..base
    }
}

proptest! {
    #![proptest_config(cases(24))]

    /// I1: whatever happens to one carrier, site or region, no target that answers the rest is
    /// called down.
    #[test]
    fn i1_one_domain_alone_opens_nothing(seed: u64) {
        let layout = LAYOUTS[(seed % 5) as usize];
        let faults = Faults { noise: 0, ..rough() };
        let mut world = World::new(seed, config(layout, CHECKS), faults);
        world.seconds(90);
        for _ in 0..12 {
            let (carrier, kind) = (some_carrier(&mut world), world.random.below(5));
            hurt(&mut world, &carrier, kind);
            let hurt_for = 30 + world.random.below(200);
            world.seconds(hurt_for);
            prop_assert!(world.mails_of(is_down).is_empty());
            hurt(&mut world, "none", 0);
            let well_for = 100 + world.random.below(60);
            world.seconds(well_for);
        }
        let opened = world.effects.iter().any(|(_, effect)| {
            matches!(effect, Effect::Span { status: Some(Status::Down), .. })
        });
        prop_assert!(!opened);
    }

    /// I3, I4: what opens as Down rests on fresh votes of probes that are heard, as a stranger
    /// counts them from the log.
    #[test]
    fn i3_i4_down_rests_on_fresh_votes_of_the_fit(seed: u64) {
        let mut evidence = Evidence::default();
        let mut before: BTreeMap<CheckId, Status> = BTreeMap::new();
        rough_history(seed, 15, |world| {
            evidence.read(world);
            for (id, check) in &world.state.checks {
                let was = before.insert(id.clone(), check.verdict.status);
                if check.verdict.status == Status::Down && was != Some(Status::Down) {
                    assert!(evidence.suffices(world, id, true), "{id} at {}: {:?}", world.now, evidence.voters(world, id, true));
                }
            }
        });
    }

    /// I5: a target dead for everyone is called down within its bound.
    #[test]
    fn i5_detection_is_bounded(seed: u64) {
        let layout = LAYOUTS[(seed % 5) as usize];
        let faults = Faults { noise: 0, ..rough() };
        let mut world = World::new(seed, config(layout, 1), faults);
        world.seconds(90);
        for _ in 0..6 {
            world.set_down(0, true);
            // I + A T + (A-1) r + transit (3 s each way) + failover (8 s), and one round more.
            world.seconds(30 + 10 + 3 + 6 + 10);
            prop_assert_eq!(world.verdict(0), Status::Down);
            world.set_down(0, false);
            world.seconds(200);
            prop_assert_eq!(world.verdict(0), Status::Up);
        }
    }

    /// I6: never Up without a quorum of fresh OK votes within W and the grace.
    #[test]
    fn i6_never_green_on_nothing(seed: u64) {
        let mut evidence = Evidence::default();
        let mut proven: BTreeMap<CheckId, Timestamp> = BTreeMap::new();
        rough_history(seed, 15, |world| {
            evidence.read(world);
            let now = world.state.now;
            for (id, check) in &world.state.checks {
                if evidence.suffices(world, id, false) {
                    proven.insert(id.clone(), now);
                }
                if check.verdict.status == Status::Up {
                    let last = proven.get(id).copied().unwrap_or_default();
                    // Leader grace 30 s, and 15 s until an electorate counts as lame.
                    assert!(now.since(last) <= Duration::from_secs(30 + 15 + 5), "{id} at {now}, {:?}, {:?}", check.tally, evidence.voters(world, id, false));
                }
            }
        });
    }

    /// I7, I8, I10: each edge once per contact; the end follows the beginning; copies of a mail
    /// are no more than its ambiguous attempts allow, and say the same.
    #[test]
    fn i7_i8_i10_every_mail_once_in_order_and_the_same(seed: u64) {
        let mut world = rough_history(seed, 25, |_| {});
        world.down.clear();
        hurt(&mut world, "none", 0);
        world.faults = Faults::NONE;
        // All heals: what is owed is delivered within the longest pause.
        world.seconds(45 * 60);
        for owed in world.state.outbox.values() {
            prop_assert!(owed.progress.is_settled(), "{:?}", owed);
        }
        let mut copies: BTreeMap<Key, Vec<&crate::world::Mail>> = BTreeMap::new();
        for mail in &world.mails {
            copies.entry(mail.key).or_default().push(mail);
        }
        for (key, mails) in &copies {
            let allowed = 1 + world.ambiguous.get(key).copied().unwrap_or(0);
            prop_assert!(mails.len() as u32 <= allowed, "{key}: {} copies", mails.len());
            prop_assert!(mails.iter().all(|mail| mail.notice == mails[0].notice));
            prop_assert!(mails.iter().all(|mail| mail.message == mails[0].message), "one id");
        }
        let mut intents = BTreeSet::new();
        for owed in world.state.outbox.values() {
            let intent = (owed.notice.incident, owed.notice.edge, &owed.contact, &owed.channel);
            prop_assert!(intents.insert(intent), "{intent:?} twice");
        }
        for owed in world.state.outbox.values().filter(|o| is_recovery(&o.notice.edge)) {
            let alarm = world.state.outbox.values().find(|other| {
                other.notice.incident == owed.notice.incident
                    && matches!(other.notice.edge, Edge::Alarm(_))
                    && other.contact == owed.contact
            });
            prop_assert!(alarm.is_some(), "a recovery without an alarm");
            let first = |key: Key| copies.get(&key).map(|mails| mails[0].at);
            if let (Some(alarm), Some(recovery)) = (first(alarm.unwrap().key), first(owed.key)) {
                prop_assert!(alarm <= recovery);
            }
        }
        for incident in world.state.incidents.values() {
            prop_assert!(incident.resolved_at.is_some(), "{:?}", incident.subject);
            for status in &incident.told {
                let told = world.state.outbox.values().filter(|owed| {
                    owed.notice.incident == incident.id && owed.notice.edge == Edge::Alarm(*status)
                });
                prop_assert!(told.count() >= 1);
            }
        }
    }

    /// I12: log time never goes back, whatever the leaders' clocks say; a probe's wall clock
    /// decides nothing.
    #[test]
    fn i12_time_is_monotone_and_wall_clocks_decide_nothing(seed: u64) {
        let world = rough_history(seed, 8, |_| {});
        let mut last = Timestamp::ZERO;
        let mut skewed = State::default();
        let mut walled = State::default();
        for (index, (at, command)) in world.log.iter().enumerate() {
            // Every seventh stamp comes from a leader whose clock is a day behind.
            let behind = at.minus(Duration::from_secs(86_400));
            let stamp = if index % 7 == 3 && index > 3 { behind } else { *at };
            apply(&mut skewed, stamp, command.clone());
            prop_assert!(skewed.now >= last);
            last = skewed.now;
            let mut command = command.clone();
            if let Command::Batch(reports) = &mut command {
                for seen in reports.iter_mut().flat_map(|report| &mut report.observations) {
                    seen.clock = Clock::Wall;
                    seen.at = seen.at.plus(Duration::from_secs(365 * 86_400));
                }
            }
            apply(&mut walled, *at, command);
        }
        prop_assert!(walled.checks.values().all(|check| check.votes.is_empty()));
    }

    /// I2, I14: the state is a function of the log; a snapshot and the rest of the log give the
    /// same bytes as the whole log.
    #[test]
    fn i2_i14_snapshot_and_tail_equal_full_replay(seed: u64, cut in 0usize..10_000) {
        let world = rough_history(seed, 10, |_| {});
        let cut = cut % world.log.len();
        let mut replayed = State::default();
        let mut restored = None;
        for (index, (at, command)) in world.log.iter().enumerate() {
            if index == cut {
                let bytes = snapshot::encode(&replayed).unwrap();
                restored = Some(snapshot::decode(&bytes).unwrap());
            }
            let applied = apply(&mut replayed, *at, command.clone());
            if let Some(restored) = &mut restored {
                prop_assert_eq!(apply(restored, *at, command.clone()), applied);
            }
        }
        let whole = snapshot::encode(&replayed).unwrap();
        prop_assert_eq!(&snapshot::encode(&restored.unwrap()).unwrap(), &whole);
        prop_assert_eq!(&snapshot::encode(&world.state).unwrap(), &whole);
    }

    /// I17: a report that comes again changes nothing and is acknowledged all the same.
    #[test]
    fn i17_a_report_twice_is_a_report_once(seed: u64) {
        let world = rough_history(seed, 10, |_| {});
        let mut once = State::default();
        let mut twice = State::default();
        let mut earlier: Vec<Command> = Vec::new();
        for (at, command) in &world.log {
            apply(&mut once, *at, command.clone());
            apply(&mut twice, *at, command.clone());
            if matches!(command, Command::Batch(_)) {
                // At once, and a batch from long ago.
                let old = earlier.get(earlier.len() / 2).unwrap_or(command).clone();
                earlier.push(command.clone());
                for again in [command.clone(), old] {
                    let applied = apply(&mut twice, *at, again);
                    let recorded = applied.effects.iter().any(|e| matches!(e, Effect::Record { .. }));
                    prop_assert!(!recorded);
                }
            }
        }
        let decided = |state: &State| {
            let checks: Vec<_> =
                state.checks.values().map(|c| (c.verdict.clone(), c.votes.clone(), c.incident)).collect();
            (checks, state.incidents.len(), state.outbox.keys().copied().collect::<Vec<_>>())
        };
        prop_assert_eq!(decided(&once), decided(&twice));
    }

    /// I18: one liar opens nothing, ends nothing, and hides nothing.
    #[test]
    fn i18_one_liar_decides_nothing(seed: u64, liar in 0usize..5, lie in 0usize..3) {
        let layouts = ["AABBC", "ABCDE", "ABCD"];
        let layout = layouts[(seed % 3) as usize];
        let faults = Faults { noise: 0, mail: 0, ..rough() };
        let mut world = World::new(seed, config(layout, CHECKS), faults);
        let liar = liar % world.probes.len();
        world.probes[liar].honesty =
            [Honesty::SaysUp, Honesty::SaysDown, Honesty::SaysAnything][lie];
        world.seconds(400);
        prop_assert!(world.mails_of(is_down).is_empty());
        world.set_down(1, true);
        world.seconds(120);
        let open = world.state.checks[&CheckId::new("check 1")].incident;
        prop_assert!(open.is_some(), "it is hidden: {:?}", world.verdict(1));
        for _ in 0..400 {
            // Also while a new leader has heard the liar and few of the others.
            prop_assert_eq!(world.verdict(1), Status::Down);
            world.second();
        }
        prop_assert_eq!(world.state.checks[&CheckId::new("check 1")].incident, open);
        let told = world.mails_of(is_down);
        prop_assert!(told.iter().any(|mail| Some(mail.notice.incident) == open));
    }

    /// I17: reports that come again, at once or later, change nothing: nobody is judged anew by
    /// them, not even at the moment in which an incident has closed.
    #[test]
    fn i17_reports_that_come_again_change_nothing(seed: u64) {
        let mut changed = None;
        rough_history(seed, 12, |world| {
            let batch = |(_, command): &&(Timestamp, Command)| matches!(command, Command::Batch(_));
            for (_, command) in world.log.iter().rev().filter(batch).take(3) {
                let mut again = world.state.clone();
                apply(&mut again, world.state.now, command.clone());
                if again != world.state {
                    changed.get_or_insert(world.state.now);
                }
            }
        });
        prop_assert!(changed.is_none(), "{changed:?}");
    }

    /// A tick leaves out only checks that would stay as they are: judged at the same moment by an
    /// entry that looks at all of them, every check is as it was, but for counts of rounds.
    #[test]
    fn a_tick_leaves_out_only_what_stays_as_it_is(seed: u64) {
        let mut left = None;
        rough_history(seed, 12, |world| {
            // A token that nobody was given: refused, and every check is looked at.
            let refused = Command::Enrol {
                token: Fingerprint([0; 32]),
                probe: ProbeId::new("nobody"),
                site: SiteId::new("nowhere"),
                key: Fingerprint([0; 32]),
            };
            let mut all = world.state.clone();
            apply(&mut all, world.state.now, Command::Tick);
            let ticked = all.clone();
            apply(&mut all, world.state.now, refused);
            for (id, check) in &mut all.checks {
                let tally = &ticked.checks[id].tally;
                (check.tally.rounds, check.tally.round_from) = (tally.rounds, tally.round_from);
                check.tally.fine = tally.fine;
            }
            if all.checks != ticked.checks || all.incidents != ticked.incidents {
                left.get_or_insert((world.state.now, all.checks, ticked.checks));
            }
        });
        prop_assert!(left.is_none(), "{left:?}");
    }

    /// I20: inside a window nothing about its checks becomes owed; at its end, what is still
    /// down does within one round.
    #[test]
    fn i20_no_intent_inside_a_window(seed: u64, begin in 60u64..300, length in 30u64..900) {
        let mut config = config("AABBC", CHECKS);
        config.maintenance = vec![Maintenance {
            checks: vec!["check *".to_owned()],
            customer: None,
            when: crosscheck_model::config::Window::Every {
                days: vec![7], from_minute: 0, to_minute: 60,
            },
            zone: "Asia/Shanghai".to_owned(),
            reason: "release".to_owned(),
        }];
        let mut world = World::new(seed, config, Faults { noise: 0, mail: 0, ..rough() });
        let from = world.now.plus(Duration::from_secs(begin));
        let to = from.plus(Duration::from_secs(length));
        world.maintain(from, to);
        let edits = world.random.below(3);
        for second in 0..begin + length - 2 {
            if second % 97 == 0 {
                let (check, down) = (world.random.below(CHECKS as u64), world.random.chance(500));
                if second + 60 < begin || second > begin {
                    world.set_down(check as usize, down);
                }
            }
            if edits > 0 && second % 211 == 210 {
                let mut edited = world.state.config.clone();
                edited.checks[0].settings = format!("{second}");
                world.propose(Command::Configure(Box::new(edited)));
            }
            world.second();
        }
        let within = |at: Timestamp| from <= at && at < to;
        prop_assert!(!world.state.outbox.values().any(|owed| within(owed.created)));
        world.set_down(0, true);
        world.seconds(2 + INTERVAL.as_secs() + 40);
        prop_assert_eq!(world.verdict(0), Status::Down);
        let owed = world.state.outbox.values().filter(|o| is_down(&o.notice.edge)).count();
        prop_assert!(owed >= 2);
    }
}
