//! Gatus: endpoints with their conditions and alerts, suites, maintenance.

mod condition;
mod suite;
mod told;

use std::collections::BTreeMap;
use std::time::Duration;

use super::draft::{Check, Draft, is_secret_header, variable, why};
use super::tree::{self, Input, Node};
use super::written::Out;
use super::{Source, time};

/// Gatus' own defaults.
const INTERVAL: Duration = Duration::from_secs(60);
const TIMEOUT: Duration = Duration::from_secs(10);
const REDIRECTS: u32 = 10;
const FAILURE_THRESHOLD: u32 = 3;

/// What an endpoint may say that is carried over, or that means nothing elsewhere.
const KNOWN: [&str; 17] = [
    "name",
    "group",
    "enabled",
    "url",
    "method",
    "headers",
    "body",
    "graphql",
    "interval",
    "conditions",
    "alerts",
    "client",
    "dns",
    "ssh",
    "ui",
    "store",
    "always-run",
];

/// `config.yaml`.
pub(super) struct Gatus;

impl Source for Gatus {
    fn name(&self) -> &'static str {
        "gatus"
    }

    fn read(&self, file: &Input, _: Option<&Input>, draft: &mut Draft) -> Result<(), String> {
        let root = tree::yaml(file)?;
        if root.get("endpoints").or(root.get("suites")).is_none() {
            let name = &file.name;
            return Err(format!("{name}: neither `endpoints` nor `suites`; is it of Gatus?"));
        }
        let means = root.get("alerting").map(Node::entries).unwrap_or_default();
        let default = |(means, node): &(String, Node)| {
            Some((means.clone(), node.get("default-alert")?.clone()))
        };
        let defaults = means.iter().filter_map(default).collect();
        let mut reading = Reading { file: &file.name, draft, defaults, alerted: BTreeMap::new() };
        for endpoint in root.get("endpoints").map(Node::items).unwrap_or_default() {
            reading.endpoint(endpoint);
        }
        for suite in root.get("suites").map(Node::items).unwrap_or_default() {
            suite::suite(suite, &mut reading);
        }
        reading.alerting(&root);
        reading.maintenance(root.get("maintenance"), &[]);
        for (key, node) in root.entries() {
            let why = match key.as_str() {
                "endpoints" | "suites" | "alerting" | "maintenance" | "debug" | "metrics" => {
                    continue;
                }
                "external-endpoints" => {
                    "make a check of kind `push` of each, with a token of its own (`crosscheck push token`)"
                }
                "tunneling" => "targets behind an SSH tunnel need a probe behind it",
                "web"
                | "ui"
                | "storage"
                | "security"
                | "concurrency"
                | "disable-monitoring-lock" => {
                    "how the program itself runs is set in coordinator.yaml and probe.yaml"
                }
                "connectivity" => "write `references`: probes test themselves with them",
                "remote" => "apply the other installation's configuration here too",
                "announcements" => "the status page shows incidents and maintenance",
                _ => "not known",
            };
            reading.lose(node, &format!("`{key}`"), why);
        }
        Ok(())
    }
}

/// A configuration while it is read.
struct Reading<'a> {
    file: &'a str,
    draft: &'a mut Draft,
    /// What alerts by a means say unless they say it themselves.
    defaults: BTreeMap<String, Node>,
    /// Checks by the means that they alert by.
    alerted: BTreeMap<String, Vec<String>>,
}

