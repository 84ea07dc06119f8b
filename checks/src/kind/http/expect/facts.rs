//! What expressions see of an answer.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, OnceLock};

use cel::extractors::This;
use cel::{Context, ExecutionError, Value};
use http::HeaderMap;

use super::limits::{Uses, times};
use crate::env::Secrets;
use crate::excerpt;

/// The longest text of a body that expressions look at as a whole.
const BODY_AT_MOST_BYTES: usize = 256 << 10;

/// The longest value of a header that they see.
const HEADER_AT_MOST_BYTES: usize = 4 << 10;

/// How many values one path may find for them, and how long these may be all in all: a loop goes
/// through them.
const VALUES_AT_MOST: usize = 1000;
const VALUES_AT_MOST_BYTES: usize = 64 << 10;

/// Numbers of a run by their names.
pub(in crate::kind::http) struct Numbers {
    /// `status`, `bytes` ..; those that a run has not are 0.
    pub(in crate::kind::http) plain: BTreeMap<&'static str, f64>,
    /// Times in milliseconds.
    pub(in crate::kind::http) ms: BTreeMap<String, f64>,
}

/// An answer, as expressions see it.
pub(in crate::kind::http) struct Facts {
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
    json: OnceLock<Result<serde_json::Value, String>>,
    numbers: Numbers,
}

/// What a function answers, or why not.
type Answer = Result<Value, ExecutionError>;

impl Facts {
    /// Takes what is needed of an answer.
    pub(in crate::kind::http) fn new(headers: &HeaderMap, body: &[u8], numbers: Numbers) -> Self {
        let mut told: BTreeMap<String, String> = BTreeMap::new();
        for (name, value) in headers {
            // Of a header that is repeated, all values as a list (RFC 9110 5.3).
            let text = String::from_utf8_lossy(value.as_bytes());
            let known = told.entry(name.as_str().to_owned()).or_default();
            let joint = if known.is_empty() { "" } else { ", " };
            known.push_str(&excerpt::shorten(&format!("{joint}{text}"), HEADER_AT_MOST_BYTES));
            known.truncate(known.floor_char_boundary(HEADER_AT_MOST_BYTES));
        }
        Self { headers: told, body: body.to_vec(), json: OnceLock::new(), numbers }
    }

    /// Gives an expression what it uses.
    pub(super) fn offer(self: &Arc<Self>, uses: &Uses, context: &mut Context<'_, '_>) {
        for name in uses.numbers() {
            context.add_variable_from_value(name, self.number(name));
        }
        if uses.has_variable("ms") {
            let all: HashMap<String, f64> =
                times().map(|name| (name.to_owned(), self.time(name))).collect();
            context.add_variable_from_value("ms", all);
        }
        if uses.has_variable("body") {
            context.add_variable_from_value("body", self.text().unwrap_or_default());
        }
        let (facts, paths) = (self.clone(), uses.paths.clone());
        let json = move |path: Arc<String>| -> Answer {
            let found = facts.found("json", paths.get(path.as_str()))?;
            Ok(found.into_iter().next().unwrap_or(Value::Null))
        };
        let (facts, paths) = (self.clone(), uses.paths.clone());
        let json_all = move |path: Arc<String>| -> Answer {
            Ok(Value::from(facts.found("json_all", paths.get(path.as_str()))?))
        };
        let (facts, paths) = (self.clone(), uses.paths.clone());
        let count = move |path: Arc<String>| -> Answer {
            Ok(Value::Int(facts.count("count", paths.get(path.as_str()))?))
        };
        let facts = self.clone();
        let header = move |name: Arc<String>| -> Answer { Ok(Value::from(facts.header(&name))) };
        let patterns = uses.patterns.clone();
        let matches = move |This(text): This<Arc<String>>, pattern: Arc<String>| -> Answer {
            let known = patterns.get(pattern.as_str());
            Ok(Value::Bool(known.is_some_and(|pattern| pattern.is_match(&text))))
        };
        // None of these names is the language's own: what could be refused is not here.
        let _ = context.add_function("json", json);
        let _ = context.add_function("json_all", json_all);
        let _ = context.add_function("count", count);
        let _ = context.add_function("header", header);
        let _ = context.add_function("matches", matches);
    }

    /// Why an expression cannot be judged at all.
    pub(super) fn hindrance(&self, uses: &Uses) -> Option<String> {
        let is_long = uses.has_variable("body") && self.body.len() > BODY_AT_MOST_BYTES;
        is_long.then(|| format!("the body has more than {BODY_AT_MOST_BYTES} bytes"))
    }

