//! Whole configurations of others, what becomes of them and what is told; and broken ones.

mod injected;
mod keys;

use std::path::PathBuf;

use super::*;
use crate::command::catalogue::catalogue;
use crosscheck_checks::document::{Document, Level, Source as Text};

/// Reads a text as a source's; the status, the YAML and the notes.
fn imported(source: &str, name: &str, text: &[u8], targets: Option<&str>) -> (u8, String, String) {
    let directory = tempfile::tempdir().expect("a directory");
    let put = |name: &str, text: &[u8]| {
        let file = directory.path().join(name);
        fs::write(&file, text).expect("written");
        file
    };
    let args = ImportArgs {
        source: source.to_owned(),
        file: put(name, text),
        targets: targets.map(|text| put("prometheus.yml", text.as_bytes())),
        output: None,
    };
    let (mut out, mut notes) = (Vec::new(), Vec::new());
    let status = import(&args, &catalogue(), &mut out, &mut notes).expect("memory takes it");
    let root = format!("{}/", directory.path().display());
    let text = |bytes| String::from_utf8(bytes).expect("text").replace(&root, "");
    (status, text(out), text(notes))
}

/// What stands in a file of the fixtures.
fn fixture(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/command/import/fixtures");
    fs::read_to_string(path.join(name)).expect("a fixture")
}

/// The YAML is one that `crosscheck validate` takes.
fn passes_validation(yaml: &str) {
    if !yaml.contains("\nchecks:") {
        return; // There is nothing in it.
    }
    let sources = [Text { name: "out".to_owned(), text: yaml.to_owned() }];
    let document = Document::parse(&sources, &catalogue());
    let errors: Vec<_> =
        document.diagnostics().iter().filter(|found| found.level == Level::Error).collect();
    assert!(errors.is_empty() && document.config().is_some(), "{errors:?}\n{yaml}");
}

/// Both outputs, one behind the other; the YAML passes a validation, and no secret is in either.
fn whole(source: &str, name: &str, targets: Option<&str>) -> String {
    let (status, yaml, notes) = imported(source, name, fixture(name).as_bytes(), targets);
    assert_eq!(status, FINE, "{notes}");
    passes_validation(&yaml);
    for secret in ["hunter2", "abcdef", "Bearer abc"] {
        assert!(!yaml.contains(secret) && !notes.contains(secret), "{secret} in\n{yaml}\n{notes}");
    }
    format!("{yaml}\n--- not carried over ---\n{notes}")
}

#[test]
fn gatus_becomes_ours() {
    insta::assert_snapshot!(whole("gatus", "gatus.yaml", None));
}

#[test]
fn blackbox_becomes_ours() {
    let targets = fixture("prometheus.yml");
    insta::assert_snapshot!(whole("blackbox", "blackbox.yml", Some(&targets)));
}

#[test]
fn blackbox_without_targets_says_where_they_are() {
    let (status, _, notes) =
        imported("blackbox", "blackbox.yml", fixture("blackbox.yml").as_bytes(), None);
    assert_eq!(status, FINE);
    assert!(
        notes.contains("by `--targets`")
            && notes.ends_with("0 checks, 7 notes on what was left out or changed\n"),
        "{notes}"
    );
}

#[test]
fn uptime_kuma_becomes_ours() {
    insta::assert_snapshot!(whole("uptime-kuma", "uptime-kuma.json", None));
}

#[test]
fn cloudprober_becomes_ours() {
    insta::assert_snapshot!(whole("cloudprober", "cloudprober.cfg", None));
}

