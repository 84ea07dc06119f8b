//! `crosscheck run` and `crosscheck validate`, as scripts and editors use them.

use crosscheck_tests::command::{Said, crosscheck};
use crosscheck_tests::nginx::Nginx;
use crosscheck_tests::scratch::Scratch;
use serde_json::Value;

/// The members of a line, in order.
const LINE: [&str; 10] = [
    "name",
    "kind",
    "status",
    "cause",
    "detail",
    "duration_ms",
    "phases_ms",
    "address",
    "values",
    "excerpt",
];

/// The members of its `phases_ms`, in order.
const PHASES: [&str; 6] = ["dns", "connect", "tls", "send", "first_byte", "transfer"];

/// The members of an object, in the order of the text. No member's text holds a member's name.
fn members(line: &str, of: &Value) -> Vec<String> {
    let mut names: Vec<String> = of.as_object().expect("an object").keys().cloned().collect();
    names.sort_by_key(|name| line.find(&format!("\"{name}\":")));
    names
}

#[tokio::test]
async fn a_run_prints_a_line_for_each_check_and_its_status_tells_whether_all_are_up() {
    let scratch = Scratch::new();
    let nginx = Nginx::start(&scratch, &[]).await;
    let at = format!("http://127.0.0.1:{}", nginx.port);
    let config = format!(
        "checks:\n\
         - {{ name: home, http: {{ url: \"{at}/\" }} }}\n\
         - {{ name: broken, http: {{ url: \"{at}/broken\" }} }}\n"
    );
    let path = scratch.write("checks.yaml", &config);
    let path = path.to_str().expect("a path in ASCII");

    let Said { status, out, .. } = crosscheck(&["run", "--json", path], &[]);
    assert_eq!(status, 1, "one of them is not up: {out}");
    let lines: Vec<&str> = out.lines().collect();
    let values: Vec<Value> =
        lines.iter().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let [home, broken] = values.as_slice() else { panic!("two lines: {out}") };
    for (line, value) in lines.iter().zip(&values) {
        assert_eq!(members(line, value), LINE, "{line}");
        assert_eq!(members(line, &value["phases_ms"]), PHASES, "{line}");
        assert_eq!(value["kind"], "http");
        assert_eq!(value["address"], format!("127.0.0.1:{}", nginx.port));
        for absent in ["dns", "tls"] {
            assert!(value["phases_ms"][absent].is_null(), "{line}");
        }
        let present = ["connect", "send", "first_byte", "transfer"];
        let parts: f64 = present.iter().filter_map(|name| value["phases_ms"][name].as_f64()).sum();
        let whole = value["duration_ms"].as_f64().expect("a number");
        assert!(parts > 0.0 && parts <= whole, "{line}");
    }
    assert_eq!((&home["name"], &home["status"]), (&"home".into(), &"up".into()));
    assert!(home["cause"].is_null(), "{home}");
    assert_eq!((&home["detail"], &home["excerpt"]), (&"".into(), &"".into()));
    assert_eq!((&broken["status"], &broken["cause"]), (&"down".into(), &"status".into()));
    assert_eq!(broken["values"]["status"], 500.0);
    assert_eq!(broken["excerpt"], "Fatal error");

    let one = crosscheck(&["run", "--json", "--check", "home", path], &[]);
    assert_eq!((one.status, one.out.lines().count()), (0, 1), "{one:?}");
    let drawn = crosscheck(&["run", path], &[]);
    assert_eq!(drawn.status, 1, "{drawn:?}");
    let none = crosscheck(&["run", "--check", "hme", path], &[]);
    assert_eq!((none.status, none.out.as_str()), (2, ""), "{none:?}");
    assert!(none.err.contains("did you mean `home`?"), "{}", none.err);
}

#[test]
fn validate_shows_each_error_with_its_place_a_caret_and_a_hint_and_ends_with_2() {
    let scratch = Scratch::new();
    let bad = "checks:\n\
               - name: shop\n  http: { url: \"ftp://shop.test/\", statsu: 200 }\n  interval: 1x\n";
    let path = scratch.write("bad.yaml", bad);
    let path = path.to_str().expect("a path in ASCII");
    let wanted = "\
bad.yaml:3:16: error: `ftp://shop.test/` is neither `http://` nor `https://`
  |
3 |   http: { url: \"ftp://shop.test/\", statsu: 200 }
  |                ^^^^^^^^^^^^^^^^^^

bad.yaml:3:36: error: unknown key `statsu`
  |
3 |   http: { url: \"ftp://shop.test/\", statsu: 200 }
  |                                    ^^^^^^
  hint: did you mean `status`?

bad.yaml:4:13: error: `1x` is no duration
  |
4 |   interval: 1x
  |             ^^
  hint: write `30s`, `5m`, `1h 30m`, `14d`

3 errors
";
    for command in ["validate", "run", "standalone"] {
        let said = crosscheck(&[command, path], &[]);
        assert_eq!(said.status, 2, "{command}: {said:?}");
        let told = format!("{}{}", said.out, said.err).replace(path, "bad.yaml");
        assert_eq!(told, wanted, "{command}");
    }
    let gone = crosscheck(&["validate", "/nowhere/at/all.yaml"], &[]);
    assert_eq!(gone.status, 2, "{gone:?}");
}
