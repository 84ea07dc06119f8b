//! Probes of type HTTP.

use super::super::check::Check;
use super::super::draft::{variable, why};
use super::super::tree::Node;
use super::super::written::Out;
use super::target::Target;
use super::{REDIRECTS, Reading, each};

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
        let place = target.address(node.text_of("port"), None);
        let own = format!("{scheme}://{place}{slash}{path}");
        match &target.url {
            Some(url) => check.set("url", Out::text(url)),
            None => check.set("url", Out::text(own)),
        }
        if target.url.is_none() && target.ip.is_some() && !target.host.is_empty() {
            check.set("host", Out::text(&target.host));
            if scheme == "https" {
                check.set("server_name", Out::text(&target.host));
            }
        }
        check.set("redirects", Out::word(node.text_of("max_redirects").unwrap_or(REDIRECTS)));
        for (key, value) in node.entries() {
            if let Err(why) = self.word(name, key, value, &mut check) {
                self.lose(value, &format!("probe {name}: `{key}`"), &why);
            }
        }
        self.body(node, &mut check);
        self.pace(name, node);
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
        let why = match key {
            "method" => {
                check.set("method", Out::text(value.text().unwrap_or_default()));
                return Ok(());
            }
            "headers" | "header" => {
                for header in value.items() {
                    self.header(name, header, check);
                }
                return Ok(());
            }
            "user_agent" => {
                check.put("headers", "user-agent", Out::text(value.text().unwrap_or_default()));
                return Ok(());
            }
            "body_file" => {
                check.set("send_file", Out::text(value.text().unwrap_or_default()));
                let why = "a file of the probe here; allow its directory in probe.yaml (`files`)";
                self.note(value, &format!("probe {name}: `{key}`"), why);
                return Ok(());
            }
            "disable_http2" => {
                if value.is_on() {
                    check.set("version", Out::text("1.1"));
                }
                return Ok(());
            }
            "tls_config" => {
                self.tls(name, value, check);
                return Ok(());
            }
            "proxy_url" => return proxy(name, value, check),
            "oauth_config" => return self.oauth(name, value, check),
            "keep_alive" | "disable_cert_validation" if value.is_off() => return Ok(()),
            "keep_alive" => "every run connects anew",
            "disable_cert_validation" => why::UNTRUSTED,
            "max_idle_conns" => "every run connects anew",
            "proxy_connect_header" => "a proxy is told the user only (`proxy: { user: .. }`)",
            "export_response_as_metrics" | "response_metrics_options" | "latency_breakdown" => {
                let why = "how figures are exported has no counterpart; all phases are measured";
                self.pass(value, &format!("http_probe `{key}`"), why);
                return Ok(());
            }
            // Read with the URL or by `pace`, and what nobody knows.
            _ => return Ok(()),
        };
        Err(why.to_owned())
    }

    /// Several are joined as a form's fields; what it is, is guessed there as well.
    fn body(&mut self, node: &Node, check: &mut Check) {
        let parts: Vec<&str> = each(node, "body").into_iter().filter_map(Node::text).collect();
        if parts.is_empty() {
            return;
        }
        let body = parts.join("&");
        let is_json = serde_json::from_str::<serde_json::Value>(&body).is_ok();
        let is_form = body.contains('=') && !body.contains(char::is_whitespace);
        check.set("send", Out::text(&body));
        check.set("method", Out::text(node.text_of("method").unwrap_or("GET")));
        if (is_json || is_form) && !check.has_entry("headers", "content-type") {
            let kind = if is_json { "json" } else { "x-www-form-urlencoded" };
            check.put("headers", "content-type", Out::text(format!("application/{kind}")));
        }
    }

    /// A message with a name and a value, or with a key and a value; in YAML names with values.
    fn header(&mut self, name: &str, node: &Node, check: &mut Check) {
        let field = node.text_of("name").or(node.text_of("key")).map(str::to_owned);
        if let (Some(field), Some(value)) = (field, node.get("value")) {
            return self.field(name, &field, value, check);
        }
        for (field, value) in node.entries() {
            self.field(name, field, value, check);
        }
    }

    fn field(&mut self, name: &str, field: &str, value: &Node, check: &mut Check) {
        let given = value.text().unwrap_or_default();
        if given.contains("${env:") {
            return check.put("headers", field, Out::text(given));
        }
        let variable = variable(name, field);
        if check.header(field, given, || format!("${{env:{variable}}}")) {
            self.secret(value, name, field);
        }
    }

    /// A token from a file stands there at each run; others are fetched.
    fn oauth(&mut self, name: &str, node: &Node, check: &mut Check) -> Result<(), String> {
        let token = node.get("bearer_token");
        if let Some(path) = token.and_then(|token| token.text_of("file")) {
            check.set("bearer", Out::text(format!("${{file:{path}}}")));
            for node in [token, Some(node)].into_iter().flatten() {
                for key in ["refresh_interval_sec", "refresh_expiry_buffer_sec"] {
                    if let Some(node) = node.get(key) {
                        let what = format!("probe {name}: `{key}`");
                        self.lose(node, &what, "the file is read at each run");
                    }
                }
            }
            return Ok(());
        }
        Err("not copied; write `oauth2: { token_url: .., client_id: .., client_secret: .. }` or \
             `bearer`, the secret as `${env:..}`"
            .to_owned())
    }
}

fn proxy(name: &str, node: &Node, check: &mut Check) -> Result<(), String> {
    let variable = variable(name, "proxy password");
    if check.proxy(node.text().unwrap_or_default(), &format!("${{env:{variable}}}"))? {
        return Err(format!(
            "its password is not copied; set the variable `{variable}` where the probe runs"
        ));
    }
    Ok(())
}
