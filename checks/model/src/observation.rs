//! What one run of a check saw from one probe.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{CheckId, Place, Timestamp};

/// The state of an observation, a site and a verdict (the Nagios plugin states 0 to 3).
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It answered as it must, in time.
    Up,
    /// It answered, but too slowly or with a flaw that does not stop users.
    Degraded,
    /// It did not answer as it must.
    Down,
    /// There is no evidence either way.
    Unknown,
}

impl Status {
    /// The word used in JSON, on the page and in mails' machine-readable parts.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Degraded => "degraded",
            Self::Down => "down",
            Self::Unknown => "unknown",
        }
    }

    /// How bad it is for people, wherever the worst of several is wanted: no news is worse than
    /// slow, and down is worst.
    pub const fn badness(self) -> u8 {
        match self {
            Self::Up => 0,
            Self::Degraded => 1,
            Self::Unknown => 2,
            Self::Down => 3,
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

macro_rules! causes {
    ($($(#[doc = $doc:literal])+ $variant:ident = $word:literal),+ $(,)?) => {
        /// Why an observation is not Up: the fixed list that tests, mails and the API match on.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        pub enum Cause {
            $($(#[doc = $doc])+ #[serde(rename = $word)] $variant,)+
        }

        impl Cause {
            /// Every cause, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The cause's word in JSON.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }

            /// One sentence for people.
            pub const fn explain(self) -> &'static str {
                match self { $(Self::$variant => first_line(concat!($($doc),+)),)+ }
            }
        }
    };
}

/// The documentation line without its leading blank.
const fn first_line(doc: &'static str) -> &'static str {
    match doc.as_bytes() {
        [b' ', ..] => doc.split_at(1).1,
        _ => doc,
    }
}

causes! {
    /// The name does not exist (NXDOMAIN).
    DnsNxdomain = "dns_nxdomain",
    /// The name exists but has no address of the family asked for.
    DnsNoAddress = "dns_no_address",
    /// The name server answered SERVFAIL.
    DnsServfail = "dns_servfail",
    /// The name server refused the query.
    DnsRefused = "dns_refused",
    /// No name server answered in time.
    DnsTimeout = "dns_timeout",
    /// The connection was refused.
    Refused = "refused",
    /// There is no route to the address.
    Unreachable = "unreachable",
    /// The connection was reset or closed early.
    Reset = "reset",
    /// No connection within the time allowed.
    ConnectTimeout = "connect_timeout",
    /// The TLS handshake did not finish in time.
    TlsTimeout = "tls_timeout",
    /// The request could not be sent in time.
    SendTimeout = "send_timeout",
    /// No answer began within the time allowed.
    FirstByteTimeout = "first_byte_timeout",
    /// The answer did not end within the time allowed.
    TransferTimeout = "transfer_timeout",
    /// The certificate's chain does not lead to a trusted root.
    TlsUntrusted = "tls_untrusted",
    /// The certificate is for another name.
    TlsName = "tls_name",
    /// The certificate has expired, or is not valid yet.
    TlsExpired = "tls_expired",
    /// The certificate expires soon.
    CertificateExpiring = "certificate_expiring",
    /// The TLS handshake failed.
    TlsHandshake = "tls_handshake",
    /// The answer broke the protocol.
    Protocol = "protocol",
    /// The status code is not one of those wanted.
    Status = "status",
    /// A header is not as wanted.
    Header = "header",
    /// The body is not as wanted.
    Body = "body",
    /// A value in the JSON body is not as wanted.
    Json = "json",
    /// The body is larger than allowed.
    TooLarge = "too_large",
    /// Too many redirects, or one that leads nowhere.
    Redirect = "redirect",
    /// The address must not be connected to from this probe.
    BlockedAddress = "blocked_address",
    /// It answered too slowly.
    Slow = "slow",
    /// Echo replies were lost.
    Loss = "loss",
    /// The DNS answer is not as wanted.
    Answer = "answer",
    /// The average over the window is beyond its threshold.
    Average = "average",
    /// The target asked this probe to stay away (429, or its firewall's page).
    Throttled = "throttled",
    /// The probe itself cannot reach the world, so it has no opinion.
    ProbeUnfit = "probe_unfit",
    /// The run started too late to judge by it.
    ProbeLate = "probe_late",
    /// A secret or file that the check needs cannot be read on the probe.
    Setup = "setup",
    /// The server answered with an error.
    ServerError = "server_error",
    /// The server did not accept the user and password.
    Login = "login",
    /// The server does not offer what is wanted of it.
    NotOffered = "not_offered",
    /// The server's host key is not the one wanted.
    HostKey = "host_key",
    /// It answers, and must not.
    Answers = "answers",
    /// The plugin warns (exit code 1).
    PluginWarning = "plugin_warning",
    /// The plugin finds its target in a critical state (exit code 2).
    PluginCritical = "plugin_critical",
    /// The plugin could not find out (exit code 3).
    PluginUnknown = "plugin_unknown",
    /// The probe's own configuration does not allow the program.
    ExecForbidden = "exec_forbidden",
    /// The program, or the interpreter it needs, is not there on the probe.
    ExecMissing = "exec_missing",
    /// The probe may not, or cannot, execute the program.
    ExecNotExecutable = "exec_not_executable",
    /// The program was ended by a signal.
    ExecSignal = "exec_signal",
    /// The program's exit code is no state.
    ExecExitCode = "exec_exit_code",
    /// The program printed more than allowed.
    ExecOutput = "exec_output",
    /// The program did not end in time and was killed.
    ExecTimeout = "exec_timeout",
    /// No report came in time.
    NoReport = "no_report",
    /// The job reports that it failed.
    JobFailed = "job_failed",
    /// The job reports a flaw.
    JobWarning = "job_warning",
    /// The proxy on the way cannot be reached or refuses, so nothing is known of the target.
    Proxy = "proxy",
    /// The token endpoint gave no access token.
    Token = "token",
    /// An expression over the answer does not hold.
    Expect = "expect",
    /// The stapled certificate status is missing, late or not good.
    Ocsp = "ocsp",
    /// The server accepts a version of TLS that is out of use.
    WeakTls = "weak_tls",
    /// Elements of the page could not be loaded.
    Elements = "elements",
    /// The page is larger than wanted.
    Heavy = "heavy",
    /// The time server's clock is too far from the probe's.
    ClockOffset = "clock_offset",
    /// The time server is not as close to a reference clock, or as sure of its time, as wanted.
    ClockQuality = "clock_quality",
    /// The time server has no time to give: it is not synchronised.
    Unsynchronised = "unsynchronised",
    /// The time server refuses to serve (kiss-o'-death).
    KissOfDeath = "kiss_of_death",
    /// The answer was truncated and could not be had in full over TCP.
    DnsTruncated = "dns_truncated",
    /// The name server does not hold the zone that it is said to hold.
    LameServer = "lame_server",
    /// The name servers of a zone do not have the same version of it.
    SerialDisagreement = "serial_disagreement",
    /// The DNS answer carries no signature.
    DnssecUnsigned = "dnssec_unsigned",
    /// A signature of the DNS answer, or the chain of trust to it, does not hold.
    DnssecBogus = "dnssec_bogus",
    /// A signature of the DNS answer expires soon.
    DnssecExpiring = "dnssec_expiring",
    /// The registry knows no such domain.
    DomainUnregistered = "domain_unregistered",
    /// The domain's registration has ended.
    DomainExpired = "domain_expired",
    /// The domain's registration ends soon.
    DomainExpiring = "domain_expiring",
    /// The domain is, or is not, in a state that it should be in.
    DomainStatus = "domain_status",
    /// The service says that it does not serve.
    NotServing = "not_serving",
    /// The server does not know the service.
    ServiceUnknown = "service_unknown",
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A part of a run that is timed by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Resolving the name.
    Dns,
    /// Opening the connection.
    Connect,
    /// The TLS handshake.
    Tls,
    /// Sending the request.
    Send,
    /// From the request's end to the first byte of the answer.
    FirstByte,
    /// From the first byte to the last.
    Transfer,
}

impl Phase {
    /// All phases in the order of time.
    pub const ALL: [Self; 6] =
        [Self::Dns, Self::Connect, Self::Tls, Self::Send, Self::FirstByte, Self::Transfer];

    /// The phase's word in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Send => "send",
            Self::FirstByte => "first_byte",
            Self::Transfer => "transfer",
        }
    }
}

/// How long each phase took; `None` for a phase that did not happen or did not end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Phases([Option<Duration>; 6]);

impl Phases {
    /// The time of one phase.
    pub const fn get(&self, phase: Phase) -> Option<Duration> {
        self.0[phase as usize]
    }

    /// Adds to the time of one phase (redirects pass through the phases more than once).
    pub fn add(&mut self, phase: Phase, time: Duration) {
        let slot = &mut self.0[phase as usize];
        *slot = Some(slot.unwrap_or_default() + time);
    }

    /// The phases that happened, in the order of time.
    pub fn iter(&self) -> impl Iterator<Item = (Phase, Duration)> + '_ {
        Phase::ALL.into_iter().filter_map(|phase| Some((phase, self.get(phase)?)))
    }
}

/// What a run found, before anyone knows who ran it and when.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// How the target did.
    pub status: Status,
    /// Why it is not Up; `None` when it is.
    pub cause: Option<Cause>,
    /// The cause in this case's words (`status 500, wanted 200`); empty when Up.
    pub detail: String,
    /// The whole run.
    pub duration: Duration,
    /// The parts of it.
    pub phases: Phases,
    /// The address that was connected to, as text.
    pub address: Option<String>,
    /// Named numbers, such as `status`, `bytes`, `loss_percent`, `certificate_days`.
    pub values: BTreeMap<String, f64>,
    /// The beginning of what came back, when it is not Up; control characters removed.
    pub excerpt: String,
    /// Where it was when it failed, if that may be elsewhere than where the settings say. It is
    /// the probe's own: evidence is gathered there, and nobody else is told.
    #[serde(skip)]
    pub place: Option<Box<Place>>,
}

/// The value of an [`Outcome`] that says for how many seconds the target asks to be left alone.
pub const RETRY_AFTER: &str = "retry_after_s";

/// The longest excerpt kept, in bytes: enough to recognise an error page, small in a log entry.
pub const EXCERPT_LIMIT_BYTES: usize = 1024;

impl Outcome {
    /// An outcome without numbers.
    pub fn new(status: Status, cause: Option<Cause>, detail: impl Into<String>) -> Self {
        Self {
            status,
            cause,
            detail: detail.into(),
            duration: Duration::ZERO,
            phases: Phases::default(),
            address: None,
            values: BTreeMap::new(),
            excerpt: String::new(),
            place: None,
        }
    }

    /// No opinion, and why.
    pub fn unknown(cause: Cause, detail: impl Into<String>) -> Self {
        Self::new(Status::Unknown, Some(cause), detail)
    }
}

/// Why a run took place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trigger {
    /// It was due.
    Schedule,
    /// An attempt before it failed.
    Retry,
    /// The coordinator wants to know now.
    Confirm,
    /// What it is about reported by itself.
    Push,
}

