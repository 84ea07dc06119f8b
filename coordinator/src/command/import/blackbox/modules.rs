//! Modules of the probers `tcp`, `icmp` and `grpc`, and TLS, which most have.

use super::super::check::Check;
use super::super::draft::why;
use super::super::expand::expand;
use super::super::tree::Node;
use super::super::written::Out;
use super::Reading;

impl Reading<'_> {
    pub(super) fn tcp(
        &mut self,
        name: &str,
        module: &Node,
        target: &str,
        mut check: Check,
    ) -> Check {
        check.set("address", Out::text(target));
        self.family(name, module.get("tcp"), &mut check);
        for (key, node) in module.get("tcp").map(Node::entries).unwrap_or_default() {
            match key.as_str() {
                "tls" if node.is_on() => check.set("tls", Out::word(true)),
                "tls_config" => self.tls_config(name, node, &mut check),
                "query_response" => {
                    let mut steps = Vec::new();
                    for item in node.items() {
                        steps.extend(self.steps(name, item));
                    }
                    check.set("script", Out::List(steps));
                }
                "source_ip_address" => self.lose(node, name, key, why::SOURCE),
                _ => {}
            }
        }
        check
    }

    /// The steps of a talk that an item stands for. The exporter expects, then sends, then begins
    /// TLS; a step of ours sends, then expects, then begins TLS.
    fn steps(&mut self, name: &str, node: &Node) -> Vec<Out> {
        let mut steps = Vec::new();
        let expected = match (node.text_of("expect"), node.text_of("expect_bytes")) {
            (Some(pattern), _) => Some(Out::text(by_line(pattern))),
            (None, Some(text)) => Some(Out::map([("text", Out::text(text))])),
            (None, None) => None,
        };
        if let Some(expected) = expected {
            steps.push(vec![("expect".to_owned(), expected)]);
        }
        if let Some(labels) = node.get("labels") {
            self.lose(labels, name, "labels", why::LABELS);
        }
        if let Some(text) = node.text_of("send") {
            // It ends every line by itself.
            steps.push(vec![("send".to_owned(), Out::text(format!("{}\n", groups(text))))]);
        }
        if node.is("starttls") {
            match steps.last_mut() {
                Some(step) => step.push(("starttls".to_owned(), Out::word(true))),
                None => steps.push(vec![("starttls".to_owned(), Out::word(true))]),
            }
        }
        steps.into_iter().map(Out::Map).collect()
    }

    pub(super) fn icmp(
        &mut self,
        name: &str,
        module: &Node,
        target: &str,
        mut check: Check,
    ) -> Check {
        check.set("host", Out::text(target.trim_matches(['[', ']'])));
        check.set("count", Out::word(1));
        self.family(name, module.get("icmp"), &mut check);
        for (key, node) in module.get("icmp").map(Node::entries).unwrap_or_default() {
            match key.as_str() {
                "payload_size" => {
                    check.set("size", Out::word(format!("{}B", node.text().unwrap_or_default())));
                }
                "dont_fragment" if node.is_off() => {}
                "dont_fragment" | "ttl" => {
                    self.lose(node, name, key, "the system's defaults hold");
                }
                "source_ip_address" => self.lose(node, name, key, why::SOURCE),
                _ => {}
            }
        }
        check
    }

    pub(super) fn grpc(
        &mut self,
        name: &str,
        module: &Node,
        target: &str,
        mut check: Check,
    ) -> Check {
        let place = target.split_once("://").map_or(target, |(_, place)| place);
        check.set("address", Out::text(place.trim_end_matches('/')));
        self.family(name, module.get("grpc"), &mut check);
        for (key, node) in module.get("grpc").map(Node::entries).unwrap_or_default() {
            match key.as_str() {
                "service" => check.set("service", Out::text(node.text().unwrap_or_default())),
                "tls" if node.is_on() => check.set("tls", Out::word(true)),
                "tls_config" => self.tls_config(name, node, &mut check),
                _ => {}
            }
        }
        check
    }

    pub(super) fn tls_config(&mut self, name: &str, node: &Node, check: &mut Check) {
        check.client(node.text_of("cert_file"), node.text_of("key_file"));
        for (key, value) in node.entries() {
            match key.as_str() {
                "ca_file" => check.set("ca", Out::text(value.text().unwrap_or_default())),
                "server_name" => {
                    check.set("server_name", Out::text(value.text().unwrap_or_default()));
                }
                "insecure_skip_verify" if value.is_off() => {}
                "insecure_skip_verify" => self.lose(value, name, key, why::UNTRUSTED),
                "ca" | "cert" | "key" | "ca_ref" | "cert_ref" | "key_ref" => {
                    let why = "certificates and keys are files here; write one and name it";
                    self.lose(value, name, key, why);
                }
                "min_version" | "max_version" => {
                    let why = "1.2 and 1.3 are spoken; a check of kind `tls` has `versions`";
                    self.lose(value, name, key, why);
                }
                _ => {}
            }
        }
    }
}

/// The exporter looks at each line by itself, ours at all that came.
fn by_line(pattern: &str) -> String {
    if pattern.contains(['^', '$']) { format!("(?mR){pattern}") } else { pattern.to_owned() }
}

/// What earlier expectations have matched: `$1`, `${1}` and `${name}` there, `{{1}}` here.
fn groups(text: &str) -> String {
    expand(text, |name| format!("{{{{{name}}}}}"))
}
