//! Types of monitors.

use super::super::check::Check;
use super::super::tree::Node;
use super::super::written::Out;
use super::Reading;

impl Reading<'_> {
    /// A check of the kind that is like the type.
    pub(super) fn check_of(&mut self, node: &Node, name: &str, kind: &str) -> Option<Check> {
        let new = |kind| Check::new(self.file, node.line, name, kind);
        let host = node.text_of("hostname").unwrap_or_default();
        let address = || match node.text_of("port") {
            Some(port) if host.contains(':') => format!("[{host}]:{port}"),
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        };
        let mut check = match kind {
            "http" | "keyword" | "json-query" => self.http(node, name, kind, new("http")),
            "port" => with(new("tcp"), "address", &address()),
            "ping" => {
                let mut check = with(new("icmp"), "host", host);
                let count = node.text_of("ping_count").unwrap_or("1");
                check.set("count", Out::word(count));
                let size = node.text_of("packetSize").filter(|size| *size != "56");
                size.into_iter().for_each(|size| check.set("size", Out::word(format!("{size}B"))));
                check
            }
            "dns" => self.dns(node, name, host, new("dns")),
            "smtp" => {
                let mut check = with(new("smtp"), "address", &address());
                match node.text_of("smtpSecurity").unwrap_or_default() {
                    "secure" => check.set("tls", Out::word(true)),
                    "starttls" => check.set("starttls", Out::word(true)),
                    _ => {}
                }
                check
            }
            "real-browser" => self.browser(node, name, new("page")),
            "redis" => self.redis(node, name, new("redis"))?,
            "mysql" => self.mysql(node, name, new("mysql"))?,
            "grpc-keyword" => self.grpc(node, name, new("grpc"))?,
            "websocket-upgrade" => {
                let mut check =
                    with(new("websocket"), "url", node.text_of("url").unwrap_or_default());
                let protocols = node.text_of("wsSubprotocol").unwrap_or_default();
                let protocols: Vec<&str> =
                    protocols.split(',').map(str::trim).filter(|text| !text.is_empty()).collect();
                if !protocols.is_empty() {
                    check.set("subprotocol", Out::texts(protocols));
                }
                check
            }
            other => {
                let why = left_out(other, node);
                self.lose(node, &format!("{name} ({other})"), &why);
                return None;
            }
        };
        match node.text_of("ipFamily") {
            Some("ipv6") => check.set("family", Out::text("v6")),
            Some("ipv4") => check.set("family", Out::text("v4")),
            _ => {}
        }
        Some(check)
    }

    /// The probe loads the page by a browser that its own configuration names.
    fn browser(&mut self, node: &Node, name: &str, mut check: Check) -> Check {
        check.set("url", Out::text(node.text_of("url").unwrap_or_default()));
        check.set("browser", Out::word(true));
        let why = "name a browser in probe.yaml (`browser: /usr/bin/chromium`); elements that fail \
                   are degraded here";
        self.note(node, &format!("{name}: browser"), why);
        check
    }

    fn dns(&mut self, node: &Node, name: &str, host: &str, mut check: Check) -> Check {
        check.set("name", Out::text(host.trim_end_matches('.')));
        check.set("type", Out::text(node.text_of("dns_resolve_type").unwrap_or("A")));
        let port = node.text_of("port").filter(|port| *port != "53");
        let Some(servers) = node.get("dns_resolve_server") else { return check };
        let mut all = servers.text().unwrap_or_default().split(',').map(str::trim);
        // Without one, the probe's own.
        if let Some(server) = all.next().filter(|server| !server.is_empty()) {
            let server = match port {
                Some(port) if server.contains(':') => format!("[{server}]:{port}"),
                Some(port) => format!("{server}:{port}"),
                None => server.to_owned(),
            };
            check.set("server", Out::text(server));
        }
        for other in all.filter(|server| !server.is_empty()) {
            let why = "a check asks one server; make a second check of this one";
            self.note(servers, &format!("{name}: name server {other}"), why);
        }
        check
    }

    /// Where a database is, which stands in a URL with the user and password.
    fn place<'n>(&mut self, node: &'n Node, name: &str, kind: &str) -> Option<Place<'n>> {
        let found = node.get("databaseConnectionString").and_then(Node::text).and_then(place);
        if found.is_none() {
            self.lose(node, &format!("{name} ({kind})"), "left out: its address is not understood");
        }
        found
    }

    fn redis(&mut self, node: &Node, name: &str, check: Check) -> Option<Check> {
        let place = self.place(node, name, "redis")?;
        let mut check = with(check, "address", place.address);
        if place.scheme == "rediss" {
            check.set("tls", Out::word(true));
        }
        if let Some(user) = place.user.filter(|user| !user.is_empty() && *user != "default") {
            check.set("user", Out::text(user));
        }
        if place.has_password {
            let password = self.secret(node, name, "password");
            check.set("password", Out::text(password));
        }
        self.untrusted(node, name);
        Some(check)
    }

    fn mysql(&mut self, node: &Node, name: &str, check: Check) -> Option<Check> {
        let place = self.place(node, name, "mysql")?;
        self.note(node, name, "nobody logs in and no query is made; the server is greeted");
        if let Some(query) = node.get("databaseQuery") {
            query.done(); // It is told of with the login.
        }
        Some(with(check, "address", place.address))
    }

    /// Of gRPC there is the health service.
    fn grpc(&mut self, node: &Node, name: &str, check: Check) -> Option<Check> {
        let service = node.text_of("grpcServiceName").unwrap_or_default();
        let is_health = service.rsplit('.').next() == Some("Health")
            && node.text_of("grpcMethod").is_some_and(|name| name.eq_ignore_ascii_case("check"))
            && !node.is("invertKeyword");
        if !is_health {
            let why = "left out: of gRPC the health service is asked, by a check of kind `grpc`";
            self.lose(node, &format!("{name} (grpc-keyword)"), why);
            return None;
        }
        let url = node.text_of("grpcUrl").unwrap_or_default();
        let mut check = with(check, "address", url.split_once("://").map_or(url, |(_, at)| at));
        if node.is("grpcEnableTls") {
            check.set("tls", Out::word(true));
        }
        for key in ["grpcProtobuf", "keyword"] {
            if let Some(node) = node.get(key) {
                node.done(); // It is the health service's, which must serve.
            }
        }
        for key in ["grpcBody", "grpcMetadata"] {
            if let Some(value) = node.get(key).filter(|value| !value.peek().trim().is_empty()) {
                let why = "write `service` and `metadata`, secrets as `${env:..}`";
                self.lose(value, &format!("{name}: `{key}`"), why);
            }
        }
        Some(check)
    }
}

