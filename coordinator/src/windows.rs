//! Wall times as moments: maintenance windows and drills, configured in an IANA zone, expanded. Pure.
//!
//! A wall time that a clock change skips is moved on by what was skipped (02:30 becomes 03:30, as
//! in RFC 5545, section 3.3.5); one that comes twice starts a window at its first and ends it at
//! its last occurrence, so that the work is covered whichever was meant.

use std::time::Duration;

use crosscheck_core::command::Window;
use crosscheck_model::Timestamp;
use crosscheck_model::config::{self, Drill, Maintenance};
use crosscheck_model::mutant::{self, Mutant};
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, ToSpan};

/// The windows of `rules` that overlap the time from `now` to `now + ahead`, in order. Rules that
/// make no sense (an unknown zone, an end before its start) give none: configurations are checked
/// before they are taken.
pub fn expand(rules: &[Maintenance], now: Timestamp, ahead: Duration) -> Vec<Window> {
    let end = now.plus(ahead);
    let mut windows = Vec::new();
    for (rule, number) in rules.iter().zip(0..) {
        let Ok(mut zone) = TimeZone::get(&rule.zone) else { continue };
        if mutant::is(Mutant::FixedZoneOffset) {
            zone = at_offset_of(now, &zone).unwrap_or(zone);
        }
        for (from, to) in civil(&rule.when, &zone, now, end) {
            let Some((from, to)) = moments(&zone, from, to) else { continue };
            if to > now && from < end && from < to {
                windows.push(Window { rule: number, from, to });
            }
        }
    }
    windows.sort();
    windows
}

/// The last moment for which a drill is planned that is after one moment and not after another.
pub fn last_start(drill: &Drill, after: Timestamp, until: Timestamp) -> Option<Timestamp> {
    let zone = TimeZone::get(&drill.zone).ok()?;
    let (days, minute) = (drill.days.clone(), drill.minute);
    let when = config::Window::Every { days, from_minute: minute, to_minute: minute };
    let starts = civil(&when, &zone, after, until)
        .into_iter()
        .filter_map(|(from, _)| timestamp(zone.to_ambiguous_timestamp(from).compatible().ok()?));
    starts.filter(|start| after < *start && *start <= until).max()
}

/// The rule's wall times that may matter between two moments.
fn civil(
    when: &config::Window,
    zone: &TimeZone,
    now: Timestamp,
    end: Timestamp,
) -> Vec<(DateTime, DateTime)> {
    match when {
        config::Window::Once { from, to } => {
            from.parse().ok().zip(to.parse().ok()).into_iter().collect()
        }
        config::Window::Every { days, from_minute, to_minute } => {
            let (Some(first), Some(last)) = (date(zone, now), date(zone, end)) else {
                return Vec::new();
            };
            let (Some(from), Some(to)) = (time(*from_minute), time(*to_minute)) else {
                return Vec::new();
            };
            // Over midnight: yesterday's window may still be open.
            let Ok(start) = first.yesterday() else { return Vec::new() };
            let over_midnight = to <= from;
            start
                .series(1.day())
                .take_while(|day| *day <= last)
                .filter(|day| days.contains(&day.weekday().to_monday_one_offset().unsigned_abs()))
                .filter_map(|day| {
                    let until = if over_midnight { day.tomorrow().ok()? } else { day };
                    Some((day.to_datetime(from), until.to_datetime(to)))
                })
                .collect()
        }
    }
}

fn moments(zone: &TimeZone, from: DateTime, to: DateTime) -> Option<(Timestamp, Timestamp)> {
    let from = zone.to_ambiguous_timestamp(from).compatible().ok()?;
    let to = zone.to_ambiguous_timestamp(to).later().ok()?;
    Some((timestamp(from)?, timestamp(to)?))
}

/// A planted mistake: the zone without its clock changes.
fn at_offset_of(now: Timestamp, zone: &TimeZone) -> Option<TimeZone> {
    let millis = i64::try_from(now.as_millis()).ok()?;
    let now = jiff::Timestamp::from_millisecond(millis).ok()?;
    Some(TimeZone::fixed(zone.to_offset(now)))
}

fn date(zone: &TimeZone, moment: Timestamp) -> Option<Date> {
    let millis = i64::try_from(moment.as_millis()).ok()?;
    Some(zone.to_datetime(jiff::Timestamp::from_millisecond(millis).ok()?).date())
}

/// A time of day; 24:00 and more is not one.
fn time(minute: u16) -> Option<Time> {
    let since = SignedDuration::from_mins(i64::from(minute));
    Time::midnight().checked_add(since).ok()
}

