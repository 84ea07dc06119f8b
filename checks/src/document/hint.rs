//! The nearest known name for a misspelt one.

/// `did you mean ..`, when a known name is near; otherwise the known names, when they are few.
pub fn nearest<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    /// More names than this are a wall of text, not a hint.
    const LISTED: usize = 24;
    let mut known: Vec<&str> = known.into_iter().collect();
    let lower = wrong.to_lowercase();
    let near = known
        .iter()
        .map(|name| (strsim::damerau_levenshtein(&lower, &name.to_lowercase()), *name))
        .filter(|(distance, name)| *distance <= reach(wrong.chars().count(), name.len()))
        .min();
    match near {
        Some((_, name)) => Some(format!("did you mean `{name}`?")),
        None if known.is_empty() || known.len() > LISTED => None,
        None => {
            known.sort_unstable();
            known.dedup();
            Some(format!("known: {}", list(&known)))
        }
    }
}

/// How many slips of the pen still count as the same word: a third of it.
fn reach(wrong: usize, known: usize) -> usize {
    (wrong.max(known) / 3).max(1)
}

/// Names in backticks, separated by commas.
pub(crate) fn list<T: AsRef<str>>(names: &[T]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{}`", name.as_ref())).collect();
    quoted.join(", ")
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_slip_of_the_pen_is_recognised() {
        for (wrong, hint) in [
            ("intervall", Some("did you mean `interval`?")),
            ("tiemout", Some("did you mean `timeout`?")),
            ("Interval", Some("did you mean `interval`?")),
            ("colour", Some("known: `interval`, `timeout`")),
        ] {
            let found = nearest(wrong, ["timeout", "interval"]);
            assert_eq!(found.as_deref(), hint, "{wrong}");
        }
        assert_eq!(nearest("x", []), None);
    }
}
