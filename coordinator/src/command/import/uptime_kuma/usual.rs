//! Values that keys of a monitor have before anybody changes them.

use super::super::tree::{Node, Value};

/// Keys that say how a monitor is shown or kept, and the state that it is in.
const OF_ITSELF: [&str; 14] = [
    "id",
    "weight",
    "pathName",
    "path",
    "childrenIDs",
    "active",
    "forceInactive",
    "maintenance",
    "dns_last_result",
    "screenshot",
    "includeSensitiveData",
    "user_id",
    "created_date",
    "snapshot",
];

/// Keys whose form begins with another value than nothing.
const BEGIN: [(&str, &[&str]); 31] = [
    ("method", &["GET"]),
    ("interval", &["60"]),
    ("retryInterval", &["60"]),
    ("timeout", &["48"]),
    ("maxredirects", &["10"]),
    ("packetSize", &["56"]),
    ("dns_resolve_type", &["A"]),
    ("dns_resolve_server", &["1.1.1.1"]),
    ("httpBodyEncoding", &["json"]),
    ("oauth_auth_method", &["client_secret_basic"]),
    ("jsonPathOperator", &["=="]),
    ("jsonPath", &["$"]),
    ("snmpVersion", &["2c"]),
    ("mqttCheckType", &["keyword"]),
    ("gamedigGivenPortOnly", &["true", "1"]),
    ("ping_numeric", &["true", "1"]),
    ("ping_count", &["1", "3"]),
    ("ping_per_request_timeout", &["2"]),
    ("url", &["https://", "http://"]),
    ("port", &["53"]),
    ("authMethod", &["null"]),
    ("smtpSecurity", &["secure"]),
    ("protocol", &["ICMP"]),
    ("saveErrorResponse", &["true", "1"]),
    ("responseMaxLength", &["1024"]),
    ("domainExpiryNotification", &["true", "1"]),
    ("sshAuthMethod", &["password"]),
    ("ntpStratumThreshold", &["5"]),
    ("ntpTimeOffsetThreshold", &["1000"]),
    ("expectedTlsAlert", &["none"]),
    ("manual_status", &["null"]),
];

/// Whether a key that was not looked at is as it is in every backup.
pub(super) fn is_usual(key: &str, node: &Node) -> bool {
    if OF_ITSELF.contains(&key) {
        return true;
    }
    let begin = BEGIN.iter().find(|(known, _)| *known == key).map(|(_, values)| *values);
    if node.says_nothing() {
        return true;
    }
    match &node.value {
        Value::Scalar(text) => begin.is_some_and(|values| values.contains(&text.as_str())),
        Value::List(items) if key == "accepted_statuscodes" => {
            items.iter().all(|item| item.peek() == "200-299")
        }
        Value::Map(entries) => entries.iter().all(|(_, node)| node.peek() == "None"),
        _ => false,
    }
}

/// Whether it only concerns how answers are kept and shown.
pub(super) fn is_shown_only(key: &str) -> bool {
    ["saveResponse", "saveErrorResponse", "responseMaxLength", "screenshot_delay", "location"]
        .contains(&key)
}
