//! What hostile answers take of a probe's memory, by the kernel's own account of the process.

use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;

use crosscheck_model::CheckId;
use flate2::{Compress, Compression, FlushCompress};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::*;

/// The most that one run may take while it reads, beyond what the probe has taken before: a body of which
/// 1 MiB may be kept, as people get it, what is made of that, and as much again for the allocator. (Seen
/// on 2026-11-30, without optimisation: 1.6 MiB at most.)
const RUN_LIMIT_KIB: u64 = 4 << 10;

/// The first answer, to which the program is loaded: what that takes is no answer's.
const FIRST: &str = "a page";

/// A body as large as the settings of its checks allow: the last one, for what it took may stay with the
/// allocator.
const KEPT: &str = "48 MiB that may be kept";

/// What of it must be seen: all but what the allocator had left.
const KEPT_KIB: u64 = 40 << 10;

const MIB: usize = 1 << 20;

/// A server that says something to each request, and then something else again and again.
struct Target {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Drop for Target {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Target {
    async fn start(first: Vec<u8>, then: Vec<u8>, times: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let address = listener.local_addr().expect("bound");
        let words = Arc::new((first, then, times));
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.expect("a connection");
                tokio::spawn(say(stream, Arc::clone(&words)));
            }
        });
        Self { address, task }
    }
}

/// Who asks may go at any time.
async fn say(mut stream: TcpStream, words: Arc<(Vec<u8>, Vec<u8>, usize)>) -> std::io::Result<()> {
    let mut request = [0; 4096];
    let _ = stream.read(&mut request).await?;
    let (first, then, times) = &*words;
    stream.write_all(first).await?;
    for _ in 0..*times {
        stream.write_all(then).await?;
    }
    // Not closed while words are unread: that would be a reset.
    stream.shutdown().await?;
    stream.read_to_end(&mut Vec::new()).await.map(drop)
}

/// A packed MiB of zeros that may follow itself, as nothing before it is referred to.
fn packed_mib() -> Vec<u8> {
    let (mut packer, mut packed) = (Compress::new(Compression::best(), false), vec![0; MIB]);
    let zeros = vec![0; MIB];
    packer.compress(&zeros, &mut packed, FlushCompress::Full).expect("packs in memory");
    assert_eq!(packer.total_in(), MIB as u64);
    packed.truncate(usize::try_from(packer.total_out()).expect("short"));
    packed
}

/// What the kernel says of a process's memory, in KiB.
fn memory(process: &Process, what: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", process.0.id()));
    let status = status.expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix(what)).expect("Linux tells");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

/// Its present memory becomes its peak.
fn forget_peak(process: &Process) {
    fs::write(format!("/proc/{}/clear_refs", process.0.id()), "5").expect("our own process");
}

/// The kinds that ask a URL and look for a word in what comes.
fn checks(id: &str, at: SocketAddr, body_limit: &str) -> [Assigned; 2] {
    let wanted = serde_json::json!({ "body": { "contains": "never" }, "body_limit": body_limit });
    let (mut http, mut step) = (wanted.clone(), wanted);
    http["url"] = format!("http://{at}/").into();
    (step["name"], step["url"]) = ("look".into(), "/".into());
    let journey = serde_json::json!({ "base": format!("http://{at}"), "steps": [step] });
    [("http", http), ("journey", journey)].map(|(kind, settings)| {
        let mut check = check("");
        check.spec.id = format!("{kind} {id}").as_str().into();
        check.spec.kind = kind.to_owned();
        check.spec.settings = settings.to_string();
        check.spec.schedule.timeout = PATIENCE;
        check.spec.schedule.attempts = 1;
        check
    })
}

/// What a target says, in words; what it says first, then, and how often; what it is taken for.
type Answer = (&'static str, Vec<u8>, Vec<u8>, usize, Cause);

fn answers() -> Vec<Answer> {
    let head = |more: &str| format!("HTTP/1.1 200 OK\r\n{more}\r\n").into_bytes();
    let gzip = b"\x1f\x8b\x08\0\0\0\0\0\x02\xff";
    let endless = usize::MAX;
    vec![
        (FIRST, head("Content-Length: 5\r\n"), b"hello".to_vec(), 1, Cause::Body),
        (
            "a body of 100 MiB",
            head("Content-Length: 104857600\r\n"),
            vec![b'x'; MIB],
            100,
            Cause::TooLarge,
        ),
        (
            "a gzip bomb",
            [head("Content-Encoding: gzip\r\n"), gzip.to_vec()].concat(),
            packed_mib(),
            endless,
            Cause::TooLarge,
        ),
        (
            "headers without end",
            b"HTTP/1.1 200 OK\r\n".to_vec(),
            b"X-More: of this\r\n".repeat(4096),
            endless,
            Cause::TooLarge,
        ),
        (
            "chunks without end",
            head("Transfer-Encoding: chunked\r\n"),
            b"1\r\nx\r\n".repeat(4096),
            endless,
            Cause::TooLarge,
        ),
        (
            "large chunks without end",
            head("Transfer-Encoding: chunked\r\n"),
            [b"100000\r\n", &vec![b'x'; MIB][..], b"\r\n"].concat(),
            endless,
            Cause::TooLarge,
        ),
        (KEPT, head("Content-Length: 50331648\r\n"), vec![b'x'; MIB], 48, Cause::Body),
    ]
}

#[tokio::test]
async fn hostile_answers_take_no_more_of_the_process_than_a_run_may() {
    let (url, mut script) = coordinator().await;
    let directory = tempfile::tempdir().expect("a directory");
    let settings = directory.path().join("probe.yaml");
    let text = format!("probe: p 1\nsite: here\ncoordinators: [\"{url}\"]\ninternal: true\n");
    fs::write(&settings, text).expect("written");
    let process = Process::start(&settings);
    let (_, orders) = script.listening().await;
    orders.send(Order::Heartbeat { now: now() }).expect("listens");
    let (mut taken, mut nonces) = (Vec::new(), 1..);
    for (name, first, then, times, cause) in answers() {
        let target = Target::start(first, then, times).await;
        let limit = if name == KEPT { "64MiB" } else { "1MiB" };
        for check in checks(name, target.address, limit) {
            forget_peak(&process);
            let before = memory(&process, "VmRSS:");
            let (id, nonce) = (check.spec.id.clone(), nonces.next().expect("without end"));
            // Nothing else is assigned: what is seen is this one's.
            let (checks, references) = (vec![check], References::default());
            let assignment = Assignment { revision: nonce, checks, references };
            orders.send(Order::Assignment(Box::new(assignment))).expect("listens");
            orders.send(Order::Confirm { check: id.clone(), nonce }).expect("listens");
            let mut found = script.observation().await;
            while found.check != id {
                found = script.observation().await;
            }
            assert_eq!(found.outcome.cause, Some(cause), "{id}: {:?}", found.outcome);
            taken.push((id, memory(&process, "VmHWM:").saturating_sub(before)));
        }
    }
    let is_right = |(check, kib): &(CheckId, u64)| match check.as_str() {
        name if name.ends_with(FIRST) => true,
        name if name.ends_with(KEPT) => *kib >= KEPT_KIB, // The account sees what is taken.
        _ => *kib <= RUN_LIMIT_KIB,
    };
    assert!(taken.iter().all(is_right), "KiB: {taken:#?}");
}
