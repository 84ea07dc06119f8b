//! Prometheus' blackbox_exporter: its modules, and the scrape configurations that name targets.

mod http;

use std::time::Duration;

use super::draft::{Check, Draft, variable};
use super::tree::{self, Input, Node};
use super::written::Out;
use super::{Source, time};

/// Prometheus' own defaults.
const INTERVAL: Duration = Duration::from_secs(60);
const TIMEOUT: Duration = Duration::from_secs(10);

/// The exporter follows as many redirects.
const REDIRECTS: u32 = 10;

/// `blackbox.yml`, and `prometheus.yml`.
pub(super) struct Blackbox;

impl Source for Blackbox {
    fn name(&self) -> &'static str {
        "blackbox"
    }

    fn takes_targets(&self) -> bool {
        true
    }

    fn read(&self, file: &Input, targets: Option<&Input>, draft: &mut Draft) -> Result<(), String> {
        let modules = tree::yaml(file)?;
        let Some(modules) = modules.get("modules") else {
            return Err(format!("{}: there are no `modules` in it", file.name));
        };
        let mut reading = Reading { file: &file.name, modules, draft, used: Vec::new() };
        if let Some(targets) = targets {
            reading.scrapes(&tree::yaml(targets)?, &targets.name);
        }
        for (name, module) in modules.entries() {
            if !reading.used.contains(name) {
                let why = match targets {
                    Some(_) => "left out: no scrape configuration names targets for it",
                    None => "left out: it names no target; give Prometheus' file by `--targets`",
                };
                reading.draft.lose(&file.name, module.line, &format!("module `{name}`"), why);
            }
        }
        Ok(())
    }
}

struct Reading<'a> {
    file: &'a str,
    modules: &'a Node,
    draft: &'a mut Draft,
    used: Vec<String>,
}

/// What a scrape configuration says of its targets.
struct Scrape<'a> {
    file: &'a str,
    job: &'a str,
    interval: Option<Duration>,
    timeout: Option<Duration>,
}

