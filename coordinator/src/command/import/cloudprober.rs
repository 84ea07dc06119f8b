//! cloudprober: probes with their targets and validators, in the text format of protocol buffers.

mod http;

use std::time::Duration;

use super::draft::{Check, Draft};
use super::tree::{Input, Node};
use super::written::Out;
use super::{Source, textproto, time};

/// cloudprober's own defaults.
const INTERVAL: Duration = Duration::from_secs(2);
const TIMEOUT: Duration = Duration::from_secs(1);

/// Go's HTTP client follows as many redirects.
const REDIRECTS: &str = "10";

/// `cloudprober.cfg`.
pub(super) struct Cloudprober;

impl Source for Cloudprober {
    fn name(&self) -> &'static str {
        "cloudprober"
    }

    fn read(&self, file: &Input, _: Option<&Input>, draft: &mut Draft) -> Result<(), String> {
        if let Some((line, text)) = template(&file.text) {
            let name = &file.name;
            return Err(format!(
                "{name}:{line}: a template, `{text}`; let cloudprober expand it: \
                 `cloudprober --configtest --dumpconfig`"
            ));
        }
        let root = textproto::read(file)?;
        let mut reading = Reading { file: &file.name, draft, root: &root };
        for (key, node) in root.entries() {
            let why = match key.as_str() {
                "probe" => {
                    reading.probe(node);
                    continue;
                }
                "shared_targets" => continue, // Where a probe uses them.
                "surfacer" => {
                    "`/metrics` of probes and coordinators, and their API, give the figures"
                }
                "server" => "probes serve no requests of others",
                _ => "how the program itself runs is set in coordinator.yaml and probe.yaml",
            };
            reading.lose(node, &format!("`{key}`"), why);
        }
        Ok(())
    }
}

/// The line and text of the first directive of Go's templates, which the file may hold.
fn template(text: &str) -> Option<(usize, &str)> {
    let mut lines = text.lines().zip(1..);
    lines.find_map(|(line, number)| {
        let code = line.split('#').next().unwrap_or(line);
        let at = code.find("{{")?;
        let end = code[at..].find("}}").map_or(code.len(), |end| at + end + 2);
        Some((number, &code[at..end]))
    })
}

/// A target: what it is called, where it is.
struct Target {
    name: String,
    host: String,
    port: Option<String>,
    url: Option<String>,
}

struct Reading<'a> {
    file: &'a str,
    draft: &'a mut Draft,
    root: &'a Node,
}

