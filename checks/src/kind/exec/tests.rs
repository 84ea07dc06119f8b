//! The `exec` kind with scripts that behave as they are told, and with real plugins.

mod plugins;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use crosscheck_model::{Cause, Outcome, Status};
use rustix::process::{Pid, test_kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Exec, process};
use crate::env::{Env, Secrets};
use crate::guard::Guard;
use crate::kind::Kind;
use crate::kind::negate::Negatable;
use crate::programs::Programs;
use crate::resolve::Resolver;

/// Far more than a script takes.
const AMPLE: Duration = Duration::from_secs(60);

/// For what never ends.
const SHORT: Duration = Duration::from_millis(300);

/// A directory of scripts that the probe allows.
struct Scripts(TempDir);

impl Scripts {
    fn new() -> Self {
        Self(TempDir::new().expect("a directory"))
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a shell script.
    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.file(name);
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("executable");
        path
    }

    fn env(&self) -> Env {
        let variables = ["PW", "SHOWN"].map(str::to_owned).to_vec();
        env(Programs::new(vec![self.0.path().to_owned()], variables))
    }

    /// Runs a script.
    async fn run(&self, text: &str) -> Outcome {
        let plugin = self.write("plugin", text);
        run(&self.env(), &json!({ "plugin": plugin }), AMPLE).await
    }
}

fn env(programs: Programs) -> Env {
    let secrets = Secrets::fixed([("PLUGIN_PW".to_owned(), "hunter2!".to_owned())].into());
    Env { guard: Guard::Internal, resolver: Resolver::new(Vec::new()), secrets, programs }
}

async fn run(env: &Env, settings: &Value, limit: Duration) -> Outcome {
    Exec.parse(settings).expect("well-formed settings").run(env, limit).await
}

/// Runs a check turned round.
async fn turned(env: &Env, settings: &Value, limit: Duration) -> Outcome {
    Negatable(Exec).parse(settings).expect("well-formed settings").run(env, limit).await
}

#[tokio::test]
async fn exit_codes_are_states() {
    let scripts = Scripts::new();
    for (code, status, cause) in [
        (0, Status::Up, None),
        (1, Status::Degraded, Some(Cause::PluginWarning)),
        (2, Status::Down, Some(Cause::PluginCritical)),
        (3, Status::Unknown, Some(Cause::PluginUnknown)),
        (4, Status::Unknown, Some(Cause::ExecExitCode)),
        (255, Status::Unknown, Some(Cause::ExecExitCode)),
    ] {
        let text = format!("echo 'THING: it is so | n={code}s;1;2'; echo more; exit {code}");
        let outcome = scripts.run(&text).await;
        assert_eq!((outcome.status, outcome.cause), (status, cause), "{outcome:?}");
        assert_eq!(outcome.values.get("n_ms"), Some(&(f64::from(code) * 1000.0)));
        assert_eq!(outcome.values.get("exit_code"), Some(&f64::from(code)));
        match (status, code) {
            (Status::Up, _) => assert_eq!((&*outcome.detail, &*outcome.excerpt), ("", "")),
            (_, 4..) => assert!(outcome.detail.contains(&format!("exit code {code}"))),
            _ => assert_eq!(outcome.detail, "THING: it is so"),
        }
        if status != Status::Up {
            assert!(
                outcome.excerpt.ends_with("n=0s;1;2 more ") || outcome.excerpt.contains("more")
            );
        }
    }
}

#[tokio::test]
async fn what_it_says_only_on_standard_error_is_heard() {
    let scripts = Scripts::new();
    let outcome = scripts.run("echo 'cannot open it' >&2; exit 2").await;
    assert_eq!(outcome.detail, "cannot open it");
    assert_eq!(outcome.excerpt, "cannot open it ");
    let outcome = scripts.run("exit 2").await;
    assert_eq!(outcome.detail, "it says nothing");
}

#[tokio::test]
async fn a_signal_is_told_and_no_verdict() {
    let outcome = Scripts::new().run("echo halfway; kill -SEGV $$").await;
    assert_eq!((outcome.status, outcome.cause), (Status::Unknown, Some(Cause::ExecSignal)));
    assert_eq!(outcome.detail, "ended by signal 11: halfway");
}

#[tokio::test]
async fn what_cannot_be_started_has_its_cause() {
    let scripts = Scripts::new();
    let plain = scripts.file("plain");
    fs::write(&plain, "no program").expect("written");
    let garbage = scripts.write("garbage", "");
    fs::write(&garbage, b"\x7fELF").expect("written");
    let shell = scripts.write("shell", "");
    fs::write(&shell, "echo a shell took it\n").expect("written");
    let orphan = scripts.write("orphan", "");
    fs::write(&orphan, "#!/no/such/interpreter\n").expect("written");
    for (plugin, cause) in [
        (scripts.file("gone"), Cause::ExecMissing),
        (orphan, Cause::ExecMissing),
        (plain, Cause::ExecNotExecutable),
        (garbage, Cause::ExecNotExecutable),
        (shell, Cause::ExecNotExecutable),
        (PathBuf::from("/bin/true"), Cause::ExecForbidden),
    ] {
        let outcome = run(&scripts.env(), &json!({ "plugin": plugin }), AMPLE).await;
        assert_eq!((outcome.status, outcome.cause), (Status::Unknown, Some(cause)), "{outcome:?}");
    }
}

