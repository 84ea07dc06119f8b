//! Who watches the watcher: what the installation tells of its own silence, one story each.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::world::{Faults, World, config, is_recovery};
use crosscheck_core::absence::Lapse;
use crosscheck_core::heartbeat::Standing;
use crosscheck_core::incident::{Incident, Subject};
use crosscheck_core::outbox::{Edge, Progress};
use crosscheck_core::{Command, Reply, snapshot};
use crosscheck_model::config::{Channel, Maintenance, Site};
use crosscheck_model::spec::SiteChoice;
use crosscheck_model::{Config, ProbeId, SiteId, Status};

fn steady(config: Config) -> World {
    let mut world = World::new(7, config, Faults::NONE);
    world.seconds(90);
    assert!(world.state.checks.values().all(|check| check.verdict.status == Status::Up));
    assert!(world.mails.is_empty());
    world
}

fn cut(world: &mut World, which: &[usize]) {
    set_line(world, which, false);
}

fn mend(world: &mut World, which: &[usize]) {
    set_line(world, which, true);
}

fn set_line(world: &mut World, which: &[usize], works: bool) {
    for index in which {
        (world.probes[*index].out, world.probes[*index].back) = (works, works);
    }
}

fn summaries(world: &World) -> Vec<&str> {
    world.mails.iter().map(|mail| mail.notice.summary.as_str()).collect()
}

fn targets(world: &World) -> Vec<&str> {
    world.mails.iter().map(|mail| mail.notice.target.as_str()).collect()
}

fn open_incidents(world: &World) -> Vec<&Incident> {
    world.state.incidents.values().filter(|incident| incident.resolved_at.is_none()).collect()
}

/// A second probe at the site of probe `of`.
fn twin(world: &mut World, of: usize, name: &str) {
    let site = world.probes[of].site.clone();
    let carrier = world.probes[of].carrier.clone();
    world.add_probe(ProbeId::new(name), site, carrier);
}

#[test]
fn a_site_that_falls_silent_is_one_mail_after_three_minutes_and_one_when_it_is_back() {
    let mut world = steady(config("AABBC", 3));
    cut(&mut world, &[4]);
    let from = world.now;
    world.seconds(175);
    assert!(world.mails.is_empty());
    world.seconds(10);
    assert_eq!(targets(&world), ["reports from site s4"]);
    let notice = &world.mails[0].notice;
    assert_eq!(
        notice.summary,
        "site s4 is blind: probe p4 is not heard; every check has enough sites without it"
    );
    assert_eq!((notice.edge, notice.check.as_ref()), (Edge::Alarm(Status::Unknown), None));
    assert!(from.since(notice.since) <= Duration::from_secs(5), "since it was last heard");
    world.seconds(3600);
    assert_eq!(world.mails.len(), 1, "one alarm an episode");
    mend(&mut world, &[4]);
    world.seconds(80);
    assert_eq!(world.mails.len(), 2);
    assert_eq!(world.mails[1].edge, Edge::Recovery);
    assert!(open_incidents(&world).is_empty());
    cut(&mut world, &[4]);
    world.seconds(200);
    assert_eq!(world.mails_of(|edge| matches!(edge, Edge::Alarm(_))).len(), 2, "a new episode");
}

#[test]
fn a_probe_that_comes_and_goes_is_one_episode() {
    let mut world = steady(config("AABBC", 1));
    cut(&mut world, &[0]);
    world.seconds(200);
    for _ in 0..10 {
        mend(&mut world, &[0]);
        world.seconds(30);
        cut(&mut world, &[0]);
        world.seconds(60);
    }
    assert_eq!(world.mails.len(), 1);
}

#[test]
fn a_carrier_that_falls_silent_is_one_mail_and_so_is_a_fleet() {
    for (which, target, what) in [
        (vec![0, 1], "reports from carrier A", "carrier A is blind: probe p0, probe p1 are not"),
        (vec![0, 2], "reports from site s0, site s2", "site s0, site s2 are blind: probe p0"),
        (vec![0, 1, 2, 3, 4, 5], "reports from all 6 sites", "all sites are blind: probe p0, "),
    ] {
        let mut world = steady(config("AABBCC", 2));
        cut(&mut world, &which);
        world.seconds(300);
        assert_eq!(targets(&world), [target]);
        assert!(world.mails[0].notice.summary.starts_with(what), "{:?}", summaries(&world));
        mend(&mut world, &which);
        world.seconds(200);
        assert!(open_incidents(&world).is_empty());
        assert_eq!(world.mails_of(is_recovery).len(), 1);
    }
}

