//! Modules of the prober `http`.

use super::super::check::Check;
use super::super::draft::{variable, why};
use super::super::tree::Node;
use super::super::written::Out;
use super::{Asked, REDIRECTS, Reading};

impl Reading<'_> {
    pub(super) fn http(
        &mut self,
        name: &str,
        module: &Node,
        asked: &Asked<'_>,
        mut check: Check,
    ) -> Check {
        let settings = module.get("http");
        let must_be_secure = settings.and_then(|http| http.get("fail_if_not_ssl"));
        let is_secure = must_be_secure.is_some_and(Node::is_on);
        let scheme = if is_secure { "https" } else { "http" };
        let url = match asked.target.contains("://") {
            true => asked.target.to_owned(),
            false => format!("{scheme}://{}", asked.target),
        };
        if let (Some(node), true, true) = (must_be_secure, is_secure, url.starts_with("http:")) {
            let why = "after redirects the last answer must be over TLS there; ask it there, too";
            self.note(node, name, "fail_if_not_ssl", why);
        }
        if let Some(hostname) = asked.hostname {
            check.set("host", Out::text(hostname));
            if url.starts_with("https:") {
                check.set("server_name", Out::text(hostname));
            }
        }
        check.set("url", Out::text(url));
        self.family(name, settings, &mut check);
        let words = settings.map(Node::entries).unwrap_or_default();
        let follows = !words.iter().any(|(key, node)| match key.as_str() {
            "follow_redirects" => node.is_off(),
            "no_follow_redirects" => node.is_on(),
            _ => false,
        });
        if follows {
            check.set("redirects", Out::word(REDIRECTS));
        }
        for (key, node) in words {
            if let Err(why) = self.asked(name, key, node, &mut check) {
                self.lose(node, name, key, &why);
            }
        }
        check
    }

    /// What is asked, and as whom; what is wanted of the answer is for [`wanted`].
    fn asked(
        &mut self,
        name: &str,
        key: &str,
        node: &Node,
        check: &mut Check,
    ) -> Result<(), String> {
        match key {
            "enable_http2" if node.is_off() => check.set("version", Out::text("1.1")),
            "fail_if_ssl" | "skip_resolve_phase_with_proxy" | "use_proxy_dns" | "enable_http3"
                if node.is_off() => {}
            "fail_if_ssl" => {
                return Err("that an answer comes without TLS is not judged".to_owned());
            }
            "enable_http3" => check.set("version", Out::word(3)),
            "skip_resolve_phase_with_proxy" | "use_proxy_dns" => {
                return Err("with a proxy of HTTP the proxy resolves names".to_owned());
            }
            "method" => check.set("method", Out::text(node.text().unwrap_or_default())),
            "body" => check.set("send", Out::text(node.text().unwrap_or_default())),
            "body_file" => {
                check.set("send_file", Out::text(node.text().unwrap_or_default()));
                let why = "a file of the probe here; allow its directory in probe.yaml (`files`)";
                self.note(node, name, key, why);
            }
            "headers" => self.headers(name, node, check),
            "basic_auth" => self.basic(name, node, check),
            "bearer_token" => check.set("bearer", self.secret(name, "token", node)),
            "bearer_token_file" => {
                let path = node.text().unwrap_or_default();
                check.set("bearer", Out::text(format!("${{file:{path}}}")));
            }
            "authorization" => self.authorization(name, node, check),
            "oauth2" => self.oauth2(name, node, check),
            "tls_config" => self.tls_config(name, node, check),
            "proxy_url" => return self.proxy(name, node, check),
            "proxy_from_environment" if node.is_off() => {}
            "proxy_from_environment" | "no_proxy" | "proxy_connect_header" => {
                return Err("a check names its proxy itself (`proxy`), or goes without".to_owned());
            }
            "compression" => {
                check.set("accept_encoding", Out::texts([node.text().unwrap_or_default()]));
            }
            _ => return wanted(key, node, check),
        }
        Ok(())
    }

    fn headers(&mut self, name: &str, node: &Node, check: &mut Check) {
        for (header, value) in node.entries() {
            let text = value.text().unwrap_or_default();
            let reference = format!("${{env:{}}}", variable(name, header));
            if check.header(header, text, || reference) {
                self.secret(name, header, value);
            }
        }
    }

    fn basic(&mut self, name: &str, node: &Node, check: &mut Check) {
        let user = Out::text(node.text_of("username").unwrap_or_default());
        let password = match (node.text_of("password_file"), node.get("password")) {
            (Some(path), _) => Out::text(format!("${{file:{path}}}")),
            (None, found) => self.secret(name, "password", found.unwrap_or(node)),
        };
        if let Some(path) = node.get("username_file") {
            self.lose(path, name, "username_file", "write the user (`basic: { user: .. }`)");
        }
        check.set("basic", Out::map([("user", user), ("password", password)]));
    }

    fn authorization(&mut self, name: &str, node: &Node, check: &mut Check) {
        let kind = node.text_of("type").unwrap_or("Bearer").to_owned();
        let token = match (node.text_of("credentials_file"), node.get("credentials")) {
            (Some(path), _) => Out::text(format!("${{file:{path}}}")),
            (None, found) => self.secret(name, "token", found.unwrap_or(node)),
        };
        match token {
            token if kind.eq_ignore_ascii_case("bearer") => check.set("bearer", token),
            Out::Text(token) => {
                check.put("headers", "Authorization", Out::text(format!("{kind} {token}")));
            }
            _ => {}
        }
    }

    fn oauth2(&mut self, name: &str, node: &Node, check: &mut Check) {
        let text = |key| Out::text(node.text_of(key).unwrap_or_default());
        let mut token = vec![
            ("token_url".to_owned(), text("token_url")),
            ("client_id".to_owned(), text("client_id")),
        ];
        let secret = match (node.text_of("client_secret_file"), node.get("client_secret")) {
            (Some(path), _) => Out::text(format!("${{file:{path}}}")),
            (None, found) => self.secret(name, "client secret", found.unwrap_or(node)),
        };
        token.push(("client_secret".to_owned(), secret));
        if let Some(scopes) = node.get("scopes") {
            let scopes = scopes.items().iter().filter_map(Node::text);
            token.push(("scopes".to_owned(), Out::texts(scopes)));
        }
        if let Some(parameters) = node.get("endpoint_params") {
            let entry = |(key, value): &(String, Node)| {
                (key.clone(), Out::text(value.text().unwrap_or_default()))
            };
            let entries = parameters.entries().iter().map(entry).collect();
            token.push(("parameters".to_owned(), Out::Map(entries)));
        }
        for key in ["tls_config", "proxy_url", "no_proxy", "proxy_from_environment"] {
            if let Some(node) = node.get(key) {
                let why = "the token is fetched as the check itself asks; `oauth2` has `ca`";
                self.lose(node, name, key, why);
            }
        }
        check.set("oauth2", Out::Map(token));
    }

    fn proxy(&mut self, name: &str, node: &Node, check: &mut Check) -> Result<(), String> {
        let variable = variable(name, "proxy password");
        let url = node.text().unwrap_or_default();
        if check.proxy(url, &format!("${{env:{variable}}}"))? {
            return Err(format!(
                "its password is not copied; set the variable `{variable}` where the probe runs"
            ));
        }
        Ok(())
    }
}

