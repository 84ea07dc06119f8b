//! Probes of type HTTP.

use super::super::draft::{Check, variable, why};
use super::super::tree::Node;
use super::super::written::Out;
use super::{REDIRECTS, Reading, Target, bracketed};

impl Reading<'_> {
    pub(super) fn http(
        &mut self,
        name: &str,
        node: &Node,
        target: &Target,
        mut check: Check,
    ) -> Check {
        let protocol = node.text_of("scheme").or(node.text_of("protocol")).unwrap_or("HTTP");
        let scheme = if protocol == "HTTPS" { "https" } else { "http" };
        let path = node.text_of("relative_url").unwrap_or("/");
        let slash = if path.starts_with('/') { "" } else { "/" };
        let port = node.text_of("port").or(target.port.as_deref());
        let port = port.map(|port| format!(":{port}")).unwrap_or_default();
        let own = format!("{scheme}://{}{port}{slash}{path}", bracketed(&target.host));
        check.set("url", Out::text(target.url.clone().unwrap_or(own)));
        check.set("redirects", Out::word(node.text_of("max_redirects").unwrap_or(REDIRECTS)));
        let body: String = node.all("body").filter_map(Node::text).collect();
        if !body.is_empty() {
            check.set("send", Out::text(body));
            check.set("method", Out::text(node.text_of("method").unwrap_or("GET")));
        }
        for (key, value) in node.entries() {
            let what = format!("probe {name}: `{key}`");
            if let Err(why) = self.word(name, key, value, &mut check) {
                self.lose(value, &what, &why);
            }
        }
        check
    }

    /// One of the fields.
    fn word(
        &mut self,
        name: &str,
        key: &str,
        value: &Node,
        check: &mut Check,
    ) -> Result<(), String> {
        let text = value.text().unwrap_or_default();
        let why = match key {
            "protocol"
            | "scheme"
            | "relative_url"
            | "port"
            | "body"
            | "max_redirects"
            | "resolve_first"
            | "requests_per_probe"
            | "interval_between_targets_msec"
            | "disable_http2" => return Ok(()),
            "keep_alive" | "disable_cert_validation" if text != "true" => return Ok(()),
            "method" => {
                check.set("method", Out::text(text));
                return Ok(());
            }
            "headers" | "header" => return header(name, value, check),
            "user_agent" => {
                check.put("headers", "user-agent", Out::text(text));
                return Ok(());
            }
            "tls_config" => {
                self.tls(&format!("probe {name}: `{key}`"), value, check);
                return Ok(());
            }
            "keep_alive" => "every run connects anew",
            "proxy_url" => why::PROXY,
            "oauth_config" => why::TOKENS,
            "disable_cert_validation" => why::UNTRUSTED,
            _ => "there is nothing like it here",
        };
        Err(why.to_owned())
    }

    pub(super) fn tls(&mut self, what: &str, node: &Node, check: &mut Check) {
        check.client(node.text_of("tls_cert_file"), node.text_of("tls_key_file"));
        for (key, value) in node.entries() {
            let text = value.text().unwrap_or_default();
            match key.as_str() {
                "ca_cert_file" => check.set("ca", Out::text(text)),
                "server_name" => check.set("server_name", Out::text(text)),
                "tls_cert_file" | "tls_key_file" => {}
                "disable_cert_validation" if text != "true" => {}
                "disable_cert_validation" => self.lose(value, what, why::UNTRUSTED),
                _ => self.lose(value, what, "there is nothing like it here"),
            }
        }
    }
}

fn header(name: &str, value: &Node, check: &mut Check) -> Result<(), String> {
    let header = value.text_of("name").or(value.text_of("key")).unwrap_or_default();
    let given = value.text_of("value").unwrap_or_default();
    let variable = variable(name, header);
    if check.header(header, given, || format!("${{env:{variable}}}")) {
        return Err(format!("not copied; set the variable `{variable}` where the probe runs"));
    }
    Ok(())
}
