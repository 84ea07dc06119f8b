//! What has no kind of its own is asked by its Nagios plugin, as Debian packages it.

use crosscheck_model::Cause;
use crosscheck_tests::nginx::Nginx;
use crosscheck_tests::scratch::Scratch;
use crosscheck_tests::service::bmc::Bmc;
use crosscheck_tests::service::caddy::Caddy;
use crosscheck_tests::service::snmpd::Snmpd;
use serde_json::{Value, json};

use super::{PLUGINS, Trust, closes, each, is_there, with};

fn plugin(name: &str, arguments: &[&str]) -> Value {
    json!({ "plugin": format!("{PLUGINS}/{name}"), "args": arguments })
}

#[tokio::test]
async fn a_real_snmp_agent_is_asked_by_the_packaged_plugin() {
    let scratch = Scratch::new();
    let snmpd = Snmpd::start(&scratch).await;
    let port = snmpd.port.to_string();
    let ask = |login: &[&str], oid: &str, more: &[&str]| {
        let at = ["-H", "127.0.0.1", "-p", &port, "-o", oid];
        plugin("check_snmp", &[&at[..], login, more].concat())
    };
    let public = &["-P", "2c", "-C", "public"][..];
    let name = "1.3.6.1.2.1.1.5.0";
    each(
        "exec",
        vec![
            (ask(public, name, &["-r", "crosscheck.test"]), None),
            (ask(public, name, &["-r", "other"]), Some(Cause::PluginCritical)),
            // The agent's uptime in hundredths of a second.
            (ask(public, "1.3.6.1.2.1.1.3.0", &["-w", "0:99999999"]), None),
        ],
    )
    .await;
}

/// Authenticated and encrypted, over both families.
#[tokio::test]
async fn a_real_agent_of_snmp_3_wants_the_right_user_and_keys() {
    let scratch = Scratch::new();
    let snmpd = Snmpd::start(&scratch).await;
    let port = snmpd.port.to_string();
    let login = |sign: &'static str, cipher: &'static str| {
        [
            "-P", "3", "-L", "authPriv", "-U", "probe", "-a", "SHA", "-A", sign, "-x", "AES", "-X",
            cipher,
        ]
    };
    let signed_alone =
        ["-P", "3", "-L", "authNoPriv", "-U", "probe", "-a", "SHA", "-A", "hunter22"];
    for at in [&["-H", "127.0.0.1"][..], &["-6", "-H", "[::1]"]] {
        let ask = |login: &[&str], name: &str| {
            let what = ["-p", &port, "-o", "1.3.6.1.2.1.1.5.0", "-r", name];
            plugin("check_snmp", &[at, &what, login].concat())
        };
        let right = login("hunter22", "hunter22");
        let turned = |asked: Value| with(asked, json!({ "negate": true }));
        each(
            "exec",
            vec![
                (ask(&right, "crosscheck.test"), None),
                (ask(&right, "other"), Some(Cause::PluginCritical)),
                (turned(ask(&right, "crosscheck.test")), Some(Cause::Answers)),
                (turned(ask(&right, "other")), None),
                (
                    ask(&login("hunter33", "hunter22"), "crosscheck.test"),
                    Some(Cause::PluginUnknown),
                ),
                (ask(&signed_alone, "crosscheck.test"), Some(Cause::PluginUnknown)),
            ],
        )
        .await;
    }
}

/// A simulated board, asked over real IPMI, over both families.
#[tokio::test]
async fn a_board_is_asked_over_ipmi_by_the_packaged_plugin() {
    let scratch = Scratch::new();
    for (ip, shown) in [("127.0.0.1", "127.0.0.1"), ("::1", "[::1]")] {
        for (degrees, cause) in [(45, None), (95, Some(Cause::PluginCritical))] {
            let bmc = Bmc::start(&scratch, ip, degrees).await;
            let at = format!("{shown}:{}", bmc.port);
            let login = ["-U", "probe", "-P", "hunter22", "-L", "admin", "-D", "LAN"];
            let ask = plugin("check_ipmi_sensor", &[&["-H", &at, "--nosel"], &login[..]].concat());
            let turned = if cause.is_none() { Some(Cause::Answers) } else { None };
            let negated = with(ask.clone(), json!({ "negate": true }));
            each("exec", vec![(ask, cause), (negated, turned)]).await;
        }
    }
}

/// Which family a plugin uses, its arguments say: a server that both reach is there by each and gone
/// by each, and one that listens on one of them is there by that alone.
#[tokio::test]
async fn a_real_server_is_there_and_gone_for_plugins_over_both_families() {
    let trust = Trust::new();
    let (server, half) = (
        Caddy::start(&trust.scratch, &trust.identity, "h1").await,
        Nginx::start(&trust.scratch, &[]).await,
    );
    let port = server.port;
    let by_tcp =
        |at: &[&str], port: u16| plugin("check_tcp", &[at, &["-p", &port.to_string()]].concat());
    let by_http = |at: &[&str]| {
        let more = ["-p", &port.to_string(), "-S", "--sni", "-s", "served by HTTP"];
        plugin("check_http", &[&["-H", "service.test"], at, &more].concat())
    };
    let places = [
        by_tcp(&["-H", "127.0.0.1"], port),
        by_tcp(&["-6", "-H", "::1"], port),
        by_http(&["-4", "-I", "127.0.0.1"]),
        by_http(&["-6", "-I", "::1"]),
    ];
    let places = places.map(|place| {
        let v6 = place["args"].as_array().is_some_and(|words| words.contains(&json!("-6")));
        with(place, json!({ "family": if v6 { "v6" } else { "v4" } }))
    });
    is_there("exec", &places).await;
    let turned = |place: &Value| with(place.clone(), json!({ "negate": true }));
    let (v4, v6) =
        (by_tcp(&["-H", "127.0.0.1"], half.port), by_tcp(&["-6", "-H", "::1"], half.port));
    let critical = Some(Cause::PluginCritical);
    each("exec", vec![(turned(&v6), None), (turned(&v4), Some(Cause::Answers))]).await;
    each("exec", vec![(v6, critical), (v4, None)]).await;
    drop(server);
    closes(&[("127.0.0.1", port), ("::1", port)]).await;
    each("exec", places.iter().map(|place| (place.clone(), critical)).collect()).await;
    each("exec", places.iter().map(|place| (turned(place), None)).collect()).await;
}
