//! Taking values out of an answer, for later steps to send.

use std::fmt;

use crosscheck_model::Cause;
use http::{HeaderMap, HeaderName, header};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, Visitor, value::MapAccessDeserializer};
use serde_json::Value;
use serde_json_path::JsonPath;

use super::entities;
use crate::kind::http::jar::Jar;
use crate::kind::http::json;
use crate::kind::http::target::Target;
use crate::resolve::Failure;
use crate::text::Pattern;

/// The longest value: more than any session's token (the heads that would carry it back are
/// refused from 8 KiB on by common servers), and little beside a body.
pub(super) const VALUE_AT_MOST_BYTES: usize = 16 << 10;

/// Where to find a value, as people write it: `"$.token"`, or one source in words.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Sources {
    /// A JSONPath (RFC 9535) into the body; of several values the first.
    json: Option<String>,
    /// A regular expression: its first group, or all that it matches. It looks at the body, or at
    /// the header if one is named.
    matches: Option<Pattern>,
    /// A header's name.
    header: Option<String>,
    /// A cookie's name.
    cookie: Option<String>,
}

/// [`Sources`], which may be a JSONPath alone.
#[derive(Clone, Debug)]
pub(super) struct Wanted(Sources);

/// Where to find a value.
#[derive(Debug)]
enum Source {
    Json(String, JsonPath),
    Body(Pattern),
    Header(HeaderName, Option<Pattern>),
    Cookie(String),
}

/// A value to save, and its name.
#[derive(Debug)]
pub(super) struct Saving {
    pub(super) name: String,
    source: Source,
}

/// What is wrong with the settings: the key below the value's name, and why.
pub(super) type Wrong = (&'static str, String);

impl Saving {
    /// Compiles what people wrote.
    pub(super) fn new(name: &str, wanted: &Wanted) -> Result<Self, Wrong> {
        let Sources { json: path, matches, header, cookie } = &wanted.0;
        let source = match (path, matches, header, cookie) {
            (Some(written), None, None, None) => {
                let path = json::path(written).map_err(|why| ("json", why))?;
                Source::Json(written.clone(), path)
            }
            (None, Some(pattern), None, None) => Source::Body(pattern.clone()),
            (None, pattern, Some(written), None) => {
                let name = HeaderName::from_bytes(written.as_bytes())
                    .map_err(|_| ("header", format!("`{written}` is no header's name")))?;
                Source::Header(name, pattern.clone())
            }
            (None, None, None, Some(name)) => Source::Cookie(name.clone()),
            (None, None, None, None) => {
                let message = "missing field `json`, `matches`, `header` or `cookie`";
                return Err(("", message.to_owned()));
            }
            _ => {
                let message = "more than one place to find the value; leave one (`matches` may \
                               stand beside `header`)";
                return Err(("", message.to_owned()));
            }
        };
        Ok(Self { name: name.to_owned(), source })
    }

    /// The value in the answer; `None` when it stands in a cookie.
    pub(super) fn in_answer(&self, headers: &HeaderMap, body: &[u8]) -> Option<Found> {
        let found = match &self.source {
            Source::Json(written, path) => in_json(written, path, body),
            Source::Body(pattern) => in_body(pattern, headers, body),
            Source::Header(name, pattern) => in_header(name, pattern.as_ref(), headers),
            Source::Cookie(_) => return None,
        };
        Some(found.and_then(bounded).map_err(|(cause, what)| self.failure(cause, &what)))
    }

    /// The value among the cookies that would be sent to this URL; `None` when it stands
    /// elsewhere.
    pub(super) fn in_jar(&self, jar: &Jar, target: &Target) -> Option<Found> {
        let Source::Cookie(name) = &self.source else { return None };
        let found = jar.value(name, target);
        let found = found.ok_or((Cause::Header, format!("no cookie `{name}` was set")));
        Some(found.and_then(bounded).map_err(|(cause, what)| self.failure(cause, &what)))
    }

    fn failure(&self, cause: Cause, what: &str) -> Failure {
        Failure::new(cause, format!("cannot save `{}`: {what}", self.name))
    }
}

/// A value, or why there is none.
pub(super) type Found = Result<String, Failure>;

type Taken = Result<String, (Cause, String)>;

fn bounded(text: String) -> Taken {
    if text.len() > VALUE_AT_MOST_BYTES {
        let what = format!("it has {} bytes, at most {VALUE_AT_MOST_BYTES}", text.len());
        return Err((Cause::TooLarge, what));
    }
    // It would end the header that it is sent in.
    if text.chars().any(char::is_control) {
        return Err((Cause::Protocol, "it holds control characters".to_owned()));
    }
    Ok(text)
}

fn in_json(written: &str, path: &JsonPath, body: &[u8]) -> Taken {
    let wrong = |what: String| (Cause::Json, what);
    let value: Value = serde_json::from_slice(body)
        .map_err(|error| wrong(format!("the body is no JSON: {error}")))?;
    match path.query(&value).first() {
        Some(Value::String(text)) => Ok(text.clone()),
        Some(value @ (Value::Number(_) | Value::Bool(_))) => Ok(value.to_string()),
        Some(Value::Null) => Err(wrong(format!("`{written}` is null"))),
        Some(_) => Err(wrong(format!("`{written}` is a list or an object, not one value"))),
        None => Err(wrong(format!("`{written}` finds nothing"))),
    }
}

fn in_body(pattern: &Pattern, headers: &HeaderMap, body: &[u8]) -> Taken {
    let text = String::from_utf8_lossy(body);
    let found = captured(pattern, &text);
    let found = found.ok_or((Cause::Body, format!("the body does not match `{pattern}`")))?;
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let kind = kind.unwrap_or_default().to_ascii_lowercase();
    // A page's text is escaped; what browsers would send back is not.
    let is_page = kind.starts_with("text/html") || kind.starts_with("application/xhtml+xml");
    Ok(if is_page { entities::decode(found) } else { found.to_owned() })
}

fn in_header(name: &HeaderName, pattern: Option<&Pattern>, headers: &HeaderMap) -> Taken {
    let mut values = headers.get_all(name).iter().map(|v| String::from_utf8_lossy(v.as_bytes()));
    let found = match pattern {
        None => values.next().map(std::borrow::Cow::into_owned),
        Some(pattern) => values.find_map(|value| captured(pattern, &value).map(str::to_owned)),
    };
    found.ok_or_else(|| {
        let what = match pattern {
            Some(pattern) => format!("no header `{name}` matches `{pattern}`"),
            None => format!("header `{name}` is missing"),
        };
        (Cause::Header, what)
    })
}

/// The first group that takes part in the match, or the match.
fn captured<'a>(pattern: &Pattern, text: &'a str) -> Option<&'a str> {
    let captures = pattern.regex().captures(text)?;
    let group = captures.iter().skip(1).flatten().next();
    group.or_else(|| captures.get(0)).map(|found| found.as_str())
}

