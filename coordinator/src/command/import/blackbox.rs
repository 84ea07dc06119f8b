//! Prometheus' blackbox_exporter: its modules, and the scrape configurations that name targets.

mod dns;
mod http;
mod modules;
mod relabel;
mod scrape;

use std::time::Duration;

use super::check::Check;
use super::draft::{Draft, variable};
use super::tree::{self, Input, Node};
use super::written::Out;
use super::{Source, time};

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
        let root = tree::yaml(file)?;
        let Some(modules) = root.get("modules") else {
            return Err(format!("{}: there are no `modules` in it", file.name));
        };
        let mut reading = Reading { file: &file.name, modules, draft, used: Vec::new() };
        if let Some(targets) = targets {
            reading.prometheus(targets)?;
        }
        for (name, module) in modules.entries() {
            if !reading.used.contains(name) {
                let why = match targets {
                    Some(_) => "left out: no scrape configuration names targets for it",
                    None => "left out: it names no target; give Prometheus' file by `--targets`",
                };
                module.done();
                reading.draft.lose(&file.name, module.line, &format!("module `{name}`"), why);
            }
        }
        draft.lose_unseen(&file.name, &root);
        Ok(())
    }
}

struct Reading<'a> {
    file: &'a str,
    modules: &'a Node,
    draft: &'a mut Draft,
    used: Vec<String>,
}

/// What the exporter is asked for.
struct Asked<'a> {
    /// Where the target stands.
    file: &'a str,
    line: usize,
    /// What people call it.
    title: String,
    target: &'a str,
    /// Another name to ask an HTTP server for.
    hostname: Option<&'a str>,
    interval: Duration,
    timeout: Duration,
}

impl Reading<'_> {
    fn target(&mut self, name: &str, asked: &Asked<'_>) {
        let Some(module) = self.modules.get(name) else {
            let why = format!("left out: there is no module `{name}` in {}", self.file);
            return self.draft.lose(asked.file, asked.line, &asked.title, &why);
        };
        if !self.used.iter().any(|used| used == name) {
            self.used.push(name.to_owned());
        }
        let new = |kind| Check::new(asked.file, asked.line, &asked.title, kind);
        let mut check = match module.text_of("prober") {
            Some("http") => self.http(name, module, asked, new("http")),
            Some("tcp") => self.tcp(name, module, asked.target, new("tcp")),
            Some("icmp") => self.icmp(name, module, asked.target, new("icmp")),
            Some("dns") => self.dns(name, module, asked.target, new("dns")),
            Some("grpc") => self.grpc(name, module, asked.target, new("grpc")),
            other => {
                let prober = other.unwrap_or("nothing").to_owned();
                let why = format!("left out: there is no check of `{prober}` here");
                module.done();
                return self.draft.lose(self.file, module.line, &format!("module `{name}`"), &why);
            }
        };
        if let (Some(_), false) = (asked.hostname, check.is("http")) {
            let why = "`hostname` is for modules of prober `http`";
            self.draft.lose(asked.file, asked.line, &asked.title, why);
        }
        // The exporter leaves Prometheus half a second.
        let own = module.get("timeout").and_then(|node| match node.text().and_then(time::go) {
            None => {
                self.lose(node, name, "timeout", "it is no duration");
                None
            }
            // Nothing is no limit of its own.
            found => found.filter(|time| !time.is_zero()),
        });
        let timeout = own.map_or(asked.timeout, |own| own.min(asked.timeout));
        check.times(Some(asked.interval), Some(timeout), self.draft);
        self.draft.check(check);
    }

    /// Tells that a word of a module is not carried over.
    fn lose(&mut self, node: &Node, module: &str, key: &str, why: &str) {
        node.done();
        self.note(node, module, key, why);
    }

    /// Tells something of what is carried over.
    fn note(&mut self, node: &Node, module: &str, key: &str, why: &str) {
        self.draft.lose(self.file, node.line, &format!("module `{module}`: `{key}`"), why);
    }

    /// The exporter prefers one family and falls back to the other; ours never does.
    fn family(&mut self, name: &str, settings: Option<&Node>, check: &mut Check) {
        let Some(settings) = settings else { return };
        let fallback = settings.get("ip_protocol_fallback");
        let falls_back = !fallback.is_some_and(Node::is_off);
        let preferred = settings.get("preferred_ip_protocol");
        // IPv6 where nothing is said.
        let is_v6 = preferred.map_or(!falls_back, |node| node.text() == Some("ip6"));
        if preferred.is_some() || !falls_back {
            check.set("family", Out::text(if is_v6 { "v6" } else { "v4" }));
        }
        if let (Some(node), true, true) = (preferred, is_v6, falls_back) {
            let why = "IPv6 only: there is no fallback; make a second check for IPv4";
            self.note(node, name, "preferred_ip_protocol", why);
        }
        if let (Some(node), true, false) = (fallback, falls_back, is_v6) {
            let why = "a check here is of one family, IPv4 unless it says `family: v6`";
            self.note(node, name, "ip_protocol_fallback", why);
        }
    }

    fn secret(&mut self, module: &str, what: &str, node: &Node) -> Out {
        let variable = variable(module, what);
        let why = format!("not copied; set the variable `{variable}` where the probe runs");
        self.lose(node, module, what, &why);
        Out::text(format!("${{env:{variable}}}"))
    }
}