impl Reading<'_> {
    fn scrapes(&mut self, prometheus: &Node, file: &str) {
        let global = |key| prometheus.get("global").and_then(|global| global.text_of(key));
        for scrape in prometheus.get("scrape_configs").map(Node::items).unwrap_or_default() {
            let params = scrape.get("params");
            let modules = params.map(|params| params.texts_of("module")).unwrap_or_default();
            if scrape.text_of("metrics_path") != Some("/probe") && modules.is_empty() {
                continue; // It scrapes something else.
            }
            let job = scrape.text_of("job_name").unwrap_or("blackbox");
            let of = |key| scrape.text_of(key).or_else(|| global(key)).and_then(time::go);
            let interval = of("scrape_interval").or(Some(INTERVAL));
            let timeout = of("scrape_timeout").or(Some(TIMEOUT));
            let scrape_of = Scrape { file, job, interval, timeout };
            for (key, node) in scrape.entries() {
                if key.ends_with("_sd_configs") {
                    let why = "targets that are discovered are not known here; write them down";
                    self.draft.lose(file, node.line, &format!("{job}: `{key}`"), why);
                }
            }
            for group in scrape.get("static_configs").map(Node::items).unwrap_or_default() {
                let own = group.get("labels").and_then(|labels| {
                    labels.text_of("module").or_else(|| labels.text_of("__param_module"))
                });
                let modules = own.map_or_else(|| modules.clone(), |own| vec![own]);
                for target in group.get("targets").map(Node::items).unwrap_or_default() {
                    self.target(target, &modules, &scrape_of);
                }
            }
        }
    }

    fn target(&mut self, node: &Node, modules: &[&str], scrape: &Scrape<'_>) {
        let Some(target) = node.text() else { return };
        let what = format!("{}: {target}", scrape.job);
        if modules.is_empty() {
            let why = "left out: no `module` in `params` or `labels`";
            self.draft.lose(scrape.file, node.line, &what, why);
        }
        for name in modules {
            let Some(module) = self.modules.get(name) else {
                let why = format!("left out: there is no module `{name}` in {}", self.file);
                self.draft.lose(scrape.file, node.line, &what, &why);
                continue;
            };
            if !self.used.iter().any(|used| used == name) {
                self.used.push((*name).to_owned());
            }
            let title = match modules.len() {
                1 => what.clone(),
                _ => format!("{what} {name}"),
            };
            let new = |kind| Check::new(scrape.file, node.line, &title, kind);
            let made = match module.text_of("prober") {
                Some("http") => self.http(name, module, target, new("http")),
                Some("tcp") => self.tcp(name, module, target, new("tcp")),
                Some("icmp") => self.icmp(name, module, target, new("icmp")),
                Some("dns") => self.dns(name, module, target, new("dns")),
                Some("grpc") => self.grpc(name, module, target, new("grpc")),
                other => {
                    let prober = other.unwrap_or("nothing");
                    let why = format!("left out: there is no check of `{prober}` here");
                    self.draft.lose(self.file, module.line, &format!("module `{name}`"), &why);
                    continue;
                }
            };
            let mut check = made;
            // The exporter leaves Prometheus half a second.
            let own = module.text_of("timeout").and_then(time::go);
            let timeout = own.into_iter().chain(scrape.timeout).min();
            check.times(scrape.interval, timeout, self.draft);
            self.draft.check(check);
        }
    }

    fn lose(&mut self, node: &Node, module: &str, key: &str, why: &str) {
        self.draft.lose(self.file, node.line, &format!("module `{module}`: `{key}`"), why);
    }

    fn tcp(&mut self, name: &str, module: &Node, target: &str, mut check: Check) -> Check {
        check.set("address", Out::text(target));
        for (key, node) in module.get("tcp").map(Node::entries).unwrap_or_default() {
            match key.as_str() {
                "preferred_ip_protocol" | "ip_protocol_fallback" => {
                    self.family(name, key, node, &mut check);
                }
                "tls" => {
                    if node.text() == Some("true") {
                        check.set("tls", Out::word(true));
                    }
                }
                "tls_config" => self.tls_config(name, node, &mut check),
                "query_response" => {
                    let steps: Vec<Out> = node.items().iter().flat_map(steps).collect();
                    check.set("script", Out::List(steps));
                }
                "source_ip_address" => self.lose(node, name, key, "the system chooses the source"),
                _ => self.lose(node, name, key, "not known"),
            }
        }
        check
    }

    fn icmp(&mut self, name: &str, module: &Node, target: &str, mut check: Check) -> Check {
        check.set("host", Out::text(target.trim_matches(['[', ']'])));
        check.set("count", Out::word(1));
        for (key, node) in module.get("icmp").map(Node::entries).unwrap_or_default() {
            let text = node.text().unwrap_or_default();
            match key.as_str() {
                "preferred_ip_protocol" | "ip_protocol_fallback" => {
                    self.family(name, key, node, &mut check);
                }
                "payload_size" => check.set("size", Out::word(format!("{text}B"))),
                "dont_fragment" if text == "false" => {}
                "dont_fragment" | "ttl" | "source_ip_address" => {
                    self.lose(node, name, key, "the system's defaults hold");
                }
                _ => self.lose(node, name, key, "not known"),
            }
        }
        check
    }

    fn dns(&mut self, name: &str, module: &Node, target: &str, mut check: Check) -> Check {
        check.set("server", Out::text(target));
        let is_secure = module.get("dns").is_some_and(|dns| dns.is("dns_over_tls"));
        for (key, node) in module.get("dns").map(Node::entries).unwrap_or_default() {
            let text = node.text().unwrap_or_default();
            match key.as_str() {
                "preferred_ip_protocol" | "ip_protocol_fallback" => {
                    self.family(name, key, node, &mut check);
                }
                "query_name" => check.set("name", Out::text(text.trim_end_matches('.'))),
                "query_type" => check.set("type", Out::text(text)),
                "transport_protocol" if is_secure => {}
                "transport_protocol" => check.set("transport", Out::text(text)),
                "recursion_desired" => check.set("recursion", Out::word(text)),
                "valid_rcodes" => {
                    let codes = node.items().iter().filter_map(Node::text);
                    check.set("rcode", Out::texts(codes));
                }
                // It sees whole records (name, TTL, class, type, value), ours their values only.
                "validate_answer_rrs" | "validate_authority_rrs" | "validate_additional_rrs" => {
                    self.lose(
                        node,
                        name,
                        key,
                        "expressions there are for whole records; write `answers` for the values",
                    );
                }
                "dns_over_tls" if is_secure => check.set("transport", Out::text("tls")),
                "dns_over_tls" => {}
                "tls_config" => self.tls_config(name, node, &mut check),
                "query_class" if text == "IN" => {}
                _ => self.lose(node, name, key, "there is nothing like it here"),
            }
        }
        check
    }

    fn grpc(&mut self, name: &str, module: &Node, target: &str, mut check: Check) -> Check {
        let place = target.split_once("://").map_or(target, |(_, place)| place);
        check.set("address", Out::text(place.trim_end_matches('/')));
        for (key, node) in module.get("grpc").map(Node::entries).unwrap_or_default() {
            let text = node.text().unwrap_or_default();
            match key.as_str() {
                "preferred_ip_protocol" | "ip_protocol_fallback" => {
                    self.family(name, key, node, &mut check);
                }
                "service" => check.set("service", Out::text(text)),
                "tls" if text == "true" => check.set("tls", Out::word(true)),
                "tls" => {}
                "tls_config" => self.tls_config(name, node, &mut check),
                _ => self.lose(node, name, key, "not known"),
            }
        }
        check
    }

    /// The exporter prefers one family and falls back to the other; ours never does.
    fn family(&mut self, name: &str, key: &str, node: &Node, check: &mut Check) {
        if (key, node.text()) == ("preferred_ip_protocol", Some("ip6")) {
            check.set("family", Out::text("v6"));
            let why = "IPv6 only: there is no fallback; make a second check for IPv4";
            self.lose(node, name, key, why);
        }
    }

    fn secret(&mut self, module: &str, what: &str, node: &Node) {
        let variable = variable(module, what);
        let why = format!("not copied; set the variable `{variable}` where the probe runs");
        self.lose(node, module, what, &why);
    }
}

