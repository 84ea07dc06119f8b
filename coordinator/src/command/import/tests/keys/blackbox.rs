//! The keys of blackbox_exporter and of scrape configurations.

use super::*;

/// With `§` in the place of a module's settings; no key in it may begin the file's first line.
fn blackbox<'a>(prober: &'a str, text: &'a str, keys: &'a [&'a str]) -> Place<'a> {
    let targets = match prober {
        "http" => {
            "scrape_configs: [{ job_name: j, metrics_path: /probe, params: { module: [m] }, \
                   static_configs: [{ targets: [\"https://a.example.com/\"] }] }]"
        }
        "tcp" | "grpc" => {
            "scrape_configs: [{ job_name: j, metrics_path: /probe, params: { module: \
                   [m] }, static_configs: [{ targets: [\"a.example.com:25\"] }] }]"
        }
        _ => {
            "scrape_configs: [{ job_name: j, metrics_path: /probe, params: { module: [m] }, \
              static_configs: [{ targets: [\"192.0.2.1\"] }] }]"
        }
    };
    Place {
        source: "blackbox",
        file: "blackbox.yml",
        text,
        targets: Some(targets),
        keys,
        unknown: YAML,
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn every_key_of_blackbox_exporter() {
    let family =
        ["preferred_ip_protocol: ip6", "preferred_ip_protocol: ip4", "ip_protocol_fallback: false"];
    for (prober, text) in [
        ("http", "modules: { m: { prober: http, http: { § } } }"),
        ("tcp", "modules: { m: { prober: tcp, tcp: { § } } }"),
        ("icmp", "modules: { m: { prober: icmp, icmp: { § } } }"),
        ("dns", "modules: { m: { prober: dns, dns: { query_name: a.example.com, § } } }"),
        ("grpc", "modules: { m: { prober: grpc, grpc: { § } } }"),
    ] {
        blackbox(prober, text, &family).holds();
    }
    for place in [
        blackbox(
            "http",
            "modules: { m: { prober: http, § } }",
            &["timeout: 3s", "tcp: { tls: true }", "http: { method: PUT }"],
        ),
        blackbox(
            "http",
            "modules: { m: { prober: http, http: { § } } }",
            &[
                "valid_status_codes: [200]",
                "valid_http_versions: [HTTP/1.1, HTTP/2.0]",
                "method: PUT",
                "headers: { A: b }",
                "headers: { Authorization: hunter2 }",
                "body_size_limit: 10MB",
                "body_size_limit: 0",
                "compression: gzip",
                "follow_redirects: false",
                "no_follow_redirects: true",
                "fail_if_ssl: true",
                "fail_if_body_json_matches_cel: \"body.a == 1\"",
                "fail_if_body_json_not_matches_cel: \"body.a == 1\"",
                "fail_if_body_matches_regexp: [\"a\\\"b\"]",
                "fail_if_body_not_matches_regexp: [a]",
                "fail_if_header_matches: [{ header: A, regexp: b }]",
                "fail_if_header_matches: [{ header: A, regexp: b, allow_missing: true }]",
                "fail_if_header_not_matches: [{ header: A, regexp: b }]",
                "fail_if_header_not_matches: [{ header: A, regexp: b, allow_missing: true }]",
                "basic_auth: { username: u, password: hunter2 }",
                "basic_auth: { username: u, password_file: /p }",
                "basic_auth: { username_file: /u, password_file: /p }",
                "bearer_token: hunter2",
                "bearer_token_file: /t",
                "authorization: { credentials: hunter2 }",
                "authorization: { type: Token, credentials_file: /t }",
                "proxy_url: \"http://p.example.com:3128\"",
                "proxy_url: \"https://p.example.com:3128\"",
                "no_proxy: a",
                "proxy_from_environment: true",
                "proxy_connect_header: { A: [b] }",
                "skip_resolve_phase_with_proxy: true",
                "use_proxy_dns: true",
                "oauth2: { client_id: c, client_secret: hunter2, scopes: [s], token_url: \"https://t.example.com/\", endpoint_params: { a: b } }",
                "oauth2: { client_id: c, client_secret_file: /s, token_url: \"https://t.example.com/\", tls_config: { ca_file: /c } }",
                "enable_http2: false",
                "enable_http3: true",
                "body: x",
                "body_file: /b",
                "tls_config: { ca_file: /c.pem }",
                "tls_config: { cert_file: /c.pem, key_file: /k.pem }",
                "tls_config: { server_name: b.example.com }",
                "tls_config: { insecure_skip_verify: true }",
                "tls_config: { min_version: TLS13 }",
                "tls_config: { max_version: TLS12 }",
                "tls_config: { ca: pem }",
            ],
        ),
        blackbox(
            "tcp",
            "modules: { m: { prober: tcp, tcp: { § } } }",
            &[
                "source_ip_address: 192.0.2.9",
                "tls: true",
                "tls: true, tls_config: { ca_file: /c.pem }",
                "query_response: [{ expect: \"^220 (.*)\" }, { send: \"HI ${1} $1\" }]",
                "query_response: [{ expect: a, labels: [{ name: n, value: v }] }]",
                "query_response: [{ send: STARTTLS }, { expect: ok, starttls: true }]",
            ],
        ),
        blackbox(
            "icmp",
            "modules: { m: { prober: icmp, icmp: { § } } }",
            &["source_ip_address: 192.0.2.9", "dont_fragment: true", "payload_size: 99", "ttl: 9"],
        ),
        blackbox(
            "grpc",
            "modules: { m: { prober: grpc, grpc: { § } } }",
            &["service: s", "tls: true", "tls: true, tls_config: { server_name: s.example.com }"],
        ),
        blackbox(
            "dns",
            "modules: { m: { prober: dns, dns: { query_name: a.example.com, § } } }",
            &[
                "source_ip_address: 192.0.2.9",
                "transport_protocol: tcp",
                "dns_over_tls: true",
                "query_type: MX",
                "query_class: CH",
                "recursion_desired: false",
                "valid_rcodes: [NXDOMAIN]",
                "validate_answer_rrs: { fail_if_matches_regexp: [a] }",
                "validate_answer_rrs: { fail_if_all_match_regexp: [a] }",
                "validate_answer_rrs: { fail_if_not_matches_regexp: [a] }",
                "validate_answer_rrs: { fail_if_none_matches_regexp: [a] }",
                "validate_authority_rrs: { fail_if_matches_regexp: [a] }",
                "validate_additional_rrs: { fail_if_matches_regexp: [a] }",
            ],
        ),
    ] {
        place.holds();
    }
}

#[test]
fn every_key_of_a_scrape_configuration() {
    let modules = "modules: { m: { prober: http }, other: { prober: http, timeout: 1s } }";
    let of = |targets: &'static str, keys: &'static [&'static str]| Place {
        source: "blackbox",
        file: "blackbox.yml",
        text: modules,
        targets: Some(targets),
        keys,
        unknown: YAML,
    };
    for place in [
        of(
            "scrape_configs: [{ job_name: j, metrics_path: /probe, params: { module: [m] }, static_configs: [{ targets: [\"https://a.example.com/\"] }] }]\n§",
            &[
                "global: { scrape_interval: 20s }",
                "global: { scrape_timeout: 5s }",
                "global: { evaluation_interval: 5s }",
                "rule_files: [a]",
                "alerting: { alertmanagers: [{ x: 1 }] }",
                "remote_write: [{ url: x }]",
                "storage: { tsdb: { x: 1 } }",
                "scrape_config_files: [\"none/*.yml\"]",
            ],
        ),
        of(
            "scrape_configs: [{ job_name: j, metrics_path: /probe, params: { module: [m] }, static_configs: [{ targets: [\"https://a.example.com/\"] }], § }]",
            &[
                "scrape_interval: 20s",
                "scrape_timeout: 5s",
                "file_sd_configs: [{ files: [none.json] }]",
                "kubernetes_sd_configs: [{ role: service }]",
                "http_sd_configs: [{ url: x }]",
                "honor_labels: true",
                "scheme: https",
                "basic_auth: { username: u }",
                "tls_config: { ca_file: /c }",
                "metric_relabel_configs: [{ action: drop }]",
                "sample_limit: 9",
                "relabel_configs: [{ source_labels: [__address__], target_label: __param_target }]",
                "relabel_configs: [{ action: drop, source_labels: [__address__] }]",
                "relabel_configs: [{ action: hashmod, source_labels: [__address__], target_label: h, modulus: 4 }]",
                "relabel_configs: [{ target_label: __param_module, replacement: other }]",
                "relabel_configs: [{ target_label: __param_hostname, replacement: b.example.com }]",
            ],
        ),
        of(
            "scrape_configs: [{ job_name: j, metrics_path: /probe, params: { module: [m], § }, static_configs: [{ targets: [\"https://a.example.com/\"] }] }]",
            &[
                "target: [\"https://b.example.com/\"]",
                "hostname: [b.example.com]",
                "debug: [\"true\"]",
            ],
        ),
        of(
            "scrape_configs: [{ job_name: j, metrics_path: /probe, params: { module: [m] }, static_configs: [{ targets: [\"https://a.example.com/\"], labels: { § } }] }]",
            &["team: shop", "module: other", "__param_module: other"],
        ),
    ] {
        place.holds();
    }
}
