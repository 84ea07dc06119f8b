//! When a check runs and when its failures become an alarm: the terms of a check, of the
//! document's `defaults` and of the check's kind, in this order.

use std::time::Duration;

use crosscheck_model::Severity;
use crosscheck_model::spec::{Rule, Schedule, SiteChoice, SiteQuorum};

use super::fields::{self, Fields};
use super::finding::Findings;
use super::tree::{Entry, Span};
use super::{Reading, words};
use crate::kind::Defaults;

/// The shortest interval: what is tested more often is not monitored but loaded.
const SHORTEST: Duration = Duration::from_secs(1);

/// The longest interval: an answer older than a day is no evidence.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// The longest pause between attempts: longer ones belong to the interval.
const LONGEST_GAP: Duration = Duration::from_secs(10 * 60);

/// The most attempts: each of them delays the alarm.
const MOST_ATTEMPTS: u32 = 10;

/// A in the rule, when people say nothing.
const ATTEMPTS: u32 = 2;

/// r in the rule, when people say nothing.
const ATTEMPT_GAP: Duration = Duration::from_secs(3);

/// How long a target must be well again until an incident closes, when people say nothing (row 4
/// of the decision table).
const RECOVERY_HOLD: Duration = Duration::from_secs(60);

/// A value and where it was written.
type Placed<T> = Option<(T, Span)>;

/// What people said about runs and alarms; `None`: nothing.
#[derive(Clone, Debug, Default)]
pub(super) struct Terms {
    interval: Placed<Duration>,
    timeout: Placed<Duration>,
    retry_interval: Placed<Duration>,
    attempts: Option<u32>,
    attempt_gap: Option<Duration>,
    severity: Option<Severity>,
    recovery_hold: Option<Duration>,
    rule: Option<Rule>,
    /// Which sites run it.
    pub(super) sites: Placed<SiteChoice>,
    /// How many of them must agree.
    pub(super) quorum: Placed<SiteQuorum>,
}

/// The word's severity.
const SEVERITIES: [Severity; 4] =
    [Severity::Disaster, Severity::High, Severity::Average, Severity::Warning];

/// A severity by its word.
pub(super) fn severity(text: &str, span: Span, findings: &mut Findings) -> Option<Severity> {
    let words: Vec<_> = words::SEVERITIES.iter().copied().zip(SEVERITIES).collect();
    fields::word(text, span, "severity", &words, findings)
}

impl Reading<'_> {
    /// Reads `defaults`.
    pub(super) fn defaults(&mut self, entry: Option<&Entry>) -> Terms {
        let Some(entry) = entry else { return Terms::default() };
        let found = &mut self.findings;
        let Some(fields) = Fields::of(&entry.value, entry.key.span, &words::DEFAULTS, found) else {
            return Terms::default();
        };
        let mut terms = self.terms(&fields);
        self.alarm_terms(&fields, &mut terms);
        terms
    }

    /// Reads what a check says.
    pub(super) fn check_terms(&mut self, fields: &Fields<'_>) -> Terms {
        let mut terms = self.terms(fields);
        let Some(entry) = fields.entry("alarm") else { return terms };
        let found = &mut self.findings;
        let Some(alarm) = Fields::of(&entry.value, entry.key.span, &words::ALARM, found) else {
            return terms;
        };
        self.alarm_terms(&alarm, &mut terms);
        if let Some(average) = alarm.entry("average") {
            if let Some(after) = alarm.entry("after") {
                self.findings
                    .error(after.key.span, "`after` beside `average`: an alarm has one rule")
                    .hint("remove one of them".to_owned());
            }
            terms.rule = self.average(average);
        }
        terms
    }

    /// The keys that checks and `defaults` share.
    fn terms(&mut self, fields: &Fields<'_>) -> Terms {
        let found = &mut self.findings;
        let mut terms = Terms {
            interval: interval(fields, "interval", found),
            timeout: timeout(fields, found),
            attempts: fields.count("attempts", 1, found),
            attempt_gap: bounded(fields, "attempt_gap", Duration::ZERO, LONGEST_GAP, found),
            ..Terms::default()
        };
        if let (Some(attempts), Some(entry)) = (terms.attempts, fields.entry("attempts"))
            && attempts > MOST_ATTEMPTS
        {
            let message = format!("{attempts} attempts delay every alarm; at most {MOST_ATTEMPTS}");
            found.error(fields::place(entry), message);
        }
        let sites = fields.entry("sites");
        terms.sites = sites.and_then(|entry| Some((self.choice(entry)?, entry.key.span)));
        let quorum = fields.entry("site_quorum");
        terms.quorum = quorum.and_then(|entry| Some((self.quorum(entry)?, fields::place(entry))));
        terms
    }

    fn alarm_terms(&mut self, fields: &Fields<'_>, terms: &mut Terms) {
        let found = &mut self.findings;
        terms.retry_interval = interval(fields, "retry_interval", found);
        terms.recovery_hold = bounded(fields, "recovery_hold", Duration::ZERO, LONGEST, found);
        terms.rule = fields.count("after", 1, found).map(Rule::Consecutive);
        terms.severity = fields
            .entry("severity")
            .and_then(|entry| severity(&fields::text(entry, found)?, fields::place(entry), found));
    }

    fn average(&mut self, entry: &Entry) -> Option<Rule> {
        let found = &mut self.findings;
        let fields = Fields::of(&entry.value, entry.key.span, &words::AVERAGE, found)?;
        let entries = ["value", "over", "above"].map(|name| fields.required(name, found));
        let [Some(value), Some(over), Some(above)] = entries else { return None };
        let value = fields::text(value, found);
        let over = within(over, "over", SHORTEST, LONGEST, found);
        let text = fields::text(above, found)?;
        let above_milli = thousandths(&text);
        if above_milli.is_none() {
            found.error(fields::place(above), format!("`{text}` is no threshold")).hint(
                "a number with at most three decimals, or a share: `20`, `0.5`, `40%`".to_owned(),
            );
        }
        Some(Rule::Average { value: value?, over: over?, above_milli: above_milli? })
    }
}

