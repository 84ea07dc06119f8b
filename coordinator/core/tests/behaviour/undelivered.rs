//! Notifications that do not get through: who is told instead, and what is not waited for.

use std::time::Duration;

use crate::world::{World, by_mail, is_down, is_recovery, steady_in};
use crosscheck_core::claim::CLAIM_LEASE;
use crosscheck_core::command::{Command, Reply};
use crosscheck_core::incident::EventKind;
use crosscheck_core::outbox::{Edge, Key, Owed, Progress, SendResult};
use crosscheck_core::{Effect, State, apply};
use crosscheck_model::{ContactId, Status, Timestamp};

/// To whom and by what notifications of an edge have gone out.
fn told(world: &World, edge: fn(&Edge) -> bool) -> Vec<String> {
    let of = |mail: &&crate::world::Mail| mail.check.is_some();
    let whom = |mail: &crate::world::Mail| {
        let owed = &world.state.outbox[&mail.key];
        format!("{} by {}", owed.contact, owed.channel)
    };
    let mut told: Vec<String> = world.mails_of(edge).into_iter().filter(of).map(whom).collect();
    told.sort();
    told
}

/// What the timeline of the check's only incident says of notifications that did not get through.
fn undelivered(world: &World) -> Vec<String> {
    let about = world.state.incidents.values().find(|incident| incident.customer.is_none());
    let events = about.expect("an incident").timeline.iter();
    let events = events.filter(|event| event.kind == EventKind::Undelivered);
    events.map(|event| event.text.clone()).collect()
}

#[test]
fn what_is_owed_by_a_channel_that_was_removed_goes_by_another_at_once() {
    let mut world = steady_in(by_mail(1));
    world.dead_channels.insert("mail".to_owned());
    world.set_down(0, true);
    world.seconds(90);
    assert_eq!(told(&world, is_down), Vec::<String>::new());
    let mut edited = world.state.config.clone();
    edited.channels.remove("mail");
    edited.routes[0].channels = vec!["phone".to_owned()];
    world.propose(Command::Configure(Box::new(edited)));
    world.seconds(10);
    assert_eq!(told(&world, is_down), ["li by phone", "ops by phone"]);
    let mails = world.state.outbox.values().filter(|owed| owed.channel == "mail");
    for owed in mails {
        assert!(matches!(owed.progress, Progress::Refused { .. }), "{owed:?}");
    }
    let said = undelivered(&world);
    assert!(said.iter().any(|text| text.contains("taken out of the configuration")), "{said:?}");
    // The end goes to whoever heard of the beginning.
    world.set_down(0, false);
    world.seconds(200);
    assert_eq!(told(&world, is_recovery), ["li by phone", "ops by phone"]);
}

#[test]
fn what_is_on_its_way_when_its_channel_is_removed_is_not_tried_again() {
    let mut world = steady_in(by_mail(1));
    world.set_down(0, true);
    while world.state.outbox.is_empty() {
        world.now = world.now.plus(Duration::from_secs(1));
        world.second();
    }
    let owed = world.state.outbox.values().next().cloned().expect("an alarm");
    let Progress::Claimed { .. } = owed.progress else { panic!("{owed:?}") };
    let mut edited = world.state.config.clone();
    edited.channels.remove("mail");
    edited.routes[0].channels = vec!["phone".to_owned()];
    world.propose(Command::Configure(Box::new(edited)));
    let still = world.state.outbox[&owed.key].progress;
    assert!(matches!(still, Progress::Claimed { .. }), "it may be delivered: {still:?}");
    let (key, attempt) = (owed.key, owed.attempts);
    let result = SendResult::Retry("450 try later".to_owned());
    assert_eq!(world.propose(Command::Settle { key, attempt, result }), Reply::Done);
    let settled = &world.state.outbox[&key];
    assert!(matches!(settled.progress, Progress::Refused { .. }), "{settled:?}");
    let why = settled.last_error.as_deref().unwrap_or_default();
    assert!(why.contains("taken out") && why.contains("450"), "{why}");
}