#[test]
fn a_region_that_falls_silent_is_named() {
    let mut config = config("ABCDE", 1);
    for (site, place) in &mut config.sites {
        place.region = if site.as_str() < "s2" { "north" } else { "south" }.to_owned();
    }
    let mut world = steady(config);
    cut(&mut world, &[0, 1]);
    world.seconds(200);
    assert_eq!(targets(&world), ["reports from region north"]);
}

#[test]
fn one_of_two_probes_of_a_site_is_a_probe_and_the_other_then_the_site() {
    let mut world = World::new(7, config("AABBC", 1), Faults::NONE);
    twin(&mut world, 4, "p4b");
    world.seconds(90);
    cut(&mut world, &[5]);
    world.seconds(200);
    assert_eq!(targets(&world), ["reports from probe p4b"]);
    cut(&mut world, &[4]);
    world.seconds(200);
    assert_eq!(targets(&world), ["reports from probe p4b", "reports from site s4"]);
}

#[test]
fn what_is_left_of_an_incident_is_said_and_it_ends_with_the_last() {
    let mut world = steady(config("AABBCC", 1));
    cut(&mut world, &[0, 1]);
    world.seconds(200);
    mend(&mut world, &[0]);
    world.seconds(100);
    let open = open_incidents(&world);
    assert_eq!(open.len(), 1);
    assert_eq!(open[0].summary, "still: site s1 is blind: probe p1 is not heard");
    assert!(world.mails_of(is_recovery).is_empty());
    mend(&mut world, &[1]);
    world.seconds(100);
    assert_eq!(world.mails_of(is_recovery).len(), 1);
}

#[test]
fn the_mail_about_a_site_names_the_checks_it_blinds_and_no_second_one_says_so() {
    let mut config = config("AAB", 2);
    config.checks[1].sites = SiteChoice::List(vec![SiteId::new("s0"), SiteId::new("s2")]);
    let mut world = steady(config);
    cut(&mut world, &[2]);
    world.seconds(1200);
    let to_operators: Vec<_> = world.mails.iter().filter(|mail| to(&world, mail, "ops")).collect();
    assert_eq!(to_operators.len(), 1, "{:?}", summaries(&world));
    let summary = &to_operators[0].notice.summary;
    assert!(summary.contains("too few sites are left to judge check 0, check 1"), "{summary}");
    let to_owners: Vec<_> = world.mails.iter().filter(|mail| to(&world, mail, "li")).collect();
    assert_eq!(to_owners.len(), 1, "{:?}", summaries(&world));
    assert_eq!(open_incidents(&world).len(), 2, "the page shows the site and the blind checks");
}

fn to(world: &World, mail: &crate::world::Mail, contact: &str) -> bool {
    world.state.outbox[&mail.key].contact.as_str() == contact
}

#[test]
fn a_blindness_that_outlasts_its_explanation_is_told() {
    let mut config = config("AAB", 1);
    config.references.v4 = vec!["192.0.2.1:443".to_owned()];
    let mut world = steady(config);
    cut(&mut world, &[2]);
    world.seconds(260);
    assert_eq!(world.mails.len(), 1);
    // It is heard again, and says nothing that counts.
    mend(&mut world, &[2]);
    world.probes[2].unfit = true;
    world.seconds(120);
    assert_eq!(world.mails_of(is_recovery).len(), 1);
    world.seconds(300);
    let blind = |mail: &&crate::world::Mail| mail.notice.target == "probe network";
    let told: Vec<_> = world.mails.iter().filter(blind).filter(|m| to(&world, m, "ops")).collect();
    assert_eq!(told.len(), 1, "{:?}", summaries(&world));
}

