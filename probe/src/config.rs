//! What a probe is told at its start: from a YAML file, or in code by whoever embeds it.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use crosscheck_checks::env::{Allowed, Secrets};
use crosscheck_checks::guard::{Guard, Own};
use crosscheck_checks::mail::direct::DirectMail;
use crosscheck_checks::programs::Programs;
use crosscheck_model::{ProbeId, SiteId};
use reqwest::Url;
use serde::Deserialize;

use crate::identity::{Identity, IdentityError};
use crate::link::{HttpLink, LinkError};
use crate::own_addresses;

/// Runs at the same time, unless configured: at 10 s of time-out that is 100 dead targets a
/// second, and a few hundred MiB at worst.
pub const CONCURRENCY: usize = 1000;

/// Observations kept while cut off, unless configured: about 60 MiB, or three hours of 1,000
/// checks a minute.
pub const SPOOL: usize = 200_000;

/// A probe's configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The probe's name, unique in the installation.
    pub probe: ProbeId,
    /// Where it stands: one of the sites of the installation's configuration.
    pub site: SiteId,
    /// URLs of the coordinators' listeners for probes; all of them, in any order.
    #[serde(default)]
    pub coordinators: Vec<String>,
    /// Where its key and certificate are, and undelivered observations are kept over a restart;
    /// left out: observations in memory only, and coordinators on this host only.
    #[serde(default)]
    pub data: Option<PathBuf>,
    /// Whether checks may connect to private addresses, and to coordinators.
    #[serde(default)]
    pub internal: bool,
    /// Programs that checks of kind `exec` may start; left out: none. Whoever defines checks
    /// chooses their arguments.
    #[serde(default)]
    pub exec: Programs,
    /// Files that checks of kind `http` may send; left out: none. Whoever defines checks chooses
    /// where they are sent.
    #[serde(default)]
    pub files: Files,
    /// What checks may read as `${file:..}` and `${env:..}`; left out: whatever the probe may, but
    /// nothing of `data`, /proc and /sys, which is never read. Whoever defines checks chooses where
    /// it is sent.
    #[serde(default)]
    pub secrets: Option<Allowed>,
    /// Directories beside `data` that no check may read, for whoever embeds a probe.
    #[serde(skip)]
    pub closed: Vec<PathBuf>,
    /// The browser that checks of kind `page` may load pages with; left out: none. Pictures of pages
    /// that fail are kept in `pictures` of the directory `data`.
    #[serde(default)]
    pub browser: Option<PathBuf>,
    /// A name server to ask beside this host's own when evidence about a failure is gathered, with
    /// port 53 when left out (`192.0.2.53`).
    #[serde(default)]
    pub second_resolver: Option<String>,
    /// Where `/metrics` is served; left out: nowhere.
    #[serde(default)]
    pub metrics: Option<SocketAddr>,
    /// Bounds.
    #[serde(default)]
    pub limits: Limits,
    /// Whom this probe mails by itself when it reaches no coordinator.
    #[serde(default)]
    pub last_resort: Option<DirectMail>,
}

/// Files of this host that checks may send.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Files {
    /// Files, and directories all of whose files may be sent, as absolute paths.
    #[serde(default)]
    pub allow: Vec<PathBuf>,
}

/// Bounds of a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// The most runs at the same time.
    pub concurrency: usize,
    /// The most observations that wait for delivery.
    pub spool: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { concurrency: CONCURRENCY, spool: SPOOL }
    }
}

