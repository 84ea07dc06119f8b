//! What has no kind of its own is asked by its Nagios plugin, as Debian packages it.

use crosscheck_model::Cause;
use crosscheck_tests::scratch::Scratch;
use crosscheck_tests::service::bmc::Bmc;
use crosscheck_tests::service::snmpd::Snmpd;
use serde_json::{Value, json};

use crate::{PLUGINS, each, with};

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
