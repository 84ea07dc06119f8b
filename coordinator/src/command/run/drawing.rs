//! The result of a run as a person wants to see it: a bar of its phases, and what went wrong.

use std::io::{self, Write};
use std::time::Duration;

use crosscheck_checks::kind::part::Part;
use crosscheck_model::{CheckSpec, Outcome, Phase, Phases, Status};
use unicode_width::UnicodeWidthStr;

use crate::command::terminal::line as shown;

/// How wide a bar is: with a name of 20 columns a line fits into 100.
const BAR: usize = 36;

/// Ends a colour.
const OFF: &str = "\x1b[0m";

/// A phase's letter without colours, its colour, and its word.
const fn look(phase: Phase) -> (char, &'static str, &'static str) {
    match phase {
        Phase::Dns => ('d', "\x1b[36m", "dns"),
        Phase::Connect => ('c', "\x1b[33m", "connect"),
        Phase::Tls => ('t', "\x1b[35m", "tls"),
        Phase::Send => ('s', "\x1b[37m", "send"),
        Phase::FirstByte => ('f', "\x1b[32m", "first byte"),
        Phase::Transfer => ('x', "\x1b[34m", "transfer"),
    }
}

/// A status's word and colour.
const fn word(status: Status) -> (&'static str, &'static str) {
    match status {
        Status::Up => ("UP", "\x1b[1;32m"),
        Status::Degraded => ("DEGRADED", "\x1b[1;33m"),
        Status::Down => ("DOWN", "\x1b[1;31m"),
        Status::Unknown => ("UNKNOWN", "\x1b[1;35m"),
    }
}

/// The columns that a text takes on a terminal.
pub(super) fn columns(text: &str) -> usize {
    shown(text).width()
}

/// What the parts of a bar mean.
///
/// # Errors
/// What the writer says.
pub(super) fn legend(out: &mut dyn Write, colour: bool) -> io::Result<()> {
    let part = |phase: &Phase| {
        let (letter, paint, word) = look(*phase);
        match colour {
            true => format!("{paint}██{OFF} {word}"),
            false => format!("{letter} {word}"),
        }
    };
    let parts: Vec<String> = Phase::ALL.iter().map(part).collect();
    writeln!(out, "{}\n", parts.join("   "))
}

/// One check: its name padded to `width`, status, time, bar and address; then what went wrong.
///
/// # Errors
/// What the writer says.
pub(super) fn result(
    out: &mut dyn Write,
    spec: &CheckSpec,
    outcome: &Outcome,
    width: usize,
    colour: bool,
) -> io::Result<()> {
    let name = shown(&spec.name);
    let pad = " ".repeat(width.saturating_sub(name.width()));
    let (status, paint) = word(outcome.status);
    let (paint, off) = if colour { (paint, OFF) } else { ("", "") };
    let total = milliseconds(outcome.duration);
    let bar = bar(&outcome.phases, colour);
    let address = outcome.address.as_deref().map(shown).unwrap_or_default();
    let line = format!("{name}{pad}  {paint}{status:<8}{off} {total:>10}  {bar}  {address}");
    writeln!(out, "{}", line.trim_end())?;
    let phases: Vec<String> = outcome
        .phases
        .iter()
        .map(|(phase, time)| format!("{} {}", look(phase).2, milliseconds(time)))
        .collect();
    if !phases.is_empty() {
        writeln!(out, "{:width$}  {}", "", phases.join(", "))?;
    }
    if !outcome.values.is_empty() {
        let value = |(name, value): (&String, &f64)| format!("{} {}", shown(name), number(*value));
        let values: Vec<String> = outcome.values.iter().map(value).collect();
        writeln!(out, "{:width$}  {}", "", values.join(", "))?;
    }
    if let Some(cause) = outcome.cause {
        let detail = match outcome.detail.is_empty() {
            true => cause.explain().to_owned(),
            false => shown(&outcome.detail),
        };
        writeln!(out, "{:width$}  {paint}{cause}{off}: {detail}", "")?;
    }
    if outcome.status != Status::Up {
        for line in outcome.excerpt.lines() {
            writeln!(out, "{:width$}  | {}", "", cut(&shown(line)))?;
        }
    }
    Ok(())
}

/// The slowest parts of what a check loaded, each with its time and size.
///
/// # Errors
/// What the writer says.
pub(super) fn parts(out: &mut dyn Write, parts: &[Part], width: usize) -> io::Result<()> {
    /// As many as are read at a glance; JSON has all.
    const SHOWN: usize = 10;
    for part in parts.iter().take(SHOWN) {
        let time = milliseconds(part.took);
        let size = format!("{} B", part.bytes);
        let failure = part.failure.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
        let what = cut(&shown(&format!("{} {}{failure}", part.role, part.url)));
        writeln!(out, "{:width$}  {time:>10} {size:>11}  {what}", "")?;
    }
    let more = parts.len().saturating_sub(SHOWN);
    if more > 0 {
        writeln!(out, "{:width$}  and {more} that took less; --json names all", "")?;
    }
    Ok(())
}

/// The beginning of a line of an excerpt.
fn cut(line: &str) -> String {
    /// Two lines of a usual terminal tell an error page from another.
    const SHOWN_CHARACTERS: usize = 160;
    match line.char_indices().nth(SHOWN_CHARACTERS) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line.to_owned(),
    }
}

/// A number with at most three decimals.
fn number(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// `12.3 ms`.
fn milliseconds(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1000.0)
}

/// The phases in proportion to their times, [`BAR`] columns wide.
fn bar(phases: &Phases, colour: bool) -> String {
    let times: Vec<(Phase, Duration)> = phases.iter().collect();
    let cells = share(&times.iter().map(|(_, time)| *time).collect::<Vec<_>>(), BAR);
    let mut bar = String::new();
    for ((phase, _), cells) in times.iter().zip(&cells) {
        let (letter, paint, _) = look(*phase);
        if colour && *cells > 0 {
            bar.push_str(&format!("{paint}{}{OFF}", "█".repeat(*cells)));
        } else {
            bar.extend(std::iter::repeat_n(letter, *cells));
        }
    }
    bar.push_str(&" ".repeat(BAR - cells.iter().sum::<usize>()));
    bar
}

/// `cells` shared out in proportion to the times; a phase that took any time has one at least.
fn share(times: &[Duration], cells: usize) -> Vec<usize> {
    let total: u128 = times.iter().map(Duration::as_nanos).sum();
    if total == 0 {
        return vec![0; times.len()];
    }
    let some = times.iter().filter(|time| !time.is_zero()).count();
    let free = cells.saturating_sub(some) as u128;
    // Rounding the running sum instead of each part keeps the whole exact.
    let mut before = 0;
    times
        .iter()
        .map(|time| {
            let start = before * free / total;
            before += time.as_nanos();
            let part = usize::try_from(before * free / total - start).unwrap_or(0);
            part + usize::from(!time.is_zero())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_in_proportion_and_full() {
        let ms = Duration::from_millis;
        for (times, wanted) in [
            (vec![ms(10), ms(10)], vec![18, 18]),
            (vec![ms(1), ms(1000)], vec![1, 35]),
            (vec![ms(0), ms(5)], vec![0, 36]),
            (vec![], vec![]),
            (vec![ms(0)], vec![0]),
        ] {
            let shared = share(&times, BAR);
            assert_eq!(shared, wanted, "{times:?}");
        }
        let many = [ms(3), ms(7), ms(31), ms(1), ms(2), ms(90)];
        assert_eq!(share(&many, BAR).iter().sum::<usize>(), BAR);
    }
}