/// Whether a failing probe is sure yet (Nagios: soft and hard states).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Firmness {
    /// A failure that further attempts may still contradict: a trigger for confirmation, no vote.
    Soft,
    /// A vote.
    Hard,
}

/// Whose clock an observation's times come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Clock {
    /// The leader's, echoed, plus the probe's monotonic time since: may vote.
    Leader,
    /// The probe's wall clock, as no coordinator was reached since its start: history only.
    Wall,
}

/// One run, seen from one probe. (`boot`, `seq`) is unique for the probe and grows in its life.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Observation {
    /// What was run.
    pub check: CheckId,
    /// The revision of the check's settings that was run.
    pub rev: u64,
    /// The process life of the probe: a number that differs after each start.
    pub boot: u64,
    /// Grows with every observation of that life.
    pub seq: u64,
    /// When the run began.
    pub started: Timestamp,
    /// When the run ended; a lower bound of the leader's time then.
    pub at: Timestamp,
    /// Whose clock the two times come from.
    pub clock: Clock,
    /// Why it ran.
    pub trigger: Trigger,
    /// Whether it is a vote.
    pub firmness: Firmness,
    /// When the first failing run of the probe's present failure began; `None` when it is Up.
    pub failing_since: Option<Timestamp>,
    /// What it found.
    pub outcome: Outcome,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_has_one_word_and_one_sentence() {
        let mut words: Vec<_> = Cause::ALL.iter().map(|c| c.as_str()).collect();
        for cause in Cause::ALL {
            let json = serde_json::to_string(cause).expect("a word");
            assert_eq!(json, format!("\"{}\"", cause.as_str()));
            assert!(cause.explain().ends_with('.'), "{cause}");
            assert!(!cause.explain().starts_with(' '), "{cause}");
        }
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), Cause::ALL.len());
    }

    #[test]
    fn phases_add_up_over_redirects() {
        let mut phases = Phases::default();
        phases.add(Phase::Dns, Duration::from_millis(2));
        phases.add(Phase::Dns, Duration::from_millis(3));
        assert_eq!(phases.get(Phase::Dns), Some(Duration::from_millis(5)));
        assert_eq!(phases.get(Phase::Tls), None);
        assert_eq!(phases.iter().count(), 1);
    }
}
