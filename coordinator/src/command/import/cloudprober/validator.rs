//! Validators: what an answer must be.

use super::super::check::Check;
use super::super::gatus;
use super::super::tree::Node;
use super::super::written::Out;
use super::Reading;

impl Reading<'_> {
    pub(super) fn validator(&mut self, node: &Node, name: &str, check: &mut Check) {
        let title = node.text_of("name").unwrap_or_default().to_owned();
        let what = |key: &str| format!("probe {name}: validator {title} (`{key}`)");
        for (key, value) in node.entries() {
            let why = match key.as_str() {
                "regex" if check.is("http") => {
                    let pattern = value.text().unwrap_or_default();
                    check.add("body", "matches", Out::text(pattern));
                    continue;
                }
                "regex" if check.is("dns") => "write `answers: { any: { matches: .. } }`",
                "http_validator" if check.is("http") => {
                    self.of_http(value, name, &title, check);
                    continue;
                }
                "dns_validator" if check.is("dns") => {
                    if let Some(wanted) = value.get("authoritative") {
                        let wanted = Out::word(wanted.is_on());
                        check.set("flags", Out::map([("authoritative", wanted)]));
                    }
                    continue;
                }
                "json_validator" => "write it as `json`: paths of RFC 9535, not jq",
                "integrity_validator" if check.is("icmp") => {
                    "what comes back must be what was sent"
                }
                "regex" | "http_validator" | "dns_validator" | "integrity_validator" => {
                    "there is nothing like it for this kind"
                }
                _ => continue,
            };
            self.lose(value, &what(key), why);
        }
    }

    fn of_http(&mut self, node: &Node, name: &str, title: &str, check: &mut Check) {
        let codes = |node: &Node| {
            let text = node.text().unwrap_or_default().to_owned();
            Out::texts(text.split(',').map(|code| code.trim().to_owned()))
        };
        if let Some(wanted) = node.get("success_status_codes") {
            check.set("status", codes(wanted));
        }
        for (key, value) in node.entries() {
            let why = match key.as_str() {
                "failure_status_codes" => {
                    let left = gatus::without(&codes(value), check.get("status"));
                    check.set("status", left);
                    continue;
                }
                "success_header" | "failure_header" => {
                    let header = value.text_of("name").unwrap_or_default();
                    let pattern = value.text_of("value_regex");
                    let found = format!("header({})", quoted(header));
                    match (key == "success_header", pattern) {
                        (true, Some(pattern)) => {
                            let matches = Out::map([("matches", Out::text(pattern))]);
                            check.put("header", header, matches);
                        }
                        (true, None) => check.expect(format!("{found} != \"\"")),
                        (false, Some(pattern)) => {
                            let matches = format!("{found}.matches({})", quoted(pattern));
                            check.expect(format!("{found} == \"\" || !{matches}"));
                        }
                        (false, None) => check.expect(format!("{found} == \"\"")),
                    }
                    continue;
                }
                "max_last_modified_diff_sec" => "ages of answers are not judged",
                _ => continue,
            };
            let what = format!("probe {name}: validator {title} (`{key}`)");
            self.lose(value, &what, why);
        }
    }
}

/// A text in quotes, as expressions have it.
fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("a text is JSON")
}
