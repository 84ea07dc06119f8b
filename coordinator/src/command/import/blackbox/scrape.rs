//! Prometheus' scrape configurations: which targets the exporter is asked for, by which module.
//!
//! ```text
//! scrape_configs, scrape_config_files -> static_configs, file_sd_configs -> relabel_configs -> checks
//! ```

use std::collections::BTreeSet;
use std::time::Duration;

use super::super::draft::why;
use super::super::tree::{self, Input, Node};
use super::super::{beside, json, time};
use super::relabel::{self, Labels, MODULE, Rule, TARGET};
use super::{Asked, Reading};

/// Prometheus' own defaults.
const INTERVAL: Duration = Duration::from_secs(60);
const TIMEOUT: Duration = Duration::from_secs(10);

/// What is set beside scrape configurations.
const AROUND: [&str; 9] = [
    "rule_files",
    "alerting",
    "remote_write",
    "remote_read",
    "storage",
    "tracing",
    "otlp",
    "runtime",
    "tsdb",
];

/// What Prometheus needs to ask the exporter, and does with the answers.
const OF_EXPORTER: [&str; 32] = [
    "scheme",
    "honor_labels",
    "honor_timestamps",
    "track_timestamps_staleness",
    "scrape_protocols",
    "fallback_scrape_protocol",
    "scrape_classic_histograms",
    "always_scrape_classic_histograms",
    "convert_classic_histograms_to_nhcb",
    "scrape_native_histograms",
    "native_histogram_bucket_limit",
    "native_histogram_min_bucket_factor",
    "metric_name_validation_scheme",
    "metric_name_escaping_scheme",
    "basic_auth",
    "authorization",
    "oauth2",
    "bearer_token",
    "bearer_token_file",
    "tls_config",
    "proxy_url",
    "no_proxy",
    "proxy_from_environment",
    "proxy_connect_header",
    "follow_redirects",
    "enable_http2",
    "enable_compression",
    "http_headers",
    "metric_relabel_configs",
    "sample_limit",
    "body_size_limit",
    "scrape_failure_log_file",
];

/// A scrape configuration while its targets are read.
struct Job<'a> {
    name: &'a str,
    params: Labels,
    interval: Duration,
    timeout: Duration,
    rules: Vec<Rule>,
    /// Labels that rules would make that are not followed.
    unknown: BTreeSet<String>,
}

