//! Sessions, numbers, and which coordinator is asked when.

use super::*;
use crate::sample::observation;
use crosscheck_model::Status as Seen;

const S: Duration = Duration::from_secs(1);
const IDLE: Status<'static> = Status { health: &Health::UNTESTED, running: 0 };

fn uplink(coordinators: usize) -> (Uplink, Spool) {
    let hello = Hello {
        wire: WIRE_VERSION,
        probe: "p".into(),
        site: "s".into(),
        boot: 1,
        version: String::new(),
    };
    let anchor = Anchor::new(Timestamp::ZERO);
    (Uplink::new(hello, coordinators, Jitter::new(1), anchor), Spool::new(10_000, &[]))
}

fn welcome(epoch: u64) -> Welcome {
    Welcome { epoch, now: Timestamp::from_millis(1000) }
}

/// An uplink whose session has just been opened by coordinator 0, and its first effects: the
/// stream's and the first report's.
fn open(coordinators: usize) -> (Uplink, Spool, u64, u64) {
    let (mut uplink, mut spool) = uplink(coordinators);
    let effects = uplink.time(Mono::ZERO, &mut spool, &IDLE);
    let [Effect::Open { attempt, coordinator: 0, .. }] = effects[..] else { panic!("{effects:?}") };
    uplink.opened(Mono::ZERO, attempt, Ok(welcome(7)));
    let effects = uplink.time(Mono::ZERO, &mut spool, &IDLE);
    let [Effect::Listen { stream, epoch: 7, .. }, Effect::Report { attempt, .. }] = effects[..]
    else {
        panic!("{effects:?}")
    };
    (uplink, spool, stream, attempt)
}

fn report(effects: &[Effect]) -> (u64, usize, Arc<Report>) {
    match effects {
        [Effect::Report { attempt, coordinator, report }] => {
            (*attempt, *coordinator, Arc::clone(report))
        }
        other => panic!("{other:?}"),
    }
}

fn receipt(seq: u64) -> Result<Receipt, Failure> {
    Ok(Receipt { seq, now: Timestamp::from_millis(2000) })
}

fn push(spool: &mut Spool, seq: u64) {
    spool.push(crate::state::Weight::Plain, observation(seq, Seen::Up));
}

#[test]
fn a_refusal_is_a_word_of_a_coordinator_and_a_dead_line_is_none() {
    let (mut uplink, mut spool, stream, first) = open(1);
    assert_eq!(uplink.reached(), Mono::ZERO);
    let down = || Err(Failure::Unreachable("down".into()));
    uplink.reported(600 * S, first, down(), &mut spool);
    assert_eq!(uplink.reached(), Mono::ZERO, "nobody was reached");
    let log = Timestamp::from_millis(3000);
    uplink.order(601 * S, stream, Order::Heartbeat { now: log }, &mut spool);
    assert_eq!(uplink.reached(), 601 * S);
    let unavailable = || Err(Failure::Refused(Refusal::Unavailable));
    uplink.reported(602 * S, first, unavailable(), &mut spool);
    assert_eq!(uplink.reached(), 602 * S, "a cluster without a leader answers all the same");
}

#[test]
fn a_report_keeps_its_number_until_someone_takes_it() {
    let (mut uplink, mut spool, _, first) = open(3);
    push(&mut spool, 1);
    // No answer: the same report goes to the next coordinator, and nothing else meanwhile.
    assert!(uplink.time(3 * S, &mut spool, &IDLE).is_empty());
    let (second, coordinator, resent) = report(&uplink.time(4 * S, &mut spool, &IDLE));
    assert_eq!((coordinator, resent.seq, resent.observations.len()), (1, 1, 0));
    // A failure: on to the third, at once; then from the beginning, after a pause.
    let down = || Err(Failure::Unreachable("down".into()));
    uplink.reported(5 * S, second, down(), &mut spool);
    let (third, coordinator, resent) = report(&uplink.time(5 * S, &mut spool, &IDLE));
    assert_eq!((coordinator, resent.seq), (2, 1));
    uplink.reported(5 * S, third, down(), &mut spool);
    assert!(uplink.time(5 * S, &mut spool, &IDLE).is_empty());
    let (_, coordinator, resent) = report(&uplink.time(6 * S, &mut spool, &IDLE));
    assert_eq!((coordinator, resent.seq), (0, 1));
    // The first attempt's receipt comes late and is as good as any.
    uplink.reported(6 * S, first, receipt(1), &mut spool);
    let (_, _, next) = report(&uplink.time(6 * S, &mut spool, &IDLE));
    assert_eq!((next.seq, next.observations.len()), (2, 1));
}

