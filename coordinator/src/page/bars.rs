//! The bars of the last days: one per UTC day, blank time drawn as what it is.
//!
//! Days alike are drawn by one path and only the days that tell something get an element of their
//! own, so that a page of a thousand checks stays small.

use std::time::Duration;

use jiff::Span;
use jiff::civil::Date;

use super::availability::{Share, Total};
use super::text;
use super::tone::Tone;
use crate::history::Day;

/// Days on the page, as hosted status pages have it.
pub(crate) const DAYS: usize = 90;
/// Drawing units per day, of which the bar takes all but one.
const PITCH: usize = 4;
/// Drawing units from the bottom to the top.
const HEIGHT: f64 = 32.0;
/// The least part of a bar that a trouble takes: a minute in a day must be seen.
const FOOT_MIN: f64 = 0.4;

/// The bars of one check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bars {
    /// The first day, ISO 8601.
    pub(crate) first: String,
    /// One letter per day for the tooltip: `u` all up, `n` no data, `x` has its own text.
    pub(crate) letters: String,
    /// The width of the drawing.
    pub(crate) width: usize,
    /// The path over all days with time up.
    pub(crate) up: String,
    /// The path over all days without data.
    pub(crate) blank: String,
    /// The days that tell something.
    pub(crate) marks: Vec<Mark>,
    /// The availability; `None` without confirmed time.
    pub(crate) share: Option<String>,
    /// All of it in one sentence.
    pub(crate) summary: String,
}

/// A day that was neither all up nor all blank.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    /// Which bar, from 0.
    pub(crate) index: usize,
    /// Where it begins.
    pub(crate) x: usize,
    /// What the foot tells: `down`, `degraded`, `unknown`, `maintenance`.
    pub(crate) class: &'static str,
    /// Where the foot begins, from the top.
    pub(crate) y: usize,
    /// How high the foot is.
    pub(crate) height: usize,
    /// The date, the availability and where the rest of the day went.
    pub(crate) text: String,
}

impl Bars {
    /// The bars of the [`DAYS`] days up to `last`; a day that is not among `days` has no data.
    pub(crate) fn new(days: &[Day], last: Date) -> Self {
        let mut bars = Self {
            first: first_day(last).to_string(),
            letters: String::with_capacity(DAYS),
            width: DAYS * PITCH - 1,
            up: String::new(),
            blank: String::new(),
            marks: Vec::new(),
            share: None,
            summary: String::new(),
        };
        let mut known = days.iter().peekable();
        let mut date = first_day(last);
        for index in 0..DAYS {
            while known.next_if(|day| day.date < date).is_some() {}
            bars.push(index, known.next_if(|day| day.date == date));
            date = date.saturating_add(Span::new().days(1));
        }
        let total = Total::of(days);
        bars.share = total.share().map(Share::text);
        bars.summary = bars.sentence(&total);
        bars
    }

    /// Draws one day.
    fn push(&mut self, index: usize, day: Option<&Day>) {
        let x = index * PITCH;
        let bar = format!("M{x} 0h3v32h-3z");
        let Some(day) = day.filter(|day| !is_blank(day)) else {
            self.letters.push('n');
            self.blank.push_str(&bar);
            return;
        };
        if !(day.up + day.degraded).is_zero() {
            self.up.push_str(&bar);
        }
        let Some((class, time)) = trouble(day) else {
            self.letters.push('u');
            return;
        };
        self.letters.push('x');
        let height = foot(time, day);
        let y = HEIGHT as usize - height;
        self.marks.push(Mark { index, x, class, y, height, text: tell(day) });
    }

    /// All bars in one sentence, for those who do not see them.
    fn sentence(&self, total: &Total) -> String {
        let blank = self.letters.bytes().filter(|&letter| letter == b'n').count();
        let share = match &self.share {
            Some(share) => format!("Last {DAYS} days: {share} available"),
            None => format!("Last {DAYS} days: no confirmed time"),
        };
        let down = self.marks.iter().filter(|mark| mark.class == "down").count();
        let mut parts = vec![share];
        if down > 0 {
            let days = text::count(down, "day");
            parts.push(format!("down on {days}, {} in all", text::length(total.down)));
        }
        if blank > 0 {
            parts.push(format!("no data on {}", text::count(blank, "day")));
        }
        parts.join("; ") + "."
    }
}

/// The first of the days that end with `last`.
pub(crate) fn first_day(last: Date) -> Date {
    let back = i64::try_from(DAYS).unwrap_or(0) - 1;
    last.saturating_sub(Span::new().days(back))
}

/// Nothing is known of the whole day.
fn is_blank(day: &Day) -> bool {
    (day.up + day.degraded + day.down + day.unknown + day.maintenance).is_zero()
}

