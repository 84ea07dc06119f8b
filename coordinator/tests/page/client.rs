//! A server for one fixture on a port of its own, and a client for it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use crosscheck_coordinator::api::{self, Submit, SubmitError};
use crosscheck_coordinator::operator::Door;
use crosscheck_coordinator::page::{self, Reader};
use crosscheck_core::command::{Command, Reply};
use serde_json::Value;

use crate::fixture::Fixture;

/// A running server.
pub(crate) struct Server {
    address: String,
    client: reqwest::Client,
    /// The commands submitted, oldest first.
    pub(crate) commands: Arc<Mutex<Vec<Command>>>,
}

/// An answer, read whole.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    /// A header's text; empty when it is missing.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.body))
    }
}

impl Server {
    /// Serves the page and the whole API; submitted commands get `reply`.
    pub(crate) async fn start(fixture: Fixture, reply: Result<Reply, SubmitError>) -> Self {
        Self::behind(Door::open, fixture, reply).await
    }

    /// The same behind another door.
    pub(crate) async fn behind(
        door: impl FnOnce(Arc<dyn Reader>) -> Door,
        fixture: Fixture,
        reply: Result<Reply, SubmitError>,
    ) -> Self {
        // reqwest wants a provider even where no TLS is spoken; another test may have set it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let commands = Arc::new(Mutex::new(Vec::new()));
        let kept = commands.clone();
        let submit: Submit = Arc::new(move |command| {
            kept.lock().expect("no test panics while it holds this").push(command);
            let reply = reply.clone();
            Box::pin(async move { reply })
        });
        let reader: Arc<dyn Reader> = Arc::new(fixture);
        let routes = page::routes(reader.clone()).merge(api::routes(reader.clone(), submit));
        Self::serve(door(reader).guard(routes), commands).await
    }

    /// What everybody may see.
    pub(crate) async fn public(fixture: Fixture) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let reader: Arc<dyn Reader> = Arc::new(fixture);
        let routes = page::routes(reader.clone()).merge(api::public_routes(reader));
        Self::serve(routes, Arc::default()).await
    }

    async fn serve(routes: axum::Router, commands: Arc<Mutex<Vec<Command>>>) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = format!("http://{}", listener.local_addr().expect("it is bound"));
        let routes = routes.into_make_service_with_connect_info::<SocketAddr>();
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Self { address, client: reqwest::Client::new(), commands }
    }

    /// A server that submits nothing.
    pub(crate) async fn show(fixture: Fixture) -> Self {
        Self::start(fixture, Err(SubmitError::NoLeader)).await
    }

    /// Where it listens, as a URL.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// The whole answer to a request as the test makes it.
    pub(crate) async fn ask(
        &self,
        method: reqwest::Method,
        path: &str,
        form: impl FnOnce(reqwest::RequestBuilder) -> reqwest::RequestBuilder,
    ) -> Answer {
        read(form(self.client.request(method, format!("{}{path}", self.address)))).await
    }

    /// The whole answer to a GET.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.get_unless(path, "").await
    }

    /// The same, unless the content has this tag.
    pub(crate) async fn get_unless(&self, path: &str, tag: &str) -> Answer {
        let request = self.client.get(format!("{}{path}", self.address));
        read(request.header("if-none-match", tag)).await
    }

    /// The whole answer to a POST of a body.
    pub(crate) async fn post(&self, path: &str, body: &str) -> Answer {
        let request = self.client.post(format!("{}{path}", self.address));
        read(request.header("content-type", "application/json").body(body.to_owned())).await
    }

    /// A GET that is answered bit by bit.
    pub(crate) async fn open(&self, path: &str) -> reqwest::Response {
        let request = self.client.get(format!("{}{path}", self.address));
        request.send().await.expect("the server answers")
    }
}

async fn read(request: reqwest::RequestBuilder) -> Answer {
    let answer = request.send().await.expect("the server answers");
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    Answer { status, headers, body: answer.text().await.expect("the whole body") }
}
