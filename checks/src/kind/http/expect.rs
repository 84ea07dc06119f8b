//! `expect`: expressions over the answer in CEL, the Common Expression Language, for what the
//! fixed assertions cannot say.
//!
//! Who writes checks does not own the probe, so an expression cannot take its time or its memory:
//! it is short, loops are not nested and look at no more than a bounded list, and nothing in a loop
//! is made larger ([`limits`]). What is left is linear in what was received, which is bounded.

mod facts;
mod limits;

use std::fmt;
use std::sync::{Arc, OnceLock};

use cel::{Context, Env, Program, Value};
use crosscheck_model::Cause;

pub(super) use self::facts::{Facts, Numbers};
use self::limits::Uses;
use super::plan::Faults;
use crate::env::Secrets;
use crate::excerpt;
use crate::resolve::Failure;

/// The longest expression. What needs more is better said by a plugin (`exec`).
const LENGTH_AT_MOST: usize = 1000;

/// More expressions than a person reads.
const COUNT_AT_MOST: usize = 20;

/// How deep brackets may be nested: the parser calls itself for each.
const DEPTH_AT_MOST: usize = 12;

/// The expressions of a check.
#[derive(Debug, Default)]
pub(super) struct Expectations(Vec<Expectation>);

/// One of them.
struct Expectation {
    written: String,
    program: Program,
    uses: Uses,
}

impl fmt::Debug for Expectation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Expectation").field(&self.written).finish()
    }
}

/// The language: its operators and functions, the same for all.
fn language() -> Arc<Env> {
    static LANGUAGE: OnceLock<Arc<Env>> = OnceLock::new();
    LANGUAGE.get_or_init(|| Arc::new(Env::stdlib().with_optional_support(false))).clone()
}

impl Expectations {
    /// Compiles what is written, and says what is wrong with it and where.
    pub(super) fn new(written: &[String], faults: &mut Faults) -> Self {
        if written.len() > COUNT_AT_MOST {
            let message = format!("{} expressions are too many", written.len());
            faults.add(&["expect"], message, Some(&format!("at most {COUNT_AT_MOST}")));
            return Self::default();
        }
        let mut all = Vec::with_capacity(written.len());
        for (at, text) in written.iter().enumerate() {
            match Expectation::new(text) {
                Ok(expectation) => all.push(expectation),
                Err((message, hint)) => {
                    faults.add(&["expect", &at.to_string()], message, hint.as_deref());
                }
            }
        }
        Self(all)
    }

    /// Whether there is nothing to expect.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether one says what the status must be.
    pub(super) fn judge_status(&self) -> bool {
        self.0.iter().any(|expectation| expectation.uses.has_variable("status"))
    }

    /// Whether the body must be kept whole.
    pub(super) fn look_at_body(&self) -> bool {
        self.0.iter().any(|expectation| expectation.uses.looks_at_body())
    }

    /// What does not hold.
    pub(super) fn judge(&self, facts: &Arc<Facts>, secrets: &Secrets) -> Option<Failure> {
        let complaints: Vec<String> =
            self.0.iter().filter_map(|expectation| expectation.complaint(facts, secrets)).collect();
        let failure = || Failure::new(Cause::Expect, complaints.join("; "));
        (!complaints.is_empty()).then(failure)
    }
}

impl Expectation {
    fn new(text: &str) -> Result<Self, (String, Option<String>)> {
        let plain = |message: String| (message, None);
        if text.len() > LENGTH_AT_MOST {
            return Err(plain(format!("an expression of more than {LENGTH_AT_MOST} characters")));
        }
        if depth(text) > DEPTH_AT_MOST {
            return Err(plain(format!("brackets are nested more than {DEPTH_AT_MOST} deep")));
        }
        let program = language().compile(text).map_err(|errors| {
            let first = errors.errors.first();
            let (line, column) = first.map_or((1, 1), |error| error.pos);
            let why = first.map_or("it cannot be read", |error| error.msg.as_str());
            let why = why.strip_prefix("Syntax error: ").unwrap_or(why);
            let place = match line {
                ..=1 => format!("character {column}"),
                line => format!("line {line}, character {column}"),
            };
            let hint = "write CEL: `status == 200 && header(\"x-cache\") != \"MISS\"`";
            (format!("`{text}` is no expression: {why} at {place}"), Some(hint.to_owned()))
        })?;
        let uses = Uses::of(program.expression()).map_err(|flaw| {
            let place = program.source_info().offset_for(flaw.id);
            let place = place.map(|(start, _)| format!(" near character {}", start + 1));
            (format!("{}{}", flaw.message, place.unwrap_or_default()), flaw.hint)
        })?;
        Ok(Self { written: text.to_owned(), program, uses })
    }