fn timestamp(moment: jiff::Timestamp) -> Option<Timestamp> {
    u64::try_from(moment.as_millisecond()).ok().map(Timestamp::from_millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WEEK: Duration = Duration::from_secs(8 * 24 * 60 * 60);

    fn at(text: &str) -> Timestamp {
        let moment: jiff::Timestamp = text.parse().expect("RFC 3339");
        timestamp(moment).expect("after 1970")
    }

    fn rule(zone: &str, when: config::Window) -> Maintenance {
        Maintenance {
            checks: vec!["*".into()],
            customer: None,
            when,
            zone: zone.into(),
            reason: "release".into(),
        }
    }

    fn every(days: &[u8], from: (u16, u16), to: (u16, u16)) -> config::Window {
        config::Window::Every {
            days: days.to_vec(),
            from_minute: from.0 * 60 + from.1,
            to_minute: to.0 * 60 + to.1,
        }
    }

    fn once(from: &str, to: &str) -> config::Window {
        config::Window::Once { from: from.into(), to: to.into() }
    }

    #[test]
    fn wall_times_become_moments() {
        let cases = [
            (
                "weekly, without clock changes",
                rule("Asia/Shanghai", every(&[7], (2, 0), (4, 0))),
                "2026-11-20T00:00:00Z",
                vec![("2026-11-21T18:00:00Z", "2026-11-21T20:00:00Z")],
            ),
            (
                "over midnight, begun yesterday",
                rule("Europe/Berlin", every(&[6], (23, 0), (1, 0))),
                "2026-01-10T23:30:00Z",
                vec![
                    ("2026-01-10T22:00:00Z", "2026-01-11T00:00:00Z"),
                    ("2026-01-17T22:00:00Z", "2026-01-18T00:00:00Z"),
                ],
            ),
            (
                "the skipped hour: 02:30 is 03:30 then",
                rule("Europe/Berlin", every(&[7], (2, 30), (4, 0))),
                "2026-03-28T12:00:00Z",
                vec![
                    ("2026-03-29T01:30:00Z", "2026-03-29T02:00:00Z"),
                    ("2026-04-05T00:30:00Z", "2026-04-05T02:00:00Z"),
                ],
            ),
            (
                "the hour that comes twice: from its first to its last occurrence",
                rule("Europe/Berlin", every(&[7], (2, 0), (2, 30))),
                "2026-10-24T12:00:00Z",
                vec![
                    ("2026-10-25T00:00:00Z", "2026-10-25T01:30:00Z"),
                    ("2026-11-01T01:00:00Z", "2026-11-01T01:30:00Z"),
                ],
            ),
            (
                "once",
                rule("America/New_York", once("2026-07-01T22:00", "2026-07-02T02:00")),
                "2026-07-01T00:00:00Z",
                vec![("2026-07-02T02:00:00Z", "2026-07-02T06:00:00Z")],
            ),
            (
                "once, over",
                rule("UTC", once("2026-07-01T22:00", "2026-07-02T02:00")),
                "2026-07-02T02:00:00Z",
                vec![],
            ),
        ];
        for (name, rule, now, wanted) in cases {
            let found = expand(&[rule], at(now), WEEK);
            let wanted: Vec<_> = wanted
                .into_iter()
                .map(|(from, to)| Window { rule: 0, from: at(from), to: at(to) })
                .collect();
            assert_eq!(found, wanted, "{name}");
        }
    }

    #[test]
    fn drills_begin_at_their_wall_time() {
        let drill = |zone: &str, days: &[u8], minute| Drill {
            check: None,
            days: days.to_vec(),
            minute,
            zone: zone.into(),
        };
        let daily: Vec<u8> = (1..=7).collect();
        let cases = [
            ("on the minute", drill("UTC", &daily, 510), "08:20:00", "08:30:00", Some("08:30:00")),
            ("before it", drill("UTC", &daily, 510), "08:20:00", "08:29:59", None),
            ("once", drill("UTC", &daily, 510), "08:30:00", "08:40:00", None),
            ("another day", drill("UTC", &[1, 2], 510), "08:20:00", "08:40:00", None),
            // Berlin's clocks go forward at 01:00 UTC: 02:30 is 03:30 then.
            (
                "skipped",
                drill("Europe/Berlin", &[7], 150),
                "01:25:00",
                "01:35:00",
                Some("01:30:00"),
            ),
            ("no zone", drill("Mars/Base", &daily, 510), "08:20:00", "08:40:00", None),
        ];
        let moment = |time: &str| at(&format!("2026-03-29T{time}Z"));
        for (what, drill, after, until, wanted) in cases {
            let found = last_start(&drill, moment(after), moment(until));
            assert_eq!(found, wanted.map(moment), "{what}");
        }
        let nightly = drill("Asia/Shanghai", &[7], 5);
        let (after, until) = (at("2026-03-28T15:58:00Z"), at("2026-03-28T16:06:00Z"));
        assert_eq!(last_start(&nightly, after, until), Some(at("2026-03-28T16:05:00Z")));
    }

    #[test]
    fn rules_without_sense_give_no_window() {
        let every_day = [1, 2, 3, 4, 5, 6, 7];
        let rules = [
            rule("Mars/Base", every(&every_day, (1, 0), (2, 0))),
            rule("UTC", every(&every_day, (24, 0), (25, 0))),
            rule("UTC", once("2026-07-04T22:00", "2026-07-04T02:00")),
            rule("UTC", once("tomorrow", "2026-07-04T02:00")),
        ];
        assert_eq!(expand(&rules, at("2026-07-02T02:00:00Z"), WEEK), []);
    }

    #[test]
    fn windows_of_several_rules_come_in_order_and_name_their_rule() {
        let rules = [
            rule("UTC", once("2026-07-05T00:00", "2026-07-05T01:00")),
            rule("UTC", once("2026-07-03T00:00", "2026-07-03T01:00")),
        ];
        let found = expand(&rules, at("2026-07-01T00:00:00Z"), WEEK);
        let order: Vec<_> = found.iter().map(|window| (window.rule, window.from)).collect();
        let wanted = [(0, at("2026-07-05T00:00:00Z")), (1, at("2026-07-03T00:00:00Z"))];
        assert_eq!(order, wanted);
    }
}
