//! How an endpoint is asked: redirects, certificates, proxies, tokens.

use super::super::check::{Check, reference_in};
use super::super::draft::why;
use super::super::tree::Node;
use super::super::written::Out;
use super::{REDIRECTS, Reading};

impl Reading<'_> {
    pub(super) fn client(&mut self, node: &Node, name: &str, check: &mut Check) {
        let is_http = check.is("http");
        let client = node.get("client");
        if is_http && !client.is_some_and(|client| client.is("ignore-redirect")) {
            check.set("redirects", Out::word(REDIRECTS));
        }
        for (key, value) in client.map(Node::entries).unwrap_or_default() {
            let what = format!("{name}: client `{key}`");
            let why = match key.as_str() {
                "ignore-redirect" if is_http => continue,
                "ignore-redirect" => "only requests by HTTP are redirected",
                "insecure" if value.is_off() => continue,
                "insecure" => why::UNTRUSTED,
                "dns-resolver" => "names are resolved by the probe's own name servers",
                "network" => {
                    let family = if value.text() == Some("ip6") { "v6" } else { "v4" };
                    check.set("family", Out::text(family));
                    continue;
                }
                "proxy-url" if is_http => {
                    self.proxy(value, name, check);
                    continue;
                }
                "proxy-url" => "only requests by HTTP go through a proxy here",
                "tls" => {
                    let (certificate, key) = ("certificate-file", "private-key-file");
                    check.client(value.text_of(certificate), value.text_of(key));
                    if let Some(renegotiation) = value.get("renegotiation") {
                        self.lose(
                            renegotiation,
                            &format!("{what}: `renegotiation`"),
                            "it is never done",
                        );
                    }
                    continue;
                }
                "oauth2" if is_http => {
                    self.oauth2(value, name, check);
                    continue;
                }
                "oauth2" => "only requests by HTTP carry tokens here",
                "identity-aware-proxy" => "make a `journey` that fetches the token first",
                "kerberos" => "make it a check of kind `exec`: nobody logs in by Kerberos here",
                "tunnel" => "a target behind an SSH tunnel needs a probe behind it",
                // Where the time is read, and what nobody knows.
                _ => continue,
            };
            self.lose(value, &what, why);
        }
    }

    fn proxy(&mut self, node: &Node, name: &str, check: &mut Check) {
        let url = node.text().unwrap_or_default();
        let known = reference_in(url.rsplit_once('@').map_or("", |(login, _)| login));
        let variable = super::variable(name, "proxy password");
        let reference = known.clone().unwrap_or_else(|| format!("${{env:{variable}}}"));
        let what = format!("{name}: client `proxy-url`");
        match check.proxy(url, &reference) {
            Ok(true) if known.is_none() => {
                let why = format!(
                    "its password is not copied; set the variable `{variable}` where the probe runs"
                );
                self.lose(node, &what, &why);
            }
            Ok(_) => {}
            Err(why) => self.lose(node, &what, &why),
        }
    }

    fn oauth2(&mut self, node: &Node, name: &str, check: &mut Check) {
        let text = |key| Out::text(node.text_of(key).unwrap_or_default());
        let mut token = vec![
            ("token_url".to_owned(), text("token-url")),
            ("client_id".to_owned(), text("client-id")),
        ];
        if let Some(secret) = node.get("client-secret") {
            let known = secret.text().filter(|text| reference_in(text).is_some());
            let reference = match known {
                Some(reference) => reference.to_owned(),
                None => self.secret(secret, name, "client `oauth2`", "client secret"),
            };
            token.push(("client_secret".to_owned(), Out::text(reference)));
        }
        token.push(("scopes".to_owned(), Out::texts(node.texts_of("scopes"))));
        check.set("oauth2", Out::Map(token));
    }
}