impl<'de> Deserialize<'de> for Wanted {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Wanted;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    "a JSONPath such as `$.token`, or `{ matches: \"regular expression\" }`",
                )
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Wanted, E> {
                Ok(Wanted(Sources { json: Some(text.to_owned()), ..Sources::default() }))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Wanted, A::Error> {
                Sources::deserialize(MapAccessDeserializer::new(map)).map(Wanted)
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl JsonSchema for Wanted {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "SavedValue".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let sources = Sources::json_schema(generator);
        json_schema!({
            "description": "where the value is: a JSONPath, or one of `json`, `matches`, `header`, `cookie`",
            "anyOf": [{ "type": "string" }, sources]
        })
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use serde_json::json;

    use super::*;

    fn saving(wanted: serde_json::Value) -> Result<Saving, Wrong> {
        Saving::new("it", &serde_json::from_value(wanted).expect("well-formed"))
    }

    fn found(wanted: serde_json::Value, kind: &'static str, body: &str) -> Result<String, Cause> {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        headers.append(header::LOCATION, HeaderValue::from_static("/orders?id=17"));
        let saving = saving(wanted).expect("sound");
        let found = saving.in_answer(&headers, body.as_bytes()).expect("in the answer");
        found.map_err(|failure| {
            assert!(failure.detail.starts_with("cannot save `it`: "), "{}", failure.detail);
            failure.cause
        })
    }

    #[test]
    fn values_are_found_in_json_bodies_and_headers() {
        let body = r#"{"token":"a\"b","n":5,"ok":true,"no":null,"list":[{"id":1},{"id":2}]}"#;
        for (wanted, value) in [
            (json!("$.token"), Ok("a\"b")),
            (json!({ "json": "$.n" }), Ok("5")),
            (json!("$.ok"), Ok("true")),
            (json!("$.list[*].id"), Ok("1")),
            (json!("$.no"), Err(Cause::Json)),
            (json!("$.list"), Err(Cause::Json)),
            (json!("$.none"), Err(Cause::Json)),
            (json!({ "matches": "\"n\":(\\d)" }), Ok("5")),
            (json!({ "matches": "(x)|ok.{3}rue" }), Ok("ok\":true")),
            (json!({ "matches": "gone" }), Err(Cause::Body)),
            (json!({ "header": "location" }), Ok("/orders?id=17")),
            (json!({ "header": "Location", "matches": "id=(\\d+)" }), Ok("17")),
            (json!({ "header": "Location", "matches": "no=(\\d+)" }), Err(Cause::Header)),
            (json!({ "header": "x-none" }), Err(Cause::Header)),
        ] {
            let value = value.map(str::to_owned);
            assert_eq!(found(wanted.clone(), "application/json", body), value, "{wanted}");
        }
        assert_eq!(found(json!("$.a"), "text/html", "<html>"), Err(Cause::Json));
    }

    #[test]
    fn what_a_page_escapes_is_sent_as_it_is_meant() {
        let body = r#"<input name="csrf" value="a&#x2B;b&amp;c">"#;
        let wanted = json!({ "matches": "value=\"([^\"]+)\"" });
        let html = "text/html; charset=utf-8";
        assert_eq!(found(wanted.clone(), html, body).as_deref(), Ok("a+b&c"));
        assert_eq!(found(wanted, "text/plain", body).as_deref(), Ok("a&#x2B;b&amp;c"));
    }

    #[test]
    fn long_values_and_broken_lines_are_refused() {
        let body = "x".repeat(VALUE_AT_MOST_BYTES + 1);
        let wanted = json!({ "matches": ".+" });
        assert_eq!(found(wanted.clone(), "text/plain", &body), Err(Cause::TooLarge));
        assert!(found(wanted, "text/plain", &body[1..]).is_ok());
        let body = r#"{"token":"a\r\nX-Admin: 1"}"#;
        assert_eq!(found(json!("$.token"), "application/json", body), Err(Cause::Protocol));
    }

    #[test]
    fn a_value_has_one_place() {
        for (wanted, key, part) in [
            (json!({}), "", "missing field"),
            (json!("token"), "json", "no JSONPath"),
            (json!({ "header": "a b" }), "header", "no header's name"),
            (json!({ "json": "$.a", "cookie": "b" }), "", "more than one"),
            (json!({ "cookie": "a", "matches": "b" }), "", "more than one"),
        ] {
            let (place, why) = saving(wanted.clone()).expect_err("is refused");
            assert!(place == key && why.contains(part), "{wanted}: {place} {why}");
        }
    }
}
