//! What files mean, and what is said of mistakes.

use crosscheck_model::Text;

use super::*;

const WHOLE: &str = r#"
probe: bj-1
site: bj-ct
coordinators: ["https://a.example:8443", "http://[::1]:9000/x"]
data: /var/lib/crosscheck-probe
internal: true
exec: { allow: [/usr/lib/nagios/plugins/], variables: [PGPASSWORD] }
secrets: { files: [/etc/crosscheck/checks], variables: [TOKEN, "CHECK_*"] }
browser: /usr/bin/chromium
second_resolver: 192.0.2.53
metrics: 127.0.0.1:9464
limits: { concurrency: 50 }
last_resort: { mail: ops@example.com, smtp: "smtp://mail.example.com", from: probe@example.com, after: 5m }
"#;

#[test]
fn a_whole_file_is_understood() {
    let config = Config::parse("probe.yaml", WHOLE).expect("valid");
    assert_eq!(config.probe, ProbeId::new("bj-1"));
    assert_eq!(config.limits, Limits { concurrency: 50, spool: SPOOL });
    assert!(matches!(config.guard(), Guard::Internal));
    let allow = vec![PathBuf::from("/usr/lib/nagios/plugins/")];
    assert_eq!(config.exec, Programs::new(allow, vec!["PGPASSWORD".to_owned()]));
    let secrets = Allowed::new(
        vec![PathBuf::from("/etc/crosscheck/checks")],
        vec!["TOKEN".to_owned(), "CHECK_*".to_owned()],
    );
    assert_eq!(config.secrets, Some(secrets));
    let programs = config.programs();
    assert_eq!(programs.browser(), Ok(Path::new("/usr/bin/chromium")));
    assert_eq!(programs.pictures(), Some(Path::new("/var/lib/crosscheck-probe/pictures")));
    let second = config.second_resolver().map(|server| server.to_string());
    assert_eq!(second.as_deref(), Some("192.0.2.53:53"));
    let after = config.last_resort.as_ref().and_then(|mail| mail.after);
    assert_eq!(after, Some(std::time::Duration::from_secs(300)));
    assert_eq!(base(&config.coordinators[1]).expect("a URL").as_str(), "http://[::1]:9000/x/");
}

#[test]
fn what_is_left_out_has_a_safe_meaning() {
    let text = "probe: p\nsite: s\ncoordinators: [\"http://127.0.0.1\"]\n";
    let config = Config::parse("probe.yaml", text).expect("valid");
    assert!(matches!(config.guard(), Guard::Public(_)));
    assert_eq!(config.exec, Programs::default());
    assert!(config.data.is_none() && config.metrics.is_none());
    assert!(config.programs().browser().is_err_and(|why| why.contains("`browser: /")));
    assert!(config.identity().expect("none is needed").is_none());
}

#[test]
fn no_check_reads_the_probes_own_key() {
    let data = tempfile::tempdir().expect("a directory");
    let key = data.path().join("key.pem");
    std::fs::write(&key, "a key").expect("a file");
    let mut config = Config::new("p", "s");
    config.data = Some(data.path().to_owned());
    let text = Text::new(format!("${{file:{}}}", key.display())).expect("a reference");
    let told = config.secrets().resolve(&text).map_err(|error| error.to_string());
    assert!(told.as_ref().is_err_and(|why| why.contains("no check may read")), "{told:?}");
    config.data = None;
    assert_eq!(config.secrets().resolve(&text).ok().as_deref(), Some("a key"));
    config.closed = vec![data.path().to_owned()];
    assert!(config.secrets().resolve(&text).is_err());
    config.closed.clear();
    config.secrets = Some(Allowed::default());
    assert!(config.secrets().resolve(&text).is_err(), "nothing is allowed");
}

#[test]
fn mistakes_are_named_all_at_once() {
    let base = "probe: p\nsite: s\ndata: /d\ncoordinators: [\"https://a\"]\n";
    for (text, wanted) in [
        ("site: s\ncoordinators: [\"https://a\"]", vec!["probe"]),
        (&*format!("{base}colour: red"), vec!["colour"]),
        (&*format!("{base}limits: {{ speed: 1 }}"), vec!["speed"]),
        (&*base.replace("data: /d\n", ""), vec!["without `data`"]),
        (&*base.replace("https://a", "http://a"), vec!["`http://a`", "crosscheck-probe join"]),
        (&*base.replace("https://a", "http://localhost"), vec!["clear text"]),
        (&*format!("{base}exec: {{ allow: [plugins] }}"), vec!["`exec.allow`: `plugins`"]),
        (&*format!("{base}files: {{ allow: [up] }}"), vec!["`files.allow`: `up`"]),
        (
            &*format!("{base}secrets: {{ files: [etc], variables: [\"A*B\"] }}"),
            vec!["`secrets.files`: `etc`", "`secrets.variables`: `A*B`"],
        ),
        (&*format!("{base}secrets: {{ closed: [/] }}"), vec!["closed"]),
        (&*format!("{base}closed: [/]"), vec!["closed"]),
        (&*format!("{base}browser: chromium"), vec!["`browser`: `chromium`"]),
        (&*format!("{base}second_resolver: ns1"), vec!["`second_resolver`: `ns1`"]),
        (&*format!("{base}metrics: here"), vec!["socket address"]),
        (
            &*format!("{base}last_resort: {{ smtp: \"smtp://h\", from: nobody }}"),
            vec!["`mail`: list", "`from`"],
        ),
        (
            "probe: \"\"\nsite: s\ncoordinators: []",
            vec!["`probe` is empty", "`coordinators` is empty"],
        ),
        ("probe: p\nsite: s\ncoordinators: [\"a:1\", \"nonsense\"]", vec!["`a:1`", "`nonsense`"]),
        (
            &*format!("{base}limits: {{ spool: 0, concurrency: 0 }}"),
            vec!["limits.spool", "limits.concurrency"],
        ),
    ] {
        let error = Config::parse("probe.yaml", text).expect_err(text).to_string();
        assert!(error.contains("probe.yaml"), "{error}");
        for part in wanted {
            assert!(error.contains(part), "`{part}` in: {error}");
        }
    }
}
