//! Real plugins: Debian's monitoring-plugins-basic.

use std::net::TcpListener;

use super::*;

const PLUGINS: &str = "/usr/lib/nagios/plugins";

/// The environment of a probe that allows them.
fn allowed() -> Env {
    env(Programs::new(vec![PLUGINS.into()], Vec::new()))
}

/// Runs a plugin with these arguments.
async fn plugin(name: &str, arguments: Value) -> Outcome {
    let path = format!("{PLUGINS}/{name}");
    assert!(
        fs::exists(&path).expect("readable"),
        "{path} is missing: install monitoring-plugins-basic"
    );
    run(&allowed(), &json!({ "plugin": path, "args": arguments }), AMPLE).await
}

#[tokio::test]
async fn check_tcp_sees_an_open_and_a_closed_port() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let open = plugin("check_tcp", json!(["-H", "127.0.0.1", "-p", port])).await;
    assert_eq!((open.status, open.cause), (Status::Up, None), "{open:?}");
    assert!(open.values["time_ms"] > 0.0 && open.values["time_ms"] < 60_000.0, "{open:?}");
    let negated = json!({ "plugin": format!("{PLUGINS}/check_tcp"), "negate": true,
        "args": ["-H", "127.0.0.1", "-p", port] });
    let outcome = turned(&allowed(), &negated, AMPLE).await;
    assert_eq!((outcome.status, outcome.cause), (Status::Down, Some(Cause::Answers)));
    drop(listener);
    let outcome = turned(&allowed(), &negated, AMPLE).await;
    assert_eq!((outcome.status, outcome.cause), (Status::Up, None), "{outcome:?}");
    let closed = plugin("check_tcp", json!(["-H", "127.0.0.1", "-p", port])).await;
    assert_eq!((closed.status, closed.cause), (Status::Down, Some(Cause::PluginCritical)));
    assert!(closed.detail.contains("refused"), "{}", closed.detail);
}

#[tokio::test]
async fn check_disk_has_its_sizes_in_bytes() {
    let full = plugin("check_disk", json!(["-w", "0%", "-c", "0%", "-p", "/"])).await;
    assert_eq!(full.status, Status::Up, "{full:?}");
    // `/=1234MB`: a disk of this machine has more than a mebibyte on it.
    assert!(full.values["/_bytes"] > 1_048_576.0, "{full:?}");
    let full = plugin("check_disk", json!(["-w", "100%", "-p", "/"])).await;
    assert_eq!((full.status, full.cause), (Status::Degraded, Some(Cause::PluginWarning)));
    assert!(full.detail.starts_with("DISK WARNING"), "{}", full.detail);
}

#[tokio::test]
async fn check_load_and_check_dummy_speak_in_all_states() {
    let load = plugin("check_load", json!(["-w", "9999,9999,9999", "-c", "9999,9999,9999"])).await;
    assert_eq!(load.status, Status::Up, "{load:?}");
    assert!(["load1", "load5", "load15"].iter().all(|name| load.values.contains_key(*name)));
    for (code, status) in [
        ("0", Status::Up),
        ("1", Status::Degraded),
        ("2", Status::Down),
        ("3", Status::Unknown),
        ("9", Status::Unknown),
    ] {
        let dummy = plugin("check_dummy", json!([code, "it is so"])).await;
        assert_eq!(dummy.status, status, "{code}: {dummy:?}");
    }
}

/// A link to another plugin, which looks at the name that it is called by.
#[tokio::test]
async fn a_plugin_keeps_its_name() {
    let imap = plugin("check_imap", json!(["-H", "127.0.0.1", "-p", 1, "-t", 5])).await;
    assert_eq!(imap.cause, Some(Cause::PluginCritical), "{imap:?}");
    let wrong = plugin("check_tcp", json!(["--no-such-option"])).await;
    assert_eq!((wrong.status, wrong.cause), (Status::Unknown, Some(Cause::PluginUnknown)));
}

#[tokio::test]
async fn a_starter_in_an_allowed_directory_stays_forbidden() {
    let outcome = plugin("negate", json!(["/bin/true"])).await;
    assert_eq!((outcome.status, outcome.cause), (Status::Unknown, Some(Cause::ExecForbidden)));
}
