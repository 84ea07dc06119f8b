//! What a plugin prints: a message, and numbers after a `|`
//! (Monitoring Plugins Development Guidelines, "Performance data"; for several lines, Nagios Core,
//! "Plugin API"):
//!
//! ```text
//! DISK OK - free space: / 3326 MB | '/'=2643MB;5948;5958;0;5968
//! long text
//! more of it | /boot=68MB;88;93;0;98
//! /home=69357MB
//! ```

use std::collections::BTreeMap;

use crosscheck_model::observation::RETRY_AFTER;

use crate::excerpt;

/// What a number is called that has a name by which the probe itself goes: that is a word between the
/// target and the probe, and a plugin's number is none.
const NOT_HEEDED: (&str, &str) = (RETRY_AFTER, "plugin_retry_after_s");

/// The most numbers that are taken: coordinators keep 64 of an outcome, and there are others.
const VALUES_AT_MOST: usize = 60;

/// The longest name of a number, its unit included: coordinators keep none that is longer.
const NAME_AT_MOST_BYTES: usize = 64;

/// What a plugin said.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Output {
    /// Its first line, without the numbers.
    pub(super) message: String,
    /// Numbers by label and unit.
    pub(super) values: BTreeMap<String, f64>,
}

/// Units that are brought to one: the suffix, the name's end and the factor.
const UNITS: [(&str, &str, f64); 14] = [
    ("", "", 1.0),
    ("c", "", 1.0), // A counter that only grows.
    ("s", "_ms", 1e3),
    ("ms", "_ms", 1.0),
    ("us", "_ms", 1e-3),
    ("ns", "_ms", 1e-6),
    ("%", "_percent", 1.0),
    ("B", "_bytes", 1.0),
    ("KB", "_bytes", 1024.0),
    ("MB", "_bytes", 1_048_576.0),
    ("GB", "_bytes", 1_073_741_824.0),
    ("TB", "_bytes", 1_099_511_627_776.0),
    ("KiB", "_bytes", 1024.0),
    ("MiB", "_bytes", 1_048_576.0),
];

/// Takes apart what a plugin printed. What is no performance data is passed over: the status
/// does not hang on it.
pub(super) fn read(text: &str) -> Output {
    let mut lines = text.lines();
    let first = lines.by_ref().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let (message, data) = first.split_once('|').unwrap_or((first, ""));
    let mut values = BTreeMap::new();
    take(data, &mut values);
    let mut in_data = false;
    for line in lines {
        if in_data {
            take(line, &mut values);
        } else if let Some((_, data)) = line.split_once('|') {
            take(data, &mut values);
            in_data = true;
        }
    }
    Output { message: message.trim().to_owned(), values }
}

fn take(data: &str, values: &mut BTreeMap<String, f64>) {
    let mut rest = data.trim_start();
    while !rest.is_empty() && values.len() < VALUES_AT_MOST {
        let Some((label, after)) = label(rest) else {
            // Not what it should be: on to the next word.
            rest = rest.split_once(char::is_whitespace).map_or("", |(_, rest)| rest).trim_start();
            continue;
        };
        let (item, after) = after.split_once(char::is_whitespace).unwrap_or((after, ""));
        let value = item.split(';').next().unwrap_or_default();
        if let Some((name, number)) = named(&label, value) {
            values.entry(name).or_insert(number);
        }
        rest = after.trim_start();
    }
}

/// The label before a `=`, in single quotes if it has blanks; a quote in it is doubled.
fn label(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('\'') else {
        let (label, after) = text.split_once('=')?;
        return (!label.is_empty() && !label.contains(char::is_whitespace))
            .then(|| (label.to_owned(), after));
    };
    let mut label = String::new();
    let mut rest = quoted;
    loop {
        let (part, after) = rest.split_once('\'')?;
        label.push_str(part);
        match after.strip_prefix('\'') {
            Some(more) => {
                label.push('\'');
                rest = more;
            }
            None => return Some((label, after.strip_prefix('=')?)),
        }
    }
}

