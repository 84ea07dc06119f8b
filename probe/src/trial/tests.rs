//! Lives and deaths of a probe, and what is held back after them.

use super::*;
use crate::sample::assigned;

const MINUTE: Duration = Duration::from_secs(60);

fn life() -> Life {
    Life { program: "1".to_owned(), machine: "m".to_owned() }
}

/// A machine on which a process begins anew after each of its deaths.
struct Machine {
    trial: Trial,
    life: Life,
    now: Timestamp,
    orders: Vec<Assigned>,
    news: Vec<News>,
}

impl Machine {
    fn new(names: &[&str]) -> Self {
        let orders = names.iter().map(|name| assigned(name, 60, 60)).collect();
        let now = Timestamp::from_millis(1_795_318_847_000);
        Self { trial: Trial::default(), life: life(), now, orders, news: Vec::new() }
    }

    /// Its process has died, or ended, and another one begins and gets its orders.
    fn begin(&mut self) {
        // What the disk has is all that is known.
        let kept = serde_json::to_string(&self.trial).expect("written");
        let kept = serde_json::from_str(&kept).expect("read");
        let (trial, news) = Trial::begin(kept, self.life.clone(), self.now);
        self.trial = trial;
        self.news.extend(news);
        self.order();
    }

    fn order(&mut self) {
        self.trial.ordered(self.now, &self.orders, &mut self.news);
    }

    /// The process lives for so long, and all that may run does.
    fn live(&mut self, time: Duration) {
        self.now = self.now.plus(time);
        for check in &self.orders {
            self.trial.ran(&check.spec.id);
        }
        self.trial.time(self.now, &mut self.news);
    }

    fn die_soon(&mut self, times: u32) {
        for _ in 0..times {
            self.now = self.now.plus(MINUTE);
            self.begin();
        }
    }

    fn change(&mut self, name: &str) {
        let check = self.orders.iter_mut().find(|check| check.spec.name == name);
        check.expect("ordered").spec.settings += " ";
        self.order();
    }

    fn held(&self) -> Vec<&str> {
        let names = self.orders.iter().map(|check| check.spec.id.as_str());
        names.filter(|name| self.trial.hold(&(*name).into()).is_some()).collect()
    }
}

