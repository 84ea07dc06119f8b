//! What the kernel counts: a process's processor time and memory, and this network's packets.

use std::fs;
use std::time::Duration;

use crate::quic;
use crate::work::Work;

/// A tick of `/proc/PID/stat` (proc_pid_stat(5)); 100 a second on every Linux of today.
const TICK: Duration = Duration::from_millis(10);

/// Processor time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Time {
    /// All of it.
    pub(crate) all: Duration,
    /// What of it the kernel took. It tells the two apart by samples, so by some hundredths.
    pub(crate) kernel: Duration,
}

impl Time {
    fn of_ticks(user: u32, kernel: u32) -> Self {
        Self { all: (user + kernel) * TICK, kernel: kernel * TICK }
    }

    /// What was used since then.
    pub(crate) fn since(self, before: Self) -> Self {
        Self {
            all: self.all.saturating_sub(before.all),
            kernel: self.kernel.saturating_sub(before.kernel),
        }
    }
}

/// The processor time of a process and all its threads, those that ended too.
///
/// # Panics
/// There is no such process.
pub(crate) fn processor_time(process: u32) -> Time {
    let [user, kernel, ..] = stat(&process.to_string());
    Time::of_ticks(user, kernel)
}

/// The processor time of this process's children that were waited for.
///
/// # Panics
/// The system does not say.
pub(crate) fn of_ended_children() -> Time {
    let [.., user, kernel] = stat("self");
    Time::of_ticks(user, kernel)
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

/// The memory of a process, in bytes: what it has written (`Private_Dirty` of smaps_rollup), so that
/// pages of programs and libraries do not count; those are private or not as others run.
///
/// # Panics
/// There is no such process.
pub(crate) fn memory(process: u32) -> u64 {
    let path = format!("/proc/{process}/smaps_rollup");
    let text = fs::read_to_string(path).expect("the process runs");
    let lines = text.lines().filter_map(|line| line.strip_prefix("Private_Dirty:"));
    let kib = lines.filter_map(|line| line.split_whitespace().next()?.parse::<u64>().ok());
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
        // A connection a request.
        Work::Journey => counter("Tcp", "PassiveOpens") / 2,
        // The kernel knows nothing of streams in datagrams: the target counts.
        Work::Http3 => quic::answered(),
    }
}

fn counter(protocol: &str, name: &str) -> u64 {
    let text = fs::read_to_string("/proc/net/snmp").expect("the kernel counts");
    let mut lines = text.lines().filter_map(|line| line.strip_prefix(protocol)?.strip_prefix(": "));
    let (names, values) = lines.next().zip(lines.next()).expect("two lines a protocol");
    let at = names.split(' ').position(|found| found == name).expect("a counter of that name");
    values.split(' ').nth(at).and_then(|value| value.parse().ok()).expect("a number")
}