#[test]
fn what_cannot_be_read_is_the_users_and_told_with_its_line() {
    for (source, text, wanted) in [
        ("gatus", &b"endpoints: [\n"[..], "in:"),
        ("gatus", b"", "there is nothing in it"),
        ("gatus", b"\xff\xfe", "read `in`"),
        ("gatus", b"a: *b\n", "no anchor"),
        ("blackbox", b"scrape_configs: []\n", "there are no `modules`"),
        ("uptime-kuma", b"{\"monitorList\": [\n  {\"id\": 1,,}\n]}", "in:2:"),
        ("uptime-kuma", b"{\"a\": \"\\ud83d\"}", "in:1:"),
        ("uptime-kuma", b"[]", "no `monitorList`"),
        ("uptime-kuma", b"{\"monitorList\": []} x", "something follows the end"),
        ("cloudprober", b"probe {\n  name: \"a\n}", "in:2: a text does not end in its line"),
        ("cloudprober", b"probe { name: \"a\"", "`}` is missing at the end"),
        ("cloudprober", b"probe { name \"a\" }", "missing behind `name`"),
        ("cloudprober", b"a: 1\nb: {{ .Env }}\n", "in:2: a template"),
        ("cloudprober", b"a: \"\\q\"", "unknown escape"),
    ] {
        let (status, yaml, notes) = imported(source, "in", text, None);
        assert_eq!(status, BAD_INPUT, "{source}: {notes}{yaml}");
        assert!(yaml.is_empty() && notes.contains(wanted), "{source}: `{wanted}` in {notes}");
    }
    let deep = [b"[".repeat(10_000), b"a: <".repeat(10_000), b"a { ".repeat(10_000)];
    for text in &deep {
        for source in SOURCES {
            assert_eq!(imported(source.name(), "in", text, None).0, BAD_INPUT);
        }
    }
}

#[test]
fn strange_contents_are_left_out_and_nothing_breaks() {
    for (source, text) in [
        ("gatus", "endpoints: 5\nmaintenance: [1]\nalerting: x\n"),
        ("gatus", "endpoints: [{ name: {}, url: [], conditions: [[], 7, \"x\"] }, 1, null]\n"),
        ("gatus", "endpoints: [{ url: \"http://\" }, { url: \"://\" }, { url: \"\" }]\n"),
        (
            "gatus",
            "endpoints: [{ name: a, url: \"http://a/${\", conditions: [\"[BODY] == pat(\"] }]\n",
        ),
        (
            "gatus",
            "endpoints: []\nmaintenance: { start: \"99:99\", duration: \"9999999999999h\" }\n",
        ),
        ("blackbox", "modules: { a: 1, b: { prober: [] } }\n"),
        (
            "uptime-kuma",
            "{\"monitorList\": [1, {}, {\"type\": \"http\"}, {\"id\": 3, \"parent\": 3, \"name\": \"\\n*\", \"type\": \"ping\"}]}",
        ),
        (
            "uptime-kuma",
            "{\"monitorList\": {\"1\": {\"type\": \"ping\", \"hostname\": \"h\", \"interval\": 1e308}}}",
        ),
        (
            "cloudprober",
            "probe { type: HTTP targets { host_names: \",,\" } } probe: 5 probe [1, 2]",
        ),
        (
            "cloudprober",
            "probe { type: PING targets { host_names: \"a\" } interval: \"-1s\" timeout: \"\" }",
        ),
    ] {
        let (status, yaml, notes) = imported(source, "in", text.as_bytes(), None);
        assert_eq!(status, FINE, "{source}: {text}: {notes}");
        passes_validation(&yaml);
    }
}

#[test]
fn a_file_that_is_there_is_not_overwritten_and_targets_are_for_one_source() {
    let directory = tempfile::tempdir().expect("a directory");
    let (file, kept) = (directory.path().join("in"), directory.path().join("kept"));
    fs::write(&file, "endpoints: []\n").expect("written");
    fs::write(&kept, "mine").expect("written");
    let run = |targets: Option<PathBuf>, output: Option<PathBuf>| {
        let args = ImportArgs { source: "gatus".to_owned(), file: file.clone(), targets, output };
        let mut notes = Vec::new();
        let status = import(&args, &catalogue(), &mut Vec::new(), &mut notes).expect("memory");
        (status, String::from_utf8(notes).expect("text"))
    };
    let (status, notes) = run(None, Some(kept.clone()));
    assert_eq!((status, fs::read_to_string(&kept).expect("kept").as_str()), (1, "mine"), "{notes}");
    let (status, notes) = run(Some(kept), None);
    assert!(status == BAD_INPUT && notes.contains("`--targets` is for `blackbox`"), "{notes}");
}

