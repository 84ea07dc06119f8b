//! Settings of journeys: what is wrong is told at its place.

use super::*;
use crate::kind::SettingsError;

fn errors(settings: &Value) -> Vec<SettingsError> {
    Journey.parse(settings).err().unwrap_or_else(|| panic!("is taken: {settings}"))
}

/// The error of a journey of these steps: its path and message.
#[track_caller]
fn refused(steps: Value, path: &str, part: &str) {
    let settings = json!({ "base": "https://a.example", "steps": steps });
    let errors = errors(&settings);
    let told: Vec<_> =
        errors.iter().map(|error| (error.path.join("."), error.message.as_str())).collect();
    let found = told.iter().any(|(place, message)| place == path && message.contains(part));
    assert!(found, "{path}: {part}: {told:?}");
}

#[test]
fn a_value_must_be_saved_before_it_is_used() {
    let save = json!({ "url": "/a", "save": { "token": "$.token" } });
    let uses = |key: &str, value: Value| json!({ "url": "/b", key: value });
    for (key, value, path) in [
        ("url", json!("/{{tokn}}"), "steps.1.url"),
        ("headers", json!({ "X": "${env:A} {{tokn}}" }), "steps.1.headers.X"),
        ("send", json!("{{tokn}}"), "steps.1.send"),
        ("form", json!({ "a": "{{tokn}}" }), "steps.1.form.a"),
        ("send_json", json!({ "a": [1, "{{tokn}}"] }), "steps.1.send_json.a.1"),
    ] {
        refused(json!([save, uses(key, value)]), path, "no step saves `tokn`");
    }
    let steps = json!([uses("send", json!("{{token}}")), save]);
    refused(steps, "steps.0.send", "`token` is not saved before this step");
    let own = json!({ "url": "/{{token}}", "save": { "token": "$.token" } });
    refused(json!([own]), "steps.0.url", "not saved before this step");
    let hint = &errors(&json!({ "steps": [
        { "url": "https://a.example/", "save": { "token": "$.t" } },
        { "url": "https://a.example/{{tokne}}" },
    ] }))[0]
        .hint;
    assert_eq!(hint.as_deref(), Some("did you mean `token`?"));
}

#[test]
fn a_value_stands_only_where_it_is_filled_in() {
    let save = json!({ "url": "/a", "save": { "token": "$.token" } });
    for (key, value, path) in [
        ("bearer", json!("{{token}}"), "steps.1.bearer"),
        ("host", json!("{{token}}"), "steps.1.host"),
        ("body", json!({ "contains": ["x", "{{token}}"] }), "steps.1.body.contains.1"),
        ("json", json!({ "$.a": "{{token}}" }), "steps.1.json.$.a"),
    ] {
        refused(json!([save, { "url": "/b", key: value }]), path, "cannot stand here");
    }
    refused(json!([save, { "url": "https://{{token}}/" }]), "steps.1.url", "in the host");
    refused(json!([save, { "url": "/{{token" }]), "steps.1.url", "without its");
    // Braces that name nothing are text in patterns and texts to compare with.
    let pattern = json!({ "url": "/b", "body": { "matches": "\\{{2}", "contains": "{{" } });
    let sound = json!({ "base": "https://a.example", "steps": [pattern] });
    assert!(Journey.parse(&sound).is_ok());
}

#[test]
fn steps_have_the_faults_of_http_at_their_places() {
    refused(json!([{ "url": "/a", "status": 99 }]), "steps.0.status", "99");
    refused(json!([{ "url": "/a" }, { "url": "/b", "redirects": 99 }]), "steps.1.redirects", "99");
    refused(json!([{}]), "steps.0.url", "missing field `url`");
    refused(json!([{ "url": 5 }]), "steps.0.url", "text");
    refused(json!([{ "url": "a.example" }]), "steps.0.url", "https://a.example");
    refused(json!([{ "url": "https://a.example/${env:X}" }]), "steps.0.url", "secret");
    refused(json!([{ "url": "/a", "always": "yes" }]), "steps.0.always", "bool");
    refused(json!([{ "url": "/a", "name": "x".repeat(61) }]), "steps.0.name", "no name");
    refused(json!([{ "url": "/a", "save": { "1": "$.a" } }]), "steps.0.save.1", "name");
    refused(json!([{ "url": "/a", "save": { "a": "b" } }]), "steps.0.save.a.json", "JSONPath");
    refused(json!([{ "url": "/a", "save": { "a": {} } }]), "steps.0.save.a", "missing");
    refused(json!([]), "steps", "without steps");
    let many: Vec<_> = (0..31).map(|_| json!({ "url": "/a" })).collect();
    refused(json!(many), "steps", "too many");
    let greedy: serde_json::Map<_, _> = (0..33).map(|n| (format!("v{n}"), json!("$.a"))).collect();
    refused(json!([{ "url": "/a", "save": greedy }]), "steps", "too many");
}

#[test]
fn what_holds_for_each_step_is_judged_where_it_stands() {
    let with = |more: Value| {
        let mut settings = json!({ "steps": [{ "url": "https://a.example/" }] });
        settings.as_object_mut().expect("a map").extend(more.as_object().expect("a map").clone());
        let first = errors(&settings).into_iter().next().expect("an error");
        (first.path.join("."), first.message)
    };
    let (path, message) = with(json!({ "each": { "redirects": 99 } }));
    assert!(path == "each.redirects" && message.contains("99"), "{path}: {message}");
    let (path, _) = with(json!({ "each": { "save": {} } }));
    assert_eq!(path, "each.save");
    let (path, _) = with(json!({ "base": "a.example" }));
    assert_eq!(path, "base.url");
    let (path, _) = with(json!({ "base": "https://a.example/?x" }));
    assert_eq!(path, "base");
    let (path, message) = with(json!({ "reserve": "1s" }));
    assert!(path == "reserve" && message.contains("none does"), "{path}: {message}");
}

#[test]
fn the_target_and_the_names_follow_from_the_steps() {
    let settings = json!({
        "base": "https://a.example/v1/",
        "steps": [{ "url": "/a?x=1", "method": "PUT" }, { "url": "https://[::1]/" }],
    });
    let check = Journey.parse(&settings).expect("well-formed");
    assert_eq!(check.target(), "https://a.example/v1/a?x=1");
}

#[test]
fn the_schema_knows_the_words_of_http_in_steps() {
    let mut generator = schemars::SchemaGenerator::default();
    let schema = Journey.schema(&mut generator).to_value();
    let step = &schema["properties"]["steps"]["items"]["properties"];
    for key in ["url", "status", "json", "slower", "send_json", "save", "always", "name"] {
        assert!(step.get(key).is_some(), "{key}");
    }
    let each = &schema["properties"]["each"]["properties"];
    assert!(each.get("headers").is_some() && each.get("url").is_none());
}