/// What a connection string says.
struct Place<'a> {
    scheme: &'a str,
    user: Option<&'a str>,
    has_password: bool,
    address: &'a str,
}

fn place(text: &str) -> Option<Place<'_>> {
    let (scheme, rest) = text.split_once("://")?;
    let (login, rest) = rest.rsplit_once('@').map_or((None, rest), |(l, rest)| (Some(l), rest));
    let address = rest.split(['/', '?']).next().filter(|address| !address.is_empty())?;
    let (user, password) = match login.map(|login| login.split_once(':')) {
        Some(Some((user, password))) => (Some(user), Some(password)),
        Some(None) => (login, None),
        None => (None, None),
    };
    Some(Place { scheme, user, has_password: password.is_some_and(|p| !p.is_empty()), address })
}

/// Why a type has no counterpart.
fn left_out(kind: &str, node: &Node) -> String {
    let every = node.text_of("interval").unwrap_or("60").to_owned();
    match kind {
        "push" => {
            return format!(
                "left out: `crosscheck push token` makes a token and its digest; then write \
                 `push: {{ every: {every}s, token_sha256: .. }}` and let the job report there"
            );
        }
        "docker" => "left out: containers are not looked into; check their port, or `exec`",
        "postgres" | "sqlserver" | "mongodb" => "left out: check its port by `tcp`, or `exec`",
        "mqtt" | "rabbitmq" | "kafka-producer" => "left out: check its port by `tcp`, or `exec`",
        "steam" | "gamedig" => "left out: ask its port by `udp`, with what its game answers",
        "radius" | "snmp" | "tailscale-ping" | "globalping" | "system-service" | "sip-options" => {
            "left out: make it a check of kind `exec`, of a plugin"
        }
        "manual" => "left out: nothing is tested; the status page has announcements",
        "ssh" => "left out: make it a check of kind `ssh`",
        "ntp" => "left out: make it a check of kind `ntp`",
        _ => "left out: there is no check of this type here",
    }
    .to_owned()
}

fn with(mut check: Check, key: &str, value: &str) -> Check {
    check.set(key, Out::text(value));
    check
}
