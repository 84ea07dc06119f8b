//! A real gRPC server: Debian's python3-grpcio, with the health service of the protocol.

use std::process::Command;

use super::{free, listens};
use crate::authority::Identity;
use crate::process::Process;
use crate::scratch::Scratch;

/// The messages have one field each, so they are read and written here: Debian has no package of
/// the generated ones.
const SERVER: &str = r#"
import sys
from concurrent import futures
import grpc

STATES = {"": 1, "shop.Orders": 1, "shop.Stock": 2}

def check(request, context):
    service = request[2:].decode() if request else ""
    metadata = dict(context.invocation_metadata())
    if service == "shop.Private" and metadata.get("authorization") != "Bearer hunter22":
        context.abort(grpc.StatusCode.UNAUTHENTICATED, "a token, please")
    if service == "shop.Private":
        return bytes([8, 1])
    if service not in STATES:
        context.abort(grpc.StatusCode.NOT_FOUND, "unknown service")
    return bytes([8, STATES[service]])

def server(port, credentials, healthy=True):
    server = grpc.server(futures.ThreadPoolExecutor(4))
    if healthy:
        method = grpc.unary_unary_rpc_method_handler(check)
        handler = grpc.method_handlers_generic_handler("grpc.health.v1.Health", {"Check": method})
        server.add_generic_rpc_handlers((handler,))
    for host in ("127.0.0.1", "[::1]"):
        if credentials:
            server.add_secure_port(f"{host}:{port}", credentials)
        else:
            server.add_insecure_port(f"{host}:{port}")
    server.start()
    return server

plain, bare, secure, certificate, key = sys.argv[1:]
pair = (open(key, "rb").read(), open(certificate, "rb").read())
servers = [server(plain, None), server(bare, None, healthy=False),
           server(secure, grpc.ssl_server_credentials([pair]))]
servers[0].wait_for_termination()
"#;

/// A running server.
pub struct Grpc {
    /// Its port without TLS.
    pub port: u16,
    /// The port, without TLS, of one without a health service.
    pub bare_port: u16,
    /// Its port with TLS.
    pub tls_port: u16,
    _process: Process,
}

impl Grpc {
    /// Starts one that serves as a whole and in `shop.Orders`, not in `shop.Stock`, and tells of
    /// `shop.Private` only those who have a token.
    ///
    /// # Panics
    /// It cannot be started, or does not answer.
    pub async fn start(scratch: &Scratch, tls: &Identity) -> Self {
        let [port, bare_port, tls_port] = [(); 3].map(|()| free());
        let file = scratch.write("grpc_server.py", SERVER);
        let mut command = Command::new("/usr/bin/python3");
        command.arg(file).args([port, bare_port, tls_port].map(|port| port.to_string()));
        command.arg(&tls.certificate).arg(&tls.key);
        let mut process = Process::start("gRPC", &mut command, &scratch.file("grpc.log"));
        listens(&mut process, tls_port).await;
        Self { port, bare_port, tls_port, _process: process }
    }
}