#[tokio::test]
async fn nothing_is_started_unless_the_probe_allows_it() {
    let scripts = Scripts::new();
    let mark = scripts.file("mark");
    let plugin = scripts.write("plugin", &format!("touch {}", mark.display()));
    let outcome = run(&env(Programs::default()), &json!({ "plugin": plugin }), AMPLE).await;
    assert_eq!((outcome.status, outcome.cause), (Status::Unknown, Some(Cause::ExecForbidden)));
    assert!(outcome.detail.contains("exec: { allow: ["), "{}", outcome.detail);
    let settings = json!({ "plugin": plugin, "env": { "BASH_ENV": "x" } });
    let outcome = run(&scripts.env(), &settings, AMPLE).await;
    assert_eq!(outcome.cause, Some(Cause::ExecForbidden));
    assert!(outcome.detail.contains("variables: [BASH_ENV]"), "{}", outcome.detail);
    assert!(!mark.exists());
}

#[tokio::test]
async fn arguments_stand_as_they_are_and_the_environment_is_empty() {
    let scripts = Scripts::new();
    let list = scripts.file("list");
    // `env` is started by its path, as there is no search path.
    let text = format!(
        "for a in \"$@\"; do echo \"$a\"; done > {list}; /usr/bin/env | /usr/bin/cut -d= -f1 >> {list}",
        list = list.display()
    );
    let plugin = scripts.write("plugin", &text);
    let args = json!(["a b", "$HOME `id`", "*", 80, 0.5, ""]);
    let settings = json!({ "plugin": plugin, "args": args, "env": { "SHOWN": "1" } });
    let outcome = run(&scripts.env(), &settings, AMPLE).await;
    assert_eq!(outcome.status, Status::Up, "{outcome:?}");
    let lines = fs::read_to_string(list).expect("written");
    let (given, rest) = lines.split_at(lines.find("\n\n").expect("the empty argument") + 2);
    assert_eq!(given, "a b\n$HOME `id`\n*\n80\n0.5\n\n");
    // The shell adds some of its own.
    let own: Vec<&str> =
        rest.lines().filter(|name| !["PWD", "_", "OLDPWD"].contains(name)).collect();
    assert_eq!(own, ["SHOWN"]);
}

#[tokio::test]
async fn secrets_reach_it_and_are_blotted_out() {
    let scripts = Scripts::new();
    let plugin = scripts.write("plugin", "echo \"password is $PW | x=1\"; echo $PW >&2; exit 2");
    let settings = json!({ "plugin": plugin, "env": { "PW": "${env:PLUGIN_PW}" } });
    let outcome = run(&scripts.env(), &settings, AMPLE).await;
    assert_eq!(outcome.detail, "password is <redacted>");
    assert!(!format!("{outcome:?}").contains("hunter2"), "{outcome:?}");
    let settings = json!({ "plugin": plugin, "env": { "PW": "${env:GONE}" } });
    let outcome = run(&scripts.env(), &settings, AMPLE).await;
    assert_eq!((outcome.status, outcome.cause), (Status::Unknown, Some(Cause::Setup)));
}

/// The process that wrote its number there.
fn noted(path: &PathBuf) -> Pid {
    let text = fs::read_to_string(path).expect("it has begun");
    Pid::from_raw(text.trim().parse().expect("a number")).expect("a process")
}