impl Reading<'_> {
    fn lose(&mut self, node: &Node, what: &str, why: &str) {
        self.draft.lose(self.file, node.line, what, why);
    }

    fn endpoint(&mut self, node: &Node) {
        let name = name_of(node);
        if node.is_not("enabled") {
            return self.lose(node, &name, "left out: it is not enabled");
        }
        let Some(mut check) = self.target(node, &name) else { return };
        for (key, value) in node.entries() {
            let known = KNOWN.contains(&key.as_str());
            if key == "maintenance-windows" || key == "extra-labels" || !known {
                let why = match key.as_str() {
                    "maintenance-windows" => continue,
                    "extra-labels" => "labels of metrics have no counterpart",
                    _ => "not known",
                };
                self.lose(value, &format!("{name}: `{key}`"), why);
            }
        }
        self.client(node, &name, &mut check);
        let mut registration = None;
        for condition in node.get("conditions").map(Node::items).unwrap_or_default() {
            let Some(text) = condition.text() else { continue };
            let applied = match text.starts_with("[DOMAIN_EXPIRATION]") {
                true => self.registration(node, &name, text, &mut registration),
                false => condition::apply(text, &mut check),
            };
            if let Err(why) = applied {
                self.lose(condition, &format!("{name}: condition `{text}`"), &why);
            }
        }
        condition::any_status(&mut check);
        if check.is("websocket") && !check.has("expect") {
            check.set("expect", Out::text(".*")); // Any message.
        }
        let interval = node.text_of("interval").map_or(Some(INTERVAL), time::go);
        let timeout = node.get("client").and_then(|client| client.text_of("timeout"));
        let timeout = timeout.map_or(Some(TIMEOUT), time::go);
        check.times(interval, timeout, self.draft);
        let mut made = Vec::new();
        for mut check in [Some(check), registration].into_iter().flatten() {
            let means = self.alerts(node, &name, &mut check);
            let title = self.draft.check(check);
            for means in means {
                self.alerted.entry(means).or_default().push(title.clone());
            }
            made.push(title);
        }
        for window in node.get("maintenance-windows").map(Node::items).unwrap_or_default() {
            self.maintenance(Some(window), &made);
        }
    }

    /// A second check, of how long the domain in the URL is registered.
    fn registration(
        &self,
        node: &Node,
        name: &str,
        condition: &str,
        made: &mut Option<Check>,
    ) -> Result<(), String> {
        let days = condition::domain(condition)?;
        let host = node.text_of("url").map(host_of).unwrap_or_default();
        // Of more labels nobody can tell by the name which of them are registered.
        if host.split('.').count() != 2 {
            return Err("make a check of kind `domain` of what is registered".to_owned());
        }
        let title = format!("{name} registration");
        let mut check = Check::new(self.file, node.line, &title, "domain");
        check.set("name", Out::text(host));
        check.set("warn_days", days);
        *made = Some(check);
        Err("carried over as a check of kind `domain`: near its end a registration is degraded \
             here, not down"
            .to_owned())
    }

    /// A check of the kind that the URL's scheme names.
    fn target(&mut self, node: &Node, name: &str) -> Option<Check> {
        let Some(url) = node.text_of("url") else {
            self.lose(node, name, "left out: it has no `url`");
            return None;
        };
        let new = |kind| Check::new(self.file, node.line, name, kind);
        if let Some(dns) = node.get("dns") {
            let mut check = new("dns");
            let (asked, kind) = (dns.text_of("query-name"), dns.text_of("query-type"));
            check.set("name", Out::text(asked.unwrap_or_default().trim_end_matches('.')));
            check.set("type", Out::text(kind.unwrap_or("A")));
            check.set("server", Out::text(url.trim_start_matches("dns://")));
            return Some(check);
        }
        let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
        let host = rest.split('/').next().unwrap_or(rest);
        let body = node.text_of("body").filter(|body| !body.is_empty());
        let mut check = match scheme {
            "http" | "https" => return Some(self.request(node, name, url, new("http"))),
            "ws" | "wss" => return Some(self.websocket(node, name, url, new("websocket"))),
            "tcp" => new("tcp"),
            "udp" => new("udp"),
            // With a body there is a talk after the handshake.
            "tls" if body.is_some() => with(new("tcp"), "tls"),
            "tls" => new("tls"),
            "ssh" => new("ssh"),
            "icmp" => {
                let mut check = new("icmp");
                check.set("host", Out::text(host.trim_matches(['[', ']'])));
                check.set("count", Out::word(1));
                return Some(check);
            }
            "starttls" => with(new("smtp"), "starttls"),
            "grpc" => new("grpc"),
            "grpcs" => with(new("grpc"), "tls"),
            other => {
                let why = match other {
                    "sctp" => "left out: there is no check of it here",
                    _ => "left out: this scheme is not known",
                };
                self.lose(node, &format!("{name} ({other})"), why);
                return None;
            }
        };
        check.set("address", Out::text(host));
        match (body, scheme) {
            (Some(body), "udp" | "tcp" | "tls") => check.set("send", Out::text(references(body))),
            (Some(_), _) => {
                let why = "not sent: this kind has a talk of its own";
                self.lose(node, &format!("{name}: `body`"), why);
            }
            (None, _) => {}
        }
        if let Some(ssh) = node.get("ssh").filter(|ssh| ssh.text_of("username").is_some()) {
            self.lose(
                ssh,
                &format!("{name}: `ssh`"),
                "nobody logs in; the server's identification is read",
            );
        }
        Some(check)
    }

    fn request(&mut self, node: &Node, name: &str, url: &str, mut check: Check) -> Check {
        check.set("url", Out::text(url));
        if let Some(method) = node.text_of("method").filter(|method| *method != "GET") {
            check.set("method", Out::text(method));
        }
        self.headers(node, name, &mut check);
        if let Some(body) = node.text_of("body") {
            if node.is("graphql") {
                let query = Out::Map(vec![("query".to_owned(), Out::text(references(body)))]);
                check.set("send_json", query);
                check.set("method", Out::text("POST"));
            } else {
                check.set("send", Out::text(references(body)));
                let method = node.text_of("method").unwrap_or("GET");
                check.set("method", Out::text(method));
            }
        }
        check
    }

    /// It sends a message, be it an empty one, and waits for another.
    fn websocket(&mut self, node: &Node, name: &str, url: &str, mut check: Check) -> Check {
        check.set("url", Out::text(url));
        self.headers(node, name, &mut check);
        check.set("send", Out::text(references(node.text_of("body").unwrap_or_default())));
        check
    }

    fn headers(&mut self, node: &Node, name: &str, check: &mut Check) {
        for (header, value) in node.get("headers").map(Node::entries).unwrap_or_default() {
            let Some(text) = value.text() else { continue };
            let text = self.without_secret(value, name, header, text);
            check.put("headers", header, Out::text(text));
        }
    }

    /// A header's text; where it says who asks, a reference.
    fn without_secret(&mut self, node: &Node, name: &str, header: &str, text: &str) -> String {
        let text = references(text);
        if !is_secret_header(header) || text.contains("${") {
            return text;
        }
        let variable = variable(name, header);
        let why = format!("not copied; set the variable `{variable}` where the probe runs");
        self.lose(node, &format!("{name}: header `{header}`"), &why);
        format!("${{env:{variable}}}")
    }

    fn client(&mut self, node: &Node, name: &str, check: &mut Check) {
        let is_http = check.is("http");
        let client = node.get("client");
        if is_http && !client.is_some_and(|client| client.is("ignore-redirect")) {
            check.set("redirects", Out::word(REDIRECTS));
        }
        for (key, value) in client.map(Node::entries).unwrap_or_default() {
            let why = match key.as_str() {
                "timeout" | "ignore-redirect" => continue,
                "insecure" if value.text() != Some("true") => continue,
                "insecure" => why::UNTRUSTED,
                "dns-resolver" => "names are resolved by the probe's own name servers",
                "proxy-url" => why::PROXY,
                "network" if value.text() == Some("ip6") => {
                    check.set("family", Out::text("v6"));
                    continue;
                }
                "network" => continue,
                "tls" => {
                    let (certificate, key) = ("certificate-file", "private-key-file");
                    check.client(value.text_of(certificate), value.text_of(key));
                    continue;
                }
                "oauth2" => why::TOKENS,
                "identity-aware-proxy" => "make a `journey` that fetches the token first",
                _ => "not known",
            };
            self.lose(value, &format!("{name}: client `{key}`"), why);
        }
    }
}

