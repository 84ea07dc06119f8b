//! A real server of WebSockets: Debian's python3-websockets.

use std::process::Command;

use super::{free, listens};
use crate::authority::Identity;
use crate::process::Process;
use crate::scratch::Scratch;

/// Echoes what is said to it, greets who asks for it, and wants a token for `/private`.
const SERVER: &str = r#"
import asyncio, http, ssl, sys
import websockets

async def talk(socket, path=None):
    path = path or socket.path
    if path == "/greeting":
        await socket.send("welcome")
        await socket.send("news of the day")
    if path == "/closing":
        await socket.close(1008, "not today")
    async for message in socket:
        await socket.send(message)

async def guard(path, headers):
    if path == "/private" and headers.get("Authorization") != "Bearer hunter22":
        return http.HTTPStatus.FORBIDDEN, [], b"a token, please\n"

async def main(plain, secure, certificate, key):
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    common = dict(process_request=guard, subprotocols=["v2.echo", "v1.echo"])
    async with websockets.serve(talk, ["127.0.0.1", "::1"], plain, **common):
        async with websockets.serve(talk, ["127.0.0.1", "::1"], secure, ssl=tls, **common):
            await asyncio.Future()

asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]))
"#;

/// A running server.
pub struct WebSockets {
    /// Its port for `ws://`.
    pub port: u16,
    /// Its port for `wss://`.
    pub tls_port: u16,
    _process: Process,
}

impl WebSockets {
    /// Starts one.
    ///
    /// # Panics
    /// It cannot be started, or does not answer.
    pub async fn start(scratch: &Scratch, tls: &Identity) -> Self {
        let (port, tls_port) = (free(), free());
        let file = scratch.write("websocket_server.py", SERVER);
        let mut command = Command::new("/usr/bin/python3");
        command.arg(file).arg(port.to_string()).arg(tls_port.to_string());
        command.arg(&tls.certificate).arg(&tls.key);
        let log = scratch.file("websockets.log");
        let mut process = Process::start("websockets", &mut command, &log);
        listens(&mut process, tls_port).await;
        Self { port, tls_port, _process: process }
    }
}
