//! Planned work: which checks, when in wall time, and in which zone.

use crosscheck_model::config::{Maintenance, Window};
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::fields::{self, Fields};
use super::finding::Findings;
use super::tree::{Entry, Node};
use super::{Reading, hint, words};

/// The days as people write them, Monday first.
const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

impl Reading<'_> {
    /// Reads `maintenance`; the checks must have been read.
    pub(super) fn maintenance(&mut self, entry: Option<&Entry>) {
        let Some(entry) = entry else { return };
        for node in fields::items(entry, &mut self.findings) {
            let made = self.one_maintenance(node);
            self.config.maintenance.extend(made);
        }
    }

    fn one_maintenance(&mut self, node: &Node) -> Option<Maintenance> {
        let found = &mut self.findings;
        let fields = Fields::of(node, node.span, &words::MAINTENANCE, found)?;
        fields.required("checks", found);
        let zone = fields.required("zone", found).and_then(|entry| zone(entry, found));
        let when = window(&fields, found);
        let reason = fields.text("reason", found).unwrap_or_default();
        let customer = self.owner_of(node.span, fields.entry("customer"));
        let checks = self.patterns(&fields, customer.as_ref());
        Some(Maintenance { checks, customer, when: when?, zone: zone?, reason })
    }
}

/// The name of a time zone, or a finding.
pub(super) fn zone(entry: &Entry, findings: &mut Findings) -> Option<String> {
    let name = fields::text(entry, findings)?;
    if TimeZone::get(&name).is_ok() {
        return Some(name);
    }
    let known: Vec<String> =
        jiff::tz::db().available().map(|zone| zone.as_str().to_owned()).collect();
    let near = hint::nearest(&name, known.iter().map(String::as_str));
    let hint =
        near.unwrap_or_else(|| "an IANA name: `Asia/Shanghai`, `Europe/Berlin`, `UTC`".to_owned());
    findings.error(fields::place(entry), format!("unknown time zone `{name}`")).hint(hint);
    None
}

fn window(fields: &Fields<'_>, findings: &mut Findings) -> Option<Window> {
    match (fields.entry("every"), fields.entry("from"), fields.entry("to")) {
        (Some(every), None, None) => {
            let text = fields::text(every, findings)?;
            let parsed = weekly(&text);
            if let Err(reason) = &parsed {
                findings.error(fields::place(every), format!("`{text}`: {reason}")).hint(
                    "days and times: `Sun 02:00-04:00`, `Mon,Wed 22:00-02:00`, `daily 01:00-02:00`"
                        .to_owned(),
                );
            }
            parsed.ok()
        }
        (None, Some(from), Some(to)) => once(from, to, findings),
        (Some(_), Some(other), _) | (Some(_), None, Some(other)) => {
            findings
                .error(other.key.span, format!("`{}` beside `every`", other.key.name))
                .hint("either `every`, or `from` and `to`".to_owned());
            None
        }
        _ => {
            findings
                .error(fields.at(), "a maintenance without its time")
                .hint("add `every: \"Sun 02:00-04:00\"`, or `from` and `to`".to_owned());
            None
        }
    }
}

/// Between two civil times.
fn once(from: &Entry, to: &Entry, findings: &mut Findings) -> Option<Window> {
    let start = civil(from, findings);
    let end = civil(to, findings);
    let (start, end) = (start?, end?);
    if end <= start {
        findings.error(fields::place(to), "the maintenance ends before it begins");
        return None;
    }
    Some(Window::Once { from: start.to_string(), to: end.to_string() })
}

fn civil(entry: &Entry, findings: &mut Findings) -> Option<DateTime> {
    let text = fields::text(entry, findings)?;
    // An offset would contradict the zone; what jiff takes from it is dropped silently.
    let zoned = text.contains(['Z', 'z', '+', '[']) || text.matches('-').count() > 2;
    let parsed = text.parse::<DateTime>().ok().filter(|_| !zoned && text.contains(':'));
    if parsed.is_none() {
        findings
            .error(fields::place(entry), format!("`{text}` is no date and time"))
            .hint("in the maintenance's zone: `2026-11-22 02:00`".to_owned());
    }
    parsed
}

/// `Sun 02:00-04:00`, `Mon,Wed 22:00-02:00`, `Mon-Fri 12:00-13:00`, `daily 01:00-02:00`.
fn weekly(text: &str) -> Result<Window, String> {
    let (days, times) = text.trim().split_once(' ').ok_or("days, a blank and times are wanted")?;
    let (from, to) = times.trim().split_once('-').ok_or("times are `from-to`")?;
    let (from_minute, to_minute) = (minute(from)?, minute(to)?);
    if from_minute == to_minute {
        return Err("it begins when it ends".to_owned());
    }
    Ok(Window::Every { days: day_list(days)?, from_minute, to_minute })
}

/// `Mon,Wed`, `Mon-Fri`, `daily`, as Monday = 1 to Sunday = 7.
pub(super) fn day_list(text: &str) -> Result<Vec<u8>, String> {
    if text.eq_ignore_ascii_case("daily") {
        return Ok((1..=7).collect());
    }
    let mut days = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (day(first)?, day(last)?);
        let mut at = first;
        days.push(at);
        while at != last {
            at = at % 7 + 1;
            days.push(at);
        }
    }
    days.sort_unstable();
    days.dedup();
    Ok(days)
}

/// Monday = 1 to Sunday = 7.
fn day(text: &str) -> Result<u8, String> {
    let at = DAYS.iter().position(|day| day.eq_ignore_ascii_case(text.trim()));
    let number = at.and_then(|at| u8::try_from(at + 1).ok());
    number.ok_or_else(|| format!("`{text}` is no day; days are {}", DAYS.join(", ")))
}

/// Minutes after midnight; `24:00` is midnight.
pub(super) fn minute(text: &str) -> Result<u16, String> {
    let wrong = || format!("`{text}` is no time of day");
    let (hour, minute) = text.trim().split_once(':').ok_or_else(wrong)?;
    let number = |text: &str| match text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit()) {
        true => text.parse::<u16>().map_err(|_| wrong()),
        false => Err(wrong()),
    };
    match (number(hour)?, number(minute)?) {
        (24, 0) => Ok(0),
        (hour, minute) if hour < 24 && minute < 60 => Ok(hour * 60 + minute),
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weekly_windows_are_read() {
        for (text, days, from, to) in [
            ("Sun 02:00-04:00", vec![7], 120, 240),
            ("Mon,Wed 22:00-02:00", vec![1, 3], 1320, 120),
            ("Fri-Mon 00:00-24:00", vec![], 0, 0),
            ("sat-mon 01:00-24:00", vec![1, 6, 7], 60, 0),
            ("daily 01:00-02:30", vec![1, 2, 3, 4, 5, 6, 7], 60, 150),
        ] {
            let wanted = Window::Every { days: days.clone(), from_minute: from, to_minute: to };
            match days.is_empty() {
                true => assert!(weekly(text).is_err(), "{text}"),
                false => assert_eq!(weekly(text), Ok(wanted), "{text}"),
            }
        }
        for bad in ["Sun", "Sun 2-4", "Sonntag 02:00-04:00", "Sun 25:00-26:00", "Sun 02:00", ""] {
            assert!(weekly(bad).is_err(), "{bad}");
        }
    }
}
