//! What the demonstration plays with: where the probes stand, and the configuration in force.

use std::net::SocketAddr;

use anyhow::bail;
use crosscheck_checks::document::{Document, Source};
use crosscheck_model::Config;

use super::target::Target;
use crate::command::catalogue::catalogue;

/// Where a probe stands.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct SitePlan {
    /// The site, and the name of its probe.
    pub(super) name: &'static str,
    /// Its region.
    pub(super) region: &'static str,
    /// Its carrier.
    pub(super) carrier: &'static str,
}

const fn site(name: &'static str, region: &'static str, carrier: &'static str) -> SitePlan {
    SitePlan { name, region, carrier }
}

/// Five probes, each in a region of its own, over three carriers of which two have two: no single
/// one can bring about an alarm (the layout AABBC).
pub(super) static SITES: [SitePlan; 5] = [
    site("bj-ct", "cn-north", "china-telecom"),
    site("sh-ct", "cn-east", "china-telecom"),
    site("gz-cu", "cn-south", "china-unicom"),
    site("cd-cu", "cn-west", "china-unicom"),
    site("tyo-ntt", "jp-east", "ntt"),
];

/// The carriers, in the order of their sites.
pub(super) const CARRIERS: [&str; 3] = ["china-telecom", "china-unicom", "ntt"];

/// The check whose target the visitor breaks.
pub(super) const SHOP: &str = "shop";

/// The configuration, as an operator would write it.
pub(super) fn configuration(url: &str, target: &Target, smtp: SocketAddr) -> String {
    let sites: String = SITES
        .iter()
        .map(|site| {
            let SitePlan { name, region, carrier } = site;
            format!("  {name}: {{ region: {region}, carrier: {carrier} }}\n")
        })
        .collect();
    let (shop, stock) = (target.shop, target.stock);
    format!(
        r#"public_url: "{url}"
sites:
{sites}defaults: {{ interval: 5s, retry_interval: 5s, timeout: 3s, attempts: 2, attempt_gap: 1s, recovery_hold: 10s }}
contacts:
  ops: {{ mail: [ops@example.com] }}
operators: [ops]
channels:
  mail: {{ smtp: "smtp://{smtp}", tls: none, from: "crosscheck <alarms@example.com>" }}
routes:
  - {{ to: [ops] }}
pages:
  public: {{ title: "Corner shop", access: public }}
checks:
  - name: {SHOP}
    http: {{ url: "http://{shop}/", status: [200], body: {{ contains: "Welcome" }}, slower_than: 1s }}
    alarm: {{ severity: disaster, after: 1 }}
    runbook: "Press Heal all on the demonstration's page."
  - name: stock api
    http: {{ url: "http://{stock}/stock.json", json: {{ "$.articles": ">= 1" }} }}
  - name: stock port
    tcp: {{ address: "{stock}" }}
"#
    )
}

/// The configuration, read as every other.
pub(super) fn config(yaml: &str) -> anyhow::Result<Config> {
    let source = Source { name: "demo.yaml".to_owned(), text: yaml.to_owned() };
    let document = Document::parse(&[source], &catalogue());
    match document.config() {
        Some(config) => Ok(config.clone()),
        None => bail!("the demonstration's configuration is wrong: {:?}", document.diagnostics()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_is_good_and_of_the_layout_that_resists_a_carrier() {
        let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let target = Target { shop: at(1), stock: at(2) };
        let yaml = configuration("http://127.0.0.1:8080", &target, at(3));
        let config = config(&yaml).expect("good");
        assert_eq!((config.sites.len(), config.checks.len()), (5, 3));
        let of = |carrier: &str| SITES.iter().filter(|site| site.carrier == carrier).count();
        assert_eq!(CARRIERS.map(of), [2, 2, 1]);
    }
}
