//! Settings: what is refused, where it says so, and what to write instead.

use serde_json::json;

use super::*;
use crate::kind::SettingsError;

fn refused(settings: &Value) -> Vec<SettingsError> {
    Http.parse(settings).err().unwrap_or_else(|| panic!("{settings} is taken"))
}

#[test]
fn a_value_that_does_not_fit_is_told_with_its_path() {
    let url = "https://a.test/";
    let table = [
        (json!({}), "", "missing field `url`"),
        (json!({ "url": "a.test" }), "url", "`https://a.test`"),
        (json!({ "url": "ftp://a.test/" }), "url", "neither"),
        (json!({ "url": "https://li:pw@a.test/" }), "url", "`basic`"),
        (json!({ "url": "https://a.test/?k=${env:K}" }), "url", "secret"),
        (json!({ "url": url, "stauts": [200] }), "stauts", "unknown field `stauts`"),
        (json!({ "url": url, "status": [200, "2xx"] }), "status.1", "`200`"),
        (json!({ "url": url, "status": [700] }), "status.0", "100 to 599"),
        (json!({ "url": url, "status": ["299-200"] }), "status.0", "ends before"),
        (json!({ "url": url, "method": "GET IT" }), "method", "`GET`"),
        (json!({ "url": url, "method": "CONNECT" }), "method", "proxies"),
        (json!({ "url": url, "body": { "matches": "(" } }), "body.matches", "regular expression"),
        (json!({ "url": url, "header": { "x": { "match": "." } } }), "header.x.match", "`matches`"),
        (json!({ "url": url, "bearer": "clear" }), "bearer", "${env:NAME}"),
        (json!({ "url": url, "version": "4" }), "version", "`1.1`, `2` or `3`"),
        (json!({ "url": "http://a.test/", "version": 3 }), "version", "always encrypted"),
        (
            json!({ "url": "https://127.0.0.1/", "version": 3, "proxy": { "url": "http://p.test:3128" } }),
            "version",
            "which no proxy here forwards",
        ),
        (json!({ "url": url, "slower_than": 3 }), "slower_than", "`30s`"),
        (json!({ "url": url, "json": { "$.a": ">=" } }), "json.$.a", "`>= 0`"),
    ];
    for (settings, path, word) in table {
        let errors = refused(&settings);
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert_eq!(errors[0].path.join("."), path, "{settings}: {errors:?}");
        assert!(errors[0].message.contains(word), "{settings}: {}", errors[0].message);
    }
}

#[test]
fn everything_that_contradicts_is_told_at_once() {
    let settings = json!({
        "url": "http://a.test/",
        "method": "HEAD",
        "headers": { "Host": "b.test", "bad name": "x", "X": "two\nlines", "Authorization": "x" },
        "header": { "also bad": "x" },
        "body": { "contains": "x" },
        "json": { "items": 1, "$.ok": true },
        "basic": { "user": "li:x", "password": "${env:PW}" },
        "bearer": "${env:T}",
        "ca": "/ca.pem",
        "certificate": { "warn_days": 21 },
        "server_name": "not a name",
        "host": "http://b.test/",
        "body_limit": "1GiB",
    });
    let errors = refused(&settings);
    let mut paths: Vec<_> = errors.iter().map(|error| error.path.join(".")).collect();
    paths.sort();
    assert_eq!(
        paths,
        [
            "basic.user",
            "bearer",
            "body",
            "body_limit",
            "ca",
            "certificate",
            "header.also bad",
            "headers.Host",
            "headers.X",
            "headers.bad name",
            "host",
            "json",
            "json.items",
            "server_name",
            "server_name",
        ]
    );
    let host = errors.iter().find(|error| error.path.join(".") == "headers.Host");
    assert_eq!(host.and_then(|error| error.hint.as_deref()), Some("write the setting `host`"));
}

#[test]
fn the_schema_names_every_setting() {
    let mut generator = schemars::SchemaGenerator::default();
    let schema = Http.schema(&mut generator);
    let properties = schema.get("properties").and_then(Value::as_object).expect("an object");
    for key in [
        "url",
        "method",
        "headers",
        "send",
        "status",
        "header",
        "body",
        "json",
        "redirects",
        "version",
        "family",
        "ca",
        "client",
        "server_name",
        "host",
        "basic",
        "bearer",
        "slower_than",
        "slower",
        "body_limit",
        "certificate",
    ] {
        assert!(properties.contains_key(key), "{key}");
    }
    assert_eq!(schema.get("additionalProperties"), Some(&json!(false)));
}

#[test]
fn the_target_is_the_url_without_its_fragment() {
    let check = Http.parse(&json!({ "url": "https://A.test#top" })).expect("well-formed");
    assert_eq!(check.target(), "https://a.test/");
}
