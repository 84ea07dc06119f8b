//! Targets: those that are written down, in the configuration or in a file that it names.

use super::super::beside;
use super::super::draft::why;
use super::super::tree::Node;
use super::{Reading, each, read};

/// A target: what it is called, where it is.
pub(super) struct Target {
    /// What people call it.
    pub(super) name: String,
    /// Its name in the network.
    pub(super) host: String,
    /// Its address, where that is given beside the name.
    pub(super) ip: Option<String>,
    /// Its port.
    pub(super) port: Option<String>,
    /// All of it, for requests by HTTP.
    pub(super) url: Option<String>,
}

impl Target {
    /// Where to connect to, without the port.
    pub(super) fn place(&self) -> &str {
        self.ip.as_deref().unwrap_or(&self.host)
    }

    /// Where to connect to: this port, or the target's own.
    pub(super) fn address(&self, port: Option<&str>, usual: Option<&str>) -> String {
        let host = bracketed(self.place());
        match port.or(self.port.as_deref()).or(usual) {
            Some(port) => format!("{host}:{port}"),
            None => host,
        }
    }
}

impl Reading<'_> {
    pub(super) fn targets(&mut self, node: &Node, name: &str) -> Vec<Target> {
        let mut found = Vec::new();
        for targets in node.all("targets") {
            self.collect(targets, name, &mut found);
        }
        found
    }

    fn collect(&mut self, targets: &Node, name: &str, found: &mut Vec<Target>) {
        for (key, node) in targets.entries() {
            let what = format!("probe {name}: targets by `{key}`");
            match key.as_str() {
                "host_names" => {
                    let text = node.text().unwrap_or_default();
                    let hosts = text.split(',').map(str::trim).filter(|host| !host.is_empty());
                    found.extend(hosts.map(named));
                }
                "endpoint" => {
                    for endpoint in node.items() {
                        let target = self.resource(endpoint);
                        found.push(target);
                    }
                }
                "shared_targets" => {
                    let wanted = node.text();
                    let shared = each(self.root, "shared_targets")
                        .into_iter()
                        .find(|shared| shared.text_of("name") == wanted);
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
                "file_targets" => self.file(node, name, found),
                "regex" => self.lose(node, &what, "all targets were taken; take others out"),
                "exclude_lameducks" | "dns_options" | "dns_server" | "re_eval_sec" => {
                    self.lose(node, &what, "names are resolved by the probe, at each run");
                }
                "dummy_targets" => self.lose(node, &what, "it is none"),
                _ => {
                    let why = "targets that are discovered are not known here; write them down";
                    self.lose(node, &what, why);
                }
            }
        }
    }

    /// Targets in a file, which is read once.
    fn file(&mut self, node: &Node, name: &str, found: &mut Vec<Target>) {
        let what = format!("probe {name}: targets by `file_targets`");
        let Some(path) = node.get("file_path") else {
            return self.lose(node, &what, "it names no file");
        };
        for key in ["filter", "format", "re_eval_sec"] {
            if let Some(node) = node.get(key) {
                let why = match key {
                    "filter" => "all targets were taken; take others out",
                    "format" => "by the file's name: `.json` is JSON, others are text",
                    _ => "the file was read once; import it again when it changes",
                };
                self.lose(node, &format!("{what}: `{key}`"), why);
            }
        }
        let files = beside(self.input, path.text().unwrap_or_default());
        let root = match files.and_then(|files| files.first().map(read).transpose()) {
            Ok(Some(root)) => root,
            Ok(None) => return,
            Err(why) => {
                let why = format!("left out: {why}; run it where the file is");
                return self.lose(path, &what, &why);
            }
        };
        for resource in each(&root, "resource") {
            let target = self.resource(resource);
            found.push(target);
        }
        let file = path.text().unwrap_or_default();
        self.draft.lose_unseen(file, &root);
    }

    fn resource(&mut self, node: &Node) -> Target {
        let text = |key| node.text_of(key).map(str::to_owned);
        let name = text("name").unwrap_or_default();
        for labels in node.all("labels") {
            self.pass(labels, "`labels` of targets", why::LABELS);
        }
        for key in ["id", "info", "last_updated"] {
            if let Some(value) = node.get(key) {
                self.pass(value, &format!("`{key}` of targets"), "it is for programs");
            }
        }
        let host = text("host").unwrap_or_else(|| name.clone());
        Target { host, ip: text("ip"), port: text("port"), url: text("url"), name }
    }
}

/// A target by its name, with a port or as a URL.
fn named(host: &str) -> Target {
    let (name, ip) = (host.to_owned(), None);
    if host.contains("://") {
        return Target { host: name.clone(), url: Some(name.clone()), name, ip, port: None };
    }
    let (host, port) = apart(host);
    Target { name, host, ip, port, url: None }
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

/// A host as it stands before a port.
pub(super) fn bracketed(host: &str) -> String {
    if host.contains(':') && !host.starts_with('[') { format!("[{host}]") } else { host.to_owned() }
}
