//! What a browser tells of a visit, put together: the document, its elements, and when what was
//! there. No I/O: events in, facts out.
//!
//! Times are the browser's own, in seconds, and count from its first request.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use super::devtools::Event;
use crate::env::Secrets;
use crate::excerpt;
use crate::kind::part::Part;

/// Elements that are remembered; of more, only the bytes are counted.
const ELEMENTS_AT_MOST: usize = 2000;

/// Of an address, what is kept: `data:` addresses are as long as what they hold.
const URL_AT_MOST_BYTES: usize = 1024;

/// A visit so far.
#[derive(Debug, Default)]
pub(super) struct Visit {
    /// The page's own frame.
    frame: String,
    began: Option<f64>,
    pub(super) document: Option<Document>,
    elements: BTreeMap<String, Element>,
    /// Redirects of the server's and of scripts'.
    pub(super) redirects: u32,
    /// When the first text or picture was shown (First Contentful Paint).
    painted: Option<f64>,
    /// When the document was read (`DOMContentLoaded`).
    ready: Option<f64>,
    /// When it and all that it waits for was there (`load`).
    loaded: Option<f64>,
    /// Whether nothing is asked for any more.
    is_idle: bool,
    /// Whether the page's process has died.
    pub(super) crashed: bool,
    /// Of all answers, unpacked and as received.
    pub(super) bytes: f64,
    pub(super) wire_bytes: f64,
}

/// The document that is shown, or was to be.
#[derive(Debug, Default)]
pub(super) struct Document {
    request: String,
    pub(super) url: String,
    pub(super) status: Option<u16>,
    /// Why it did not come: `net::ERR_CONNECTION_REFUSED`.
    pub(super) failed: Option<String>,
    /// What TLS took, and from the request to the first byte.
    pub(super) tls: Option<Duration>,
    pub(super) first_byte: Option<Duration>,
    headed: Option<f64>,
    ended: Option<f64>,
}

/// Something that the page asked for.
#[derive(Debug)]
pub(super) struct Element {
    /// In the browser's words, small: `script`, `image`, `xhr`.
    role: String,
    pub(super) url: String,
    began: f64,
    ended: Option<f64>,
    pub(super) failed: Option<String>,
    /// Unpacked and as received.
    bytes: u64,
    wire_bytes: u64,
}

impl Element {
    pub(super) fn is_open(&self) -> bool {
        self.ended.is_none()
    }

    pub(super) fn took(&self) -> Duration {
        span(Some(self.began), self.ended).unwrap_or_default()
    }

    pub(super) fn named(&self) -> String {
        match &self.failed {
            Some(why) => format!("{} {}: {why}", self.role, self.url),
            None => format!("{} {}", self.role, self.url),
        }
    }

    pub(super) fn part(&self, secrets: &Secrets) -> Part {
        let harmless = |text: &String| excerpt::harmless(text, secrets);
        Part {
            role: harmless(&self.role),
            url: harmless(&self.url),
            took: self.took(),
            bytes: self.bytes,
            wire_bytes: self.wire_bytes,
            blocking: None,
            failure: self.failed.as_ref().map(harmless),
        }
    }
}

impl Document {
    /// What the document took after its head.
    pub(super) fn transfer(&self) -> Option<Duration> {
        span(self.headed, self.ended)
    }
}

impl Visit {
    /// One of the page whose own frame this is.
    pub(super) fn of(frame: &str) -> Self {
        Self { frame: frame.to_owned(), ..Self::default() }
    }

    /// Whether all is known that will be.
    pub(super) fn is_over(&self) -> bool {
        let has_failed = self.document.as_ref().is_some_and(|document| document.failed.is_some());
        let is_shown = self.loaded.is_some() && self.painted.is_some() && self.is_idle;
        has_failed || self.crashed || is_shown
    }

    pub(super) fn is_loaded(&self) -> bool {
        self.loaded.is_some()
    }

    /// The browser did not even ask.
    pub(super) fn refuse(&mut self, why: &str) {
        let document = self.document.get_or_insert_default();
        document.failed.get_or_insert_with(|| why.to_owned());
    }

