//! `run` with a made-up kind that answers at once.

use std::collections::BTreeMap;

use crosscheck_checks::env::Secrets;
use crosscheck_checks::guard::Guard;
use crosscheck_checks::kind::{self, Kind, SettingsError};
use crosscheck_checks::programs::Programs;
use crosscheck_checks::resolve::Resolver;
use crosscheck_model::{Cause, Family, Phase};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;

use super::*;

struct Made;

#[derive(Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Settings {
    status: Status,
    /// How many parts it loads.
    #[serde(default)]
    parts: u32,
}

impl Kind for Made {
    fn name(&self) -> &'static str {
        "made"
    }

    fn about(&self) -> &'static str {
        "nothing"
    }

    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<Settings>()
    }

    fn parse(&self, settings: &serde_json::Value) -> Result<Box<dyn Check>, Vec<SettingsError>> {
        Ok(Box::new(kind::read::<Settings>(settings)?))
    }
}

impl Check for Settings {
    fn target(&self) -> String {
        "nowhere".to_owned()
    }

    fn family(&self) -> Family {
        Family::V4
    }

    fn run<'a>(&'a self, _: &'a Env, deadline: Duration) -> BoxFuture<'a, Outcome> {
        assert_eq!(deadline, Duration::from_secs(7), "the check's own timeout");
        let mut outcome = match self.status {
            Status::Up => Outcome::new(Status::Up, None, ""),
            status => Outcome::new(status, Some(Cause::Status), "status 500, wanted 200"),
        };
        outcome.phases.add(Phase::Dns, Duration::from_millis(10));
        outcome.phases.add(Phase::Connect, Duration::from_micros(20_500));
        outcome.duration = Duration::from_micros(30_500);
        outcome.address = Some("192.0.2.1:443".to_owned());
        outcome.values = BTreeMap::from([("bytes".to_owned(), 12.0)]);
        if self.status != Status::Up {
            outcome.excerpt = "<h1>oh\u{1b}[31m no</h1>\nsorry".to_owned();
        }
        Box::pin(std::future::ready(outcome))
    }

    fn tell<'a>(&'a self, env: &'a Env, deadline: Duration) -> BoxFuture<'a, (Outcome, Vec<Part>)> {
        let part = |number: u32| Part {
            role: "script".to_owned(),
            url: format!("https://shop.test/{number}.js"),
            took: Duration::from_micros(1500 * u64::from(self.parts - number)),
            bytes: 700,
            wire_bytes: 300,
            blocking: Some(number == 0),
            failure: (number == 1).then(|| "status 404\u{1b}[31m".to_owned()),
        };
        let parts = (0..self.parts).map(part).collect();
        self.run(env, deadline).map(|outcome| (outcome, parts)).boxed()
    }
}

const DOCUMENT: &str = "\
defaults: { timeout: 7s }
checks:
  - { name: shop, made: { status: up } }
  - { name: 店 api, made: { status: down } }
";

struct Ran {
    status: u8,
    out: String,
    notes: String,
}

fn ran(document: &str, checks: &[&str], json: bool) -> Ran {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("a.yaml");
    std::fs::write(&path, document).expect("written");
    let checks = checks.iter().map(|name| (*name).to_owned()).collect();
    let args = RunArgs { paths: vec![path], checks, json, exec: ExecArgs::default() };
    let env = Env {
        guard: Guard::Internal,
        resolver: Resolver::new(Vec::new()),
        secrets: Secrets::fixed(BTreeMap::new()),
        programs: Programs::default(),
    };
    let catalogue = Catalogue { kinds: &[&Made], channels: &[] };
    let (mut out, mut notes) = (Vec::new(), Vec::new());
    let mut screen = Screen { out: &mut out, notes: &mut notes, colour: false, progress: false };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let future = run(&args, &catalogue, &env, &mut screen);
    let status = runtime.expect("a runtime").block_on(future).expect("memory takes it");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    let root = format!("{}/", directory.path().display());
    Ran { status, out: text(out), notes: text(notes).replace(&root, "") }
}

#[test]
fn each_check_is_drawn_with_its_phases_and_its_failure() {
    let ran = ran(DOCUMENT, &[], false);
    assert_eq!(ran.status, NOT_WELL);
    insta::assert_snapshot!(ran.out, @r"
    d dns   c connect   t tls   s send   f first byte   x transfer

    shop    UP          30.5 ms  ddddddddddddcccccccccccccccccccccccc  192.0.2.1:443
            dns 10.0 ms, connect 20.5 ms
            bytes 12
    店 api  DOWN        30.5 ms  ddddddddddddcccccccccccccccccccccccc  192.0.2.1:443
            dns 10.0 ms, connect 20.5 ms
            bytes 12
            status: status 500, wanted 200
            | <h1>oh [31m no</h1>
            | sorry
    ");
    assert_eq!(ran.notes, "");
}

#[test]
fn json_has_one_line_per_check() {
    let ran = ran(DOCUMENT, &["*api"], true);
    assert_eq!(ran.status, NOT_WELL);
    assert_eq!(
        ran.out,
        concat!(
            r#"{"name":"店 api","kind":"made","status":"down","cause":"status","#,
            r#""detail":"status 500, wanted 200","duration_ms":30.5,"#,
            r#""phases_ms":{"dns":10.0,"connect":20.5,"tls":null,"send":null,"#,
            r#""first_byte":null,"transfer":null},"address":"192.0.2.1:443","#,
            r#""values":{"bytes":12.0},"excerpt":"<h1>oh\u001b[31m no</h1>\nsorry"}"#,
            "\n"
        )
    );
}

#[test]
fn the_parts_of_what_was_loaded_have_their_times() {
    let document = |parts: u32| {
        let check = format!("{{ name: page, made: {{ status: up, parts: {parts} }} }}");
        format!("defaults: {{ timeout: 7s }}\nchecks: [{check}]\n")
    };
    let json = ran(&document(2), &[], true).out;
    let elements = concat!(
        r#","elements":[{"role":"script","url":"https://shop.test/0.js","ms":3.0,"bytes":700,"#,
        r#""wire_bytes":300,"blocking":true},{"role":"script","url":"https://shop.test/1.js","#,
        r#""ms":1.5,"bytes":700,"wire_bytes":300,"blocking":false,"#,
        r#""failure":"status 404\u001b[31m"}]}"#,
    );
    assert!(json.trim_end().ends_with(elements), "{json}");
    let drawn = ran(&document(12), &[], false).out;
    let lines: Vec<&str> = drawn.lines().skip(5).collect();
    assert_eq!(lines.len(), 11, "{drawn}");
    assert_eq!(lines[0], "         18.0 ms       700 B  script https://shop.test/0.js");
    assert_eq!(
        lines[1],
        "         16.5 ms       700 B  script https://shop.test/1.js: status 404 [31m"
    );
    assert_eq!(lines[10], "      and 2 that took less; --json names all");
}

#[test]
fn the_exit_status_says_whether_all_are_up() {
    assert_eq!(ran(DOCUMENT, &["shop"], true).status, FINE);
    let unknown = ran(DOCUMENT, &["shpo"], true);
    assert_eq!((unknown.status, unknown.out.as_str()), (BAD_INPUT, ""));
    assert_eq!(unknown.notes, "error: no check's name fits `shpo`\n  hint: did you mean `shop`?\n");
    let bad = ran("checks: [{ name: a, made: { status: uup } }]", &[], true);
    assert_eq!((bad.status, bad.out.as_str()), (BAD_INPUT, ""));
    assert!(bad.notes.starts_with("a.yaml:1:37: error: unknown variant"), "{}", bad.notes);
}
