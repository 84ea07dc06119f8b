//! Drills: whose alarm is tried out, and when.

use crosscheck_model::CheckId;
use crosscheck_model::config::Drill;

use super::fields::{self, Fields};
use super::maintenance::{day_list, minute, zone};
use super::tree::{Entry, Node, Span};
use super::{Reading, hint, words};

impl Reading<'_> {
    /// Reads `drills`; checks and operators must have been read.
    pub(super) fn drills(&mut self, entry: Option<&Entry>) {
        let Some(entry) = entry else { return };
        for node in fields::items(entry, &mut self.findings) {
            let made = self.drill(node);
            self.config.drills.extend(made);
        }
    }

    fn drill(&mut self, node: &Node) -> Option<Drill> {
        let found = &mut self.findings;
        let fields = Fields::of(node, node.span, &words::DRILL, found)?;
        let zone = fields.required("zone", found).and_then(|entry| zone(entry, found));
        let time = fields.required("every", found).and_then(|entry| {
            let text = fields::text(entry, found)?;
            let parsed = time(&text);
            if let Err(reason) = &parsed {
                found.error(fields::place(entry), format!("`{text}`: {reason}")).hint(
                    "days and a time: `Mon-Fri 09:00`, `Sun 18:30`, `daily 08:30`".to_owned(),
                );
            }
            parsed.ok()
        });
        let check = match fields.entry("check") {
            None => {
                self.simulates_own_trouble(node.span)?;
                None
            }
            Some(entry) => {
                let name = fields::text(entry, &mut self.findings)?;
                Some(self.simulated(&name, entry.value.span)?)
            }
        };
        let (days, minute) = time?;
        Some(Drill { check, days, minute, zone: zone? })
    }

    /// The operators are the installation's own, and there must be some.
    fn simulates_own_trouble(&mut self, span: Span) -> Option<()> {
        if self.owners.get(span.source).is_some_and(Option::is_some) {
            self.findings
                .error(span, "a customer's drill without its check")
                .hint("add `check:`, the name of one of the customer's checks".to_owned());
            return None;
        }
        if self.config.operators.is_empty() {
            self.findings
                .error(span, "a drill of the operators' alarm, and there are no `operators`")
                .hint("add `operators: [NAME]`, or `check: NAME` to the drill".to_owned());
            return None;
        }
        Some(())
    }

    /// The check of this name: in a customer's file one of theirs, elsewhere any, by its id.
    fn simulated(&mut self, name: &str, span: Span) -> Option<CheckId> {
        let owner = self.owners.get(span.source).cloned().flatten();
        let wanted = CheckId::of(owner.as_ref(), name);
        let known =
            self.config.checks.iter().filter(|check| owner.is_none() || check.customer == owner);
        let named = known.map(|check| {
            (&check.id, if owner.is_some() { check.name.as_str() } else { check.id.as_str() })
        });
        let named: Vec<(&CheckId, &str)> = named.collect();
        if named.iter().any(|(id, _)| **id == wanted) {
            return Some(wanted);
        }
        let hint = hint::nearest(name, named.into_iter().map(|(_, name)| name));
        self.findings.error(span, format!("unknown check `{name}`")).hint(hint);
        None
    }
}

/// `Mon-Fri 09:00`, `daily 08:30`.
fn time(text: &str) -> Result<(Vec<u8>, u16), String> {
    let (days, time) = text.trim().split_once(' ').ok_or("days, a blank and a time are wanted")?;
    if time.contains('-') {
        return Err("a drill has one time: it ends when everybody is told".to_owned());
    }
    Ok((day_list(days)?, minute(time)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_a_time_are_read() {
        let all: Vec<u8> = (1..=7).collect();
        for (text, days, minute) in [
            ("daily 08:30", all, 510),
            ("Mon-Fri 09:00", vec![1, 2, 3, 4, 5], 540),
            ("sun 24:00", vec![7], 0),
        ] {
            assert_eq!(time(text), Ok((days, minute)), "{text}");
        }
        for bad in ["", "daily", "08:30", "daily 08:30-09:00", "Frei 08:30", "daily 8:30"] {
            assert!(time(bad).is_err(), "{bad}");
        }
    }
}