impl Reading<'_> {
    fn lose(&mut self, node: &Node, what: &str, why: &str) {
        self.draft.lose(self.file, node.line, what, why);
    }

    fn probe(&mut self, node: &Node) {
        let name = node.text_of("name").unwrap_or("probe").to_owned();
        let kind = node.text_of("type").unwrap_or_default();
        let (kind, own) = match kind {
            "HTTP" => ("http", "http_probe"),
            "TCP" => ("tcp", "tcp_probe"),
            "PING" => ("icmp", "ping_probe"),
            "DNS" => ("dns", "dns_probe"),
            other => {
                let why = match other {
                    "EXTERNAL" => "left out: make it a check of kind `exec`",
                    "UDP" | "UDP_LISTENER" => "left out: it needs cloudprober at the other end",
                    "GRPC" => "left out: make it a check of kind `grpc`",
                    _ => "left out: there is no check of this type here",
                };
                return self.lose(node, &format!("probe {name} ({other})"), why);
            }
        };
        let empty = Node { line: node.line, value: super::tree::Value::Map(Vec::new()) };
        let settings = node.get(own).unwrap_or(&empty);
        let targets = self.targets(node, &name);
        let several = targets.len() > 1;
        for target in targets {
            let title = if several { format!("{name} {}", target.name) } else { name.clone() };
            let new = Check::new(self.file, node.line, &title, kind);
            let mut check = match kind {
                "http" => self.http(&name, settings, &target, new),
                "tcp" => self.tcp(&name, settings, &target, new),
                "icmp" => self.icmp(&name, settings, &target, new),
                _ => self.dns(&name, settings, &target, new),
            };
            self.common(node, &name, &mut check);
            self.draft.check(check);
        }
    }

    /// What every probe may say.
    fn common(&mut self, node: &Node, name: &str, check: &mut Check) {
        let of = |key: &str, usual| {
            let text = node.text_of(key).and_then(time::go);
            let millis = node.text_of(&format!("{key}_msec")).and_then(|text| text.parse().ok());
            text.or(millis.map(Duration::from_millis)).or(Some(usual))
        };
        check.times(of("interval", INTERVAL), of("timeout", TIMEOUT), self.draft);
        let mut judged = false;
        for validator in node.all("validator") {
            judged |= validator.get("http_validator").is_some();
            self.validator(validator, name, check);
        }
        if check.is("http") && !judged {
            // Without a validator any answer is well there.
            check.set("status", Out::texts(["100-599"]));
        }
        for (key, value) in node.entries() {
            let what = format!("probe {name}: `{key}`");
            let why = match key.as_str() {
                "name"
                | "type"
                | "targets"
                | "validator"
                | "interval"
                | "interval_msec"
                | "timeout"
                | "timeout_msec"
                | "latency_unit"
                | "latency_distribution"
                | "stats_export_interval_msec" => continue,
                key if key.ends_with("_probe") => continue,
                "negative_test" => {
                    if value.text() == Some("true") {
                        check.set("negate", Out::word(true));
                    }
                    continue;
                }
                "ip_version" => {
                    if value.text() == Some("IPV6") {
                        check.set("family", Out::text("v6"));
                    }
                    continue;
                }
                "alert" => {
                    self.alert(value, name, check);
                    continue;
                }
                "source_ip" | "source_interface" => "the system chooses the source",
                "additional_label" => "labels of metrics have no counterpart",
                "run_on" => "write `sites` to choose where a check runs",
                "schedule" => "write `maintenance` for times in which nobody is to be woken",
                _ => "there is nothing like it here",
            };
            self.lose(value, &what, why);
        }
    }

    /// So many failures of so many runs; ours counts consecutive rounds.
    fn alert(&mut self, node: &Node, name: &str, check: &mut Check) {
        let condition = node.get("condition");
        let of = |key| condition.and_then(|condition| condition.text_of(key)?.parse::<u32>().ok());
        let (failures, total) = (of("failures").unwrap_or(1), of("total").unwrap_or(0));
        check.alarm("after", Out::word(failures.max(1)));
        if total > failures {
            let why = format!("{failures} of {total} there; here {failures} in a row");
            self.lose(node, &format!("probe {name}: `alert`"), &why);
        }
        let notify = node.get("notify");
        for (key, value) in notify.map(Node::entries).unwrap_or_default() {
            if key == "email" {
                let to: Vec<String> =
                    value.items().iter().filter_map(Node::text).map(str::to_owned).collect();
                let why = format!(
                    "write a contact and a route for {}, and the mail channel",
                    to.join(", ")
                );
                self.lose(value, &format!("probe {name}: `notify`"), &why);
            } else {
                let why = "write a route by a channel of this means, if there is one of it";
                self.lose(value, &format!("probe {name}: `notify` by {key}"), why);
            }
        }
    }

    fn validator(&mut self, node: &Node, name: &str, check: &mut Check) {
        let title = node.text_of("name").unwrap_or_default();
        let what = |key: &str| format!("probe {name}: validator {title} (`{key}`)");
        for (key, value) in node.entries() {
            match key.as_str() {
                "name" => {}
                "regex" if check.is("http") => {
                    check.add("body", "matches", Out::text(value.text().unwrap_or_default()));
                }
                "http_validator" if check.is("http") => {
                    for (key, value) in value.entries() {
                        let text = value.text().unwrap_or_default();
                        match key.as_str() {
                            "success_status_codes" => {
                                let codes = text.split(',').map(|code| Out::text(code.trim()));
                                check.set("status", Out::List(codes.collect()));
                            }
                            "success_header" => {
                                let header = value.text_of("name").unwrap_or_default();
                                let pattern = value.text_of("value_regex").unwrap_or(".*");
                                let matches = Out::map([("matches", Out::text(pattern))]);
                                check.put("header", header, matches);
                            }
                            "max_latency" => {
                                time::go(text)
                                    .into_iter()
                                    .for_each(|limit| check.set("slower_than", time::ours(limit)));
                            }
                            _ => self.lose(value, &what(key), "write what is wanted instead"),
                        }
                    }
                }
                "json_validator" => {
                    self.lose(value, &what(key), "write it as `json`: paths of RFC 9535, not jq");
                }
                _ => self.lose(value, &what(key), "there is nothing like it for this kind"),
            }
        }
    }

    fn targets(&mut self, node: &Node, name: &str) -> Vec<Target> {
        let mut found = Vec::new();
        for targets in node.all("targets") {
            self.collect(targets, name, &mut found);
        }
        if found.is_empty() {
            let why = "left out: it has no targets that are written down";
            self.lose(node, &format!("probe {name}"), why);
        }
        found
    }

    fn collect(&mut self, targets: &Node, name: &str, found: &mut Vec<Target>) {
        for (key, node) in targets.entries() {
            match key.as_str() {
                "host_names" => {
                    let text = node.text().unwrap_or_default();
                    for host in text.split(',').map(str::trim).filter(|host| !host.is_empty()) {
                        let (address, port) = apart(host);
                        found.push(Target {
                            name: host.to_owned(),
                            host: address,
                            port,
                            url: None,
                        });
                    }
                }
                "endpoint" => {
                    let url = node.text_of("url").map(str::to_owned);
                    let title = node.text_of("name").unwrap_or_default();
                    let host = node.text_of("host").or(node.text_of("ip")).unwrap_or(title);
                    let port = node.text_of("port").map(str::to_owned);
                    found.push(Target { name: title.to_owned(), host: host.to_owned(), port, url });
                }
                "shared_targets" => {
                    let wanted = node.text();
                    let all: Vec<&Node> = self.root.all("shared_targets").collect();
                    let shared = all.into_iter().find(|shared| shared.text_of("name") == wanted);
                    match shared.and_then(|shared| shared.get("targets")) {
                        // Shared targets cannot refer to others.
                        Some(shared) if shared.get("shared_targets").is_none() => {
                            self.collect(shared, name, found);
                        }
                        _ => self.lose(
                            node,
                            &format!("probe {name}: `shared_targets`"),
                            "there are none of this name",
                        ),
                    }
                }
                _ => {
                    let why = "targets that are discovered are not known here; write them down";
                    self.lose(node, &format!("probe {name}: targets by `{key}`"), why);
                }
            }
        }
    }

    fn tcp(&mut self, name: &str, node: &Node, target: &Target, mut check: Check) -> Check {
        let port = node.text_of("port").or(target.port.as_deref()).unwrap_or("80");
        check.set("address", Out::text(format!("{}:{port}", bracketed(&target.host))));
        self.rest(name, node, &["port", "resolve_first", "interval_between_targets_msec"]);
        check
    }

    fn icmp(&mut self, name: &str, node: &Node, target: &Target, mut check: Check) -> Check {
        check.set("host", Out::text(&target.host));
        // cloudprober sends two.
        check.set("count", Out::word(node.text_of("packets_per_probe").unwrap_or("2")));
        if let Some(gap) = node.text_of("packets_interval_msec").and_then(|text| text.parse().ok())
        {
            check.set("gap", time::ours(Duration::from_millis(gap)));
        }
        if let Some(size) = node.text_of("payload_size") {
            check.set("size", Out::word(format!("{size}B")));
        }
        let known = [
            "packets_per_probe",
            "packets_interval_msec",
            "payload_size",
            "use_datagram_socket",
            "resolve_first",
        ];
        self.rest(name, node, &known);
        check
    }

    fn dns(&mut self, name: &str, node: &Node, target: &Target, mut check: Check) -> Check {
        let asked = node.text_of("resolved_domain").unwrap_or("www.google.com.");
        check.set("name", Out::text(asked.trim_end_matches('.')));
        check.set("type", Out::text(node.text_of("query_type").unwrap_or("MX")));
        let host = bracketed(&target.host);
        let server = target.port.as_ref().map_or(host.clone(), |port| format!("{host}:{port}"));
        check.set("server", Out::text(server));
        match node.text_of("dns_proto") {
            Some("TCP") => check.set("transport", Out::text("tcp")),
            Some("TCP_TLS") => check.set("transport", Out::text("tls")),
            _ => {}
        }
        self.rest(name, node, &["resolved_domain", "query_type", "dns_proto", "resolve_first"]);
        check
    }

    /// What is not among these is told.
    fn rest(&mut self, name: &str, node: &Node, known: &[&str]) {
        for (key, value) in node.entries() {
            if !known.contains(&key.as_str()) {
                self.lose(
                    value,
                    &format!("probe {name}: `{key}`"),
                    "there is nothing like it here",
                );
            }
        }
    }
}

/// `host:port`, `[::1]:port`, or a host alone.
fn apart(text: &str) -> (String, Option<String>) {
    if let Some((host, rest)) = text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return (host.to_owned(), rest.strip_prefix(':').map(str::to_owned));
    }
    match text.split_once(':') {
        Some((host, port)) if !port.contains(':') => (host.to_owned(), Some(port.to_owned())),
        _ => (text.to_owned(), None),
    }
}

fn bracketed(host: &str) -> String {
    if host.contains(':') && !host.starts_with('[') { format!("[{host}]") } else { host.to_owned() }
}
