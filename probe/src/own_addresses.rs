//! What the guard must know of the installation itself: where the coordinators are, which it is
//! told again and again, since names move; and where this probe listens.

use std::net::IpAddr;
use std::time::Duration;

use crosscheck_checks::guard::Own;
use crosscheck_checks::resolve::Resolver;
use crosscheck_model::Family;
use reqwest::Url;

/// How long a coordinator that has moved may be knocked at by a check.
const LEARN_EVERY: Duration = Duration::from_secs(60);

/// A name that is not answered in this time is asked for again at the next look.
const LOOKUP_LIMIT: Duration = Duration::from_secs(10);

/// The address that a URL names literally.
pub(crate) fn literal(url: &Url) -> Option<IpAddr> {
    let host = url.host_str()?;
    host.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

/// Looks the coordinators' names up, now and then, for as long as somebody else has `own`.
pub(crate) async fn learn(own: Own, urls: Vec<Url>, resolver: Resolver) {
    let named = urls.iter().filter(|url| literal(url).is_none());
    let names: Vec<&str> = named.filter_map(Url::host_str).collect();
    while !names.is_empty() && own.is_shared() {
        for name in &names {
            look_up(&own, name, &resolver).await;
        }
        tokio::time::sleep(LEARN_EVERY).await;
    }
}

async fn look_up(own: &Own, name: &str, resolver: &Resolver) {
    for family in [Family::V4, Family::V6] {
        match resolver.lookup(name, family, LOOKUP_LIMIT).await {
            Ok(addresses) => addresses.into_iter().for_each(|address| own.add_coordinator(address)),
            // Often there is none of one family; where there is none at all, nobody is reached.
            Err(failure) => tracing::debug!(name, detail = failure.detail, "not found"),
        }
    }
}

#[cfg(test)]
mod tests {
    use crosscheck_checks::guard::Guard;

    use super::*;

    #[tokio::test]
    async fn named_and_literal_coordinators_are_forbidden() {
        let text = "probe: p\nsite: s\ndata: /d\n\
             coordinators: [\"https://8.8.4.4:7402\", \"https://[2606:4700::7]:7402\", \
             \"https://localhost:7402\"]\n";
        let config = crate::Config::parse("probe.yaml", text).expect("valid");
        let Guard::Public(own) = config.guard() else { panic!("not internal") };
        let guard = Guard::Public(own.clone());
        let why = |text: &str| guard.allows(text.parse().expect(text)).err().unwrap_or_default();
        for address in ["8.8.4.4", "64:ff9b::8.8.4.4", "2606:4700::7"] {
            assert!(why(address).contains("coordinator"), "{address}: {}", why(address));
        }
        assert_eq!(why("8.8.8.8"), "");
        // `localhost` needs no server; loopback is forbidden already, so a look at what was learned.
        look_up(&own, "localhost", &Resolver::new(Vec::new())).await;
        assert!(own.is_coordinator("127.0.0.1".parse().expect("an address")));
        let internal = crate::Config::parse("probe.yaml", &format!("{text}internal: true\n"));
        assert!(matches!(internal.expect("valid").guard(), Guard::Internal));
    }
}