#[test]
fn with_nothing_to_say_the_echo_is_reported_every_heartbeat() {
    let (mut uplink, mut spool, stream, attempt) = open(1);
    uplink.reported(S, attempt, receipt(1), &mut spool);
    let log = Timestamp::from_millis(5000);
    uplink.order(2 * S, stream, Order::Heartbeat { now: log }, &mut spool);
    assert_eq!(uplink.wake(2 * S, &spool), 4 * S);
    let (_, _, next) = report(&uplink.time(4 * S, &mut spool, &IDLE));
    assert_eq!((next.seq, next.echo), (2, log), "the receipt's time is no echo");
    assert_eq!(uplink.anchor().moment(3 * S).0, log.plus(S));
}

#[test]
fn a_lost_session_is_renewed_and_its_observations_are_sent_again() {
    for by_order in [false, true] {
        let (mut uplink, mut spool, stream, attempt) = open(2);
        uplink.reported(S, attempt, receipt(1), &mut spool);
        push(&mut spool, 1);
        let (attempt, _, _) = report(&uplink.time(S, &mut spool, &IDLE));
        let effects = if by_order {
            uplink.order(S, stream, Order::Renew, &mut spool).1
        } else {
            let refused = Err(Failure::Refused(Refusal::UnknownSession));
            uplink.reported(S, attempt, refused, &mut spool)
        };
        assert_eq!(effects, [Effect::Hush]);
        let effects = uplink.time(2 * S, &mut spool, &IDLE);
        let [Effect::Open { attempt: again, .. }] = effects[..] else { panic!("{effects:?}") };
        uplink.opened(2 * S, again, Ok(welcome(8)));
        let effects = uplink.time(2 * S, &mut spool, &IDLE);
        let (_, _, resent) = report(&effects[1..]);
        assert_eq!((resent.epoch, resent.seq, resent.observations.len()), (8, 1, 1));
        // What the old session still says is void, though the numbers are equal.
        uplink.reported(2 * S, attempt, receipt(1), &mut spool);
        assert!(uplink.time(2 * S, &mut spool, &IDLE).is_empty());
    }
}

#[test]
fn a_silent_stream_is_opened_elsewhere_and_outdated_orders_are_ignored() {
    let (mut uplink, mut spool, stream, _) = open(2);
    let order = |revision| {
        let references = Default::default();
        Order::Assignment(Box::new(Assignment { revision, checks: Vec::new(), references }))
    };
    let taken = |uplink: &mut Uplink, spool: &mut Spool, at, stream, revision| {
        uplink.order(at, stream, order(revision), spool).0.is_some()
    };
    assert!(taken(&mut uplink, &mut spool, S, stream, 5));
    assert!(!taken(&mut uplink, &mut spool, S, stream, 4));
    let listens = |effects: Vec<Effect>| {
        effects.into_iter().find_map(|effect| match effect {
            Effect::Listen { stream, coordinator, .. } => Some((stream, coordinator)),
            _ => None,
        })
    };
    let silent = S + STREAM_SILENCE;
    assert_eq!(listens(uplink.time(silent, &mut spool, &IDLE)), None);
    let later = silent + Duration::from_millis(1);
    let (next, coordinator) =
        listens(uplink.time(later, &mut spool, &IDLE)).expect("another stream");
    assert_eq!(coordinator, 1);
    assert!(!taken(&mut uplink, &mut spool, later, stream, 9), "the old stream is void");
    assert!(taken(&mut uplink, &mut spool, later, next, 6));
}

#[test]
fn a_refusal_that_people_must_lift_is_tried_seldom() {
    let (mut uplink, mut spool) = uplink(1);
    let effects = uplink.time(Mono::ZERO, &mut spool, &IDLE);
    let [Effect::Open { attempt, .. }] = effects[..] else { panic!("{effects:?}") };
    uplink.opened(Mono::ZERO, attempt, Err(Failure::Refused(Refusal::UnknownSite("s".into()))));
    assert!(uplink.wake(Mono::ZERO, &spool) >= REFUSED_PAUSE / 2);
    let complaint = uplink.complaint().expect("said").to_string();
    assert!(complaint.contains("`s`") && complaint.contains("sites:"), "{complaint}");
}

#[test]
fn at_the_end_what_was_not_acknowledged_is_kept() {
    let (mut uplink, mut spool, _, attempt) = open(1);
    uplink.reported(S, attempt, receipt(1), &mut spool);
    push(&mut spool, 1);
    report(&uplink.time(S, &mut spool, &IDLE));
    push(&mut spool, 2);
    uplink.stop(&mut spool);
    assert_eq!((spool.live(), spool.backlog()), (0, 2));
}
