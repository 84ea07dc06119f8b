//! cloudprober: probes with their targets and validators, in the text format of protocol buffers,
//! or in YAML or JSON with the same names.

mod alert;
mod http;
mod kinds;
mod schedule;
mod target;
mod validator;

use std::time::Duration;

use super::check::Check;
use super::draft::{Draft, variable, why};
use super::tree::{self, Input, Node, Value};
use super::written::Out;
use super::{Source, json, textproto, time};

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
        let root = read(file)?;
        let mut reading = Reading { input: file, draft, root: &root };
        for (key, node) in root.entries() {
            let why = match key.as_str() {
                "probe" => {
                    node.items().iter().for_each(|probe| reading.probe(probe));
                    continue;
                }
                "surfacer" => {
                    "`/metrics` of probes and coordinators, and their API, give the figures"
                }
                "server" => "probes serve no requests of others",
                "rds_server" | "global_targets_options" => {
                    "targets that are discovered are not known here; write them down"
                }
                "port"
                | "grpc_port"
                | "grpc_tls_config"
                | "host"
                | "disable_jitter"
                | "sysvars_interval_msec"
                | "sysvars_env_var"
                | "stop_time_sec"
                | "global_artifacts_options" => {
                    "how the program itself runs is set in coordinator.yaml and probe.yaml"
                }
                // Where a probe uses them, and what nobody knows.
                _ => continue,
            };
            reading.lose(node, &format!("`{key}`"), why);
        }
        for shared in each(&root, "shared_targets") {
            if !shared.unseen().is_empty() && shared.get("targets").is_some_and(is_untouched) {
                let what = format!("shared targets {}", shared.text_of("name").unwrap_or_default());
                reading.lose(shared, &what, "left out: no probe uses them");
            }
        }
        draft.lose_unseen(&file.name, &root);
        Ok(())
    }
}

/// Whether nobody has looked at anything in it.
fn is_untouched(node: &Node) -> bool {
    node.unseen().len() == node.entries().len()
}

/// By the file's name, as cloudprober does it.
fn read(file: &Input) -> Result<Node, String> {
    let ends = |end: &str| file.name.to_ascii_lowercase().ends_with(end);
    let mut root = if ends(".json") {
        json::read(file)?
    } else if ends(".yaml") || ends(".yml") {
        tree::yaml(file)?
    } else {
        textproto::read(file)?
    };
    settle(&mut root);
    Ok(root)
}

/// Names as the text format has them (`hostNames` is `host_names`), and variables that cloudprober
/// leaves to the last moment (`**$NAME**`) as references.
fn settle(node: &mut Node) {
    match &mut node.value {
        Value::Scalar(text) => {
            while let Some((before, (name, after))) = text
                .split_once("**$")
                .and_then(|(before, rest)| Some((before, rest.split_once("**")?)))
            {
                *text = format!("{before}${{env:{name}}}{after}");
            }
        }
        Value::Null => {}
        Value::List(items) => items.iter_mut().for_each(settle),
        Value::Map(entries) => {
            for (key, value) in entries {
                let is_word = key.chars().all(|c| c.is_ascii_alphanumeric());
                if is_word && key.starts_with(|c: char| c.is_ascii_lowercase()) {
                    let mut words = String::new();
                    for c in key.chars() {
                        if c.is_ascii_uppercase() {
                            words.push('_');
                        }
                        words.push(c.to_ascii_lowercase());
                    }
                    *key = words;
                }
                settle(value);
            }
        }
    }
}

/// The values of a field that may stand several times, also as one list.
fn each<'a>(node: &'a Node, key: &str) -> Vec<&'a Node> {
    node.all(key).flat_map(Node::items).collect()
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

struct Reading<'a> {
    input: &'a Input,
    draft: &'a mut Draft,
    root: &'a Node,
}

