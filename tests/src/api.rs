//! A client of `/api/v1`, and of the pages beside it.

use std::time::Duration;

use serde_json::Value;

use crate::eventually::eventually;

/// The longest that an answer from loopback may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// A client of one coordinator.
#[derive(Clone)]
pub struct Api {
    base: String,
    key: Option<String>,
    client: reqwest::Client,
}

/// An answer: its status code and its text.
pub type Answer = (u16, String);

impl Api {
    /// A client of who listens at a port of loopback.
    ///
    /// # Panics
    /// No client can be made.
    pub fn new(port: u16) -> Self {
        Self::at(format!("http://127.0.0.1:{port}"), None)
    }

    /// A client of who listens at a URL, and what lets it in.
    ///
    /// # Panics
    /// No client can be made.
    pub fn at(base: String, key: Option<&str>) -> Self {
        // Another test of this process may have been first.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().timeout(ANSWER_WITHIN).no_proxy().build();
        Self { base, key: key.map(str::to_owned), client: client.expect("a client") }
    }

    /// The address of a path.
    pub fn address(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// Gets a path's answer.
    ///
    /// # Errors
    /// Nobody answers.
    pub async fn get(&self, path: &str) -> Result<Answer, String> {
        self.answer(self.client.get(self.address(path))).await
    }

    /// As [`Self::get`], naming another host than the one that is asked.
    ///
    /// # Errors
    /// Nobody answers.
    pub async fn get_as(&self, host: &str, path: &str) -> Result<Answer, String> {
        self.answer(self.client.get(self.address(path)).header("Host", host)).await
    }

    /// Posts JSON.
    ///
    /// # Errors
    /// Nobody answers.
    pub async fn post(&self, path: &str, body: &Value) -> Result<Answer, String> {
        self.answer(self.client.post(self.address(path)).json(body)).await
    }

    /// Gets JSON.
    ///
    /// # Errors
    /// Nobody answers, not with 200, or not with JSON.
    pub async fn json(&self, path: &str) -> Result<Value, String> {
        match self.get(path).await? {
            (200, text) => serde_json::from_str(&text).map_err(|error| format!("{error}: {text}")),
            (status, text) => Err(format!("{path}: {status}: {text}")),
        }
    }

    /// Gets a list.
    ///
    /// # Errors
    /// As [`Self::json`].
    pub async fn list(&self, path: &str) -> Result<Vec<Value>, String> {
        match self.json(path).await? {
            Value::Array(list) => Ok(list),
            other => Err(format!("{path}: no list: {other}")),
        }
    }

    /// The check of a name.
    ///
    /// # Errors
    /// As [`Self::json`], or there is none.
    pub async fn check(&self, name: &str) -> Result<Value, String> {
        let checks = self.list("/api/v1/checks").await?;
        let found = checks.iter().find(|check| check["name"] == name).cloned();
        found.ok_or_else(|| format!("no check `{name}` among {}", Value::from(checks)))
    }

    /// Waits until a check's verdict is `status`; the check then.
    pub async fn becomes(&self, within: Duration, name: &str, status: &str) -> Value {
        eventually(within, &format!("`{name}` is {status}"), || async {
            let check = self.check(name).await?;
            if check["status"] == status { Ok(check) } else { Err(check.to_string()) }
        })
        .await
    }

    /// Waits until nothing is owed to anyone any more; the delivery log then, newest first.
    pub async fn all_settled(&self, within: Duration) -> Vec<Value> {
        const OPEN: [&str; 3] = ["queued", "claimed", "retry"];
        eventually(within, "nothing is owed any more", || async {
            let outbox = self.list("/api/v1/outbox").await?;
            let is_open = |owed: &Value| OPEN.iter().any(|stage| owed["progress"] == *stage);
            if outbox.iter().any(is_open) {
                Err(Value::from(outbox).to_string())
            } else {
                Ok(outbox)
            }
        })
        .await
    }

    async fn answer(&self, request: reqwest::RequestBuilder) -> Result<Answer, String> {
        let request = match &self.key {
            Some(key) => request.bearer_auth(key),
            None => request,
        };
        let response = request.send().await.map_err(|error| format!("no answer: {error}"))?;
        let status = response.status().as_u16();
        Ok((status, response.text().await.map_err(|error| format!("no body: {error}"))?))
    }
}