#[test]
fn a_probe_that_is_heard_and_runs_nothing_is_told_and_its_return_too() {
    for says_none in [true, false] {
        let mut world = steady(config("AABBC", 3));
        world.probes[3].idle = true;
        world.probes[3].says_none = says_none;
        world.seconds(500);
        assert_eq!(targets(&world), ["results from site s3"]);
        assert!(world.mails[0].notice.summary.contains("is heard, but no result of it arrives"));
        assert!(open_incidents(&world).iter().all(|open| open.subject == Subject::Idle));
        (world.probes[3].idle, world.probes[3].says_none) = (false, false);
        world.seconds(150);
        assert_eq!(world.mails.len(), 2);
        assert!(open_incidents(&world).is_empty());
    }
}

#[test]
fn a_slow_check_is_not_idleness_and_neither_is_a_probe_without_checks() {
    let mut config = config("AABBC", 1);
    config.checks[0].schedule.interval = Duration::from_secs(3600);
    let mut world = World::new(7, config, Faults::NONE);
    world.seconds(1800);
    assert!(world.state.watch.lapsed.is_empty(), "{:?}", world.state.watch);
    let mut config = world.state.config.clone();
    config.checks.clear();
    world.propose(Command::Configure(Box::new(config)));
    world.seconds(1800);
    assert!(world.mails.is_empty(), "{:?}", summaries(&world));
}

#[test]
fn a_new_quick_check_does_not_make_a_probe_with_a_slow_one_idle_at_once() {
    let mut config = config("AABBC", 2);
    let quick = config.checks.remove(1);
    config.checks[0].schedule.interval = Duration::from_secs(7200);
    let mut world = World::new(7, config.clone(), Faults::NONE);
    for probe in &mut world.probes {
        probe.mute = true;
    }
    world.seconds(3000);
    assert!(world.mails.iter().all(|mail| mail.notice.target == "probe network"));
    config.checks.push(quick);
    world.propose(Command::Configure(Box::new(config)));
    world.seconds(60);
    assert!(world.state.watch.lapsed.is_empty());
}

#[test]
fn a_configured_site_that_nobody_was_ever_heard_from_is_told_once() {
    let mut config = config("AABBC", 1);
    for name in ["new-1", "new-2"] {
        let place = Site { region: "r9".to_owned(), carrier: "Z".to_owned() };
        config.sites.insert(SiteId::new(name), place);
    }
    let mut world = World::new(7, config.clone(), Faults::NONE);
    world.probes.retain(|probe| !probe.site.as_str().starts_with("new"));
    world.seconds(170);
    assert!(world.mails.is_empty());
    world.seconds(20);
    assert_eq!(targets(&world), ["first report from site new-1, site new-2"]);
    world.seconds(3600);
    assert_eq!(world.mails.len(), 1);
    let (site, carrier) = (SiteId::new("new-1"), "Z".to_owned());
    world.add_probe(ProbeId::new("late"), site, carrier);
    world.seconds(30);
    assert_eq!(world.mails.len(), 1, "one of the two is still missing");
    config.sites.remove(&SiteId::new("new-2"));
    world.propose(Command::Configure(Box::new(config)));
    world.seconds(30);
    assert_eq!(world.mails.len(), 2);
    assert_eq!(world.mails[1].edge, Edge::Removed);
    assert!(open_incidents(&world).is_empty());
}

#[test]
fn a_site_that_no_check_may_use_is_not_awaited() {
    let mut config = config("AABBC", 1);
    let named = config.sites.keys().cloned().collect();
    config.checks[0].sites = SiteChoice::List(named);
    let place = Site { region: "r9".to_owned(), carrier: "Z".to_owned() };
    config.sites.insert(SiteId::new("spare"), place);
    let mut world = World::new(7, config.clone(), Faults::NONE);
    world.probes.retain(|probe| probe.site.as_str() != "spare");
    world.seconds(400);
    assert!(world.mails.is_empty());
    config.checks[0].sites = SiteChoice::Pick { count: 3, region: Some("r9".to_owned()) };
    world.propose(Command::Configure(Box::new(config)));
    world.seconds(200);
    assert_eq!(world.mails[0].notice.target, "first report from site spare");
}