impl Terms {
    /// The schedule that results; what does not fit together is reported.
    pub(super) fn schedule(
        &self,
        defaults: &Self,
        kind: &Defaults,
        findings: &mut Findings,
    ) -> Schedule {
        let interval = self.interval.or(defaults.interval);
        let timeout = self.timeout.or(defaults.timeout);
        let retry = self.retry_interval.or(defaults.retry_interval);
        let given = |placed: Placed<Duration>| placed.map(|(value, _)| value);
        let every = given(interval).unwrap_or(kind.interval);
        let again = given(retry).unwrap_or(kind.retry_interval.min(every));
        let shortest = every.min(again);
        let at_most = given(timeout).unwrap_or(kind.timeout.min(shortest));
        let (word, limit) =
            if every <= again { ("interval", every) } else { ("retry_interval", again) };
        let at = self.timeout.or(self.interval).or(self.retry_interval).or(timeout).or(interval);
        if at_most > limit {
            let message = format!(
                "the timeout, {}, is longer than the {word}, {}",
                humantime::format_duration(at_most),
                humantime::format_duration(limit)
            );
            findings
                .error(at.map(|(_, span)| span), message)
                .hint("a run must have ended before the next one is due".to_owned());
        }
        Schedule {
            interval: every,
            retry_interval: again,
            timeout: at_most,
            attempts: self.attempts.or(defaults.attempts).unwrap_or(ATTEMPTS),
            attempt_gap: self.attempt_gap.or(defaults.attempt_gap).unwrap_or(ATTEMPT_GAP),
        }
    }

    /// The rule that results.
    pub(super) fn rule(&self, defaults: &Self, kind: &Defaults) -> Rule {
        let said = self.rule.clone().or_else(|| defaults.rule.clone());
        said.unwrap_or(Rule::Consecutive(kind.after))
    }

    /// How long a target must be well again.
    pub(super) fn recovery_hold(&self, defaults: &Self) -> Duration {
        self.recovery_hold.or(defaults.recovery_hold).unwrap_or(RECOVERY_HOLD)
    }

    /// The severity that results.
    pub(super) fn severity(&self, defaults: &Self, kind: &Defaults) -> Severity {
        self.severity.or(defaults.severity).unwrap_or(kind.severity)
    }
}

/// An interval within its bounds.
fn interval(fields: &Fields<'_>, name: &str, findings: &mut Findings) -> Placed<Duration> {
    let entry = fields.entry(name)?;
    let value = fields::duration(entry, findings)?;
    let place = fields::place(entry);
    if value < SHORTEST {
        findings.error(place, format!("`{name}` below 1s")).hint("1s is the shortest".to_owned());
        return None;
    }
    if value > LONGEST {
        findings.error(place, format!("`{name}` above 24h")).hint("24h is the longest".to_owned());
        return None;
    }
    Some((value, place))
}

/// A duration between two bounds.
fn bounded(
    fields: &Fields<'_>,
    name: &str,
    least: Duration,
    most: Duration,
    findings: &mut Findings,
) -> Option<Duration> {
    within(fields.entry(name)?, name, least, most, findings)
}

fn within(
    entry: &Entry,
    name: &str,
    least: Duration,
    most: Duration,
    findings: &mut Findings,
) -> Option<Duration> {
    let value = fields::duration(entry, findings)?;
    if (least..=most).contains(&value) {
        return Some(value);
    }
    let shown = humantime::format_duration;
    findings.error(fields::place(entry), format!("`{name}` is {}", shown(value))).hint(format!(
        "from {} to {}",
        shown(least),
        shown(most)
    ));
    None
}

fn timeout(fields: &Fields<'_>, findings: &mut Findings) -> Placed<Duration> {
    let entry = fields.entry("timeout")?;
    let value = fields::duration(entry, findings)?;
    if value.is_zero() {
        findings.error(fields::place(entry), "a timeout of nothing: no run could succeed");
        return None;
    }
    Some((value, fields::place(entry)))
}

/// A decimal number, or a share in per cent, in thousandths.
fn thousandths(text: &str) -> Option<i64> {
    let number = text.strip_suffix('%').unwrap_or(text).trim_end();
    let (sign, digits) = match number.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, number),
    };
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let decimal = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !decimal(whole) || !decimal(part) || part.len() > 3 {
        return None;
    }
    let whole: i64 = whole.parse().ok()?;
    let part: i64 = format!("{part:0<3}").parse().ok()?;
    whole.checked_mul(1000)?.checked_add(part).map(|milli| sign * milli)
}

#[cfg(test)]
mod tests {
    use super::thousandths;

    #[test]
    fn thresholds_are_exact_thousandths() {
        for (text, wanted) in [
            ("20", Some(20_000)),
            ("0.5", Some(500)),
            ("40%", Some(40_000)),
            ("-1.25", Some(-1250)),
            ("1.2345", None),
            ("1e3", None),
            ("", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(thousandths(text), wanted, "{text}");
        }
    }
}