    /// From the first request on: to the first text or picture, the document read, all loaded.
    pub(super) fn painted(&self) -> Option<Duration> {
        span(self.began, self.painted)
    }

    pub(super) fn ready(&self) -> Option<Duration> {
        span(self.began, self.ready)
    }

    pub(super) fn loaded(&self) -> Option<Duration> {
        span(self.began, self.loaded)
    }

    /// To the document's own end.
    pub(super) fn fetched(&self) -> Option<Duration> {
        span(self.began, self.document.as_ref().and_then(|document| document.ended))
    }

    /// All but the document, the slowest first.
    pub(super) fn elements(&self) -> Vec<&Element> {
        let mut elements: Vec<&Element> = self.elements.values().collect();
        elements.sort_by_key(|element| std::cmp::Reverse(element.took()));
        elements
    }

    /// Takes notice of an event.
    pub(super) fn take(&mut self, event: &Event) {
        let params = &event.params;
        match event.method.as_str() {
            "Network.requestWillBeSent" => self.asked(params),
            "Network.responseReceived" => self.answered(params),
            "Network.dataReceived" => {
                let bytes = &params["dataLength"];
                self.bytes += bytes.as_f64().unwrap_or_default();
                if let Some(element) = self.elements.get_mut(&text(&params["requestId"])) {
                    element.bytes += bytes.as_u64().unwrap_or_default();
                }
            }
            "Network.loadingFinished" => {
                let bytes = &params["encodedDataLength"];
                self.wire_bytes += bytes.as_f64().unwrap_or_default();
                if let Some(element) = self.elements.get_mut(&text(&params["requestId"])) {
                    element.wire_bytes += bytes.as_u64().unwrap_or_default();
                }
                self.ended(params, None);
            }
            "Network.loadingFailed" => self.failed(params),
            "Page.lifecycleEvent" => self.lived(params),
            "Inspector.targetCrashed" => self.crashed = true,
            _ => {}
        }
    }

    fn asked(&mut self, params: &Value) {
        let (url, at) = (&params["request"]["url"], params["timestamp"].as_f64());
        let (id, url) = (text(&params["requestId"]), text(url));
        let Some(at) = at else { return };
        let is_redirect = params["redirectResponse"].is_object();
        if params["type"] == "Document" && params["frameId"] == self.frame.as_str() {
            self.redirects += u32::from(self.document.is_some() || is_redirect);
            self.began.get_or_insert(at);
            // A script that leads elsewhere: what counts is the page that is there in the end.
            self.document = Some(Document { request: id, url, ..Document::default() });
            (self.painted, self.ready, self.loaded, self.is_idle) = (None, None, None, false);
            return;
        }
        let is_loaded_from_net = url.starts_with("http:") || url.starts_with("https:");
        // The icon of browsers' own accord: pages that have none are whole.
        let is_icon = params["type"] == "Other" && url.ends_with("/favicon.ico");
        if !is_loaded_from_net || is_icon || params["type"] == "Preflight" {
            return;
        }
        if let Some(element) = self.elements.get_mut(&id) {
            element.url = url;
        } else if self.elements.len() < ELEMENTS_AT_MOST {
            let role = text(&params["type"]).to_lowercase();
            let element = Element {
                role,
                url,
                began: at,
                ended: None,
                failed: None,
                bytes: 0,
                wire_bytes: 0,
            };
            self.elements.insert(id, element);
        }
    }

    fn answered(&mut self, params: &Value) {
        let (id, response) = (text(&params["requestId"]), &params["response"]);
        let status = response["status"].as_u64().and_then(|status| u16::try_from(status).ok());
        if let Some(document) = self.document.as_mut().filter(|document| document.request == id) {
            let timing = &response["timing"];
            let between = |from: &str, to: &str| {
                let at = |key: &str| timing[key].as_f64().filter(|ms| *ms >= 0.0);
                span(at(from).map(|ms| ms / 1000.0), at(to).map(|ms| ms / 1000.0))
            };
            document.status = status;
            document.headed = params["timestamp"].as_f64();
            document.tls = between("sslStart", "sslEnd");
            document.first_byte = between("sendEnd", "receiveHeadersStart");
        } else if let Some(element) = self.elements.get_mut(&id)
            && let Some(status @ 400..) = status
        {
            element.failed = Some(format!("status {status}"));
        }
    }

