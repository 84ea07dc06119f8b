//! Talking to a coordinator from the command line.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, anyhow};
use crosscheck_checks::env::{SecretError, Secrets};
use crosscheck_model::Text;
use crosscheck_model::secret::BadReference;
use serde::de::DeserializeOwned;

/// A coordinator that cannot be connected to for so long is not there.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// An answer that takes longer will not come: a change of the membership waits for elections.
const ANSWER_LIMIT: Duration = Duration::from_secs(45);

/// Where the coordinator is, and how to be let in.
#[derive(Debug, clap::Args)]
pub struct RemoteArgs {
    /// The coordinator: its listener for operators, or a standalone's for the page.
    #[arg(
        long,
        value_name = "URL",
        env = "CROSSCHECK_URL",
        default_value = "http://127.0.0.1:8080"
    )]
    pub url: String,
    /// An operator's token, or where it is: `${file:/path}` or `${env:NAME}`. Other users of this
    /// host see what stands on a command line.
    #[arg(long, value_name = "TOKEN", env = "CROSSCHECK_TOKEN", hide_env_values = true)]
    pub token: Option<Token>,
}

/// A token as it was given, which is never printed.
#[derive(Clone)]
pub struct Token(Text);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<secret>")
    }
}

impl Token {
    /// The token itself.
    ///
    /// # Errors
    /// What it refers to cannot be read.
    pub fn read(&self, secrets: &Secrets) -> Result<String, SecretError> {
        secrets.resolve(&self.0)
    }
}

impl FromStr for Token {
    type Err = BadReference;

    fn from_str(text: &str) -> Result<Self, BadReference> {
        Text::new(text).map(Self)
    }
}

impl RemoteArgs {
    /// What the coordinator answers to a path of the API.
    ///
    /// # Errors
    /// It is not reached, or refuses.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        let request = self.client()?.get(self.address(path));
        self.answer(request).await
    }

    /// What the coordinator answers to a body sent to a path of the API.
    ///
    /// # Errors
    /// It is not reached, or refuses.
    pub async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &serde_json::Value,
    ) -> anyhow::Result<T> {
        let request = self.client()?.post(self.address(path)).json(body);
        self.answer(request).await
    }

    /// The bytes that the coordinator streams at a path of the API.
    ///
    /// # Errors
    /// It is not reached, or refuses.
    pub async fn stream(&self, path: &str) -> anyhow::Result<reqwest::Response> {
        let client = reqwest::Client::builder()
            .connect_timeout(CONNECT_LIMIT)
            .read_timeout(ANSWER_LIMIT)
            .build()
            .context("make an HTTP client")?;
        let response = self.send(client.get(self.address(path))).await?;
        match response.status().is_success() {
            true => Ok(response),
            false => Err(self.refusal(response.status(), &response.text().await?)),
        }
    }

    fn client(&self) -> anyhow::Result<reqwest::Client> {
        reqwest::Client::builder()
            .connect_timeout(CONNECT_LIMIT)
            .timeout(ANSWER_LIMIT)
            .build()
            .context("make an HTTP client")
    }

    fn address(&self, path: &str) -> String {
        format!("{}{path}", self.url.trim_end_matches('/'))
    }

    async fn answer<T: DeserializeOwned>(
        &self,
        request: reqwest::RequestBuilder,
    ) -> anyhow::Result<T> {
        let response = self.send(request).await?;
        let status = response.status();
        let text = response.text().await.context("read the answer")?;
        if status.is_success() {
            return serde_json::from_str(&text).context("understand the answer");
        }
        Err(self.refusal(status, &text))
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> anyhow::Result<reqwest::Response> {
        let request = match &self.token {
            Some(token) => {
                let token = token.read(&Secrets::of_process()).context("read --token")?;
                request.bearer_auth(token)
            }
            None => request,
        };
        request.send().await.with_context(|| {
            format!("reach a coordinator at {} (--url, or CROSSCHECK_URL)", self.url)
        })
    }

    fn refusal(&self, status: reqwest::StatusCode, text: &str) -> anyhow::Error {
        let refusal: serde_json::Value = serde_json::from_str(text).unwrap_or_default();
        let said = |key: &str| refusal.get(key).and_then(|value| value.as_str());
        match (said("error"), said("hint")) {
            (Some(error), Some(hint)) => anyhow!("{error}\nhint: {hint}"),
            (Some(error), None) => anyhow!("{error}"),
            _ => anyhow!("{} answered {status}", self.url),
        }
    }
}