    fn complaint(&self, facts: &Arc<Facts>, secrets: &Secrets) -> Option<String> {
        if let Some(why) = facts.hindrance(&self.uses) {
            return Some(format!("`{}` cannot be told: {why}", self.written));
        }
        let mut context = Context::with_env(language());
        facts.offer(&self.uses, &mut context);
        let why = match self.program.execute(&context) {
            Ok(Value::Bool(true)) => return None,
            Ok(Value::Bool(false)) => "does not hold".to_owned(),
            Ok(other) => format!("is {}, not true or false", other.type_of()),
            Err(error) => {
                let error = excerpt::value(&error.to_string(), secrets);
                format!("cannot be told: {error}")
            }
        };
        let seen = facts.shown(&self.uses, secrets);
        Some(match seen.is_empty() {
            true => format!("`{}` {why}", self.written),
            false => format!("`{}` {why} ({})", self.written, seen.join(", ")),
        })
    }
}

/// How deep brackets are nested at most, wherever they stand.
fn depth(text: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    for letter in text.chars() {
        match letter {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};
    use proptest::prelude::*;

    use super::*;

    const BODY: &str = r#"{"items": [{"n": 1, "name": "a"}, {"n": 2, "name": "b"}],
        "state": "ok", "share": 0.5, "none": null, "big": 4000000000}"#;

    fn facts(body: &str) -> Facts {
        let mut headers = HeaderMap::new();
        headers.insert("x-cache", HeaderValue::from_static("HIT"));
        let ms = [("first_byte", 120.0), ("total", 250.5)];
        let numbers = [("status", 200.0), ("bytes", 17.0), ("certificate_days", 29.5)];
        let numbers = Numbers {
            plain: numbers.into_iter().collect(),
            ms: ms.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        };
        Facts::new(&headers, body.as_bytes(), numbers)
    }

    fn complaint(text: &str) -> Option<String> {
        let expectation =
            Expectation::new(text).unwrap_or_else(|error| panic!("{text}: {error:?}"));
        let facts = Arc::new(facts(BODY));
        expectation.complaint(&facts, &Secrets::default())
    }

    #[test]
    fn what_holds_holds() {
        for text in [
            "status == 200",
            "status in [200, 204] && header(\"x-cache\") != \"MISS\"",
            "header('X-Cache') == 'HIT' && header('none') == ''",
            "ms.first_byte < 300 && ms.total > ms.first_byte && ms.tls == 0.0",
            "certificate_days > 20",
            "bytes < 18 && size(body) > 100",
            "body.contains(\"state\") && body.startsWith('{') && !body.contains(\"Fatal\")",
            "body.matches('\"n\": [12]')",
            "json('$.state') == 'ok' && json('$.share') < 1 && json('$.big') > 3999999999",
            "json('$.gone') == null && json('$.none') == null",
            "json('$.items[0].n') + 1 == json('$.items[1].n')",
            "count('$.items[*]') == 2 && size(json('$.items')) == 2",
            "json('$.items').all(i, i.n > 0 && i.name in ['a', 'b'])",
            "json_all('$.items[*].n').exists(n, n == 2)",
            "json('$.items').filter(i, i.n > 1).size() == 1",
            "json('$.items').exists_one(i, i.name.matches('^b$'))",
            "has(json('$').state) && !has(json('$').stat)",
            "status >= 500 ? false : true",
        ] {
            assert_eq!(complaint(text), None, "{text}");
        }
    }

    #[test]
    fn what_does_not_hold_is_told_with_what_was_seen() {
        for (text, words) in [
            ("status == 201", "`status == 201` does not hold (status is 200)"),
            ("header('x-cache') == 'MISS'", "(header(\"x-cache\") is \"HIT\")"),
            ("json('$.items[0].n') > 1", "(json(\"$.items[0].n\") is 1)"),
            ("ms.total < 100", "(ms.total is 250.5)"),
            ("count('$.items[*]') > 5", "(count(\"$.items[*]\") is 2)"),
            ("status", "is int, not true or false"),
            ("json('$.state') > 1", "cannot be told: "),
            ("json('$.items')[7].n > 1", "cannot be told: "),
        ] {
            let said = complaint(text).unwrap_or_default();
            assert!(said.contains(words), "{text}: {said}");
        }
        let expectation = Expectation::new("json('$.a') == 1").expect("well-formed");
        let facts = Arc::new(facts("<html>"));
        let said = expectation.complaint(&facts, &Secrets::default()).expect("no JSON");
        assert!(said.contains("the body is no JSON"), "{said}");
    }

    #[test]
    fn numbers_out_of_their_bounds_are_told_and_crash_nothing() {
        for text in [
            "9223372036854775807 + status > 0",
            "-9223372036854775807 - 2 - status < 0",
            "9223372036854775807 * status > 0",
            "status / 0 == 1",
            "status % 0 == 1",
            "(0 - 9223372036854775807 - 1) / (0 - 1) == 1",
            "-(0 - 9223372036854775807 - 1) > 0",
            "int('x') == 1",
            "int(1e300) == 1",
            "uint(0 - status) == 1u",
            "double('x') > 0.0",
            "json('$.items')[99999999999] == 1",
            "json('$.items')[0 - 1] == 1",
            "'a'[0] == 'a'",
            "size(status) == 1",
            "json('$.items').all(i, i)",
        ] {
            let said = complaint(text).unwrap_or_default();
            assert!(
                said.contains("cannot be told") || said.contains("does not hold"),
                "{text}: {said}"
            );
        }
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        for (text, words) in [
            ("status ==", "is no expression"),
            ("status = 200", "is no expression"),
            ("statsu == 200", "`statsu` is not known here near character 1"),
            ("status == 200 && hedaer('x') == ''", "`hedaer` is no function here near character"),
            ("header(body) == ''", "`header` wants a text in quotes"),
            ("json('items') == 1", "`items` is no JSONPath"),
            ("body.matches('(')", "is no regular expression"),
            ("ms.frist_byte < 3", "`ms.frist_byte` is not known here"),
            ("json('$').map(i, i + i) == []", "a loop cannot make anything"),
            ("json('$').all(i, [i, i] == [])", "a loop cannot make anything"),
            ("json('$').all(i, i.all(j, j > 0))", "a loop within a loop"),
            ("json('$').all(i, body.contains(i))", "`body` cannot be looked at in a loop"),
            ("json('$').all(i, json('$.a') == i)", "`json` cannot be called in a loop"),
            ("json('$').all(i, i + 'a' + 'b' == i)", "a loop cannot make anything"),
        ] {
            let (message, _) =
                Expectation::new(text).err().unwrap_or_else(|| panic!("{text} fits"));
            assert!(message.contains(words), "{text}: {message}");
        }
        assert!(Expectation::new(&format!("{}true", "!".repeat(1000))).is_err());
        assert!(Expectation::new(&format!("{}1{} == 1", "(".repeat(13), ")".repeat(13))).is_err());
    }

    /// The worst that the limits leave: a thousand values looked at over and over.
    #[test]
    fn the_worst_expression_ends_soon() {
        let values: Vec<String> = (0..1000).map(|n| format!("\"{n:030}\"")).collect();
        let body = format!("[{}]", values.join(","));
        let pattern = "matches('^([0-9]+)+[0-9]*1$')";
        let one = format!("json('$').all(i, i.{pattern} || i != '')");
        let text = vec![one; 15].join(" && ");
        let expectation = Expectation::new(&text).expect("it is short enough");
        let facts = Arc::new(facts(&body));
        assert_eq!(expectation.complaint(&facts, &Secrets::default()), None);
        let more = values.join(",");
        let facts = Arc::new(self::facts(&format!("[{more},1]")));
        let said = expectation.complaint(&facts, &Secrets::default()).expect("too many");
        assert!(said.contains("more than 1000 values"), "{said}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn no_text_crashes_the_compiler(text in "[a-z0-9 .,()\\[\\]{}!?:<>=&|+*/%'\"$-]{0,60}") {
            let _ = Expectation::new(&text);
        }
    }
}
