//! What the kernel counts: a process's processor time and memory, and this network's packets.

use std::fs;
use std::time::Duration;

use crate::work::Work;

/// A tick of `/proc/PID/stat` (proc_pid_stat(5)); 100 a second on every Linux of today.
const TICK: Duration = Duration::from_millis(10);

/// The processor time of a process and all its threads, those that ended too.
///
/// # Panics
/// There is no such process.
pub(crate) fn processor_time(process: u32) -> Duration {
    let fields = stat(&process.to_string());
    (fields[0] + fields[1]) * TICK
}

/// The processor time of this process's children that were waited for.
///
/// # Panics
/// The system does not say.
pub(crate) fn of_ended_children() -> Duration {
    let fields = stat("self");
    (fields[2] + fields[3]) * TICK
}

/// `utime`, `stime`, `cutime`, `cstime`.
fn stat(process: &str) -> [u32; 4] {
    /// Fields between the name's end and `utime`.
    const BEFORE: usize = 11;
    let text = fs::read_to_string(format!("/proc/{process}/stat")).expect("the process runs");
    let (_, fields) = text.rsplit_once(") ").expect("its name is in parentheses");
    let mut fields = fields.split(' ').skip(BEFORE).map(|field| field.parse().unwrap_or(0));
    [(); 4].map(|()| fields.next().unwrap_or(0))
}

/// The memory of a process, in bytes: what only it has (`Private_*` of smaps_rollup), so that
/// pages of libraries do not count.
///
/// # Panics
/// There is no such process.
pub(crate) fn memory(process: u32) -> u64 {
    let path = format!("/proc/{process}/smaps_rollup");
    let text = fs::read_to_string(path).expect("the process runs");
    let lines = text.lines().filter_map(|line| line.strip_prefix("Private_"));
    let kib = lines.filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
    kib.sum::<u64>() * 1024
}

/// How many checks of this kind the targets of this network have been given.
///
/// # Panics
/// The system does not say.
pub(crate) fn served(work: Work) -> u64 {
    match work {
        Work::Http | Work::Https | Work::Tcp => counter("Tcp", "PassiveOpens"),
        Work::Icmp => counter("Icmp", "InEchos"),
        // The question and the answer.
        Work::Dns => counter("Udp", "InDatagrams") / 2,
    }
}

fn counter(protocol: &str, name: &str) -> u64 {
    let text = fs::read_to_string("/proc/net/snmp").expect("the kernel counts");
    let mut lines = text.lines().filter_map(|line| line.strip_prefix(protocol)?.strip_prefix(": "));
    let (names, values) = lines.next().zip(lines.next()).expect("two lines a protocol");
    let at = names.split(' ').position(|found| found == name).expect("a counter of that name");
    values.split(' ').nth(at).and_then(|value| value.parse().ok()).expect("a number")
}