/// Why a configuration cannot be used; all of it the user's to correct.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("read `{0}`: {1}")]
    Read(String, std::io::Error),
    /// It is not YAML of this shape.
    #[error("`{0}`: {1}")]
    Yaml(String, String),
    /// Something in it does not make sense.
    #[error("{}", .0.join("\n"))]
    Wrong(Vec<String>),
    /// The way to the coordinators cannot be made.
    #[error("{0}")]
    Link(#[from] LinkError),
    /// The probe cannot prove who it is.
    #[error("{0}")]
    Identity(#[from] IdentityError),
}

impl Config {
    /// A probe of this name at this site, everything else left out: for embedding.
    pub fn new(probe: &str, site: &str) -> Self {
        Self {
            probe: probe.into(),
            site: site.into(),
            coordinators: Vec::new(),
            data: None,
            internal: false,
            exec: Programs::default(),
            files: Files::default(),
            secrets: None,
            closed: Vec::new(),
            browser: None,
            second_resolver: None,
            metrics: None,
            limits: Limits::default(),
            last_resort: None,
        }
    }

    /// What checks may start and send on this host.
    pub fn programs(&self) -> Programs {
        let pictures = self.data.as_ref().map(|data| data.join("pictures"));
        let programs = self.exec.clone().with_files(&self.files.allow);
        programs.with_browser(self.browser.as_deref(), pictures.as_deref())
    }

    /// What checks may read as secrets on this host.
    pub fn secrets(&self) -> Secrets {
        let closed = self.closed.iter().chain(&self.data).cloned().collect();
        Secrets::of_checks(self.secrets.clone(), closed)
    }

    /// Reads and checks a file.
    ///
    /// # Errors
    /// What the user must correct.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path)
            .map_err(|error| ConfigError::Read(name.clone(), error))?;
        Self::parse(&name, &text)
    }

    /// Reads and checks a text, whose `name` stands in errors.
    ///
    /// # Errors
    /// What the user must correct.
    pub fn parse(name: &str, text: &str) -> Result<Self, ConfigError> {
        let config: Self = serde_saphyr::from_str(text).map_err(|error| {
            ConfigError::Yaml(name.to_owned(), error.without_snippet().to_string())
        })?;
        let wrong = config.wrong();
        if wrong.is_empty() {
            Ok(config)
        } else {
            let place = |what| format!("`{name}`: {what}");
            Err(ConfigError::Wrong(wrong.into_iter().map(place).collect()))
        }
    }

    /// Which addresses its checks may connect to; coordinators that are named are learned later.
    pub fn guard(&self) -> Guard {
        if self.internal {
            return Guard::Internal;
        }
        let own = Own::default();
        let urls = self.urls().unwrap_or_default();
        urls.iter().filter_map(own_addresses::literal).for_each(|ip| own.add_coordinator(ip));
        self.metrics.iter().for_each(|metrics| own.add_listener(metrics.port()));
        Guard::Public(own)
    }

    /// The name server to ask beside this host's own.
    pub fn second_resolver(&self) -> Option<SocketAddr> {
        self.second_resolver.as_deref().and_then(server)
    }

    /// The link over HTTP that this configuration describes.
    ///
    /// # Errors
    /// When a URL is none, or the identity cannot be used.
    pub fn link(&self, identity: Option<&Identity>) -> Result<HttpLink, ConfigError> {
        let tls = identity.map(Identity::client).transpose()?;
        Ok(HttpLink::new(self.urls()?, tls)?)
    }

    /// Who this probe is; `None` where it need not prove that, among the programs of one host.
    ///
    /// # Errors
    /// It has not joined, or its certificate cannot be used any more.
    pub fn identity(&self) -> Result<Option<Identity>, ConfigError> {
        match &self.data {
            Some(data) if self.is_secured() => Ok(Some(Identity::load(data)?)),
            _ => Ok(None),
        }
    }

    /// The coordinators' URLs.
    ///
    /// # Errors
    /// One is no URL.
    pub fn urls(&self) -> Result<Vec<Url>, ConfigError> {
        let urls = self.coordinators.iter().map(|url| base(url)).collect::<Result<Vec<_>, _>>();
        urls.map_err(|wrong| ConfigError::Wrong(vec![wrong]))
    }

    /// Whether it talks to coordinators by TLS.
    fn is_secured(&self) -> bool {
        self.coordinators.iter().any(|url| url.starts_with("https:"))
    }

    /// Everything that does not make sense, at once.
    fn wrong(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        for (key, value) in [("probe", self.probe.as_str()), ("site", self.site.as_str())] {
            if value.trim().is_empty() {
                wrong.push(format!("`{key}` is empty; give it a name"));
            }
        }
        if self.coordinators.is_empty() {
            wrong.push(
                "`coordinators` is empty; list the URLs of all coordinators' probe listeners"
                    .to_owned(),
            );
        }
        wrong.extend(self.coordinators.iter().filter_map(|url| base(url).err()));
        if self.is_secured() && self.data.is_none() {
            wrong.push(
                "without `data` there is no place for the probe's key; name a directory".to_owned(),
            );
        }
        let different: BTreeSet<&String> = self.coordinators.iter().collect();
        if different.len() < self.coordinators.len() {
            wrong.push("`coordinators` names one of them twice".to_owned());
        }
        wrong.extend(self.exec.wrong().into_iter().map(|what| format!("`exec.allow`: {what}")));
        let files = Programs::new(self.files.allow.clone(), Vec::new()).wrong();
        wrong.extend(files.into_iter().map(|what| format!("`files.allow`: {what}")));
        let secrets = self.secrets.iter().flat_map(Allowed::wrong);
        wrong.extend(secrets.map(|what| format!("`secrets.{what}")));
        let browser = Programs::new(self.browser.iter().cloned().collect(), Vec::new()).wrong();
        wrong.extend(browser.into_iter().map(|what| format!("`browser`: {what}")));
        if let Some(text) = self.second_resolver.as_ref().filter(|text| server(text).is_none()) {
            wrong.push(format!(
                "`second_resolver`: `{text}` is no address; write `192.0.2.53` or `[2001:db8::53]:5353`"
            ));
        }
        for (key, value) in [("concurrency", self.limits.concurrency), ("spool", self.limits.spool)]
        {
            if value == 0 {
                wrong.push(format!("`limits.{key}` is 0; write 1 or more, or leave it out"));
            }
        }
        wrong
    }
}

/// A name server's address, with port 53 unless it has another; `None`: the text is none.
pub fn server(text: &str) -> Option<SocketAddr> {
    const DNS_PORT: u16 = 53;
    let bare = || text.parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, DNS_PORT));
    text.parse().ok().or_else(bare)
}

/// Whether only this host is reached.
fn is_loopback(url: &Url) -> bool {
    own_addresses::literal(url).is_some_and(|address| address.is_loopback())
}

/// A coordinator's URL, ending in `/` so that paths can be joined to it.
fn base(text: &str) -> Result<Url, String> {
    let mut url = Url::parse(text).map_err(|error| {
        format!("`coordinators`: `{text}` is no URL: {error}; write `https://host:port`")
    })?;
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err(format!("`coordinators`: `{text}` is no HTTP URL; write `https://host:port`"));
    }
    if url.scheme() == "http" && !is_loopback(&url) {
        return Err(format!(
            "`coordinators`: `{text}` is in clear text, which is for programs of one host only; write `https://..` and join by `crosscheck-probe join`"
        ));
    }
    if !url.path().ends_with('/') {
        url.set_path(&format!("{}/", url.path()));
    }
    Ok(url)
}

#[cfg(test)]
mod tests;