#[test]
fn an_alarm_that_is_put_off_for_ten_minutes_goes_on_by_the_next_channel() {
    let mut world = steady_in(by_mail(1));
    world.dead_channels.insert("mail".to_owned());
    world.set_down(0, true);
    world.seconds(9 * 60);
    assert_eq!(told(&world, is_down), Vec::<String>::new(), "not yet");
    world.seconds(3 * 60);
    // The operators hear of the channel, which delivers nothing, and not of each of its alarms.
    assert_eq!(told(&world, is_down), ["li by phone"]);
    let channel = world.mails.iter().filter(|mail| mail.check.is_none());
    assert!(channel.clone().any(|mail| mail.notice.target == "channel mail"));
    let said = undelivered(&world);
    assert!(said.iter().any(|text| text.contains("not taken for 10 minutes")), "{said:?}");
    let first = world.state.outbox.values().find(|owed| owed.channel == "mail" && is_first(owed));
    assert!(!first.expect("owed").progress.is_settled(), "it is tried on");
    world.seconds(20 * 60);
    assert_eq!(told(&world, is_down), ["li by phone"], "once");
}

fn is_first(owed: &Owed) -> bool {
    owed.contact == ContactId::new("li") && owed.notice.check.is_some()
}

#[test]
fn operators_hear_of_an_alarm_that_is_put_off_by_a_channel_that_works_for_others() {
    let mut config = by_mail(1);
    config.routes[0].to.push(ContactId::new("ops"));
    let mut world = steady_in(config);
    world.set_down(0, true);
    world.seconds(60);
    let alarm = world.state.outbox.values().find(|owed| is_first(owed)).expect("owed").clone();
    // Somebody else's mail goes out all the time; this mailbox is full.
    let full = SendResult::Retry("452 mailbox full".to_owned());
    let mut state = world.state.clone();
    let owed = state.outbox.get_mut(&alarm.key).expect("owed");
    owed.progress = Progress::Queued;
    let mut at = state.now;
    let term = state.lead_term;
    for _ in 0..15 * 60 {
        at = at.plus(Duration::from_secs(1));
        apply(&mut state, at, Command::Tick);
        state.watch.deliveries.entry("mail".to_owned()).or_default().delivered_at = at;
        let key = alarm.key;
        let claimed = apply(&mut state, at, Command::Claim { key, term, node: 1 }).reply;
        if let Reply::Claimed(attempt) = claimed {
            apply(&mut state, at, Command::Settle { key, attempt, result: full.clone() });
        }
    }
    let whom = |owed: &&Owed| owed.notice.check.is_some() && is_down(&owed.notice.edge);
    let mut told: Vec<String> = state
        .outbox
        .values()
        .filter(whom)
        .map(|owed| format!("{} by {}", owed.contact, owed.channel))
        .collect();
    told.sort();
    assert_eq!(told, ["li by mail", "li by phone", "ops by mail", "ops by phone"]);
}

/// A notification that was claimed, and the state.
fn claimed() -> (State, Owed, u32) {
    let mut world = steady_in(by_mail(1));
    world.set_down(0, true);
    while world.state.outbox.is_empty() {
        world.second();
    }
    let (mut state, term) = (world.state.clone(), world.state.lead_term);
    let owed = state.outbox.values().next().cloned().expect("an alarm");
    let queued = state.outbox.get_mut(&owed.key).expect("owed");
    (queued.progress, queued.attempts) = (Progress::Queued, 0);
    state.spoken.clear();
    let now = state.now;
    let claim = Command::Claim { key: owed.key, term, node: 1 };
    let Reply::Claimed(attempt) = apply(&mut state, now, claim).reply else { panic!("free") };
    (state, owed, attempt)
}