/// The name with its unit and the number; `None` for `U` (it could not be determined) and for what
/// is none.
fn named(label: &str, value: &str) -> Option<(String, f64)> {
    let is_number = |c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.' | ',');
    let mut end = value.find(|c: char| !is_number(c)).unwrap_or(value.len());
    // `1e-05`: printed by scripts, though not in the guidelines.
    let exponent = value[end..].strip_prefix(['e', 'E']);
    let digits = |text: &str| text.find(|c: char| !is_number(c)).unwrap_or(text.len());
    if let Some(exponent) = exponent.filter(|rest| digits(rest) > 0) {
        end += 1 + digits(exponent);
    }
    let (number, unit) = value.split_at(end);
    // A locale's comma, as check_load and scripts print it.
    let number: f64 = number.replace(',', ".").parse().ok().filter(|n: &f64| n.is_finite())?;
    let known = UNITS.iter().find(|(suffix, _, _)| *suffix == unit);
    let (ending, factor) = match known {
        Some((_, ending, factor)) => ((*ending).to_owned(), *factor),
        None => (format!("_{unit}"), 1.0),
    };
    let label = excerpt::plain(label.trim());
    let room = NAME_AT_MOST_BYTES.saturating_sub(ending.len());
    let name = format!("{}{ending}", excerpt::shorten(&label, room));
    let name = excerpt::shorten(&excerpt::plain(&name), NAME_AT_MOST_BYTES);
    let name = if name == NOT_HEEDED.0 { NOT_HEEDED.1.to_owned() } else { name };
    (!label.is_empty()).then_some((name, number * factor)).filter(|(_, number)| number.is_finite())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn values(text: &str) -> Vec<(String, f64)> {
        read(text).values.into_iter().collect()
    }

    fn value(text: &str) -> Option<(String, f64)> {
        values(&format!("OK | {text}")).into_iter().next()
    }

    #[test]
    fn the_first_line_is_the_message_and_numbers_follow_a_bar() {
        let text = "DISK OK - free space: / 3326 MB (56%); | /=2643MB;5948;5958;0;5968\n\
                    / 15272 MB (77%);\n/boot 68 MB | /boot=68MB;88;93;0;98\n/home=69357MB;253404\n";
        let output = read(text);
        assert_eq!(output.message, "DISK OK - free space: / 3326 MB (56%);");
        let mib = 1_048_576.0;
        let wanted = [
            ("/_bytes", 2643.0 * mib),
            ("/boot_bytes", 68.0 * mib),
            ("/home_bytes", 69357.0 * mib),
        ];
        let wanted: Vec<_> = wanted.map(|(name, value)| (name.to_owned(), value)).into();
        assert_eq!(output.values.into_iter().collect::<Vec<_>>(), wanted);
    }

    #[test]
    fn labels_and_units_are_read_as_the_guidelines_say() {
        for (text, name, number) in [
            ("time=0.25s;;;0.000;10.000", "time_ms", 250.0),
            ("rta=12.5ms;100,200", "rta_ms", 12.5),
            ("t=5us", "t_ms", 0.005),
            ("pl=40%;20;60;;", "pl_percent", 40.0),
            ("size=430B;;;0", "size_bytes", 430.0),
            ("m=2KB", "m_bytes", 2048.0),
            ("requests=17c", "requests", 17.0),
            ("load1=0,310;15", "load1", 0.31),
            ("offset=-1.5e-05s", "offset_ms", -0.015),
            ("'free space'=3", "free space", 3.0),
            ("'it''s'=3", "it's", 3.0),
            ("'a=b'=3", "a=b", 3.0),
            ("temp=21C", "temp_C", 21.0),
            ("  x=1  ", "x", 1.0),
        ] {
            let found = value(text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!(found.0, name, "{text}");
            assert!((found.1 - number).abs() < 1e-9, "{text}: {}", found.1);
        }
    }

    /// The probe would leave the target alone for so long.
    #[test]
    fn no_number_is_taken_for_what_the_probe_goes_by() {
        for text in
            ["retry_after_s=86400", "'retry_after_s'=86400c", "' retry_after_s\u{200b}'=86400"]
        {
            let wanted = ("plugin_retry_after_s".to_owned(), 86400.0);
            assert_eq!(value(text), Some(wanted), "{text}");
        }
        assert_eq!(value("retry_after=5s").map(|(name, _)| name), Some("retry_after_ms".into()));
    }

    #[test]
    fn what_is_no_number_is_passed_over() {
        for text in ["x=U;1;2", "x=", "=5", "x", "'x=5", "'x'5", "x=.", "x=1-2", "x=inf", "x=1e999"]
        {
            assert_eq!(value(text), None, "{text}");
        }
        assert_eq!(values("OK | a=U b=nonsense c d=4").len(), 1);
        assert!(values("OK without numbers\nand = more").is_empty());
        assert_eq!(read(""), Output::default());
        assert_eq!(read("\n\n OK \n").message, "OK");
    }

    #[test]
    fn numbers_and_their_names_are_bounded() {
        let many: String = (0..1000).map(|n| format!("v{n}={n} ")).collect();
        assert_eq!(values(&format!("OK | {many}")).len(), VALUES_AT_MOST);
        let (name, _) = value(&format!("{}=5MB", "x".repeat(5000))).expect("a number");
        assert!(name.len() == NAME_AT_MOST_BYTES && name.ends_with("x_bytes"), "{name}");
        let (name, _) = value(&format!("x=5{}", "u".repeat(5000))).expect("a number");
        assert!(name.len() <= NAME_AT_MOST_BYTES);
        let (name, _) = value("'a\u{1b}[31m\u{202e}b'=1").expect("a number");
        assert_eq!(name, "a[31mb");
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[\\PC\n|='; 0-9.,eUs%\u{4e2d}-]{0,120}") {
            let output = read(&text);
            prop_assert!(output.values.values().all(|value| value.is_finite()));
        }
    }
}
