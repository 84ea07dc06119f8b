//! Real servers, each of a protocol of its own, on loopback of both families where they can.

pub mod apache;
pub mod bmc;
pub mod caddy;
pub mod chrony;
pub mod dovecot;
pub mod grpc;
pub mod mariadb;
pub mod openssl;
pub mod postgres;
pub mod prosody;
pub mod proxy;
pub mod rdap;
pub mod redis;
pub mod relay;
pub mod slapd;
pub mod snmpd;
pub mod sshd;
pub mod telnetd;
pub mod vsftpd;
pub mod websockets;

use std::net::{Ipv4Addr, Ipv6Addr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use crate::eventually::eventually;
use crate::port;
use crate::process::Process;

/// How long one may take until it answers, on a machine that is busy.
const START_WITHIN: Duration = Duration::from_secs(30);

/// A port that is free on loopback of both families.
fn free() -> u16 {
    loop {
        let port = port::free();
        if TcpListener::bind((Ipv6Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}

/// A port that is free for datagrams on loopback of both families.
fn free_udp() -> u16 {
    loop {
        let port = free();
        let sockets = [
            UdpSocket::bind((Ipv4Addr::LOCALHOST, port)),
            UdpSocket::bind((Ipv6Addr::LOCALHOST, port)),
        ];
        if sockets.iter().all(Result::is_ok) {
            return port;
        }
    }
}

/// Waits until it listens at a port.
async fn listens(process: &mut Process, port: u16) {
    eventually(START_WITHIN, "a server listens", || {
        let listens = TcpStream::connect((Ipv4Addr::LOCALHOST, port));
        let seen = listens.map_err(|error| format!("{error}\n{}", process.log()));
        async move { seen.map(drop) }
    })
    .await;
    assert!(process.ended().is_none(), "another program listens there");
}
