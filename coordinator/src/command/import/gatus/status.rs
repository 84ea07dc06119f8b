//! `[STATUS]`: several conditions on it want what all of them want.

use std::collections::BTreeSet;

use super::super::check::Check;
use super::super::written::Out;
use super::condition::any_of;

/// Any status.
const ALL: std::ops::RangeInclusive<u16> = 100..=599;

/// Makes the check want what the condition says, beside what it wanted before.
///
/// # Errors
/// Why it cannot.
pub(super) fn apply(sign: &str, right: &str, check: &mut Check) -> Result<(), String> {
    // There is none where nothing answers.
    if (sign, right) == ("==", "0") {
        check.set("negate", Out::word(true));
        return Ok(());
    }
    let number = || right.parse::<u16>().map_err(|_| format!("`{right}` is no status"));
    let wanted: BTreeSet<u16> = match (sign, any_of(right)) {
        ("==" | "!=", Some(items)) => {
            let items: Vec<u16> = items.iter().filter_map(|item| item.parse().ok()).collect();
            ALL.filter(|code| items.contains(code) == (sign == "==")).collect()
        }
        ("==" | "!=", None) if right.starts_with("pat(") => {
            let pattern = right.trim_start_matches("pat(").trim_end_matches(')');
            let begin = pattern.strip_suffix('*').filter(|begin| !begin.contains('*'));
            let begin = begin.ok_or("write the status codes that are wanted")?;
            let fits = |code: &u16| code.to_string().starts_with(begin);
            ALL.filter(|code| fits(code) == (sign == "==")).collect()
        }
        _ => {
            let number = number()?;
            let fits = |code: u16| match sign {
                "==" => code == number,
                "!=" => code != number,
                "<" => code < number,
                "<=" => code <= number,
                ">" => code > number,
                _ => code >= number,
            };
            ALL.filter(|code| fits(*code)).collect()
        }
    };
    let before = check.get("status").map(codes);
    let both = before.map_or(wanted.clone(), |before| &before & &wanted);
    if both.is_empty() {
        return Err("no status is wanted by all conditions; this one was left out".to_owned());
    }
    check.set("status", ranges(&both));
    Ok(())
}

/// Where no condition is about the status, any will do.
pub(super) fn any(check: &mut Check) {
    if check.is("http") && !check.has("status") {
        check.set("status", Out::texts(["100-599"]));
    }
}

/// All codes but these, for what must not be.
pub(in super::super) fn without(codes_not: &Out, among: Option<&Out>) -> Out {
    let unwanted = codes(codes_not);
    let among = among.map_or_else(|| ALL.collect(), codes);
    ranges(&(&among - &unwanted))
}

/// What a setting `status` lists.
fn codes(status: &Out) -> BTreeSet<u16> {
    let Out::List(items) = status else { return BTreeSet::new() };
    let of = |item: &Out| {
        let (Out::Text(text) | Out::Word(text)) = item else { return Vec::new() };
        let (from, to) = text.split_once('-').unwrap_or((text, text));
        match (from.trim().parse::<u16>(), to.trim().parse::<u16>()) {
            (Ok(from), Ok(to)) => (from.max(*ALL.start())..=to.min(*ALL.end())).collect(),
            _ => Vec::new(),
        }
    };
    items.iter().flat_map(of).collect()
}

/// As a setting: numbers, and ranges of those that follow each other.
fn ranges(codes: &BTreeSet<u16>) -> Out {
    let mut found: Vec<(u16, u16)> = Vec::new();
    for code in codes {
        match found.last_mut() {
            Some((_, last)) if *last + 1 == *code => *last = *code,
            _ => found.push((*code, *code)),
        }
    }
    let item = |(from, to): (u16, u16)| match from == to {
        true => Out::word(from),
        false => Out::text(format!("{from}-{to}")),
    };
    Out::List(found.into_iter().map(item).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(conditions: &[(&str, &str)]) -> String {
        let mut check = Check::new("f", 1, "n", "http");
        for (sign, right) in conditions {
            apply(sign, right, &mut check).expect("understood");
        }
        check.get("status").map(Out::flow).unwrap_or_default()
    }

    #[test]
    fn several_conditions_want_what_all_of_them_want() {
        assert_eq!(status(&[("==", "200")]), "[200]");
        assert_eq!(status(&[(">=", "200"), ("<", "300")]), "[\"200-299\"]");
        assert_eq!(status(&[("!=", "404")]), "[\"100-403\", \"405-599\"]");
        assert_eq!(status(&[("==", "any(200, 204)"), ("!=", "204")]), "[200]");
        assert_eq!(status(&[("!=", "any(500, 503)"), (">", "499")]), "[\"501-502\", \"504-599\"]");
        assert_eq!(status(&[("==", "pat(2*)")]), "[\"200-299\"]");
        let mut check = Check::new("f", 1, "n", "http");
        apply("==", "0", &mut check).expect("understood");
        assert!(check.has("negate") && !check.has("status"));
        apply("==", "200", &mut check).expect("understood");
        assert!(apply("==", "201", &mut check).is_err(), "nothing is both");
    }

    #[test]
    fn what_must_not_be_is_taken_out() {
        assert_eq!(without(&Out::texts(["500-599"]), None).flow(), "[\"100-499\"]");
        let among = Out::texts(["200-299"]);
        assert_eq!(
            without(&Out::texts(["204"]), Some(&among)).flow(),
            "[\"200-203\", \"205-299\"]"
        );
    }
}