/// The steps of a talk that an item stands for. The exporter expects, then sends, then begins TLS;
/// a step of ours sends, then expects, then begins TLS.
fn steps(node: &Node) -> Vec<Out> {
    let mut steps = Vec::new();
    let expected = match (node.text_of("expect"), node.text_of("expect_bytes")) {
        (Some(pattern), _) => Some(Out::text(by_line(pattern))),
        (None, Some(text)) => Some(Out::map([("text", Out::text(text))])),
        (None, None) => None,
    };
    if let Some(expected) = expected {
        steps.push(vec![("expect".to_owned(), expected)]);
    }
    if let Some(text) = node.text_of("send") {
        // It ends every line by itself, and numbers groups as `${1}`, ours as `{{1}}`.
        steps.push(vec![("send".to_owned(), Out::text(format!("{}\n", groups(text))))]);
    }
    if node.is("starttls") {
        match steps.last_mut() {
            Some(step) => step.push(("starttls".to_owned(), Out::word(true))),
            None => steps.push(vec![("starttls".to_owned(), Out::word(true))]),
        }
    }
    steps.into_iter().map(Out::Map).collect()
}

/// The exporter looks at each line by itself, ours at all that came.
fn by_line(pattern: &str) -> String {
    if pattern.contains(['^', '$']) { format!("(?mR){pattern}") } else { pattern.to_owned() }
}

fn groups(text: &str) -> String {
    let mut out = text.to_owned();
    for number in 1..=9 {
        out = out.replace(&format!("${{{number}}}"), &format!("{{{{{number}}}}}"));
    }
    out
}

fn reference(module: &str, what: &str) -> String {
    format!("${{env:{}}}", variable(module, what))
}