#[test]
fn a_claim_of_which_nothing_came_is_given_back_at_once() {
    let (mut state, owed, attempt) = claimed();
    let (key, now) = (owed.key, state.now);
    assert!(state.due().is_empty());
    let wrong = Command::Release { key, attempt: attempt + 1 };
    assert!(matches!(apply(&mut state, now, wrong).reply, Reply::Rejected(_)));
    let done = apply(&mut state, now, Command::Release { key, attempt });
    assert_eq!(done.reply, Reply::Done);
    assert!(done.effects.contains(&Effect::Owed));
    assert_eq!(state.due().iter().map(|owed| owed.key).collect::<Vec<_>>(), [key]);
    assert_eq!(state.outbox[&key].ambiguous, 0, "nothing was sent");
    let term = state.lead_term;
    let again = apply(&mut state, now, Command::Claim { key, term, node: 1 }).reply;
    assert_eq!(again, Reply::Claimed(attempt + 1), "no number is used twice");
    let late = apply(&mut state, now, Command::Release { key, attempt }).reply;
    assert!(matches!(late, Reply::Rejected(_)), "a late word on the first claim frees no second");
}

#[test]
fn a_release_after_the_result_or_the_lease_changes_nothing() {
    let (mut state, owed, attempt) = claimed();
    let (key, now) = (owed.key, state.now);
    let after = now.plus(CLAIM_LEASE);
    let term = state.lead_term;
    let next = apply(&mut state, after, Command::Claim { key, term, node: 2 }).reply;
    assert_eq!(next, Reply::Claimed(attempt + 1));
    let late = apply(&mut state, after, Command::Release { key, attempt }).reply;
    assert!(matches!(late, Reply::Rejected(_)));
    let result = SendResult::Delivered;
    apply(&mut state, after, Command::Settle { key, attempt: attempt + 1, result });
    let late = Command::Release { key, attempt: attempt + 1 };
    assert!(matches!(apply(&mut state, after, late).reply, Reply::Rejected(_)));
    assert!(matches!(state.outbox[&key].progress, Progress::Delivered { .. }));
}

#[test]
fn what_waits_for_a_mended_channel_is_sent_as_soon_as_it_is_mended() {
    for mended in ["channel", "contact"] {
        let mut world = steady_in(by_mail(1));
        world.dead_channels.insert("mail".to_owned());
        world.set_down(0, true);
        world.seconds(240);
        let next = world.state.outbox.values().find_map(|owed| match owed.progress {
            Progress::Retry { at } => Some(at),
            _ => None,
        });
        assert!(next.is_some_and(|at| at > world.state.now.plus(Duration::from_secs(30))));
        let mut edited = world.state.config.clone();
        // An edit of something else makes no server be asked sooner.
        edited.operators.push(ContactId::new("li"));
        world.propose(Command::Configure(Box::new(edited.clone())));
        assert_eq!(world.state.due(), Vec::<&Owed>::new());
        world.dead_channels.clear();
        let attempts = |world: &World| -> Vec<u32> {
            world.state.outbox.values().map(|owed| owed.attempts).collect()
        };
        let before = attempts(&world);
        match mended {
            "channel" => edited.channels.get_mut("mail").expect("there").settings = "{ }".into(),
            _ => edited
                .contacts
                .get_mut(&ContactId::new("li"))
                .expect("there")
                .mail
                .push("li@example.org".to_owned()),
        }
        world.propose(Command::Configure(Box::new(edited)));
        world.seconds(5);
        assert_eq!(told(&world, is_down), ["li by mail"], "{mended}");
        let once_more: Vec<u32> = before.iter().map(|attempts| attempts + 1).collect();
        assert_eq!(attempts(&world), once_more, "{mended}: and not again and again");
    }
}

