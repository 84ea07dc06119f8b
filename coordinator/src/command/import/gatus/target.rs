//! What an endpoint asks, by the scheme of its URL.

use super::super::check::Check;
use super::super::tree::Node;
use super::super::written::Out;
use super::Reading;

impl Reading<'_> {
    /// A check of the kind that the URL's scheme names.
    pub(super) fn target(&mut self, node: &Node, name: &str) -> Option<Check> {
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
        let body = node.get("body").filter(|body| body.text().is_some_and(|text| !text.is_empty()));
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
            (Some(body), "udp" | "tcp" | "tls") => {
                let sent = self.sent(node, body, name);
                check.set("send", Out::text(sent));
            }
            (Some(body), _) => {
                let why = "not sent: this kind has a talk of its own";
                self.lose(body, &format!("{name}: `body`"), why);
            }
            (None, _) => {}
        }
        if let Some(ssh) = node.get("ssh") {
            let why = "nobody logs in; the server's identification is read";
            self.lose(ssh, &format!("{name}: `ssh`"), why);
        }
        Some(check)
    }

    fn request(&mut self, node: &Node, name: &str, url: &str, mut check: Check) -> Check {
        check.set("url", Out::text(url));
        let method = node.text_of("method").unwrap_or("GET");
        if method != "GET" {
            check.set("method", Out::text(method));
        }
        for (header, value) in node.get("headers").map(Node::entries).unwrap_or_default() {
            let Some(text) = value.text() else { continue };
            if header.eq_ignore_ascii_case("host") {
                check.set("host", Out::text(text));
                continue;
            }
            let text = self.without_secret(value, name, header, text);
            check.put("headers", header, Out::text(text));
        }
        let is_graphql = node.is("graphql");
        if let Some(body) = node.get("body") {
            let sent = self.sent(node, body, name);
            if is_graphql {
                check.set("send_json", Out::Map(vec![("query".to_owned(), Out::text(sent))]));
            } else {
                check.set("send", Out::text(sent));
            }
            check.set("method", Out::text(if is_graphql { "POST" } else { method }));
        }
        check
    }

    /// It sends a message, be it an empty one, and waits for another.
    fn websocket(&mut self, node: &Node, name: &str, url: &str, mut check: Check) -> Check {
        check.set("url", Out::text(url));
        for (header, value) in node.get("headers").map(Node::entries).unwrap_or_default() {
            let Some(text) = value.text() else { continue };
            let text = self.without_secret(value, name, header, text);
            check.put("headers", header, Out::text(text));
        }
        let sent = match node.get("body") {
            Some(body) => self.sent(node, body, name),
            None => String::new(),
        };
        check.set("send", Out::text(sent));
        check
    }

    /// A body with what is known of its placeholders filled in.
    pub(super) fn sent(&mut self, node: &Node, body: &Node, name: &str) -> String {
        let mut text = body.text().unwrap_or_default().to_owned();
        for (place, key) in
            [("[ENDPOINT_NAME]", "name"), ("[ENDPOINT_GROUP]", "group"), ("[ENDPOINT_URL]", "url")]
        {
            text = text.replace(place, node.text_of(key).unwrap_or_default());
        }
        for place in ["[LOCAL_ADDRESS]", "[RANDOM_STRING_"] {
            if text.contains(place) {
                let why = format!("`{}]` is sent as it stands", place.trim_end_matches([']', '_']));
                self.note(body, &format!("{name}: `body`"), &why);
            }
        }
        text
    }
}

/// A check with this setting turned on.
fn with(mut check: Check, setting: &str) -> Check {
    check.set(setting, Out::word(true));
    check
}