/// A check with this setting turned on.
fn with(mut check: Check, setting: &str) -> Check {
    check.set(setting, Out::word(true));
    check
}

/// The host of a URL, without user and port.
fn host_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let place = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    let place = place.rsplit('@').next().unwrap_or(place);
    place.split(':').next().unwrap_or(place)
}

/// Group and name, as people tell endpoints apart.
fn name_of(node: &Node) -> String {
    let name = node.text_of("name").unwrap_or_default();
    match node.text_of("group") {
        Some(group) => format!("{group} {name}"),
        None => name.to_owned(),
    }
}

/// `23:30` as a minute of the day.
fn minute(text: &str) -> Option<u32> {
    let (hours, minutes) = text.split_once(':')?;
    let (hours, minutes) = (hours.parse::<u32>().ok()?, minutes.parse::<u32>().ok()?);
    (hours < 24 && minutes < 60).then_some(hours * 60 + minutes)
}

/// Gatus replaces `${NAME}` and `$NAME` by variables when it reads its file; `$$` is a dollar.
fn references(text: &str) -> String {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let (mut out, mut rest) = (String::new(), text);
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            out.push('$');
            rest = after;
            continue;
        }
        let braced = rest.strip_prefix('{').and_then(|inner| inner.split_once('}'));
        let (name, after) = match braced {
            Some((name, after)) => (name, after),
            None => rest.split_at(rest.find(|c| !is_name(c)).unwrap_or(rest.len())),
        };
        if name.is_empty() || !name.chars().all(is_name) {
            out.push('$');
            continue;
        }
        out.push_str(&format!("${{env:{name}}}"));
        rest = after;
    }
    out + rest
}
