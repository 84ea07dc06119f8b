//! Probes of the types TCP, PING, DNS and GRPC.

use std::time::Duration;

use super::super::check::Check;
use super::super::draft::is_secret_header;
use super::super::time;
use super::super::tree::Node;
use super::super::written::Out;
use super::target::{Target, bracketed};
use super::{Reading, each};

impl Reading<'_> {
    pub(super) fn tcp(
        &mut self,
        name: &str,
        node: &Node,
        target: &Target,
        mut check: Check,
    ) -> Check {
        check.set("address", Out::text(target.address(node.text_of("port"), None)));
        if node.is("tls_handshake") {
            check.set("tls", Out::word(true));
        }
        if let Some(tls) = node.get("tls_config") {
            self.tls(name, tls, &mut check);
        }
        self.pace(name, node);
        check
    }

    pub(super) fn icmp(
        &mut self,
        name: &str,
        node: &Node,
        target: &Target,
        mut check: Check,
    ) -> Check {
        check.set("host", Out::text(target.place()));
        // cloudprober sends two.
        check.set("count", Out::word(node.text_of("packets_per_probe").unwrap_or("2")));
        if let Some(gap) = node.text_of("packets_interval_msec").and_then(|text| text.parse().ok())
        {
            check.set("gap", time::ours(Duration::from_millis(gap)));
        }
        if let Some(size) = node.text_of("payload_size") {
            check.set("size", Out::word(format!("{size}B")));
        }
        for (key, value) in node.entries() {
            let why = match key.as_str() {
                "use_datagram_socket" => "the probe takes what the system allows it",
                "resolve_targets_interval" => "names are resolved at each run",
                "disable_integrity_check" => "what comes back must be what was sent",
                _ => continue,
            };
            self.pass(value, &format!("ping_probe `{key}`"), why);
        }
        self.pace(name, node);
        check
    }

    pub(super) fn dns(
        &mut self,
        name: &str,
        node: &Node,
        target: &Target,
        mut check: Check,
    ) -> Check {
        let asked = node.text_of("resolved_domain").unwrap_or("www.google.com.");
        check.set("name", Out::text(asked.trim_end_matches('.')));
        check.set("type", Out::text(node.text_of("query_type").unwrap_or("MX")));
        let server = match &target.port {
            Some(port) => format!("{}:{port}", bracketed(target.place())),
            None => target.place().to_owned(),
        };
        check.set("server", Out::text(server));
        match node.text_of("dns_proto") {
            Some("TCP") => check.set("transport", Out::text("tcp")),
            Some("TCP_TLS") => check.set("transport", Out::text("tls")),
            Some("UDP") => check.set("transport", Out::text("udp")),
            _ => {}
        }
        if let Some(recursion) = node.text_of("recursion_desired") {
            check.set("recursion", Out::word(recursion));
        }
        if let Some(least) = node.get("min_answers") {
            match least.text() {
                Some("0" | "1") => {} // One must be there in any case.
                _ => {
                    let why = "records are not counted; write those that must be there (`answers`)";
                    self.lose(least, &format!("probe {name}: `min_answers`"), why);
                }
            }
        }
        self.pace(name, node);
        check
    }

    /// The health service.
    pub(super) fn grpc(
        &mut self,
        name: &str,
        node: &Node,
        target: &Target,
        mut check: Check,
    ) -> Check {
        check.set("address", Out::text(target.address(node.text_of("port"), Some("443"))));
        if !node.is("insecure_transport") {
            check.set("tls", Out::word(true));
        }
        if let Some(service) = node.text_of("health_check_service") {
            check.set("service", Out::text(service));
        }
        if let Some(tls) = node.get("tls_config") {
            self.tls(name, tls, &mut check);
        }
        for header in each(node, "headers") {
            let field = header.text_of("name").unwrap_or_default().to_owned();
            let value = header.text_of("value").unwrap_or_default().to_owned();
            let value = match is_secret_header(&field) && !value.contains("${env:") {
                true => self.secret(header, name, &field),
                false => value,
            };
            check.put("metadata", &field.to_ascii_lowercase(), Out::text(value));
        }
        for (key, value) in node.entries() {
            let what = format!("probe {name}: `{key}`");
            let why = match key.as_str() {
                "health_check_ignore_status" if value.is_off() => continue,
                "health_check_ignore_status" => "the service must serve here",
                "oauth_config" => "write `metadata: { authorization: .. }`, as `${env:..}`",
                "alts_config" => "ALTS is not spoken; write `tls: true`",
                "num_conns" | "disable_reuse_conn" => "every run connects anew, once",
                "connect_timeout_msec" => "a run has one time-out",
                "uri_scheme" | "default_lb_config" => "the probe connects with the address",
                "blob_size" | "request" => "the health service is asked",
                _ => continue,
            };
            self.lose(value, &what, why);
        }
        self.pace(name, node);
        check
    }

    /// How often and how fast a probe asks within one run, and when it resolves names.
    pub(super) fn pace(&mut self, name: &str, node: &Node) {
        for (key, value) in node.entries() {
            match key.as_str() {
                "resolve_first" => {
                    let why = "names are resolved at each run";
                    self.pass(value, "`resolve_first` of probes", why);
                }
                "interval_between_targets_msec" => {
                    let why = "checks begin at times of their own";
                    self.pass(value, "`interval_between_targets_msec` of probes", why);
                }
                "requests_per_probe" if value.text() == Some("1") => {}
                "requests_per_probe" | "requests_interval_msec" => {
                    let why = "a run asks once; a shorter `interval` asks more often";
                    self.lose(value, &format!("probe {name}: `{key}`"), why);
                }
                _ => {}
            }
        }
    }
}
