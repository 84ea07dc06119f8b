//! The answers wanted of a name server: values and patterns under conditions.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use crosscheck_model::Cause;
use hickory_proto::rr::RecordType;
use schemars::JsonSchema;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde::{Deserialize, Serialize};

use crate::resolve::Failure;
use crate::text::{List, Pattern, Refused};

/// The answers wanted; all conditions given must hold.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Answers {
    /// At least one record is one of these.
    #[serde(default, skip_serializing_if = "<[_]>::is_empty")]
    any: List<Value>,
    /// Each of these is among the records.
    #[serde(default, skip_serializing_if = "<[_]>::is_empty")]
    all: List<Value>,
    /// Every record is one of these.
    #[serde(default, skip_serializing_if = "<[_]>::is_empty")]
    only: List<Value>,
    /// No record is one of these.
    #[serde(default, skip_serializing_if = "<[_]>::is_empty")]
    none: List<Value>,
}

impl Answers {
    /// The values that no record of the type can have, with their paths.
    pub(super) fn unfit_for(&self, record_type: RecordType) -> Vec<(Vec<String>, Refused)> {
        let lists =
            [("any", &self.any), ("all", &self.all), ("only", &self.only), ("none", &self.none)];
        let mut unfit = Vec::new();
        for (key, list) in lists {
            for (index, wanted) in list.iter().enumerate() {
                if let Some(refused) = wanted.unfit_for(record_type) {
                    unfit.push((vec![key.to_owned(), index.to_string()], refused));
                }
            }
        }
        if lists.iter().all(|(_, list)| list.is_empty()) {
            let refused = Refused::new("no condition; write `any`, `all`, `only` or `none`");
            unfit.push((Vec::new(), refused));
        }
        unfit
    }

    /// Judges the records' values.
    ///
    /// # Errors
    /// The first condition that does not hold.
    pub(super) fn judge(&self, records: &[String]) -> Result<(), Failure> {
        let unwanted = |detail: String| Err(Failure::new(Cause::Answer, detail));
        if !self.any.is_empty() && !records.iter().any(|r| is_one_of(r, &self.any)) {
            return unwanted(format!("none of {} is {}", shown(records), either(&self.any)));
        }
        if let Some(missing) = self.all.iter().find(|w| !records.iter().any(|r| w.fits(r))) {
            return unwanted(format!("{missing} is not among {}", shown(records)));
        }
        if !self.only.is_empty()
            && let Some(other) = records.iter().find(|r| !is_one_of(r, &self.only))
        {
            return unwanted(format!("`{other}` is not {}", either(&self.only)));
        }
        match records.iter().find(|r| is_one_of(r, &self.none)) {
            Some(forbidden) => unwanted(format!("`{forbidden}` must not be answered")),
            None => Ok(()),
        }
    }
}

fn is_one_of(record: &str, values: &[Value]) -> bool {
    values.iter().any(|value| value.fits(record))
}

fn either(wanted: &[Value]) -> String {
    wanted.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or ")
}

fn shown(records: &[String]) -> String {
    let quoted: Vec<_> = records.iter().map(|record| format!("`{record}`")).collect();
    if quoted.is_empty() { "no records".to_owned() } else { quoted.join(", ") }
}

/// One answer: its text, or a pattern that it matches.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[schemars(with = "ValueSchema", rename = "DnsAnswer")]
enum Value {
    Is(String),
    Matches(Pattern),
}

/// How a value is written, for the schema.
#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "its fields are the schema")]
enum ValueSchema {
    /// The record's value: `192.0.2.1`, `10 mail.example.com`, text.
    Is(String),
    /// A pattern that the value matches.
    Matches(Matching),
}

/// A pattern for a record's value.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Matching {
    /// A regular expression; names come without their final dot.
    matches: Pattern,
}

impl Value {
    /// Names are compared without case and final dot, addresses by value, text exactly.
    fn fits(&self, record: &str) -> bool {
        match self {
            Self::Matches(pattern) => pattern.is_match(record),
            Self::Is(text) => text == record || normal(text) == normal(record),
        }
    }

    fn unfit_for(&self, record_type: RecordType) -> Option<Refused> {
        let Self::Is(text) = self else { return None };
        match record_type {
            RecordType::A if text.parse::<Ipv4Addr>().is_err() => {
                Some(Refused::new(format!("`{text}` is no IPv4 address; write `192.0.2.1`")))
            }
            RecordType::AAAA if text.parse::<Ipv6Addr>().is_err() => {
                Some(Refused::new(format!("`{text}` is no IPv6 address; write `2001:db8::1`")))
            }
            _ => None,
        }
    }
}

fn normal(text: &str) -> String {
    if let Ok(ip) = text.parse::<Ipv6Addr>() {
        return ip.to_string();
    }
    let words = text.split_whitespace().map(|word| without_dot(word.trim_matches('"')));
    words.collect::<Vec<_>>().join(" ").to_ascii_lowercase()
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Is(text) => write!(f, "`{text}`"),
            Self::Matches(pattern) => write!(f, "a match of `{pattern}`"),
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a record's value, or `{ matches: \"expression\" }`")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Is(text.to_owned()))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Value, A::Error> {
        let written = Matching::deserialize(MapAccessDeserializer::new(map))?;
        Ok(Value::Matches(written.matches))
    }
}

/// A name without its final dot; the root keeps it.
pub(super) fn without_dot(word: &str) -> &str {
    word.strip_suffix('.').filter(|name| !name.is_empty()).unwrap_or(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_compared_by_what_they_mean() {
        for (wanted, record, fits) in [
            ("2001:DB8:0:0::1", "2001:db8::1", true),
            ("Mail.example.COM.", "mail.example.com", true),
            ("10  mail.example.com", "10 mail.example.com", true),
            ("0 issue letsencrypt.org", "0 issue \"letsencrypt.org\"", true),
            (".", ".", true),
            ("mail.example.com", "xmail.example.com", false),
            ("", "a", false),
        ] {
            assert_eq!(Value::Is(wanted.to_owned()).fits(record), fits, "{wanted} {record}");
        }
    }
}