/// A check was down and is well again, and `li` has heard of neither: the mail server is away.
/// `ops` has been alarmed by telephone of something milder, and has heard, or hears, of the end.
fn over_with_the_end_being(progress: fn(Timestamp) -> Progress) -> (World, Key) {
    let mut world = steady_in(by_mail(1));
    world.dead_channels.insert("mail".to_owned());
    world.set_down(0, true);
    world.seconds(90);
    world.set_down(0, false);
    world.seconds(200);
    let (alarm, end) = {
        let of_check = |owed: &&Owed| owed.notice.check.is_some();
        let mut owed = world.state.outbox.values().filter(of_check).cloned();
        let one = owed.next().expect("an alarm and its end");
        let other = owed.next().expect("an alarm and its end");
        if is_down(&one.notice.edge) { (one, other) } else { (other, one) }
    };
    let now = world.state.now;
    let ops = |mut owed: Owed, number: u8, progress: Progress| {
        owed.key = Key([number; 16]);
        (owed.contact, owed.channel) = (ContactId::new("ops"), "phone".to_owned());
        (owed.progress, owed.attempts, owed.last_error) = (progress, 1, None);
        owed.after.clear();
        owed
    };
    let mut milder = ops(alarm, 1, Progress::Delivered { at: now });
    milder.notice.edge = Edge::Alarm(Status::Degraded);
    let end = ops(end, 2, progress(now));
    let key = end.key;
    world.state.outbox.extend([(milder.key, milder), (key, end)]);
    let mut edited = world.state.config.clone();
    edited.channels.remove("mail");
    edited.routes[0].channels = vec!["phone".to_owned()];
    world.propose(Command::Configure(Box::new(edited)));
    (world, key)
}

/// Of what `ops` has been, or is to be, alarmed.
fn alarms_of_ops(world: &World) -> Vec<Edge> {
    let ops = ContactId::new("ops");
    let mut edges: Vec<Edge> = world
        .state
        .outbox
        .values()
        .filter(|owed| owed.contact == ops && owed.notice.check.is_some())
        .map(|owed| owed.notice.edge)
        .filter(|edge| matches!(edge, Edge::Alarm(_)))
        .collect();
    edges.sort_by_key(|edge| format!("{edge:?}"));
    edges
}

#[test]
fn who_has_heard_of_the_end_is_not_alarmed_any_more() {
    let (mut world, _) = over_with_the_end_being(|at| Progress::Delivered { at });
    world.seconds(60);
    assert_eq!(alarms_of_ops(&world), [Edge::Alarm(Status::Degraded)]);
    assert_eq!(told(&world, is_down), ["li by phone"], "who has not heard of it is told");
    assert_eq!(told(&world, is_recovery), ["li by phone"]);
}

#[test]
fn an_end_that_is_just_going_out_decides_whether_its_alarm_is_told_there() {
    let claimed =
        |at: Timestamp| Progress::Claimed { term: 1, node: 1, until: at.plus(CLAIM_LEASE) };
    let cases = [
        (SendResult::Delivered, vec![Edge::Alarm(Status::Degraded)]),
        (
            SendResult::Retry("busy".to_owned()),
            vec![Edge::Alarm(Status::Degraded), Edge::Alarm(Status::Down)],
        ),
    ];
    for (result, alarms) in cases {
        let (mut world, key) = over_with_the_end_being(claimed);
        assert_eq!(alarms_of_ops(&world), [Edge::Alarm(Status::Degraded)], "not yet");
        let settle = Command::Settle { key, attempt: 1, result: result.clone() };
        assert_eq!(world.propose(settle), Reply::Done);
        world.seconds(120);
        assert_eq!(alarms_of_ops(&world), alarms, "{result:?}");
        let ops = world.mails.iter().filter(|mail| {
            let owed = &world.state.outbox[&mail.key];
            owed.contact == ContactId::new("ops") && mail.check.is_some()
        });
        let mut order: Vec<Edge> =
            ops.map(|mail| world.state.outbox[&mail.key].notice.edge).collect();
        // The end goes out under the key that this test gave it, and under its own.
        order.dedup();
        let wanted = if alarms.len() == 1 {
            vec![]
        } else {
            vec![Edge::Alarm(Status::Down), Edge::Recovery]
        };
        assert_eq!(order, wanted, "the end is the last word");
    }
}
