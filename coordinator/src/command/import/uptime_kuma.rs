//! Uptime Kuma: monitors, notifications, tags and maintenance of its backup, a JSON file.

mod told;

use std::time::Duration;

use super::draft::{Check, Draft, is_secret_header, variable, why};
use super::tree::{Input, Node};
use super::written::Out;
use super::{Source, json, time};

/// The most attempts that a check makes, and the longest pause between two.
const ATTEMPTS: u32 = 10;
const LONGEST_GAP: Duration = Duration::from_secs(600);

/// Redirects that it follows.
const REDIRECTS: &str = "10";

/// The backup (Settings, Backup, Export).
pub(super) struct UptimeKuma;

impl Source for UptimeKuma {
    fn name(&self) -> &'static str {
        "uptime-kuma"
    }

    fn read(&self, file: &Input, _: Option<&Input>, draft: &mut Draft) -> Result<(), String> {
        let root = json::read(file)?;
        let Some(monitors) = root.get("monitorList") else {
            return Err(format!("{}: no `monitorList`; is it a backup of Uptime Kuma?", file.name));
        };
        let mut reading = Reading { file: &file.name, draft, root: &root, made: Vec::new() };
        // Keyed by number in some versions.
        let of_map = monitors.entries().iter().map(|(_, monitor)| monitor);
        let of_list = monitors.items().iter().filter(|_| monitors.entries().is_empty());
        for monitor in of_map.chain(of_list) {
            reading.monitor(monitor);
        }
        reading.notifications();
        reading.maintenance();
        if let Some(proxies) = root.get("proxyList").filter(|list| !list.items().is_empty()) {
            reading.lose(proxies, "proxies", why::PROXY);
        }
        Ok(())
    }
}

struct Reading<'a> {
    file: &'a str,
    draft: &'a mut Draft,
    root: &'a Node,
    /// Numbers of monitors, the checks made of them, and the notifications that they use.
    made: Vec<(String, String, Vec<String>)>,
}