/// What is wanted of the answer.
fn wanted(key: &str, node: &Node, check: &mut Check) -> Result<(), String> {
    match key {
        "valid_status_codes" => {
            let codes: Vec<Out> =
                node.items().iter().filter_map(Node::text).map(Out::word).collect();
            if !codes.is_empty() {
                check.set("status", Out::List(codes));
            }
        }
        "fail_if_body_not_matches_regexp" => {
            for pattern in node.items().iter().filter_map(Node::text) {
                check.add("body", "matches", Out::text(pattern));
            }
        }
        "fail_if_body_matches_regexp" => {
            for pattern in node.items().iter().filter_map(Node::text) {
                check.expect(format!("!body.matches({})", quoted(pattern)));
            }
        }
        "fail_if_header_not_matches" | "fail_if_header_matches" => {
            for wanted in node.items() {
                let header = wanted.text_of("header").zip(wanted.text_of("regexp"));
                let Some((name, pattern)) = header else { continue };
                let may_lack = wanted.is("allow_missing");
                if key == "fail_if_header_not_matches" && !may_lack {
                    check.put("header", name, Out::map([("matches", Out::text(pattern))]));
                    continue;
                }
                let not = if key == "fail_if_header_matches" { "!" } else { "" };
                let found = format!("header({})", quoted(name));
                let matches = format!("{not}{found}.matches({})", quoted(pattern));
                check.expect(match may_lack {
                    true => format!("{found} == \"\" || {matches}"),
                    false => format!("{found} != \"\" && {matches}"),
                });
            }
        }
        "body_size_limit" => {
            // Its units count by 1024, whatever they are called.
            let limit = node.text().unwrap_or_default().replace("iB", "B").replace('B', "iB");
            let limit = limit
                .strip_suffix(|c: char| c.is_ascii_digit())
                .map_or_else(|| limit.clone(), |_| format!("{limit}B"));
            check.set("body_limit", Out::text(limit));
            return match node.text() {
                Some("0") => {
                    check.unset("body_limit");
                    Err("1MiB of a body is read; write `body_limit` for more".to_owned())
                }
                _ => Ok(()),
            };
        }
        "valid_http_versions" => {
            let versions: Vec<&str> = node.items().iter().filter_map(Node::text).collect();
            let number = |text: &&str| text.trim_start_matches("HTTP/").parse::<f64>().ok();
            let numbers: Vec<String> =
                versions.iter().filter_map(number).map(|number| format!("{number:.1}")).collect();
            check.expect(format!("http_version in [{}]", numbers.join(", ")));
        }
        "fail_if_body_json_matches_cel" | "fail_if_body_json_not_matches_cel" => {
            return Err(format!("{}, with `json(\"$\")` for `body`", why::EXPRESSION));
        }
        // Followed where the URL is written, and what nobody knows.
        _ => {}
    }
    Ok(())
}

/// A text in quotes, as expressions have it.
fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("a text is JSON")
}