#[test]
fn files_that_a_configuration_names_are_read_from_beside_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let put = |name: &str, text: &str| {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().expect("a directory")).expect("made");
        fs::write(&path, text).expect("written");
        path
    };
    let run = |source: &str, file: PathBuf, targets: Option<PathBuf>| {
        let args = ImportArgs { source: source.to_owned(), file, targets, output: None };
        let (mut out, mut notes) = (Vec::new(), Vec::new());
        let status = import(&args, &catalogue(), &mut out, &mut notes).expect("memory takes it");
        let text = |bytes| String::from_utf8(bytes).expect("text");
        let (yaml, notes) = (text(out), text(notes));
        assert_eq!(status, FINE, "{notes}");
        passes_validation(&yaml);
        (yaml, notes)
    };
    put("targets/a.json", "[{ \"targets\": [\"a.example.com\"], \"labels\": { \"zz\": \"1\" } }]");
    put("targets/b.json", "[{ \"targets\": [\"b.example.com\"], \"yy\": 1 }]");
    put("targets/c.yml", "- targets: [c.example.com]\n");
    let job = |name: &str, files: &str| {
        format!(
            "scrape_configs: [{{ job_name: {name}, metrics_path: /probe, params: {{ module: [ping] }}, \
             file_sd_configs: [{{ files: [\"{files}\"] }}], relabel_configs: [{{ source_labels: \
             [__address__], target_label: __param_target }}] }}]\n"
        )
    };
    put("more/jobs.yml", &job("other", "../targets/c.yml"));
    let main = format!("{}scrape_config_files: [\"more/*.yml\"]\n", job("one", "targets/*.json"));
    let prometheus = put("prometheus.yml", &main);
    let modules = put("blackbox.yml", "modules: { ping: { prober: icmp } }\n");
    let (yaml, notes) = run("blackbox", modules, Some(prometheus));
    for name in ["\"one: a.example.com\"", "\"one: b.example.com\"", "\"other: c.example.com\""] {
        assert!(yaml.contains(name), "{name} in {yaml}{notes}");
    }
    assert!(
        notes.contains("a.json:1: label `zz`") && notes.contains("b.json:1: `targets.yy`"),
        "{notes}"
    );

    put("vips.textpb", "resource { name: \"a\" ip: \"192.0.2.1\" port: 8080 zz: 1 }");
    let text =
        "probe { name: \"p\" type: TCP targets { file_targets { file_path: \"vips.textpb\" } } }";
    let (yaml, notes) = run("cloudprober", put("c.cfg", text), None);
    assert!(yaml.contains("192.0.2.1:8080") && notes.contains("`resource.zz`"), "{yaml}{notes}");
}

#[test]
fn cloudprober_is_read_from_yaml_and_json_as_from_text() {
    let yaml = "probe:\n- name: home\n  type: HTTP\n  interval: 10s\n  targets: { hostNames: \"www.example.com\" }\n  \
                http_probe: { scheme: HTTPS, header: { Accept-Language: en, Authorization: \"**$TOKEN**\" } }\n  \
                validator:\n  - { name: v, httpValidator: { successStatusCodes: \"200\" } }\n";
    let json = "{ \"probe\": [{ \"name\": \"home\", \"type\": \"HTTP\", \"interval\": \"10s\", \"targets\": \
                { \"host_names\": \"www.example.com\" }, \"httpProbe\": { \"scheme\": \"HTTPS\", \"header\": { \"Accept-Language\": \
                \"en\", \"Authorization\": \"**$TOKEN**\" } }, \"validator\": [{ \"name\": \"v\", \"httpValidator\": \
                { \"success_status_codes\": \"200\" } }] }] }";
    let text = "probe { name: \"home\" type: HTTP interval: \"10s\" targets { host_names: \"www.example.com\" } \
                http_probe { scheme: HTTPS header { key: \"Accept-Language\" value: \"en\" } header { key: \"Authorization\" \
                value: \"**$TOKEN**\" } } validator { name: \"v\" http_validator { success_status_codes: \"200\" } } }";
    let of_text = imported("cloudprober", "c.cfg", text.as_bytes(), None);
    assert!(of_text.1.contains("Authorization: \"${env:TOKEN}\""), "{of_text:?}");
    assert_eq!(imported("cloudprober", "c.yaml", yaml.as_bytes(), None), of_text);
    assert_eq!(imported("cloudprober", "c.json", json.as_bytes(), None), of_text);
}
