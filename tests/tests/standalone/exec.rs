//! Nagios plugins, started only where the process was told that they may be.

use std::net::TcpListener;

use crosscheck_tests::command::crosscheck;
use crosscheck_tests::scratch::Scratch;
use serde_json::Value;

const PLUGINS: &str = "/usr/lib/nagios/plugins";

fn outcome(said: &str) -> Value {
    serde_json::from_str(said.trim()).unwrap_or_else(|error| panic!("{error}: {said}"))
}

#[test]
fn a_plugin_runs_where_it_is_allowed_and_nowhere_else() {
    let scratch = Scratch::new();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let config = format!(
        "checks: [{{ name: port, exec: {{ plugin: {PLUGINS}/check_tcp, \
         args: [-H, 127.0.0.1, -p, {port}] }} }}]\n"
    );
    let file = scratch.write("exec.yaml", &config).display().to_string();
    let allowed = crosscheck(&["run", &file, "--json", "--exec", PLUGINS], &[]);
    assert_eq!(allowed.status, 0, "{}{}", allowed.out, allowed.err);
    let line = outcome(&allowed.out);
    assert_eq!((&line["status"], &line["values"]["exit_code"]), (&"up".into(), &0.0.into()));
    assert!(line["values"]["time_ms"].as_f64() > Some(0.0), "{line}");
    let forbidden = crosscheck(&["run", &file, "--json"], &[]);
    assert_eq!(forbidden.status, 1, "{}{}", forbidden.out, forbidden.err);
    let line = outcome(&forbidden.out);
    let wanted = (&"unknown".into(), &"exec_forbidden".into());
    assert_eq!((&line["status"], &line["cause"]), wanted, "{line}");
    drop(listener);
    let closed = crosscheck(&["run", &file, "--json", "--exec", PLUGINS], &[]);
    let line = outcome(&closed.out);
    assert_eq!((&line["status"], &line["cause"]), (&"down".into(), &"plugin_critical".into()));
}