#[test]
fn a_cluster_that_was_stopped_does_not_take_its_own_silence_for_the_probes() {
    let mut world = steady(config("AABBC", 2));
    world.now = world.now.plus(Duration::from_secs(900));
    world.elect();
    world.seconds(400);
    assert!(world.mails.is_empty(), "{:?}", summaries(&world));
    cut(&mut world, &[0]);
    world.now = world.now.plus(Duration::from_secs(900));
    world.elect();
    world.seconds(170);
    assert!(world.mails.is_empty(), "whoever is silent since then gets its time");
    world.seconds(20);
    assert_eq!(targets(&world), ["reports from site s0"]);
}

#[test]
fn leaders_that_come_and_go_hide_no_absence() {
    let mut world = steady(config("AABBC", 1));
    cut(&mut world, &[0]);
    for _ in 0..22 {
        world.elect();
        world.seconds(10);
    }
    assert_eq!(targets(&world), ["reports from site s0"], "after three minutes and one grace");
}

#[test]
fn a_maintenance_hides_no_absence() {
    let mut config = config("AABBC", 1);
    config.maintenance = vec![Maintenance {
        checks: vec!["*".to_owned()],
        customer: None,
        when: crosscheck_model::config::Window::Every {
            days: vec![1],
            from_minute: 0,
            to_minute: 1,
        },
        zone: "UTC".to_owned(),
        reason: "release".to_owned(),
    }];
    let mut world = steady(config);
    let (from, to) = (world.now, world.now.plus(Duration::from_secs(3600)));
    world.maintain(from, to);
    cut(&mut world, &[0]);
    world.seconds(200);
    assert_eq!(world.mails.len(), 1);
}

#[test]
fn a_site_that_is_removed_and_a_probe_that_is_forgotten_close_theirs_and_say_why() {
    let mut world = steady(config("AABBC", 1));
    cut(&mut world, &[0, 4]);
    world.seconds(200);
    let mut edited = world.state.config.clone();
    edited.sites.remove(&SiteId::new("s0"));
    world.propose(Command::Configure(Box::new(edited)));
    world.seconds(10);
    assert_eq!(world.mails.len(), 1, "p4 is still missed");
    assert!(open_incidents(&world)[0].summary.contains("site s4 is blind"));
    for _ in 0..(8 * 24 * 6) {
        world.now = world.now.plus(Duration::from_secs(28));
        world.probes.iter_mut().for_each(|probe| probe.spool.clear());
        world.second();
    }
    let mut week = 0;
    while open_incidents(&world).iter().any(|open| open.subject == Subject::Absent) {
        world.now = world.now.plus(Duration::from_secs(25));
        world.second();
        week += 26;
        assert!(week < 8 * 24 * 3600, "never forgotten");
    }
    world.seconds(10);
    let last = world.mails.iter().rfind(|mail| mail.notice.target.contains("site s0")).unwrap();
    assert_eq!(last.edge, Edge::Removed);
    assert!(last.notice.summary.contains("has not been heard for a week"), "{:?}", last.notice);
}

/// A check goes down while mail, one of two channels, takes nothing.
fn without_mail() -> World {
    let mut config = config("AABBC", 1);
    let channel = Channel { kind: "phone".to_owned(), settings: "{}".to_owned() };
    config.channels.insert("phone".to_owned(), channel);
    let mut world = steady(config);
    world.dead_channels = BTreeSet::from(["mail".to_owned()]);
    world.set_down(0, true);
    world
}

#[test]
fn a_channel_that_delivers_nothing_is_told_by_the_others() {
    let mut world = without_mail();
    world.seconds(600);
    assert!(world.mails.is_empty());
    world.seconds(90);
    // Its alarms go on by the other channel, too.
    let own = |world: &World| -> Vec<crate::world::Mail> {
        world.mails.iter().filter(|mail| mail.check.is_none()).cloned().collect()
    };
    let told = own(&world);
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].notice.target, "channel mail");
    assert!(told[0].notice.summary.contains("450 try later"), "{:?}", summaries(&world));
    assert!(world.mails.iter().all(|mail| world.state.outbox[&mail.key].channel == "phone"));
    world.dead_channels.clear();
    world.seconds(1200);
    assert!(open_incidents(&world).iter().all(|open| matches!(open.subject, Subject::Check(_))));
    let told = own(&world);
    let recovered: Vec<_> = told.iter().filter(|mail| mail.edge == Edge::Recovery).collect();
    assert_eq!(recovered.len(), 1);
    assert_eq!(recovered[0].notice.summary, "channel mail: it delivers again");
}