    /// What an expression looked at, in words; bodies are shown elsewhere.
    pub(super) fn shown(&self, uses: &Uses, secrets: &Secrets) -> Vec<String> {
        let numbers = uses.numbers().map(|name| match self.number(name) {
            Value::Int(number) => format!("{name} is {number}"),
            _ => format!(
                "{name} is {:.1}",
                self.numbers.plain.get(name).copied().unwrap_or_default()
            ),
        });
        let times = uses.times.iter().map(|name| format!("ms.{name} is {:.1}", self.time(name)));
        let asked = uses.asked.iter().map(|(function, text)| {
            let path = uses.paths.get(text);
            let seen = match function.as_str() {
                "header" => format!("{:?}", self.header(text)),
                "count" => self.counted(path).map_or_else(|why| why, |count| count.to_string()),
                _ => self.queried(path).map_or_else(
                    |why| why,
                    |found| match found.as_slice() {
                        [] => "not there".to_owned(),
                        [one] => one.to_string(),
                        more => format!("{} values", more.len()),
                    },
                ),
            };
            format!("{function}({text:?}) is {}", excerpt::value(&seen, secrets))
        });
        numbers.chain(times).chain(asked).collect()
    }

    fn number(&self, name: &str) -> Value {
        let number = self.numbers.plain.get(name).copied().unwrap_or_default();
        match name {
            "certificate_days" | "http_version" => Value::Float(number),
            // All others are counts, far from the limits of either type.
            _ => Value::Int(number as i64),
        }
    }

    fn time(&self, name: &str) -> f64 {
        self.numbers.ms.get(name).copied().unwrap_or_default()
    }

    fn header(&self, name: &str) -> String {
        self.headers.get(&name.to_ascii_lowercase()).cloned().unwrap_or_default()
    }

    fn text(&self) -> Option<String> {
        (self.body.len() <= BODY_AT_MOST_BYTES)
            .then(|| String::from_utf8_lossy(&self.body).into_owned())
    }

    fn json(&self) -> Result<&serde_json::Value, String> {
        let read = || {
            let read = serde_json::from_slice(&self.body);
            read.map_err(|error| format!("the body is no JSON: {error}"))
        };
        self.json.get_or_init(read).as_ref().map_err(String::clone)
    }

    fn queried(
        &self,
        path: Option<&serde_json_path::JsonPath>,
    ) -> Result<Vec<&serde_json::Value>, String> {
        let path = path.ok_or("a path that was not compiled")?;
        Ok(path.query(self.json()?).all())
    }

    fn counted(&self, path: Option<&serde_json_path::JsonPath>) -> Result<usize, String> {
        self.queried(path).map(|found| found.len())
    }

    fn count(
        &self,
        function: &str,
        path: Option<&serde_json_path::JsonPath>,
    ) -> Result<i64, ExecutionError> {
        let count = self.counted(path);
        let count = count.map_err(|why| ExecutionError::function_error(function, why))?;
        Ok(i64::try_from(count).unwrap_or(i64::MAX))
    }

    fn found(
        &self,
        function: &str,
        path: Option<&serde_json_path::JsonPath>,
    ) -> Result<Vec<Value>, ExecutionError> {
        let error = |why: String| ExecutionError::function_error(function, why);
        let found = self.queried(path).map_err(error)?;
        // Of `json`, all but the first are of no interest.
        let found = if function == "json" { &found[..found.len().min(1)] } else { &found[..] };
        if found.len() > VALUES_AT_MOST {
            return Err(error(many()));
        }
        let mut left = Left { values: VALUES_AT_MOST, bytes: VALUES_AT_MOST_BYTES };
        found.iter().map(|value| left.take(value).map_err(error)).collect()
    }
}

fn many() -> String {
    format!("more than {VALUES_AT_MOST} values; `count` counts them all")
}

/// How much more a function may give.
struct Left {
    values: usize,
    bytes: usize,
}

impl Left {
    /// The value in the language's types.
    fn take(&mut self, value: &serde_json::Value) -> Result<Value, String> {
        let long = || format!("values of more than {VALUES_AT_MOST_BYTES} bytes");
        let text = |left: &mut Self, text: &str| {
            left.bytes = left.bytes.checked_sub(text.len()).ok_or_else(long)?;
            Ok::<_, String>(text.to_owned())
        };
        Ok(match value {
            serde_json::Value::Null => Value::Null,
            serde_json::Value::Bool(is) => Value::Bool(*is),
            serde_json::Value::Number(number) => match number.as_i64() {
                Some(whole) => Value::Int(whole),
                None => Value::Float(number.as_f64().unwrap_or(f64::NAN)),
            },
            serde_json::Value::String(written) => Value::from(text(self, written)?),
            serde_json::Value::Array(items) => {
                self.values = self.values.checked_sub(items.len()).ok_or_else(many)?;
                let taken: Result<Vec<Value>, String> =
                    items.iter().map(|item| self.take(item)).collect();
                Value::from(taken?)
            }
            serde_json::Value::Object(fields) => {
                self.values = self.values.checked_sub(fields.len()).ok_or_else(many)?;
                let mut map = HashMap::with_capacity(fields.len());
                for (name, field) in fields {
                    map.insert(text(self, name)?, self.take(field)?);
                }
                Value::from(map)
            }
        })
    }
}