impl Reading<'_> {
    /// Tells that this is not carried over.
    fn lose(&mut self, node: &Node, what: &str, why: &str) {
        node.done();
        self.note(node, what, why);
    }

    /// Tells it once for all places.
    fn pass(&mut self, node: &Node, what: &str, why: &str) {
        node.done();
        self.draft.pass(&self.input.name, node.line, what, why);
    }

    /// Tells something of what is carried over.
    fn note(&mut self, node: &Node, what: &str, why: &str) {
        self.draft.lose(&self.input.name, node.line, what, why);
    }

    fn probe(&mut self, node: &Node) {
        let name = node.text_of("name").unwrap_or("probe").to_owned();
        let kind = node.text_of("type").unwrap_or_default();
        let is_health = |node: &Node| node.text_of("method") == Some("HEALTH_CHECK");
        let (kind, own) = match kind {
            "HTTP" => ("http", "http_probe"),
            "TCP" => ("tcp", "tcp_probe"),
            "PING" => ("icmp", "ping_probe"),
            "DNS" => ("dns", "dns_probe"),
            "GRPC" if node.get("grpc_probe").is_some_and(is_health) => ("grpc", "grpc_probe"),
            other => {
                let why = match other {
                    "EXTERNAL" => "left out: make it a check of kind `exec`",
                    "UDP" | "UDP_LISTENER" => "left out: it needs cloudprober at the other end",
                    "GRPC" => {
                        "left out: of gRPC the health service is asked (`method: HEALTH_CHECK`)"
                    }
                    "BROWSER" => "left out: make it a check of kind `page`, or a `journey`",
                    "SYSTEM" => "left out: make it a check of kind `exec`, of a plugin",
                    _ => "left out: there is no check of this type here",
                };
                return self.lose(node, &format!("probe {name} ({other})"), why);
            }
        };
        let empty = Node::new(node.line, Value::Map(Vec::new()));
        let settings = node.get(own).unwrap_or(&empty);
        let targets = self.targets(node, &name);
        if targets.is_empty() {
            let why = "left out: it has no targets that are written down";
            return self.lose(node, &format!("probe {name}"), why);
        }
        let several = targets.len() > 1;
        let mut made = Vec::new();
        for target in targets {
            let title = if several { format!("{name} {}", target.name) } else { name.clone() };
            let new = Check::new(&self.input.name, node.line, &title, kind);
            let mut check = match kind {
                "http" => self.http(&name, settings, &target, new),
                "tcp" => self.tcp(&name, settings, &target, new),
                "icmp" => self.icmp(&name, settings, &target, new),
                "grpc" => self.grpc(&name, settings, &target, new),
                _ => self.dns(&name, settings, &target, new),
            };
            self.common(node, &name, &mut check);
            made.push(self.draft.check(check));
        }
        for schedule in each(node, "schedule") {
            self.schedule(schedule, &name, &made);
        }
        self.notify(node, &name);
    }

    /// What every probe may say.
    fn common(&mut self, node: &Node, name: &str, check: &mut Check) {
        let interval = self.time(node, "interval", name, INTERVAL);
        let timeout = self.time(node, "timeout", name, TIMEOUT);
        check.times(Some(interval), Some(timeout), self.draft);
        for validator in each(node, "validator") {
            self.validator(validator, name, check);
        }
        if check.is("http") && !check.has("status") {
            // Without a validator of it any status is well there.
            check.set("status", Out::texts(["100-599"]));
        }
        self.alerts(node, name, check);
        for (key, value) in node.entries() {
            let what = format!("probe {name}: `{key}`");
            let why = match key.as_str() {
                "latency_unit"
                | "latency_distribution"
                | "latency_metric_name"
                | "stats_export_interval_msec"
                | "debug_options" => {
                    let why = "how figures are exported has no counterpart";
                    self.pass(value, &format!("probe `{key}`"), why);
                    continue;
                }
                "negative_test" => {
                    match (value.is_on(), check.is("icmp") || check.is("tcp")) {
                        (true, true) => check.set("negate", Out::word(true)),
                        (true, false) => {
                            let why = "it is heeded for PING and TCP only there; write \
                                       `negate: true` to turn the check round";
                            self.lose(value, &what, why);
                        }
                        (false, _) => {}
                    }
                    continue;
                }
                "ip_version" => {
                    match value.text() {
                        Some("IPV6") => check.set("family", Out::text("v6")),
                        Some("IPV4") => check.set("family", Out::text("v4")),
                        _ => {}
                    }
                    continue;
                }
                "source_ip" | "source_interface" => why::SOURCE,
                "additional_label" => {
                    self.pass(value, "probe `additional_label`", why::LABELS);
                    continue;
                }
                "run_on" => "write `sites` to choose where a check runs",
                "startup_delay_msec" => "checks begin at times of their own",
                _ => continue,
            };
            self.lose(value, &what, why);
        }
    }

    /// A time, in words or in milliseconds, or what holds without it.
    fn time(&mut self, node: &Node, key: &str, name: &str, usual: Duration) -> Duration {
        let millis = node.get(&format!("{key}_msec"));
        let Some(value) = node.get(key).or(millis) else { return usual };
        let text = value.text().unwrap_or_default();
        let found = time::go(text).or_else(|| Some(Duration::from_millis(text.parse().ok()?)));
        found.unwrap_or_else(|| {
            let why = format!("it is no duration; {} was taken", time::ours(usual).flow());
            self.lose(value, &format!("probe {name}: `{key}`"), &why);
            usual
        })
    }

    /// A reference in the place of what is not copied.
    fn secret(&mut self, node: &Node, name: &str, what: &str) -> String {
        let variable = variable(name, what);
        let why = format!("not copied; set the variable `{variable}` where the probe runs");
        self.lose(node, &format!("probe {name}: {what}"), &why);
        format!("${{env:{variable}}}")
    }

    /// A client's side of TLS.
    fn tls(&mut self, name: &str, node: &Node, check: &mut Check) {
        check.client(node.text_of("tls_cert_file"), node.text_of("tls_key_file"));
        for (key, value) in node.entries() {
            let what = format!("probe {name}: `{key}`");
            match key.as_str() {
                "ca_cert_file" => check.set("ca", Out::text(value.text().unwrap_or_default())),
                "server_name" => {
                    check.set("server_name", Out::text(value.text().unwrap_or_default()));
                }
                "disable_cert_validation" if value.is_off() => {}
                "disable_cert_validation" => self.lose(value, &what, why::UNTRUSTED),
                "min_tls_version" | "max_tls_version" => {
                    let why = "1.2 and 1.3 are spoken; a check of kind `tls` has `versions`";
                    self.lose(value, &what, why);
                }
                "reload_interval_sec" => {
                    self.lose(value, &what, "files are read anew when they change");
                }
                _ => {}
            }
        }
    }
}
