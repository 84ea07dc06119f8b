//! Spans cut into UTC days. Pure.

use std::time::Duration;

use crosscheck_model::{Status, Timestamp};
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::query::{Day, Span};

const DAY_MILLIS: u64 = 24 * 60 * 60 * 1000;

/// The midnight that begins the first of `days` days, the last of which `until` lies in.
pub(super) fn first_midnight(until: Timestamp, days: u32) -> Timestamp {
    let midnight = until.as_millis() / DAY_MILLIS * DAY_MILLIS;
    let back = u64::from(days.saturating_sub(1)) * DAY_MILLIS;
    Timestamp::from_millis(midnight.saturating_sub(back))
}

/// Each day from the midnight `from` to `until`; `spans` are in order and do not overlap.
/// What they leave out is "no data".
pub(super) fn split(spans: &[Span], from: Timestamp, until: Timestamp) -> Vec<Day> {
    let mut days = Vec::new();
    let mut start = from;
    while start < until {
        let end = start.plus(Duration::from_millis(DAY_MILLIS)).min(until);
        days.push(day(spans, start, end));
        start = end;
    }
    days
}

fn day(spans: &[Span], start: Timestamp, end: Timestamp) -> Day {
    let mut day = empty(start);
    let mut covered = Duration::ZERO;
    // Spans are sorted, so a day looks at its own only.
    let first = spans.partition_point(|span| span.to <= start);
    for span in spans[first..].iter().take_while(|span| span.from < end) {
        let time = span.to.min(end).since(span.from.max(start));
        covered += time;
        *slot(&mut day, span) += time;
    }
    day.no_data += end.since(start).saturating_sub(covered);
    day
}

fn slot<'a>(day: &'a mut Day, span: &Span) -> &'a mut Duration {
    match span.status {
        _ if span.maintenance => &mut day.maintenance,
        None => &mut day.no_data,
        Some(Status::Up) => &mut day.up,
        Some(Status::Degraded) => &mut day.degraded,
        Some(Status::Down) => &mut day.down,
        Some(Status::Unknown) => &mut day.unknown,
    }
}

fn empty(start: Timestamp) -> Day {
    let zero = Duration::ZERO;
    Day {
        date: date(start),
        up: zero,
        degraded: zero,
        down: zero,
        unknown: zero,
        maintenance: zero,
        no_data: zero,
    }
}

fn date(moment: Timestamp) -> Date {
    let millis = i64::try_from(moment.as_millis()).unwrap_or(i64::MAX);
    jiff::Timestamp::from_millisecond(millis)
        .unwrap_or(jiff::Timestamp::MAX)
        .to_zoned(TimeZone::UTC)
        .date()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn elapsed(day: &Day) -> Duration {
        day.up + day.degraded + day.down + day.unknown + day.maintenance + day.no_data
    }

    const STATUSES: [Option<Status>; 5] =
        [None, Some(Status::Up), Some(Status::Degraded), Some(Status::Down), Some(Status::Unknown)];

    #[test]
    fn a_day_says_what_was_the_case() {
        let at = |hour: u64| Timestamp::from_millis(hour * 3_600_000);
        let span = |from, to, status, maintenance| Span { from, to, status, maintenance };
        let spans = [
            span(at(26), at(30), Some(Status::Up), false),
            span(at(30), at(31), Some(Status::Down), false),
            span(at(31), at(33), Some(Status::Down), true),
            span(at(33), at(52), Some(Status::Unknown), false),
        ];
        let until = at(52);
        let days = split(&spans, first_midnight(until, 3), until);
        assert_eq!(days.len(), 3);
        let hours = |n: u64| Duration::from_secs(n * 3600);
        assert_eq!(days[0].no_data, hours(24));
        assert_eq!(days[1].date.to_string(), "1970-01-02");
        assert_eq!(days[1].no_data, hours(2));
        assert_eq!((days[1].up, days[1].down, days[1].maintenance), (hours(4), hours(1), hours(2)));
        assert_eq!((days[1].unknown, days[2].unknown), (hours(15), hours(4)));
        assert_eq!(elapsed(&days[2]), hours(4));
    }

    proptest! {
        #[test]
        fn days_add_up_to_the_time_that_passed(
            gaps in prop::collection::vec((1u64..200_000_000, 0usize..5, any::<bool>()), 0..40),
            rest in 0u64..200_000_000,
            wanted in 1u32..20,
        ) {
            let mut spans: Vec<Span> = Vec::new();
            let mut at = 40 * DAY_MILLIS;
            for (gap, status, maintenance) in gaps {
                let from = Timestamp::from_millis(at);
                at += gap;
                let (to, status) = (Timestamp::from_millis(at), STATUSES[status]);
                spans.push(Span { from, to, status, maintenance });
            }
            let until = Timestamp::from_millis(at + rest + 1);
            let from = first_midnight(until, wanted);
            let days = split(&spans, from, until);
            prop_assert_eq!(days.len(), wanted as usize);
            for day in &days[..days.len() - 1] {
                prop_assert_eq!(elapsed(day), Duration::from_millis(DAY_MILLIS));
            }
            let total: Duration = days.iter().map(elapsed).sum();
            prop_assert_eq!(total, until.since(from));
        }
    }
}