/// Waits until a killed process is gone, or is left to be collected.
async fn gone(id: Pid) {
    for _ in 0..2000 {
        let state = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        let state = state.rsplit(") ").next().unwrap_or_default().to_owned();
        if test_kill_process(id).is_err() || state.starts_with('Z') || state.starts_with('X') {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("process {id} lives on");
}

#[tokio::test]
async fn at_the_deadline_the_whole_group_is_killed() {
    let scripts = Scripts::new();
    let (child, parent) = (scripts.file("child"), scripts.file("parent"));
    let text = format!(
        "trap '' TERM\n/bin/sh -c 'echo $$ > {c}; while :; do /bin/sleep 60; done' &\n\
         echo $$ > {p}\nwhile [ ! -s {c} ]; do :; done\necho begun\nwait",
        c = child.display(),
        p = parent.display()
    );
    let plugin = scripts.write("plugin", &text);
    // Long enough to begin, on a busy machine too: it tries again with more time.
    for limit in [SHORT, SHORT * 10, AMPLE / 4] {
        let outcome = run(&scripts.env(), &json!({ "plugin": plugin }), limit).await;
        assert_eq!((outcome.status, outcome.cause), (Status::Down, Some(Cause::ExecTimeout)));
        assert!(outcome.detail.contains("was killed"), "{}", outcome.detail);
        if fs::read_to_string(&child).is_ok_and(|text| text.ends_with('\n')) {
            break;
        }
    }
    gone(noted(&parent)).await;
    gone(noted(&child)).await;
}

#[tokio::test]
async fn what_it_leaves_behind_ends_with_it_and_delays_nothing() {
    let scripts = Scripts::new();
    let child = scripts.file("child");
    // The child keeps the output open.
    let text = format!(
        "/bin/sh -c 'echo $$ > {c}; while :; do /bin/sleep 60; done' &\n\
         while [ ! -s {c} ]; do :; done\necho fine",
        c = child.display()
    );
    let plugin = scripts.write("plugin", &text);
    let outcome = run(&scripts.env(), &json!({ "plugin": plugin }), AMPLE).await;
    assert_eq!(outcome.status, Status::Up, "{outcome:?}");
    assert!(outcome.duration < AMPLE / 2, "{:?}", outcome.duration);
    gone(noted(&child)).await;
}

#[tokio::test]
async fn a_run_that_is_dropped_leaves_nothing_behind() {
    let scripts = Scripts::new();
    let own = scripts.file("own");
    let text = format!("echo $$ > {}\nwhile :; do /bin/sleep 60; done", own.display());
    let plugin = scripts.write("plugin", &text);
    let env = scripts.env();
    let check = Exec.parse(&json!({ "plugin": plugin })).expect("well-formed settings");
    let begun = async {
        while !fs::read_to_string(&own).is_ok_and(|text| text.ends_with('\n')) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        outcome = check.run(&env, AMPLE) => panic!("{outcome:?}"),
        () = begun => {}
    }
    gone(noted(&own)).await;
}

#[tokio::test]
async fn output_without_end_is_cut_off() {
    let scripts = Scripts::new();
    for stream in ["", " >&2"] {
        let outcome = scripts.run(&format!("while :; do echo yes; done{stream}")).await;
        assert_eq!((outcome.status, outcome.cause), (Status::Unknown, Some(Cause::ExecOutput)));
    }
    let fits = process::OUTPUT_AT_MOST_BYTES / 16;
    let text = format!("i=0; while [ $i -lt {fits} ]; do echo 0123456789abcde; i=$((i+1)); done");
    assert_eq!(scripts.run(&text).await.status, Status::Up);
}

#[tokio::test]
async fn a_slow_success_is_degraded() {
    let scripts = Scripts::new();
    let settings = json!({ "plugin": scripts.write("plugin", ""), "slower_than": "1ns" });
    let outcome = run(&scripts.env(), &settings, AMPLE).await;
    assert_eq!((outcome.status, outcome.cause), (Status::Degraded, Some(Cause::Slow)));
}

#[test]
fn wrong_settings_are_told_at_their_places() {
    let settings = json!({
        "plugin": "check_disk",
        "args": ["-p", "${env:PW}", "a\0b"],
        "env": { "A=B": "x" },
    });
    let errors = Exec.parse(&settings).err().expect("is refused");
    let places: Vec<_> = errors.iter().map(|error| error.path.join(".")).collect();
    assert_eq!(places, ["plugin", "args.1", "args.2", "env.A=B"]);
    let errors = Exec.parse(&json!({ "plugin": "/x", "args": [["a"]] })).err();
    assert_eq!(errors.expect("is refused")[0].path, ["args", "0"]);
    let check = Exec.parse(&json!({ "plugin": "/usr/lib/check_disk", "args": ["-w", 10] }));
    assert_eq!(check.expect("well-formed").target(), "check_disk -w 10");
}

#[tokio::test]
async fn turned_round_only_a_plugin_that_says_critical_is_up() {
    let scripts = Scripts::new();
    for (text, status) in [
        ("echo 'OK'; exit 0", Status::Down),
        ("exit 0", Status::Down),
        ("echo 'WARNING: slow'; exit 1", Status::Down),
        ("echo 'CRITICAL: refused'; exit 2", Status::Up),
        // As an interpreter ends that does not understand its arguments.
        ("echo 'usage: plugin [-h]' >&2; exit 2", Status::Unknown),
        ("exit 2", Status::Unknown),
        ("echo 'UNKNOWN: no such host'; exit 3", Status::Unknown),
        ("echo 'CRITICAL'; exit 4", Status::Unknown),
        ("echo 'not found'; exit 127", Status::Unknown),
        ("echo 'CRITICAL'; kill -SEGV $$", Status::Unknown),
    ] {
        let settings = json!({ "plugin": scripts.write("plugin", text), "negate": true });
        let outcome = turned(&scripts.env(), &settings, AMPLE).await;
        assert_eq!(outcome.status, status, "{text}: {outcome:?}");
        assert_eq!(outcome.cause == Some(Cause::Answers), status == Status::Down, "{text}");
    }
    let settings = json!({ "plugin": scripts.write("plugin", "echo CRITICAL; sleep 60"),
        "negate": true });
    let outcome = turned(&scripts.env(), &settings, SHORT).await;
    assert_eq!((outcome.status, outcome.cause), (Status::Unknown, Some(Cause::ExecTimeout)));
    let settings = json!({ "plugin": "/bin/false", "negate": true });
    let outcome = turned(&scripts.env(), &settings, AMPLE).await;
    assert_eq!((outcome.status, outcome.cause), (Status::Unknown, Some(Cause::ExecForbidden)));
}
