//! The settings of `page`, as people write them: those of `http` for the document, and what the
//! page as a whole must be.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{ELEMENTS_AT_MOST, PARALLEL_AT_MOST};
use crate::kind::http::client::Client;
use crate::kind::http::plan::Plan as Request;
use crate::kind::{self, SettingsError, http};
use crate::text::{List, Pattern, Size, Span};

/// What a page has beside an `http` check's settings.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Own {
    /// How many elements may fail. Default: none.
    #[serde(default)]
    pub(super) elements_failed_above: usize,
    /// A page that has more bytes with all its elements, unpacked, is degraded.
    pub(super) bytes_above: Option<Size>,
    /// A page that takes longer with all its elements is degraded.
    pub(super) slower_than: Option<Span>,
    /// How many elements are loaded at the same time, as browsers do. Default: 6.
    #[serde(default = "default_parallel")]
    pub(super) parallel: usize,
    /// How many elements are loaded at most; of more, the first ones. Default: 200.
    #[serde(default = "default_elements")]
    pub(super) elements_at_most: usize,
    /// Whether the documents of `iframe` elements are loaded too (not what is in them).
    #[serde(default)]
    pub(super) frames: bool,
    /// Addresses of elements that are left out: expressions that match somewhere in the URL.
    #[serde(default)]
    pub(super) skip: List<Pattern>,
    /// Whether the probe's browser loads the page, with all that its scripts do: the probe's own
    /// configuration must name one (`browser: /usr/bin/chromium`). Beside it only `url`, `family`,
    /// `status`, `body` (as scripts have made it), `skip` and the thresholds have a part.
    #[serde(default)]
    pub(super) browser: bool,
    /// With `browser`: a page whose first text or picture is shown later is degraded.
    pub(super) first_paint_slower_than: Option<Span>,
}

const fn default_parallel() -> usize {
    6
}

const fn default_elements() -> usize {
    200
}

/// The keys of [`Own`].
const OWN: [&str; 9] = [
    "elements_failed_above",
    "bytes_above",
    "slower_than",
    "parallel",
    "elements_at_most",
    "frames",
    "skip",
    "browser",
    "first_paint_slower_than",
];

/// What a browser's visit is told; it has no headers, logins or limits of ours.
const OF_BROWSER: [&str; 10] = [
    "url",
    "family",
    "status",
    "body",
    "elements_failed_above",
    "bytes_above",
    "slower_than",
    "skip",
    "browser",
    "first_paint_slower_than",
];

/// Keys of the document's request that hold for elements of its origin too.
const SHARED: [&str; 13] = [
    "headers",
    "basic",
    "digest",
    "bearer",
    "oauth2",
    "ca",
    "client",
    "family",
    "proxy",
    "server_name",
    "host",
    "version",
    "accept_encoding",
];

/// Keys of it that hold for every element.
const EVERYWHERE: [&str; 3] = ["family", "proxy", "accept_encoding"];

/// What a page's check consists of.
pub(super) struct Parts {
    pub(super) own: Own,
    /// Asks for the document.
    pub(super) document: Client,
    /// Asks for elements of its origin.
    pub(super) home: Client,
    /// Asks for others: nobody's name, secret or certificate is shown to them.
    pub(super) abroad: Client,
}

impl Parts {
    /// Compiles the settings.
    pub(super) fn new(settings: &Value) -> Result<Self, Vec<SettingsError>> {
        let Value::Object(settings) = settings else {
            return Err(vec![fault(&[], "the settings of a page are a map")]);
        };
        let (own, request): (Map<_, _>, Map<_, _>) =
            settings.clone().into_iter().partition(|(key, _)| OWN.contains(&key.as_str()));
        let mut faults = Vec::new();
        let own = kind::read::<Own>(&Value::Object(own)).map_err(|errors| faults.extend(errors));
        if let Ok(own) = &own {
            faults.extend(own.faults());
            faults.extend(own.out_of_place(settings));
        }
        let mut client = |request: Map<String, Value>| {
            let plan = kind::read(&Value::Object(request)).and_then(Request::new);
            plan.map_err(|errors| faults.extend(errors)).ok()
        };
        let document = client(request.clone());
        let elements = |keys: &[&str]| {
            let shared = request.iter().filter(|(key, _)| keys.contains(&key.as_str()));
            let mut shared: Map<_, _> =
                shared.map(|(key, value)| (key.clone(), value.clone())).collect();
            shared.extend(request.get("url").map(|url| ("url".to_owned(), url.clone())));
            shared.insert("redirects".to_owned(), 5.into());
            shared.insert("body_limit".to_owned(), "16MiB".into());
            shared
        };
        let Some(mut document) = document else { return Err(faults) };
        let (home, abroad) = (client(elements(&SHARED)), client(elements(&EVERYWHERE)));
        let (Ok(own), Some(mut home), Some(abroad), true) = (own, home, abroad, faults.is_empty())
        else {
            return Err(faults);
        };
        let mut tokens = Vec::new();
        document.share_tokens(&mut tokens);
        home.share_tokens(&mut tokens);
        let (document, home, abroad) =
            (Client::new(document), Client::new(home), Client::new(abroad));
        Ok(Self { own, document, home, abroad })
    }
}

impl Own {
    fn faults(&self) -> Vec<SettingsError> {
        let bounds = [
            ("parallel", self.parallel, PARALLEL_AT_MOST),
            ("elements_at_most", self.elements_at_most, ELEMENTS_AT_MOST),
        ];
        let wrong = bounds.into_iter().filter(|(_, value, most)| !(1..=*most).contains(value));
        wrong.map(|(key, _, most)| fault(&[key], format!("from 1 to {most}"))).collect()
    }

    /// What has no part with a browser, or without.
    fn out_of_place(&self, settings: &Map<String, Value>) -> Vec<SettingsError> {
        let (browser, paint) = ("browser", "first_paint_slower_than");
        let wrong = settings.keys().filter_map(|key| match key.as_str() {
            _ if self.browser && !OF_BROWSER.contains(&key.as_str()) => {
                let message = format!("`{key}` has no part where a browser loads the page");
                Some(hinted(key, message, "leave it out, or `browser`"))
            }
            key if key == paint && !self.browser => {
                let message = "nothing is painted without a browser";
                Some(hinted(key, message.to_owned(), &format!("add `{browser}: true`")))
            }
            _ => None,
        });
        wrong.collect()
    }
}

fn fault(path: &[&str], message: impl Into<String>) -> SettingsError {
    let path = path.iter().map(|key| (*key).to_owned()).collect();
    SettingsError { path, message: message.into(), hint: None }
}

fn hinted(key: &str, message: String, hint: &str) -> SettingsError {
    SettingsError { hint: Some(hint.to_owned()), ..fault(&[key], message) }
}

/// The schema: that of `http`, with the page's own words.
pub(super) fn schema(generator: &mut SchemaGenerator) -> Schema {
    let mut schema = http::settings::Settings::json_schema(generator).to_value();
    let own = Own::json_schema(generator).to_value();
    if let (Some(properties), Value::Object(own)) =
        (schema["properties"].as_object_mut(), own["properties"].clone())
    {
        properties.extend(own);
    }
    schema["description"] = "a document, with the settings of `http`, and all that it loads".into();
    schema.try_into().unwrap_or_else(|_| json_schema!({ "type": "object" }))
}
