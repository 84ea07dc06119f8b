//! Prometheus' relabelling: rules that make of a target's labels what the exporter is asked for.

use std::collections::{BTreeMap, BTreeSet};

use regex::{Captures, Regex};

use super::super::tree::Node;

/// The label that says what the exporter is to look at.
pub(super) const TARGET: &str = "__param_target";

/// The label that says by which module.
pub(super) const MODULE: &str = "__param_module";

/// A target's labels.
pub(super) type Labels = BTreeMap<String, String>;

/// A rule.
pub(super) struct Rule {
    sources: Vec<String>,
    separator: String,
    target: String,
    regex: Regex,
    replacement: String,
    action: String,
}

impl Rule {
    /// Reads a rule.
    ///
    /// # Errors
    /// It cannot be followed here.
    pub(super) fn read(node: &Node) -> Result<Self, String> {
        const KNOWN: [&str; 10] = [
            "replace",
            "keep",
            "drop",
            "keepequal",
            "dropequal",
            "lowercase",
            "uppercase",
            "labelmap",
            "labeldrop",
            "labelkeep",
        ];
        let text = |key, usual: &str| node.text_of(key).unwrap_or(usual).to_owned();
        let action = text("action", "replace").to_ascii_lowercase();
        if !KNOWN.contains(&action.as_str()) {
            return Err(match action.as_str() {
                "hashmod" => "`hashmod` shares targets among several Prometheus: all are taken",
                _ => "this action is not known",
            }
            .to_owned());
        }
        let pattern = text("regex", "(.*)");
        let regex = Regex::new(&format!("(?s)^(?:{pattern})$"));
        Ok(Self {
            sources: node.texts_of("source_labels").into_iter().map(str::to_owned).collect(),
            separator: text("separator", ";"),
            target: text("target_label", ""),
            regex: regex.map_err(|_| format!("the expression `{pattern}` is not understood"))?,
            replacement: text("replacement", "$1"),
            action,
        })
    }

    /// The labels that it looks at.
    pub(super) fn sources(&self) -> &[String] {
        &self.sources
    }

    /// Follows the rule; whether the target stays. A target is never dropped by what is unknown.
    fn follow(&self, labels: &mut Labels, unknown: &BTreeSet<String>) -> bool {
        let of = |name: &String| labels.get(name).cloned().unwrap_or_default();
        let source: Vec<String> = self.sources.iter().map(of).collect();
        let source = source.join(&self.separator);
        let is_unknown = self.sources.iter().any(|name| unknown.contains(name));
        let target = labels.get(&self.target).cloned().unwrap_or_default();
        match self.action.as_str() {
            "keep" => return is_unknown || self.regex.is_match(&source),
            "drop" => return is_unknown || !self.regex.is_match(&source),
            "keepequal" => return is_unknown || source == target,
            "dropequal" => return is_unknown || source != target,
            "lowercase" => put(labels, &self.target, source.to_lowercase()),
            "uppercase" => put(labels, &self.target, source.to_uppercase()),
            "labeldrop" => labels.retain(|name, _| !self.regex.is_match(name)),
            "labelkeep" => labels.retain(|name, _| self.regex.is_match(name)),
            "labelmap" => {
                let mapped: Vec<(String, String)> = labels
                    .iter()
                    .filter_map(|(name, value)| {
                        let found = self.regex.captures(name)?;
                        Some((expanded(&found, &self.replacement), value.clone()))
                    })
                    .collect();
                labels.extend(mapped);
            }
            _ => {
                if let Some(found) = self.regex.captures(&source) {
                    let name = expanded(&found, &self.target);
                    put(labels, &name, expanded(&found, &self.replacement));
                }
            }
        }
        true
    }
}

/// Follows all rules; `None`: the target is dropped.
pub(super) fn follow(
    rules: &[Rule],
    mut labels: Labels,
    unknown: &BTreeSet<String>,
) -> Option<Labels> {
    rules.iter().all(|rule| rule.follow(&mut labels, unknown)).then_some(labels)
}

/// A label that is empty is not there.
fn put(labels: &mut Labels, name: &str, value: String) {
    if value.is_empty() {
        labels.remove(name);
    } else {
        labels.insert(name.to_owned(), value);
    }
}

fn expanded(found: &Captures<'_>, template: &str) -> String {
    let mut out = String::new();
    found.expand(template, &mut out);
    out
}

#[cfg(test)]
mod tests {
    use super::super::super::tree::{self, Input};
    use super::*;

    fn followed(rules: &str, labels: &[(&str, &str)]) -> Option<Labels> {
        let input = Input { name: "in".to_owned(), text: rules.to_owned() };
        let node = tree::yaml(&input).expect("YAML");
        let rules: Vec<Rule> =
            node.items().iter().map(|node| Rule::read(node).expect("a rule")).collect();
        let labels = labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        follow(&rules, labels, &BTreeSet::new())
    }

    #[test]
    fn rules_are_followed_as_prometheus_does() {
        let usual = "[{ source_labels: [__address__], target_label: __param_target },
            { source_labels: [__param_target], target_label: instance },
            { target_label: __address__, replacement: \"exporter:9115\" }]";
        let made = followed(usual, &[("__address__", "https://a/")]).expect("kept");
        assert_eq!(made[TARGET], "https://a/");
        assert_eq!(
            (made["instance"].as_str(), made["__address__"].as_str()),
            ("https://a/", "exporter:9115")
        );

        let split = "[{ source_labels: [__address__], regex: \"(.*);(.*)\", target_label: __param_target, replacement: \"https://$2:${1}\" },
            { source_labels: [kind], regex: \"(.+)\", target_label: \"__param_$1\", replacement: x, separator: \"\" },
            { source_labels: [Up], action: lowercase, target_label: low },
            { action: labelmap, regex: \"meta_(.*)\" }, { action: labeldrop, regex: \"meta_.*\" }]";
        let given = [("__address__", "443;b"), ("kind", "module"), ("Up", "ABC"), ("meta_x", "1")];
        let made = followed(split, &given).expect("kept");
        assert_eq!((made[TARGET].as_str(), made[MODULE].as_str()), ("https://b:443", "x"));
        assert_eq!((made["low"].as_str(), made["x"].as_str()), ("abc", "1"));
        assert!(!made.contains_key("meta_x"));

        for (rule, stays) in [
            ("action: keep, source_labels: [a], regex: \"1|2\"", true),
            ("action: keep, source_labels: [a], regex: \"1.\"", false),
            ("action: drop, source_labels: [a, b], regex: \"1;.*\"", false),
            ("action: keepequal, source_labels: [a], target_label: b", false),
            ("action: dropequal, source_labels: [a], target_label: b", true),
        ] {
            let made = followed(&format!("[{{ {rule} }}]"), &[("a", "1"), ("b", "2")]);
            assert_eq!(made.is_some(), stays, "{rule}");
        }
    }
}