/// The worst that the day saw, and for how long.
fn trouble(day: &Day) -> Option<(&'static str, Duration)> {
    let worst = [
        (Tone::Down, day.down),
        (Tone::Degraded, day.degraded),
        (Tone::Unknown, day.unknown),
        (Tone::Maintenance, day.maintenance),
    ]
    .into_iter()
    .filter(|(_, time)| !time.is_zero())
    .max_by_key(|(tone, _)| *tone);
    worst.map(|(tone, time)| (tone.class(), time))
}

/// How much of the bar a trouble takes: by the square root of its share of the day, so that
/// minutes and hours can both be told.
fn foot(time: Duration, day: &Day) -> usize {
    let all = day.up + day.degraded + day.down + day.unknown + day.maintenance;
    let part = (time.as_secs_f64() / all.as_secs_f64()).sqrt().clamp(FOOT_MIN, 1.0);
    (part * HEIGHT).round() as usize
}

/// The day in words: `Tue 3 Nov 2026: 99.16 %, down 12 min, unknown 1 h`.
pub(crate) fn tell(day: &Day) -> String {
    let share = Share::of(day.up + day.degraded, day.down);
    let share = share.map_or_else(|| "no confirmed time".to_owned(), Share::text);
    let mut told = format!("{}: {share}", text::day_name(day.date));
    for (word, time) in [
        ("down", day.down),
        ("degraded", day.degraded),
        ("unknown", day.unknown),
        ("maintenance", day.maintenance),
        ("no data", day.no_data),
    ] {
        if !time.is_zero() {
            told.push_str(&format!(", {word} {}", text::length(time)));
        }
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn day(date: Date, hours: [u32; 6]) -> Day {
        let [up, degraded, down, unknown, maintenance, no_data] = hours.map(|h| h * HOUR);
        Day { date, up, degraded, down, unknown, maintenance, no_data }
    }

    fn last() -> Date {
        jiff::civil::date(2026, 11, 22)
    }

    #[test]
    fn blank_days_are_blank_and_neither_green_nor_red() {
        let yesterday = jiff::civil::date(2026, 11, 21);
        let days = [day(yesterday, [24, 0, 0, 0, 0, 0]), day(last(), [0, 0, 0, 0, 0, 4])];
        let bars = Bars::new(&days, last());
        assert_eq!(bars.letters.len(), DAYS);
        assert_eq!(bars.letters, format!("{}un", "n".repeat(88)));
        assert_eq!(bars.up, "M352 0h3v32h-3z");
        assert_eq!(bars.blank.matches('M').count(), 89);
        assert_eq!(bars.marks, []);
        assert_eq!(bars.summary, "Last 90 days: 100 % available; no data on 89 days.");
    }

    #[test]
    fn nothing_known_is_no_number() {
        let bars = Bars::new(&[], last());
        assert_eq!(bars.share, None);
        assert_eq!(bars.up, "");
        assert_eq!(bars.summary, "Last 90 days: no confirmed time; no data on 90 days.");
    }

    #[test]
    fn a_day_shows_its_worst_and_tells_all() {
        for (hours, class, height, text) in [
            ([12, 0, 12, 0, 0, 0], "down", 23, "50 %, down 12 h"),
            ([0, 0, 24, 0, 0, 0], "down", 32, "0 %, down 1 d"),
            ([23, 1, 0, 0, 0, 0], "degraded", 13, "100 %, degraded 1 h"),
            ([23, 0, 0, 1, 0, 0], "unknown", 13, "100 %, unknown 1 h"),
            ([0, 0, 0, 24, 0, 0], "unknown", 32, "no confirmed time, unknown 1 d"),
            ([22, 0, 0, 0, 2, 0], "maintenance", 13, "100 %, maintenance 2 h"),
        ] {
            let bars = Bars::new(&[day(last(), hours)], last());
            let [mark] = bars.marks.as_slice() else { panic!("one mark for {hours:?}") };
            assert_eq!((mark.class, mark.height), (class, height), "{hours:?}");
            assert_eq!(mark.y + mark.height, 32);
            assert_eq!(mark.text, format!("Sun 22 Nov 2026: {text}"));
            assert!(bars.letters.ends_with("nx"));
        }
    }

    #[test]
    fn a_bar_is_green_only_over_time_up() {
        let bars = Bars::new(&[day(last(), [0, 0, 24, 0, 0, 0])], last());
        assert_eq!(bars.up, "");
        let bars = Bars::new(&[day(last(), [0, 0, 0, 24, 0, 0])], last());
        assert_eq!(bars.up, "");
    }
}