    fn failed(&mut self, params: &Value) {
        let why = match params["blockedReason"].as_str() {
            Some(reason) => format!("blocked: {reason}"),
            None => text(&params["errorText"]),
        };
        let was_given_up = params["canceled"] == true;
        self.ended(params, if was_given_up { None } else { Some(why) });
    }

    fn ended(&mut self, params: &Value, failed: Option<String>) {
        let (id, at) = (text(&params["requestId"]), params["timestamp"].as_f64());
        if let Some(document) = self.document.as_mut().filter(|document| document.request == id) {
            document.ended = at;
            document.failed = failed;
        } else if let Some(element) = self.elements.get_mut(&id) {
            element.ended = at;
            element.failed = failed.or(element.failed.take());
        }
    }

    fn lived(&mut self, params: &Value) {
        // A document's loader has the number of its request.
        let is_documents = self
            .document
            .as_ref()
            .is_some_and(|document| params["loaderId"] == document.request.as_str());
        if params["frameId"] != self.frame.as_str() || !is_documents {
            return;
        }
        let at = params["timestamp"].as_f64();
        match params["name"].as_str().unwrap_or_default() {
            "firstContentfulPaint" => self.painted = at,
            "DOMContentLoaded" => self.ready = at,
            "load" => self.loaded = at,
            "networkIdle" => self.is_idle = true,
            _ => {}
        }
    }
}

fn text(value: &Value) -> String {
    crate::excerpt::shorten(value.as_str().unwrap_or_default(), URL_AT_MOST_BYTES)
}

