//! Modules of the prober `dns`.

use super::super::check::Check;
use super::super::draft::why;
use super::super::tree::Node;
use super::super::written::Out;
use super::Reading;

impl Reading<'_> {
    pub(super) fn dns(
        &mut self,
        name: &str,
        module: &Node,
        target: &str,
        mut check: Check,
    ) -> Check {
        check.set("server", Out::text(target));
        let settings = module.get("dns");
        self.family(name, settings, &mut check);
        let is_secure = settings.is_some_and(|dns| dns.is("dns_over_tls"));
        for (key, node) in settings.map(Node::entries).unwrap_or_default() {
            match key.as_str() {
                "query_name" => {
                    let asked = node.text().unwrap_or_default();
                    check.set("name", Out::text(asked.trim_end_matches('.')));
                }
                "query_type" => check.set("type", Out::text(node.text().unwrap_or_default())),
                "transport_protocol" if is_secure => node.done(),
                "transport_protocol" => {
                    check.set("transport", Out::text(node.text().unwrap_or_default()));
                }
                "recursion_desired" => {
                    check.set("recursion", Out::word(node.text().unwrap_or_default()));
                }
                "valid_rcodes" => {
                    let codes = node.items().iter().filter_map(Node::text);
                    check.set("rcode", Out::texts(codes));
                }
                "validate_answer_rrs" => self.records(name, node, "answers"),
                "validate_authority_rrs" => self.records(name, node, "authority"),
                "validate_additional_rrs" => self.records(name, node, "additional"),
                "dns_over_tls" if is_secure => check.set("transport", Out::text("tls")),
                "tls_config" => self.tls_config(name, node, &mut check),
                "query_class" if node.text() == Some("IN") => {}
                "query_class" => self.lose(node, name, key, "the class IN is asked for"),
                "source_ip_address" => self.lose(node, name, key, why::SOURCE),
                _ => {}
            }
        }
        if !check.has("type") {
            let why = "ANY is asked for there where nothing is said, and A here";
            self.note(module, name, "query_type", why);
        }
        check
    }

    /// It sees whole records (name, TTL, class, type, value) as a line; ours other texts of them.
    fn records(&mut self, name: &str, node: &Node, ours: &str) {
        for (key, value) in node.entries() {
            let word = match key.as_str() {
                "fail_if_matches_regexp" => "none",
                "fail_if_not_matches_regexp" => "only",
                "fail_if_none_matches_regexp" => "any",
                "fail_if_all_match_regexp" => "any, of other records",
                _ => continue,
            };
            let why = format!(
                "expressions there are for whole records; write `{ours}: {{ {word}: .. }}`"
            );
            self.lose(value, name, key, &why);
        }
    }
}