/// What happens to a machine whose check `old` is proven, and `new` and `other` are not.
enum Step {
    /// The process dies a minute after it has begun, so many times.
    Die(u32),
    /// It lives so many minutes.
    Live(u32),
    /// It ends as it should, and begins again.
    Restart,
    /// The machine goes down with it, and comes back.
    PowerCut,
    /// Another version of the program is installed.
    Upgrade,
    /// The settings of this check change.
    Change(&'static str),
}

#[test]
fn three_deaths_hold_back_what_is_new_and_nothing_for_ever() {
    use Step::{Change, Die, Live, PowerCut, Restart, Upgrade};
    let new = ["new", "other"];
    let table: &[(&str, &[Step], &[&str])] = &[
        ("two deaths prove nothing", &[Die(2)], &[]),
        ("three do", &[Die(3)], &new),
        ("also with orderly ends between them", &[Die(2), Restart, Die(1)], &new),
        ("what has run well for five minutes is not new", &[Live(5), Die(9)], &[]),
        ("four are too few", &[Live(4), Die(3)], &new),
        ("nobody dies by an orderly end", &[Restart, Restart, Restart, Restart], &[]),
        ("nor with the machine", &[PowerCut, PowerCut, PowerCut, PowerCut], &[]),
        ("the hold outlives the process", &[Die(3), Restart, Die(2), PowerCut], &new),
        (
            "and is over for a half of them after ten minutes",
            &[Die(3), Live(9), Live(1)],
            &["other"],
        ),
        ("and for the rest when that runs well", &[Die(3), Live(10), Live(5)], &[]),
        ("a death more puts all of it off", &[Die(3), Live(10), Die(1), Live(9)], &new),
        ("and the other half has its turn", &[Die(3), Live(10), Die(1), Live(10)], &["new"]),
        (
            "who died alone waits for an hour",
            &[Die(3), Live(10), Die(1), Live(15), Live(44)],
            &["new"],
        ),
        ("which ends, too", &[Die(3), Live(10), Die(1), Live(15), Live(45)], &[]),
        ("a changed check runs", &[Die(3), Change("new")], &["other"]),
        ("and has three deaths of its own", &[Die(3), Change("new"), Die(2)], &["other"]),
        ("at most", &[Die(3), Change("new"), Die(3)], &new),
        ("a change of what is proven is new", &[Live(5), Change("old"), Die(3)], &["old"]),
        ("another program has its own trial", &[Die(3), Upgrade], &[]),
        ("of three deaths, too", &[Die(3), Upgrade, Die(3)], &new),
    ];
    for (what, steps, held) in table {
        let mut machine = Machine::new(&["old"]);
        machine.begin();
        machine.live(PROBATION);
        machine.orders.extend(new.map(|name| assigned(name, 60, 60)));
        machine.order();
        for (number, step) in steps.iter().enumerate() {
            match step {
                Die(times) => machine.die_soon(*times),
                Live(minutes) => machine.live(*minutes * MINUTE),
                Change(name) => machine.change(name),
                Restart => {
                    machine.trial.end();
                    machine.begin();
                }
                PowerCut => {
                    machine.life.machine += "'";
                    machine.begin();
                }
                Upgrade => {
                    machine.life.program += "'";
                    machine.begin();
                }
            }
            // The proven one is held back by nothing but a change of its own.
            let old_is_new = steps[..=number].iter().any(|step| matches!(step, Change("old")));
            assert!(old_is_new || !machine.held().contains(&"old"), "{what}: after step {number}");
        }
        let mut found = machine.held();
        found.sort_unstable();
        assert_eq!(found, *held, "{what}: {:?}", machine.news);
        assert_eq!(machine.trial.held(), held.len(), "{what}");
    }
}

#[test]
fn a_bad_check_is_found_among_many_and_the_others_run_again() {
    let names: Vec<String> = (0..100).map(|number| format!("check {number:02}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    // (bad checks, deaths within a day, hours until all others run)
    for (bad, most_deaths, most_hours) in
        [(&[0][..], 34, 2), (&[99], 34, 2), (&[17, 18], 62, 3), (&[3, 50, 98], 92, 6)]
    {
        let bad: Vec<&str> = bad.iter().map(|number| names[*number]).collect();
        let mut machine = Machine::new(&names);
        let (begun, mut deaths, mut others_run_at) = (machine.now, 0, None);
        machine.begin();
        while machine.now.since(begun) < 24 * 60 * MINUTE {
            let held = machine.held();
            if bad.iter().any(|bad| !held.contains(bad)) {
                deaths += 1;
                machine.die_soon(1);
            } else if held == bad {
                others_run_at.get_or_insert(machine.now);
                machine.live(MINUTE);
            } else {
                machine.live(MINUTE);
            }
        }
        let took = others_run_at.expect("the others run").since(begun);
        assert!(took <= most_hours * 60 * MINUTE, "{bad:?}: after {took:?}");
        assert!(deaths <= most_deaths, "{bad:?}: {deaths} deaths");
    }
}

#[test]
fn what_did_not_run_is_not_proven() {
    let mut machine = Machine::new(&["often", "seldom"]);
    machine.begin();
    machine.trial.ran(&"often".into());
    machine.now = machine.now.plus(2 * PROBATION);
    assert!(machine.trial.time(machine.now, &mut machine.news), "one of them is proven");
    machine.die_soon(3);
    assert_eq!(machine.held(), ["seldom"]);
    // Back again, it is on trial until it has run, and does not keep others from their turn.
    machine.now = machine.now.plus(PAUSE_ALONE);
    machine.trial.time(machine.now, &mut machine.news);
    machine.now = machine.now.plus(PROBATION);
    assert!(!machine.trial.time(machine.now, &mut machine.news));
    assert!(machine.held().is_empty() && !machine.trial.is_over());
    machine.live(Duration::ZERO);
    assert!(machine.trial.is_over());
    assert_eq!(machine.news.last(), Some(&News::Proven(vec!["seldom".into()])));
}

#[test]
fn only_what_a_run_depends_on_makes_a_check_new() {
    let old = assigned("c", 60, 60).spec;
    let print = Print::of(&old);
    let mut renamed = old.clone();
    (renamed.name, renamed.runbook) = ("d".to_owned(), Some("call us".to_owned()));
    assert_eq!(Print::of(&renamed), print);
    for change in [
        |spec: &mut CheckSpec| spec.kind.push('s'),
        |spec: &mut CheckSpec| spec.settings.push(' '),
        |spec: &mut CheckSpec| spec.schedule.interval *= 2,
        |spec: &mut CheckSpec| spec.schedule.timeout *= 2,
    ] {
        let mut changed = old.clone();
        change(&mut changed);
        assert_ne!(Print::of(&changed), print, "{changed:?}");
    }
}

#[test]
fn a_clock_that_was_wrong_holds_nothing_back_for_longer() {
    let mut machine = Machine::new(&["c"]);
    machine.begin();
    machine.now = machine.now.plus(10_000 * 60 * MINUTE);
    machine.die_soon(3);
    machine.now = Timestamp::from_millis(1_795_318_847_000);
    machine.begin();
    machine.live(PAUSE_ALONE);
    assert!(machine.held().is_empty());
}

#[test]
fn orders_that_are_known_change_nothing() {
    let mut machine = Machine::new(&["a", "b"]);
    machine.begin();
    let same = machine.orders.clone();
    assert!(!machine.trial.ordered(machine.now, &same, &mut machine.news));
    assert!(machine.trial.ordered(machine.now, &same[..1], &mut machine.news));
    machine.live(PROBATION);
    assert!(machine.trial.is_over() && machine.trial.hold(&"a".into()).is_none());
    assert!(!machine.trial.end(), "nothing is on trial, so no end is worth a word");
}