fn span(from: Option<f64>, to: Option<f64>) -> Option<Duration> {
    Duration::try_from_secs_f64(to? - from?).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(events: &[(&str, Value)]) -> Visit {
        let mut visit = Visit::of("F");
        for (method, params) in events {
            visit.take(&Event { method: (*method).to_owned(), params: params.clone() });
        }
        visit
    }

    fn asked(id: &str, role: &str, url: &str, at: f64) -> (&'static str, Value) {
        let request = json!({ "url": url });
        let params = json!({ "requestId": id, "type": role, "frameId": "F", "timestamp": at,
            "request": request });
        ("Network.requestWillBeSent", params)
    }

    fn answered(id: &str, status: u16, at: f64) -> (&'static str, Value) {
        let timing =
            json!({ "sslStart": -1, "sslEnd": -1, "sendEnd": 2.0, "receiveHeadersStart": 52.0 });
        let response = json!({ "status": status, "timing": timing });
        let params = json!({ "requestId": id, "timestamp": at, "response": response });
        ("Network.responseReceived", params)
    }

    fn finished(id: &str, at: f64) -> (&'static str, Value) {
        let params = json!({ "requestId": id, "timestamp": at, "encodedDataLength": 100 });
        ("Network.loadingFinished", params)
    }

    fn failed(id: &str, at: f64, more: Value) -> (&'static str, Value) {
        let mut params =
            json!({ "requestId": id, "timestamp": at, "errorText": "net::ERR_FAILED" });
        params.as_object_mut().expect("a map").extend(more.as_object().expect("a map").clone());
        ("Network.loadingFailed", params)
    }

    fn lived(loader: &str, name: &str, at: f64) -> (&'static str, Value) {
        let params = json!({ "frameId": "F", "loaderId": loader, "name": name, "timestamp": at });
        ("Page.lifecycleEvent", params)
    }

    #[test]
    fn times_count_from_the_first_request() {
        let mut events = vec![
            lived("blank", "load", 0.5),
            asked("D", "Document", "http://shop.test/", 10.0),
            answered("D", 200, 10.06),
            finished("D", 10.1),
            asked("1", "Script", "http://shop.test/a.js", 10.1),
            asked("2", "Image", "data:image/png;base64,AA", 10.1),
            finished("1", 10.25),
            lived("D", "DOMContentLoaded", 10.3),
            lived("D", "load", 10.5),
            lived("D", "networkIdle", 11.0),
        ];
        assert!(!told(&events).is_over(), "nothing is shown yet");
        events.push(lived("D", "firstContentfulPaint", 10.4));
        let visit = told(&events);
        assert!(visit.is_over() && visit.is_loaded());
        let ms = |time: Option<Duration>| (time.expect("known").as_secs_f64() * 1000.0).round();
        let times = [visit.fetched(), visit.ready(), visit.painted(), visit.loaded()].map(ms);
        assert_eq!(times, [100.0, 300.0, 400.0, 500.0]);
        let document = visit.document.as_ref().expect("one");
        assert_eq!(
            (document.status, document.first_byte),
            (Some(200), Some(Duration::from_millis(50)))
        );
        assert_eq!(document.tls, None);
        let elements = visit.elements();
        assert_eq!(
            (elements.len(), elements[0].named().as_str()),
            (1, "script http://shop.test/a.js")
        );
        assert_eq!(visit.wire_bytes, 200.0);
        let part = elements[0].part(&Secrets::default());
        assert_eq!((part.role.as_str(), part.wire_bytes), ("script", 100));
        assert_eq!(part.took.as_millis(), 150);
    }

    #[test]
    fn elements_fail_by_status_error_and_block_but_not_when_given_up() {
        let visit = told(&[
            asked("D", "Document", "http://shop.test/", 1.0),
            asked("1", "Image", "http://shop.test/1", 1.0),
            answered("1", 404, 1.0),
            finished("1", 1.0),
            asked("2", "XHR", "http://shop.test/2", 1.0),
            failed("2", 1.0, json!({})),
            asked("3", "Script", "http://shop.test/3", 1.0),
            failed("3", 1.0, json!({ "blockedReason": "csp" })),
            asked("4", "Fetch", "http://shop.test/4", 1.0),
            failed("4", 1.0, json!({ "canceled": true })),
            asked("5", "Preflight", "http://shop.test/5", 1.0),
            asked("7", "Other", "http://shop.test/favicon.ico", 1.0),
            answered("7", 404, 1.0),
            asked("6", "Fetch", "http://shop.test/6", 1.0),
        ]);
        let failed: Vec<_> = visit.elements().iter().filter_map(|one| one.failed.clone()).collect();
        assert_eq!(failed, ["status 404", "net::ERR_FAILED", "blocked: csp"]);
        assert_eq!(visit.elements().iter().filter(|one| one.is_open()).count(), 1);
        assert_eq!(visit.elements().len(), 5);
    }

    #[test]
    fn a_script_that_leads_elsewhere_begins_anew_and_the_clock_goes_on() {
        let mut there = asked("E", "Document", "http://shop.test/there", 3.0);
        let visit = told(&[
            asked("D", "Document", "http://shop.test/", 1.0),
            answered("D", 200, 1.5),
            lived("D", "load", 2.0),
            there.clone(),
        ]);
        assert!(!visit.is_loaded());
        assert_eq!(visit.redirects, 1);
        there.1["redirectResponse"] = json!({ "status": 302 });
        let visit = told(&[there, lived("E", "load", 4.0), lived("D", "load", 9.0)]);
        assert_eq!((visit.redirects, visit.loaded()), (1, Some(Duration::from_secs(1))));
    }

    #[test]
    fn a_document_that_fails_ends_the_visit() {
        let visit = told(&[
            asked("D", "Document", "http://shop.test/", 1.0),
            failed("D", 1.0, json!({ "errorText": "net::ERR_CONNECTION_REFUSED" })),
        ]);
        assert!(visit.is_over());
        let mut visit = Visit::of("F");
        visit.refuse("net::ERR_UNSAFE_PORT");
        assert!(visit.is_over());
    }
}
