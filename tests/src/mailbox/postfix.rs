//! A real Postfix, with a configuration, queue and mailbox of its own.

use std::fs;
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use rustix::process::{Pid, Signal, kill_process};

use super::{Letter, Mailbox};
use crate::authority::Identity;
use crate::eventually::eventually;
use crate::port;
use crate::process::Process;
use crate::scratch::Scratch;

/// How long it may take until it answers: it checks its directories at a start.
const START_WITHIN: Duration = Duration::from_secs(20);

/// Who owns the mailbox: nobody, who exists everywhere.
const OWNER: u32 = 65_534;

/// A domain whose mails it takes, and then finds that it cannot deliver them.
pub const LOST: &str = "lost.example";

/// The services that take a mail and put it into a mailbox, and what these need.
const SERVICES: &str = "\
pickup    unix n - n 60 1 pickup
cleanup   unix n - n - 0 cleanup
qmgr      unix n - n 300 1 qmgr
tlsmgr    unix - - n 1000? 1 tlsmgr
rewrite   unix - - n - - trivial-rewrite
bounce    unix - - n - 0 bounce
defer     unix - - n - 0 bounce
trace     unix - - n - 0 bounce
verify    unix - - n - 1 verify
flush     unix n - n 1000? 0 flush
proxymap  unix - - n - - proxymap
error     unix - - n - - error
retry     unix - - n - - error
discard   unix - - n - - discard
virtual   unix - n n - - virtual
lost      unix - n n - - pipe user=nobody argv=/bin/false
anvil     unix - - n - 1 anvil
scache    unix - - n - 1 scache
postlog   unix-dgram n - n - 1 postlogd
";

/// A running Postfix that takes every mail for `example.com`.
pub struct Postfix {
    /// Its port; it offers STARTTLS.
    pub port: u16,
    inbox: PathBuf,
    master: PathBuf,
    process: Process,
}

impl Postfix {
    /// Starts one; root must.
    ///
    /// # Panics
    /// It cannot be started, or does not answer.
    pub async fn start(scratch: &Scratch, tls: &Identity) -> Self {
        let directory = scratch.directory("postfix");
        let mailboxes = scratch.directory("mailboxes");
        chown(&mailboxes, Some(OWNER), Some(OWNER)).expect("tests of Postfix run as root");
        for (name, owner) in [("queue", "root"), ("data", "postfix")] {
            let path = scratch.directory(&format!("postfix/{name}"));
            let done = Command::new("chown").arg(owner).arg(path).status();
            assert!(done.is_ok_and(|status| status.success()), "tests of Postfix run as root");
        }
        let port = port::free();
        fs::write(directory.join("main.cf"), main(&directory, &mailboxes, tls)).expect("written");
        let services = format!("127.0.0.1:{port} inet n - n - - smtpd\n{SERVICES}");
        fs::write(directory.join("master.cf"), services).expect("written");
        let mut command = Command::new("postfix");
        command.arg("-c").arg(&directory).arg("start-fg");
        let process = Process::start("postfix", &mut command, &scratch.file("postfix.log"));
        let mut postfix = Self {
            port,
            inbox: mailboxes.join("inbox/new"),
            master: directory.join("queue/pid/master.pid"),
            process,
        };
        eventually(START_WITHIN, "Postfix listens", || {
            let listens = TcpStream::connect((Ipv4Addr::LOCALHOST, port));
            let seen = listens.map_err(|error| format!("{error}\n{}", postfix.process.log()));
            async move { seen.map(drop) }
        })
        .await;
        assert!(postfix.process.ended().is_none(), "another program listens there");
        postfix
    }
}

impl Postfix {
    /// The files of its reports that it could not deliver something, oldest first.
    ///
    /// # Panics
    /// The mailbox cannot be read.
    pub fn reports(&self) -> Vec<PathBuf> {
        let reports = self.files().into_iter().filter(|(_, text)| is_report(text));
        reports.map(|(path, _)| path).collect()
    }

    /// The files of all mails with their texts, oldest first.
    fn files(&self) -> Vec<(PathBuf, String)> {
        // Nothing is there before the first mail.
        let Ok(entries) = fs::read_dir(&self.inbox) else { return Vec::new() };
        let mut files: Vec<(SystemTime, PathBuf)> = entries
            .map(|entry| {
                let entry = entry.expect("a mailbox that can be read");
                let arrived = entry.metadata().and_then(|file| file.modified());
                (arrived.expect("a file's time"), entry.path())
            })
            .collect();
        files.sort();
        let read = |path: &Path| fs::read_to_string(path).expect("a mail");
        files.into_iter().map(|(_, path)| (path.clone(), read(&path))).collect()
    }
}

/// It tells what became of another mail.
fn is_report(text: &str) -> bool {
    text.contains("\nContent-Type: multipart/report")
}

impl Mailbox for Postfix {
    fn letters(&self) -> Vec<Letter> {
        let files = self.files().into_iter().filter(|(_, text)| !is_report(text));
        files.map(|(_, text)| Letter::read(&text)).collect()
    }
}

impl Drop for Postfix {
    fn drop(&mut self) {
        // The master stands in a session of its own and ends the others with it; a signal to the
        // script that has started it would leave all of them behind.
        let id = fs::read_to_string(&self.master).ok().and_then(|text| text.trim().parse().ok());
        if let Some(master) = id.and_then(Pid::from_raw) {
            let _ = kill_process(master, Signal::TERM);
        }
        self.process.wait_for_end();
    }
}

fn main(directory: &Path, mailboxes: &Path, tls: &Identity) -> String {
    let (directory, mailboxes) = (directory.display(), mailboxes.display());
    let (certificate, key) = (tls.certificate.display(), tls.key.display());
    format!(
        "compatibility_level = 3.6\n\
         queue_directory = {directory}/queue\n\
         data_directory = {directory}/data\n\
         maillog_file = /dev/stdout\n\
         inet_interfaces = 127.0.0.1\n\
         inet_protocols = ipv4\n\
         myhostname = mail.example.com\n\
         mydestination =\n\
         mynetworks = 127.0.0.0/8\n\
         alias_maps =\n\
         alias_database =\n\
         local_recipient_maps =\n\
         disable_dns_lookups = yes\n\
         smtpd_peername_lookup = no\n\
         smtpd_relay_restrictions = permit_mynetworks, reject\n\
         smtpd_tls_security_level = may\n\
         smtpd_tls_cert_file = {certificate}\n\
         smtpd_tls_key_file = {key}\n\
         default_transport = error:only example.com is delivered\n\
         transport_maps = inline:{{{LOST}=lost:}}\n\
         virtual_transport = virtual\n\
         virtual_mailbox_domains = example.com\n\
         virtual_mailbox_base = {mailboxes}\n\
         virtual_mailbox_maps = static:inbox/\n\
         virtual_minimum_uid = 100\n\
         virtual_uid_maps = static:{OWNER}\n\
         virtual_gid_maps = static:{OWNER}\n"
    )
}
