//! Modules of prober `http`, and TLS, which `tcp` has too.

use super::super::draft::{Check, why};
use super::super::tree::Node;
use super::super::written::Out;
use super::{REDIRECTS, Reading, reference};

impl Reading<'_> {
    pub(super) fn http(
        &mut self,
        name: &str,
        module: &Node,
        target: &str,
        mut check: Check,
    ) -> Check {
        let is_secure = module.get("http").is_some_and(|http| http.is("fail_if_not_ssl"));
        let scheme = if is_secure { "https" } else { "http" };
        let url = match target.contains("://") {
            true => target.to_owned(),
            false => format!("{scheme}://{target}"),
        };
        check.set("url", Out::text(url));
        let words = module.get("http").map(Node::entries).unwrap_or_default();
        let follows = !words.iter().any(|(key, node)| match key.as_str() {
            "follow_redirects" => node.text() == Some("false"),
            "no_follow_redirects" => node.text() == Some("true"),
            _ => false,
        });
        if follows {
            check.set("redirects", Out::word(REDIRECTS));
        }
        for (key, node) in words {
            if let Err(why) = self.asked(name, key, node, &mut check) {
                self.lose(node, name, key, why);
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
    ) -> Result<(), &'static str> {
        let text = node.text().unwrap_or_default();
        match key {
            "follow_redirects" | "no_follow_redirects" | "fail_if_not_ssl" | "enable_http2" => {}
            "fail_if_ssl" | "skip_resolve_phase_with_proxy" if text == "false" => {}
            "preferred_ip_protocol" | "ip_protocol_fallback" => self.family(name, key, node, check),
            "method" => check.set("method", Out::text(text)),
            "body" => check.set("send", Out::text(text)),
            "headers" => self.headers(name, node, check),
            "basic_auth" => {
                let user = Out::text(node.text_of("username").unwrap_or_default());
                self.secret(name, "password", node);
                let password = Out::text(reference(name, "password"));
                check.set("basic", Out::map([("user", user), ("password", password)]));
            }
            "bearer_token" | "authorization" => {
                self.secret(name, "token", node);
                check.set("bearer", Out::text(reference(name, "token")));
            }
            "bearer_token_file" => check.set("bearer", Out::text(format!("${{file:{text}}}"))),
            "tls_config" => self.tls_config(name, node, check),
            "proxy_url" | "proxy_from_environment" => return Err(why::PROXY),
            "compression" => return Err("every encoding is offered and unpacked"),
            "oauth2" => return Err(why::TOKENS),
            _ => return wanted(key, node, check),
        }
        Ok(())
    }

    fn headers(&mut self, name: &str, node: &Node, check: &mut Check) {
        for (header, value) in node.entries() {
            let text = value.text().unwrap_or_default();
            if check.header(header, text, || reference(name, header)) {
                self.secret(name, header, value);
            }
        }
    }

    pub(super) fn tls_config(&mut self, name: &str, node: &Node, check: &mut Check) {
        check.client(node.text_of("cert_file"), node.text_of("key_file"));
        for (key, value) in node.entries() {
            let text = value.text().unwrap_or_default();
            match key.as_str() {
                "ca_file" => check.set("ca", Out::text(text)),
                "server_name" => check.set("server_name", Out::text(text)),
                "cert_file" | "key_file" => {}
                "insecure_skip_verify" if text != "true" => {}
                "insecure_skip_verify" => self.lose(value, name, key, why::UNTRUSTED),
                _ => self.lose(value, name, key, "there is nothing like it here"),
            }
        }
    }
}

/// What is wanted of the answer.
fn wanted(key: &str, node: &Node, check: &mut Check) -> Result<(), &'static str> {
    match key {
        "valid_status_codes" => {
            let codes = node.items().iter().filter_map(Node::text).map(Out::word).collect();
            check.set("status", Out::List(codes));
        }
        "fail_if_body_not_matches_regexp" => {
            for pattern in node.items().iter().filter_map(Node::text) {
                check.add("body", "matches", Out::text(pattern));
            }
        }
        "fail_if_header_not_matches" => {
            for wanted in node.items() {
                let header = wanted.text_of("header").zip(wanted.text_of("regexp"));
                let Some((header, pattern)) = header else { continue };
                check.put("header", header, Out::map([("matches", Out::text(pattern))]));
            }
        }
        "body_size_limit" => {
            check.set("body_limit", Out::text(node.text().unwrap_or_default()));
        }
        "fail_if_body_matches_regexp" | "fail_if_header_matches" => return Err(why::EXPRESSION),
        "valid_http_versions" => return Err("write `version` if one is wanted"),
        _ => return Err("not known"),
    }
    Ok(())
}
