//! Monitors that ask by HTTP.

use super::super::check::Check;
use super::super::draft::{is_secret_header, why};
use super::super::json;
use super::super::tree::Node;
use super::super::written::Out;
use super::Reading;

/// Redirects that it follows.
const REDIRECTS: &str = "10";

impl Reading<'_> {
    pub(super) fn http(&mut self, node: &Node, name: &str, kind: &str, mut check: Check) -> Check {
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
        self.headers(node, name, &mut check);
        self.body(node, name, &mut check);
        self.login(node, name, &mut check);
        if kind == "keyword" {
            let key = if node.is("invertKeyword") { "lacks" } else { "contains" };
            let keyword = node.text_of("keyword").unwrap_or_default();
            check.put("body", key, Out::text(keyword));
        }
        if kind == "json-query" {
            self.query(node, name, &mut check);
        }
        if node.is("expiryNotification") {
            check.set("certificate", Out::map([("warn_days", Out::word(21))]));
        }
        self.untrusted(node, name);
        if let Some(bust) = node.get("cacheBust").filter(|bust| bust.is_on()) {
            self.lose(bust, &format!("{name}: `cacheBust`"), "write the query into the URL");
        }
        if let Some(domain) = node.get("domainExpiryNotification").filter(|node| node.is_on()) {
            let why = "make a check of kind `domain` of what is registered";
            self.pass(domain, "monitor `domainExpiryNotification`", why);
        }
        if let Some(only) = node.get("retryOnlyOnStatusCodeFailure").filter(|node| node.is_on()) {
            let why = "a run is tried again after any failure";
            self.lose(only, &format!("{name}: `retryOnlyOnStatusCodeFailure`"), why);
        }
        if let Some(number) = node.get("proxyId") {
            self.proxy(number, name, &mut check);
        }
        check
    }

    pub(super) fn untrusted(&mut self, node: &Node, name: &str) {
        if let Some(ignore) = node.get("ignoreTls").filter(|ignore| ignore.is_on()) {
            self.lose(ignore, &format!("{name}: `ignoreTls`"), why::UNTRUSTED);
        }
    }

    fn body(&mut self, node: &Node, name: &str, check: &mut Check) {
        let Some(body) = node.text_of("body").filter(|body| !body.is_empty()) else { return };
        let method = node.text_of("method").unwrap_or("GET");
        check.set("send", Out::text(body));
        check.set("method", Out::text(method));
        let kind = match node.text_of("httpBodyEncoding") {
            None | Some("json") => "application/json",
            Some("xml") => "text/xml; charset=utf-8",
            Some("form") => "application/x-www-form-urlencoded",
            Some(other) => {
                let why = "not known; write the header `content-type`";
                return self.note(node, &format!("{name}: `httpBodyEncoding` {other}"), why);
            }
        };
        if !check.has_entry("headers", "content-type") {
            check.put("headers", "content-type", Out::text(kind));
        }
    }

    fn query(&mut self, node: &Node, name: &str, check: &mut Check) {
        let path = node.text_of("jsonPath").unwrap_or("$");
        let sign = node.text_of("jsonPathOperator").unwrap_or("==");
        let wanted = node.text_of("expectedValue").unwrap_or_default();
        // JSONata there, RFC 9535 here; simple paths are written alike.
        let path = if path.starts_with('$') { path.to_owned() } else { format!("$.{path}") };
        match sign {
            "==" | "!=" | "<" | "<=" | ">" | ">=" => {
                check.put("json", &path, Out::text(format!("{sign} {wanted}")));
            }
            "contains" => {
                let quoted = |text: &str| serde_json::to_string(text).expect("a text is JSON");
                check.expect(format!("json({}).contains({})", quoted(&path), quoted(wanted)));
            }
            _ => self.note(
                node,
                &format!("{name}: `jsonPathOperator` {sign}"),
                "values are compared by ==, !=, <, <=, >, >=",
            ),
        }
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
            match header.eq_ignore_ascii_case("host") {
                true => check.set("host", Out::text(text)),
                false => check.put("headers", header, Out::text(text)),
            }
        }
    }

    fn login(&mut self, node: &Node, name: &str, check: &mut Check) {
        let text = |key| Out::text(node.text_of(key).unwrap_or_default());
        let done = |keys: &[&str]| keys.iter().filter_map(|key| node.get(key)).for_each(Node::done);
        match node.text_of("authMethod") {
            Some("basic") => {
                done(&["basic_auth_pass"]);
                let password = Out::text(self.secret(node, name, "password"));
                check.set(
                    "basic",
                    Out::map([("user", text("basic_auth_user")), ("password", password)]),
                );
            }
            Some("bearer") => {
                done(&["bearer_token"]);
                check.set("bearer", Out::text(self.secret(node, name, "token")));
            }
            Some("oauth2-cc") => {
                done(&["oauth_client_secret"]);
                let secret = Out::text(self.secret(node, name, "client secret"));
                let scopes = node.text_of("oauth_scopes").unwrap_or_default();
                let mut token = vec![
                    ("token_url".to_owned(), text("oauth_token_url")),
                    ("client_id".to_owned(), text("oauth_client_id")),
                    ("client_secret".to_owned(), secret),
                    ("scopes".to_owned(), Out::texts(scopes.split_whitespace())),
                ];
                if node.text_of("oauth_auth_method") == Some("client_secret_post") {
                    token.push(("auth".to_owned(), Out::text("body")));
                }
                if let Some(audience) = node.text_of("oauth_audience").filter(|a| !a.is_empty()) {
                    let parameters = Out::map([("audience", Out::text(audience))]);
                    token.push(("parameters".to_owned(), parameters));
                }
                check.set("oauth2", Out::Map(token));
            }
            None | Some("" | "null") => {}
            Some("mtls") => {
                done(&["tlsCert", "tlsKey", "tlsCa"]);
                let why = "certificates and keys are files here; write them and name them in \
                           `client` and `ca`";
                self.note(node, &format!("{name}: `authMethod` mtls"), why);
            }
            Some(other) => {
                done(&["basic_auth_user", "basic_auth_pass", "authWorkstation", "authDomain"]);
                let why = "nobody logs in so here; basic, digest and bearer are known, OAuth 2 too";
                self.note(node, &format!("{name}: `authMethod` {other}"), why);
            }
        }
    }

    /// Proxies stand in a list of their own.
    fn proxy(&mut self, number: &Node, name: &str, check: &mut Check) {
        let proxies = self.root.get("proxyList").map(Node::items).unwrap_or_default();
        let proxy = proxies.iter().find(|proxy| proxy.text_of("id") == number.text());
        let what = format!("{name}: `proxyId`");
        let Some(proxy) = proxy else {
            return self.lose(number, &what, "there is no such proxy in the backup");
        };
        if proxy.is_not("active") {
            return self.lose(number, &what, "left out: the proxy is not active");
        }
        let text = |key| proxy.text_of(key).unwrap_or_default();
        let login = match proxy.is("auth") {
            true => format!("{}:@", text("username")),
            false => String::new(),
        };
        let url = format!("{}://{login}{}:{}", text("protocol"), text("host"), text("port"));
        let reference = match proxy.is("auth") {
            true => self.secret(number, name, "proxy password"),
            false => String::new(),
        };
        if let Err(why) = check.proxy(&url, &reference) {
            self.lose(number, &what, &why);
        }
        // Its password was told of; the rest is how it is kept there.
        for key in ["password", "userId", "user_id", "default", "createdDate", "created_date"] {
            proxy.get(key).into_iter().for_each(Node::done);
        }
    }
}
