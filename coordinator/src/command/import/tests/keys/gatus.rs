//! The keys of Gatus.

use super::*;

fn gatus<'a>(text: &'a str, keys: &'a [&'a str]) -> Place<'a> {
    Place { source: "gatus", file: "config.yaml", text, targets: None, keys, unknown: YAML }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn every_key_of_gatus() {
    let endpoint = "endpoints: [{ name: a, url: \"https://a.example.com/\", § }]";
    for place in [
        gatus(
            "endpoints: [{ name: a, url: \"https://a.example.com/\" }]\n§",
            &[
                "external-endpoints: [{ name: e, token: t, heartbeat: { interval: 30m } }]",
                "external-endpoints: [{ name: e, token: t, enabled: false }]",
                "suites: [{ name: s, endpoints: [{ name: b, url: \"https://b.example.com/\" }] }]",
                "alerting: { slack: { webhook-url: x } }",
                "maintenance: { start: \"23:00\", duration: 1h }",
                "maintenance: { enabled: false, start: \"23:00\", duration: 1h }",
                "announcements: [{ message: x }]",
                "connectivity: { checker: { target: \"1.1.1.1:53\", interval: 60s } }",
                "tunneling: { t: { type: SSH } }",
                "remote: { instances: [] , x: 1 }",
                "web: { port: 8081 }",
                "ui: { title: x }",
                "storage: { type: sqlite }",
                "security: { basic: { username: u } }",
                "concurrency: 5",
                "debug: true",
                "metrics: true",
                "disable-monitoring-lock: true",
                "skip-invalid-config-update: true",
            ],
        ),
        gatus(
            endpoint,
            &[
                "enabled: false",
                "group: g",
                "method: PUT",
                "conditions: [\"[STATUS] == 200\"]",
                "interval: 5m",
                "interval: $EVERY",
                "body: x",
                "body: \"{ x }\", graphql: true",
                "body: \"[RANDOM_STRING_8]\"",
                "headers: { A: b }",
                "headers: { Host: b.example.com }",
                "dns: { query-name: a.example.com }",
                "alerts: [{ type: email }]",
                "maintenance-windows: [{ start: \"23:00\", duration: 1h }]",
                "client: { timeout: 3s }",
                "ui: { hide-url: true }",
                "extra-labels: { a: b }",
                "always-run: true",
                "store: { a: \"[BODY].a\" }",
            ],
        ),
        gatus(
            "endpoints: [{ name: a, url: \"https://a.example.com/\", client: { § } }]",
            &[
                "insecure: true",
                "ignore-redirect: true",
                "timeout: 3s",
                "dns-resolver: \"tcp://8.8.8.8:53\"",
                "proxy-url: \"http://u:hunter2@p.example.com:3128\"",
                "proxy-url: \"https://p.example.com\"",
                "oauth2: { token-url: \"https://t.example.com/\", client-id: c, client-secret: hunter2, scopes: [s] }",
                "identity-aware-proxy: { audience: a }",
                "kerberos: { principal: a@B }",
                "network: ip6",
                "network: ip4",
                "tls: { certificate-file: /c.pem, private-key-file: /k.pem }",
                "tls: { certificate-file: /c.pem, private-key-file: /k.pem, renegotiation: once }",
                "tunnel: t",
            ],
        ),
        gatus(
            "endpoints: [{ name: a, url: \"https://a.example.com/\", alerts: [{ type: slack, § }] }]",
            &[
                "enabled: false",
                "failure-threshold: 5",
                "failure-threshold: $FEW",
                "success-threshold: 7",
                "minimum-reminder-interval: 1h",
                "description: x",
                "send-on-resolved: false",
                "provider-override: { a: b }",
            ],
        ),
        gatus(
            "endpoints: [{ name: a, url: \"ssh://a.example.com:22\", § }]",
            &[
                "ssh: { username: u, password: hunter2 }",
                "ssh: { private-key: hunter2 }",
                "body: x",
            ],
        ),
        gatus(
            "endpoints: [{ name: a, group: g, url: \"https://a.example.com/\", alerts: [{ type: email }] }]\n\
             alerting: { email: { host: m.example.com, from: a@example.com, to: b@example.com, § } }",
            &[
                "port: 465",
                "password: hunter2",
                "password: hunter2, username: u",
                "password: $SECRET",
                "client: { insecure: true }",
                "default-alert: { failure-threshold: 9 }",
                "overrides: [{ group: g, to: c@example.com }]",
                "overrides: [{ group: g, to: \"$MAIL\" }]",
            ],
        ),
        gatus(
            "endpoints: [{ name: a, url: \"https://a.example.com/\" }]\n\
             maintenance: { start: \"23:00\", duration: 1h, § }",
            &["enabled: false", "timezone: Europe/Berlin", "every: [Monday]"],
        ),
    ] {
        place.holds();
    }
}

#[test]
fn every_key_of_a_suite_of_gatus() {
    for place in [
        gatus(
            "suites: [{ name: s, endpoints: [{ name: a, url: \"https://a.example.com/\" }], § }]",
            &["enabled: false", "group: g", "interval: 1m", "timeout: 1m"],
        ),
        gatus(
            "suites: [{ name: s, endpoints: [{ name: a, url: \"https://a.example.com/\", § }] }]",
            &[
                "enabled: false",
                "group: g",
                "method: PUT",
                "conditions: [\"[STATUS] == 200\"]",
                "conditions: [\"[CONNECTED] == false\"]",
                "interval: 5m",
                "body: x",
                "body: x, graphql: true",
                "headers: { A: b }",
                "headers: { Host: b.example.com }",
                "dns: { query-name: a.example.com }",
                "ssh: { username: u }",
                "alerts: [{ type: email }]",
                "maintenance-windows: [{ start: \"23:00\", duration: 1h }]",
                "client: { timeout: 3s }",
                "client: { network: ip6 }",
                "client: { ignore-redirect: true }",
                "ui: { hide-url: true }",
                "extra-labels: { a: b }",
                "always-run: true",
                "store: { a-b: \"[BODY].a\" }",
                "store: { a: \"[STATUS]\" }",
            ],
        ),
    ] {
        place.holds();
    }
}