impl Reading<'_> {
    fn lose(&mut self, node: &Node, what: &str, why: &str) {
        self.draft.lose(self.file, node.line, what, why);
    }

    fn monitor(&mut self, node: &Node) {
        let name = self.title(node);
        let kind = node.text_of("type").unwrap_or_default();
        if kind == "group" {
            return; // Its name stands before those of its monitors.
        }
        if node.is_not("active") {
            return self.lose(node, &name, "left out: it is paused");
        }
        let new = |kind| Check::new(self.file, node.line, &name, kind);
        let host = node.text_of("hostname").unwrap_or_default();
        let address = match node.text_of("port") {
            Some(port) if host.contains(':') => format!("[{host}]:{port}"),
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        };
        let mut check = match kind {
            "http" | "keyword" | "json-query" => self.http(node, &name, kind, new("http")),
            "port" => with(new("tcp"), "address", &address),
            "ping" => {
                let mut check = with(new("icmp"), "host", host);
                let size = node.text_of("packetSize").filter(|size| *size != "56");
                size.into_iter().for_each(|size| check.set("size", Out::word(format!("{size}B"))));
                check
            }
            "dns" => self.dns(node, host, new("dns")),
            "smtp" => {
                let mut check = with(new("smtp"), "address", &address);
                let security = node.text_of("smtpSecurity").unwrap_or_default();
                match security {
                    "secure" => check.set("tls", Out::word(true)),
                    "starttls" => check.set("starttls", Out::word(true)),
                    _ => {}
                }
                check
            }
            "real-browser" => self.browser(node, &name, new("page")),
            "redis" | "mysql" => return self.database(node, &name, kind, new),
            other => {
                let why = match other {
                    "push" => "left out: make it a check of kind `push`, with a token of its own",
                    "docker" => "left out: containers are not looked into; check their port",
                    "grpc-keyword" => {
                        "left out: of gRPC the health service is asked, by a check of kind `grpc`"
                    }
                    "postgres" | "sqlserver" | "mongodb" => "left out: check its port by `tcp`",
                    _ => "left out: there is no check of this type here",
                };
                return self.lose(node, &format!("{name} ({other})"), why);
            }
        };
        if node.is("upsideDown") {
            check.set("negate", Out::word(true));
        }
        self.terms(node, &name, &mut check);
        self.keep(node, check);
    }

    fn keep(&mut self, node: &Node, check: Check) {
        let number = node.text_of("id").unwrap_or_default().to_owned();
        let means = node.get("notificationIDList").map(Node::entries).unwrap_or_default();
        let means = means.iter().filter(|(_, on)| on.text() == Some("true"));
        let means = means.map(|(number, _)| number.clone()).collect();
        let made = self.draft.check(check);
        self.made.push((number, made, means));
    }

    /// The name, behind those of the groups that it is in.
    fn title(&self, node: &Node) -> String {
        let mut names = vec![node.text_of("name").unwrap_or_default()];
        let monitors = self.root.get("monitorList");
        let mut parent = node.text_of("parent");
        while let (Some(number), true) = (parent, names.len() < 8) {
            let all = monitors.map(Node::items).unwrap_or_default();
            let found = all.iter().find(|other| other.text_of("id") == Some(number));
            names.extend(found.and_then(|group| group.text_of("name")));
            parent = found.and_then(|group| group.text_of("parent"));
        }
        names.reverse();
        names.join(" ")
    }

    fn terms(&mut self, node: &Node, name: &str, check: &mut Check) {
        let of = |key| node.text_of(key).and_then(time::seconds).filter(|time| !time.is_zero());
        check.times(of("interval"), of("timeout"), self.draft);
        let retries: u32 = node.text_of("maxretries").and_then(|n| n.parse().ok()).unwrap_or(0);
        let attempts = retries.saturating_add(1);
        if attempts > ATTEMPTS {
            self.lose(node, &format!("{name}: `maxretries`"), "a check makes 10 attempts at most");
        }
        check.term("attempts", Out::word(attempts.min(ATTEMPTS)));
        if let Some(gap) = of("retryInterval").filter(|_| retries > 0) {
            if gap > LONGEST_GAP {
                self.lose(node, &format!("{name}: `retryInterval`"), "10 minutes at most");
            }
            check.term("attempt_gap", time::ours(gap.min(LONGEST_GAP)));
        }
        check.alarm("after", Out::word(1));
        if let Some(text) = node.text_of("description").filter(|text| !text.trim().is_empty()) {
            check.term("runbook", Out::text(text));
        }
        if node.text_of("resendInterval").is_some_and(|text| text != "0") {
            self.lose(
                node,
                &format!("{name}: `resendInterval`"),
                "nobody is reminded here: an alarm is told once",
            );
        }
        let tags = node.get("tags").map(Node::items).unwrap_or_default();
        let tags: Vec<&str> = tags.iter().filter_map(|tag| tag.text_of("name")).collect();
        if !tags.is_empty() {
            let what = format!("{name}: tags {}", tags.join(", "));
            self.lose(node, &what, "checks have no tags; routes and pages choose by name");
        }
    }

    fn http(&mut self, node: &Node, name: &str, kind: &str, mut check: Check) -> Check {
        check.set("url", Out::text(node.text_of("url").unwrap_or_default()));
        if let Some(method) = node.text_of("method").filter(|method| *method != "GET") {
            check.set("method", Out::text(method));
        }
        let redirects = node.text_of("maxredirects").unwrap_or(REDIRECTS);
        if redirects != "0" {
            check.set("redirects", Out::word(redirects));
        }
        let codes = node.texts_of("accepted_statuscodes");
        if !codes.is_empty() && codes != ["200-299"] {
            check.set("status", Out::texts(codes));
        }
        if let Some(body) = node.text_of("body").filter(|body| !body.is_empty()) {
            check.set("send", Out::text(body));
            check.set("method", Out::text(node.text_of("method").unwrap_or("GET")));
            let is_json =
                node.text_of("httpBodyEncoding").is_none_or(|encoding| encoding == "json");
            if is_json {
                check.put("headers", "content-type", Out::text("application/json"));
            }
        }
        self.headers(node, name, &mut check);
        self.login(node, name, &mut check);
        if kind == "keyword" {
            let key = if node.is("invertKeyword") { "lacks" } else { "contains" };
            let keyword = node.text_of("keyword").unwrap_or_default();
            check.put("body", key, Out::text(keyword));
        }
        if kind == "json-query" {
            let path = node.text_of("jsonPath").unwrap_or("$");
            let sign = node.text_of("jsonPathOperator").unwrap_or("==");
            let wanted = node.text_of("expectedValue").unwrap_or_default();
            if ["==", "!=", "<", "<=", ">", ">="].contains(&sign) {
                // JSONata there, RFC 9535 here; simple paths are written alike.
                let path =
                    if path.starts_with('$') { path.to_owned() } else { format!("$.{path}") };
                check.put("json", &path, Out::text(format!("{sign} {wanted}")));
            } else {
                self.lose(
                    node,
                    &format!("{name}: `jsonPathOperator` {sign}"),
                    "values are compared by ==, !=, <, <=, >, >=",
                );
            }
        }
        if node.is("expiryNotification") {
            check.set("certificate", Out::map([("warn_days", Out::word(21))]));
        }
        for (key, why) in
            [("ignoreTls", why::UNTRUSTED), ("cacheBust", "write the query into the URL")]
        {
            if node.is(key) {
                self.lose(node, &format!("{name}: `{key}`"), why);
            }
        }
        if node.text_of("proxyId").is_some() {
            self.lose(node, &format!("{name}: `proxyId`"), why::PROXY);
        }
        check
    }

    fn headers(&mut self, node: &Node, name: &str, check: &mut Check) {
        let Some(headers) = node.get("headers") else { return };
        let text = headers.text().unwrap_or_default();
        if text.trim().is_empty() {
            return;
        }
        let Ok(read) = json::within(text, headers.line) else {
            return self.lose(headers, &format!("{name}: `headers`"), "they are not JSON");
        };
        for (header, value) in read.entries() {
            let text = match (is_secret_header(header), value.text()) {
                (true, _) => self.secret(headers, name, header),
                (false, text) => text.unwrap_or_default().to_owned(),
            };
            check.put("headers", header, Out::text(text));
        }
    }

    fn login(&mut self, node: &Node, name: &str, check: &mut Check) {
        match node.text_of("authMethod") {
            Some("basic") => {
                let password = Out::text(self.secret(node, name, "password"));
                let user = Out::text(node.text_of("basic_auth_user").unwrap_or_default());
                check.set("basic", Out::map([("user", user), ("password", password)]));
            }
            None | Some("" | "null") => {}
            Some(other) => {
                let why = "basic authentication and client certificates in files are known here";
                self.lose(node, &format!("{name}: `authMethod` {other}"), why);
            }
        }
    }

    /// The probe loads the page by a browser that its own configuration names.
    fn browser(&mut self, node: &Node, name: &str, mut check: Check) -> Check {
        check.set("url", Out::text(node.text_of("url").unwrap_or_default()));
        check.set("browser", Out::word(true));
        let why = "name a browser in probe.yaml (`browser: /usr/bin/chromium`); elements that fail \
                   are degraded here";
        self.lose(node, &format!("{name}: browser"), why);
        check
    }

    fn dns(&mut self, node: &Node, host: &str, mut check: Check) -> Check {
        check.set("name", Out::text(host.trim_end_matches('.')));
        check.set("type", Out::text(node.text_of("dns_resolve_type").unwrap_or("A")));
        let server = node.text_of("dns_resolve_server").unwrap_or_default();
        // The first of several; without one, the probe's own.
        if let Some(server) = server.split(',').next().map(str::trim).filter(|s| !s.is_empty()) {
            let port = node.text_of("port").filter(|port| *port != "53");
            let server = match port {
                Some(port) if server.contains(':') => format!("[{server}]:{port}"),
                Some(port) => format!("{server}:{port}"),
                None => server.to_owned(),
            };
            check.set("server", Out::text(server));
        }
        check
    }

    /// Its place stands in a URL with the password.
    fn database(
        &mut self,
        node: &Node,
        name: &str,
        kind: &str,
        new: impl Fn(&'static str) -> Check,
    ) {
        let text = node.text_of("databaseConnectionString").unwrap_or_default();
        let place = text.split_once("://").map(|(_, rest)| rest.rsplit('@').next().unwrap_or(rest));
        let place = place.and_then(|place| place.split(['/', '?']).next());
        let Some(place) = place.filter(|place| !place.is_empty()) else {
            return self.lose(
                node,
                &format!("{name} ({kind})"),
                "left out: its address is not understood",
            );
        };
        let mut check =
            with(new(if kind == "redis" { "redis" } else { "mysql" }), "address", place);
        if text.contains('@') && kind == "redis" {
            let password = self.secret(node, name, "password");
            check.set("password", Out::text(password));
        }
        if kind == "mysql" {
            self.lose(node, name, "nobody logs in and no query is made; the server is greeted");
        }
        self.terms(node, name, &mut check);
        self.keep(node, check);
    }

    /// A reference in the place of what is not copied.
    fn secret(&mut self, node: &Node, name: &str, what: &str) -> String {
        let variable = variable(name, what);
        let why = format!("not copied; set the variable `{variable}` where the probe runs");
        self.lose(node, &format!("{name}: {what}"), &why);
        format!("${{env:{variable}}}")
    }
}

fn with(mut check: Check, key: &str, value: &str) -> Check {
    check.set(key, Out::text(value));
    check
}