impl Reading<'_> {
    /// Reads Prometheus' configuration, and those that it names.
    pub(super) fn prometheus(&mut self, file: &Input) -> Result<(), String> {
        let root = tree::yaml(file)?;
        let global = root.get("global");
        self.scrapes(&root, global, file);
        for pattern in root.get("scrape_config_files").map(Node::items).unwrap_or_default() {
            let why = "scrape configurations in other files";
            for more in self.beside(file, pattern, why) {
                match tree::yaml(&more) {
                    Ok(root) => {
                        self.scrapes(&root, global, &more);
                        self.draft.lose_unseen(&more.name, &root);
                    }
                    Err(why) => self.draft.lose(&more.name, 0, "left out", &why),
                }
            }
        }
        for key in AROUND {
            if let Some(node) = root.get(key) {
                let why = "alarms and who is told are the checks' own (`alarm`, `routes`)";
                self.pass(file, node, &format!("`{key}`"), why);
            }
        }
        for (key, node) in global.map(Node::entries).unwrap_or_default() {
            if !["scrape_interval", "scrape_timeout"].contains(&key.as_str()) {
                let why = "how Prometheus itself runs has no counterpart";
                self.pass(file, node, &format!("`global.{key}`"), why);
            } else if let Some(text) = node.text().filter(|text| time::go(text).is_none()) {
                let what = format!("`global.{key}`");
                self.draft.lose(&file.name, node.line, &what, &format!("`{text}` is no duration"));
            }
        }
        self.draft.lose_unseen(&file.name, &root);
        Ok(())
    }

    fn pass(&mut self, file: &Input, node: &Node, what: &str, why: &str) {
        node.done();
        self.draft.pass(&file.name, node.line, what, why);
    }

    /// Files that a configuration names; what cannot be read is told.
    fn beside(&mut self, file: &Input, pattern: &Node, what: &str) -> Vec<Input> {
        let Some(text) = pattern.text() else { return Vec::new() };
        beside(file, text).unwrap_or_else(|why| {
            let why = format!("left out, {what}: {why}; run it where they are");
            self.draft.lose(&file.name, pattern.line, &format!("`{text}`"), &why);
            Vec::new()
        })
    }

    fn scrapes(&mut self, root: &Node, global: Option<&Node>, file: &Input) {
        for scrape in root.get("scrape_configs").map(Node::items).unwrap_or_default() {
            let params = scrape.get("params");
            let is_probe = scrape.text_of("metrics_path") == Some("/probe")
                || params.is_some_and(|params| params.get("module").is_some());
            if is_probe {
                self.scrape(scrape, global, file);
            } else {
                let why = "left out: they do not ask blackbox_exporter";
                self.pass(file, scrape, "scrape configurations", why);
            }
        }
    }

    fn scrape(&mut self, scrape: &Node, global: Option<&Node>, file: &Input) {
        let name = scrape.text_of("job_name").unwrap_or("blackbox");
        let of = |key| {
            let text = scrape.text_of(key).or_else(|| global?.text_of(key));
            text.and_then(time::go)
        };
        let mut job = Job {
            name,
            params: Labels::new(),
            interval: of("scrape_interval").unwrap_or(INTERVAL),
            timeout: of("scrape_timeout").unwrap_or(TIMEOUT),
            rules: Vec::new(),
            unknown: BTreeSet::new(),
        };
        self.params(scrape, &mut job, file);
        self.rules(scrape, &mut job, file);
        for group in scrape.get("static_configs").map(Node::items).unwrap_or_default() {
            self.group(group, &job, file);
        }
        for files in scrape.get("file_sd_configs").map(Node::items).unwrap_or_default() {
            for pattern in files.get("files").map(Node::items).unwrap_or_default() {
                for more in self.beside(file, pattern, "targets in a file") {
                    self.file_of_targets(&more, &job);
                }
            }
            if let Some(node) = files.get("refresh_interval") {
                let why = "the files were read once; import them again when they change";
                self.pass(file, node, "`refresh_interval`", why);
            }
        }
        for (key, node) in scrape.entries() {
            if key == "file_sd_configs" {
                continue;
            }
            let what = format!("{name}: `{key}`");
            if key.ends_with("_sd_configs") || key.ends_with("_sd_config") {
                node.done();
                let why = "targets that are discovered are not known here; write them down";
                self.draft.lose(&file.name, node.line, &what, why);
            } else if OF_EXPORTER.contains(&key.as_str()) || key.ends_with("_limit") {
                let why = "how Prometheus asks the exporter has no counterpart";
                self.pass(file, node, &format!("`{key}` of scrape configurations"), why);
            }
        }
    }

    /// What the exporter is asked for in any case: the first of each.
    fn params(&mut self, scrape: &Node, job: &mut Job<'_>, file: &Input) {
        for (key, values) in scrape.get("params").map(Node::entries).unwrap_or_default() {
            let known = ["module", "target", "hostname"].contains(&key.as_str());
            match values.items() {
                [value] if known => {
                    let text = value.text().unwrap_or_default().to_owned();
                    job.params.insert(format!("__param_{key}"), text);
                }
                [first, rest @ ..] if known => {
                    let text = first.text().unwrap_or_default().to_owned();
                    job.params.insert(format!("__param_{key}"), text);
                    for other in rest {
                        let what =
                            format!("{}: `{key}` {}", job.name, other.text().unwrap_or_default());
                        let why = "the exporter takes the first one only";
                        self.draft.lose(&file.name, other.line, &what, why);
                    }
                }
                _ => {}
            }
        }
    }

    /// Reads the rules; those that cannot be followed are told.
    fn rules(&mut self, scrape: &Node, job: &mut Job<'_>, file: &Input) {
        for node in scrape.get("relabel_configs").map(Node::items).unwrap_or_default() {
            match Rule::read(node) {
                Ok(rule) => job.rules.push(rule),
                Err(why) => {
                    let target = node.text_of("target_label").unwrap_or_default();
                    job.unknown.insert(target.to_owned());
                    node.done();
                    let what = format!("{}: `relabel_configs`", job.name);
                    self.draft.lose(&file.name, node.line, &what, &why);
                }
            }
        }
    }

    fn file_of_targets(&mut self, file: &Input, job: &Job<'_>) {
        let read = match file.name.ends_with(".json") {
            true => json::read(file),
            false => tree::yaml(file),
        };
        match read {
            Ok(root) => {
                for group in root.items() {
                    self.group(group, job, file);
                }
                // A list has no keys of its own.
                self.draft.lose_unseen(&file.name, &Node::of_entry("targets", &root));
            }
            Err(why) => self.draft.lose(&file.name, 0, "left out", &why),
        }
    }

    /// Targets with the same labels.
    fn group(&mut self, group: &Node, job: &Job<'_>, file: &Input) {
        let mut labels = job.params.clone();
        labels.insert("job".to_owned(), job.name.to_owned());
        for (key, value) in group.get("labels").map(Node::entries).unwrap_or_default() {
            let Some(text) = value.text() else { continue };
            labels.insert(key.clone(), text.to_owned());
            let is_used = key.starts_with("__")
                || key == "module" && job.rules.is_empty()
                || job.rules.iter().any(|rule| rule.sources().contains(key));
            if !is_used {
                self.pass(file, value, &format!("label `{key}` of targets"), why::LABELS);
            }
        }
        for target in group.get("targets").map(Node::items).unwrap_or_default() {
            let Some(address) = target.text() else { continue };
            let mut labels = labels.clone();
            labels.insert("__address__".to_owned(), address.to_owned());
            let what = format!("{}: {address}", job.name);
            match relabel::follow(&job.rules, labels, &job.unknown) {
                Some(labels) => self.labelled(target, &labels, address, job, file),
                None => {
                    let why = "left out: `relabel_configs` drop it, as there";
                    self.draft.lose(&file.name, target.line, &what, why);
                }
            }
        }
    }

    fn labelled(
        &mut self,
        node: &Node,
        labels: &Labels,
        address: &str,
        job: &Job<'_>,
        file: &Input,
    ) {
        let of = |key: &str| labels.get(key).map(String::as_str);
        let what = format!("{}: {address}", job.name);
        let target = of(TARGET).unwrap_or(address);
        if of(TARGET).is_none() {
            let why =
                format!("no rule makes `{TARGET}` of it: its address was taken as the target");
            self.draft.lose(&file.name, node.line, &what, &why);
        }
        // Where the rules are left out, this label is meant to name it.
        let labelled = of("module").filter(|_| job.rules.is_empty());
        let module = labelled.or_else(|| of(MODULE));
        let Some(module) = module else {
            let why = "left out: no `module` in `params` or `labels`";
            return self.draft.lose(&file.name, node.line, &what, why);
        };
        let title = of("instance").unwrap_or(target);
        let asked = Asked {
            file: &file.name,
            line: node.line,
            title: format!("{}: {title}", job.name),
            target,
            hostname: of("__param_hostname"),
            interval: job.interval,
            timeout: job.timeout,
        };
        self.target(module, &asked);
    }
}
