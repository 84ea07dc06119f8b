//! What the installation itself needs: references, retention and its public address.

use std::net::SocketAddr;
use std::time::Duration;

use super::Reading;
use super::fields::{self, Fields};
use super::finding::Findings;
use super::tree::Span;
use super::words;

/// How often references are asked, when people say nothing.
const REFERENCES_EVERY: Duration = Duration::from_secs(15);

/// The shortest retention: less would not outlast one outage.
const SHORTEST_RETENTION: Duration = Duration::from_secs(24 * 60 * 60);

/// Which addresses a key takes.
#[derive(Clone, Copy)]
enum Wanted {
    V4,
    V6,
    Any,
}

impl Reading<'_> {
    /// Reads `references`, `retention` and `public_url`.
    pub(super) fn upkeep(&mut self, document: &Fields<'_>) {
        self.references(document);
        self.retention(document);
        let found = &mut self.findings;
        let Some(entry) = document.entry("public_url") else { return };
        let Some(text) = fields::text(entry, found) else { return };
        let url = url::Url::parse(&text).ok();
        let fits = url.is_some_and(|url| {
            matches!(url.scheme(), "http" | "https")
                && url.has_host()
                && url.query().is_none()
                && url.fragment().is_none()
        });
        match fits {
            true => self.config.public_url = Some(text.trim_end_matches('/').to_owned()),
            false => {
                found
                    .error(fields::place(entry), format!("`{text}` is no public address"))
                    .hint("write `https://status.example.com`".to_owned());
            }
        }
    }

    fn references(&mut self, document: &Fields<'_>) {
        self.config.references.every = REFERENCES_EVERY;
        let found = &mut self.findings;
        let Some(entry) = document.entry("references") else { return };
        let at = entry.key.span;
        let Some(fields) = Fields::of(&entry.value, at, &words::REFERENCES, found) else { return };
        let references = &mut self.config.references;
        references.v4 = addresses(&fields, "v4", Wanted::V4, found);
        references.v6 = addresses(&fields, "v6", Wanted::V6, found);
        references.resolvers = addresses(&fields, "resolvers", Wanted::Any, found);
        references.must_fail = addresses(&fields, "must_fail", Wanted::Any, found).pop();
        let names = fields.texts("names", found).unwrap_or_default();
        references.names = names.into_iter().map(|(name, _)| name).collect();
        if let (Some(every), Some(entry)) = (fields.duration("every", found), fields.entry("every"))
        {
            if every < Duration::from_secs(1) {
                found.error(fields::place(entry), "references asked more often than every 1s");
            }
            references.every = every;
        }
    }

    fn retention(&mut self, document: &Fields<'_>) {
        let found = &mut self.findings;
        let Some(entry) = document.entry("retention") else { return };
        let at = entry.key.span;
        let Some(fields) = Fields::of(&entry.value, at, &words::RETENTION, found) else { return };
        let retention = &mut self.config.retention;
        retention.raw = fields.duration("raw", found).unwrap_or(retention.raw);
        retention.rollups = fields.duration("rollups", found).unwrap_or(retention.rollups);
        if retention.raw < SHORTEST_RETENTION {
            found
                .error(at, "observations kept for less than a day")
                .hint("write `raw: 14d`".to_owned());
        } else if retention.rollups < retention.raw {
            let message = "roll-ups kept for less time than the observations they sum up";
            found.error(at, message).hint("make `rollups` at least as long as `raw`".to_owned());
        }
    }
}

/// The addresses with ports under a key.
fn addresses(
    fields: &Fields<'_>,
    name: &str,
    wanted: Wanted,
    findings: &mut Findings,
) -> Vec<String> {
    let texts = fields.texts(name, findings).unwrap_or_default();
    texts.into_iter().filter_map(|(text, span)| address(text, span, wanted, findings)).collect()
}

fn address(text: String, span: Span, wanted: Wanted, findings: &mut Findings) -> Option<String> {
    let fits = match text.parse() {
        Ok(SocketAddr::V4(_)) => !matches!(wanted, Wanted::V6),
        Ok(SocketAddr::V6(_)) => !matches!(wanted, Wanted::V4),
        Err(_) => false,
    };
    if fits {
        return Some(text);
    }
    let (what, hint) = match wanted {
        Wanted::V4 => ("IPv4 address with a port", "write `192.0.2.1:443`"),
        Wanted::V6 => ("IPv6 address with a port", "write `[2001:db8::1]:443`"),
        Wanted::Any => ("address with a port", "write `192.0.2.1:53` or `[2001:db8::1]:53`"),
    };
    findings.error(span, format!("`{text}` is no {what}")).hint(hint.to_owned());
    None
}