#[test]
fn a_channel_for_which_nothing_waits_any_more_is_no_incident() {
    let mut world = without_mail();
    world.seconds(700);
    let about = |world: &World| {
        let mails = world.mails.iter().filter(|mail| mail.notice.target == "channel mail");
        mails.map(|mail| (mail.edge, mail.notice.summary.clone())).collect::<Vec<_>>()
    };
    assert_eq!(about(&world).len(), 1);
    // The other end says that it will never take any of it.
    let now = world.state.now;
    for owed in world.state.outbox.values_mut().filter(|owed| owed.channel == "mail") {
        owed.progress = Progress::Refused { at: now };
    }
    world.seconds(5);
    let told = about(&world);
    assert_eq!(told.len(), 2);
    assert_eq!(told[1].0, Edge::Recovery);
    assert!(told[1].1.contains("the next message shows"), "{told:?}");
}

#[test]
fn a_channel_that_delivers_some_of_it_is_not_dead_and_one_that_owes_nothing_neither() {
    let mut world = steady(config("AABBC", 1));
    world.faults.mail = 300;
    world.set_down(0, true);
    world.seconds(100);
    world.faults.mail = 0;
    world.seconds(3600);
    let channel = |i: &Incident| matches!(i.subject, Subject::Channel(_));
    assert!(!world.state.incidents.values().any(channel));
}

#[test]
fn a_receiver_of_heartbeats_that_does_not_answer_is_one_incident() {
    let mut world = steady(config("AABBC", 1));
    let since = world.now;
    let mut say = |standing| {
        let receiver = "cron.example.com".to_owned();
        let reply = world.propose(Command::Heartbeat { receiver, standing });
        assert_eq!(reply, Reply::Done);
        world.seconds(5);
        world.mails.len()
    };
    assert_eq!(say(Standing::Reached), 0);
    assert_eq!(say(Standing::Unreachable { since }), 1);
    assert_eq!(say(Standing::Unreachable { since }), 1);
    assert_eq!(say(Standing::Reached), 2);
    assert_eq!(say(Standing::Reached), 2);
    assert_eq!(say(Standing::Unreachable { since }), 3);
    assert_eq!(say(Standing::Dropped), 4);
    assert_eq!(world.mails[3].edge, Edge::Removed);
}

#[test]
fn a_probe_that_begins_anew_again_and_again_is_one_incident() {
    let mut world = steady(config("AABBC", 1));
    let begin_anew = |world: &mut World, times: usize| {
        for _ in 0..times {
            world.restart(0);
            world.seconds(10);
        }
    };
    begin_anew(&mut world, 3);
    world.seconds(700);
    assert!(world.mails.is_empty(), "an upgrade and two more tries: {:?}", summaries(&world));
    begin_anew(&mut world, 4);
    world.seconds(120);
    assert_eq!(
        summaries(&world),
        ["probe p0 began anew more than 3 times in 10 minutes; every check has enough sites \
          without it"]
    );
    assert_eq!(targets(&world), ["steady reports from site s0"]);
    assert_eq!(open_incidents(&world)[0].subject, Subject::Unstable);
    begin_anew(&mut world, 4);
    world.seconds(400);
    assert_eq!(world.mails.len(), 1, "it is known");
    world.seconds(400);
    assert_eq!(summaries(&world)[1], "none has begun anew for long");
    assert_eq!(world.mails.len(), 2);
    assert!(open_incidents(&world).is_empty());
}

#[test]
fn what_is_known_of_the_watch_survives_a_snapshot() {
    let mut world = steady(config("AABBC", 1));
    cut(&mut world, &[0]);
    world.seconds(200);
    assert!(world.state.watch.lapsed.contains_key(&(Lapse::Absent, ProbeId::new("p0"))));
    let bytes = snapshot::encode(&world.state).unwrap();
    assert_eq!(snapshot::decode(&bytes).unwrap(), world.state);
}
