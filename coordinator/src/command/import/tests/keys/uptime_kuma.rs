//! The keys of Uptime Kuma.

use super::*;

fn kuma<'a>(text: &'a str, keys: &'a [&'a str]) -> Place<'a> {
    Place {
        source: "uptime-kuma",
        file: "backup.json",
        text,
        targets: None,
        keys,
        unknown: Some("\"zz\": 1,"),
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn every_key_of_a_monitor_of_uptime_kuma() {
    let common = [
        "\"parent\": 2,",
        "\"maxretries\": 3,",
        "\"maxretries\": 30,",
        "\"maxretries\": 3, \"retryInterval\": 20,",
        "\"active\": false,",
        "\"forceInactive\": true,",
        "\"timeout\": 9,",
        "\"resendInterval\": 5,",
        "\"upsideDown\": true,",
        "\"description\": \"x\",",
        "\"tags\": [{ \"name\": \"a\", \"value\": \"b\" }],",
        "\"notificationIDList\": { \"1\": true },",
        "\"proxyId\": 1,",
        "\"docker_container\": \"x\",",
        "\"docker_host\": 1,",
        "\"mqttTopic\": \"x\",",
        "\"mqttSuccessMessage\": \"x\",",
        "\"mqttUsername\": \"x\",",
        "\"databaseQuery\": \"x\",",
        "\"grpcServiceName\": \"x\",",
        "\"radiusCalledStationId\": \"x\",",
        "\"game\": \"x\",",
        "\"kafkaProducerTopic\": \"x\",",
        "\"kafkaProducerBrokers\": [\"x\"],",
        "\"kafkaProducerSaslOptions\": { \"mechanism\": \"plain\" },",
        "\"pushToken\": \"x\",",
        "\"conditions\": [{ \"a\": 1 }],",
        "\"ipFamily\": \"ipv6\",",
        "\"remote_browser\": 1,",
        "\"snmpOid\": \"x\",",
        "\"rabbitmqNodes\": [\"x\"],",
        "\"system_service_name\": \"x\",",
    ];
    let around = |monitor: &str| {
        format!(
            "{{ \"monitorList\": [{{ \"id\": 1, \"name\": \"a\", \"interval\": 60, § {monitor} }}, \
             {{ \"id\": 2, \"name\": \"g\", \"type\": \"group\" }}], \
             \"notificationList\": [{{ \"id\": 1, \"name\": \"Ops\", \"active\": true, \"config\": \
             \"{{\\\"type\\\":\\\"smtp\\\",\\\"smtpHost\\\":\\\"m.example.com\\\",\\\"smtpFrom\\\":\\\"a@example.com\\\",\\\"smtpTo\\\":\\\"b@example.com\\\"}}\" }}], \
             \"proxyList\": [{{ \"id\": 1, \"protocol\": \"http\", \"host\": \"p.example.com\", \"port\": 3128, \
             \"auth\": true, \"active\": true, \"username\": \"u\", \"password\": \"hunter2\" }}] }}"
        )
    };
    for (monitor, keys) in [
        (
            "\"type\": \"http\", \"url\": \"https://a.example.com/\"",
            &[
                "\"method\": \"PUT\",",
                "\"body\": \"{}\",",
                "\"body\": \"a=b\", \"httpBodyEncoding\": \"form\",",
                "\"headers\": \"{\\\"A\\\": \\\"b\\\"}\",",
                "\"headers\": \"x\",",
                "\"maxredirects\": 0,",
                "\"accepted_statuscodes\": [\"200\"],",
                "\"expiryNotification\": true,",
                "\"domainExpiryNotification\": true,",
                "\"ignoreTls\": true,",
                "\"cacheBust\": true,",
                "\"retryOnlyOnStatusCodeFailure\": true,",
                "\"saveResponse\": true,",
                "\"keyword\": \"x\",",
                "\"authMethod\": \"basic\", \"basic_auth_user\": \"u\", \"basic_auth_pass\": \"hunter2\",",
                "\"authMethod\": \"ntlm\", \"authDomain\": \"d\", \"authWorkstation\": \"w\",",
                "\"authMethod\": \"mtls\", \"tlsCert\": \"hunter2\", \"tlsKey\": \"hunter2\", \"tlsCa\": \"x\",",
                "\"authMethod\": \"bearer\", \"bearer_token\": \"hunter2\",",
                "\"authMethod\": \"oauth2-cc\", \"oauth_client_id\": \"c\", \"oauth_client_secret\": \"hunter2\", \"oauth_token_url\": \"https://t.example.com/\", \"oauth_scopes\": \"a b\", \"oauth_auth_method\": \"client_secret_post\", \"oauth_audience\": \"x\",",
            ][..],
        ),
        (
            "\"type\": \"keyword\", \"url\": \"https://a.example.com/\", \"keyword\": \"x\"",
            &["\"invertKeyword\": true,"],
        ),
        (
            "\"type\": \"json-query\", \"url\": \"https://a.example.com/\", \"expectedValue\": \"5\"",
            &[
                "\"jsonPath\": \"a.b\",",
                "\"jsonPathOperator\": \">\",",
                "\"jsonPathOperator\": \"contains\",",
                "\"jsonPathOperator\": \"~\",",
            ],
        ),
        (
            "\"type\": \"ping\", \"hostname\": \"a.example.com\"",
            &["\"packetSize\": 99,", "\"ping_count\": 4,", "\"ping_per_request_timeout\": 5,"],
        ),
        (
            "\"type\": \"dns\", \"hostname\": \"a.example.com\"",
            &[
                "\"dns_resolve_type\": \"MX\",",
                "\"dns_resolve_server\": \"8.8.8.8\",",
                "\"dns_resolve_server\": \"1.1.1.1, 8.8.8.8\",",
                "\"dns_resolve_server\": \"1.1.1.1\", \"port\": 5353,",
            ],
        ),
        (
            "\"type\": \"smtp\", \"hostname\": \"a.example.com\", \"port\": 587",
            &["\"smtpSecurity\": \"starttls\",", "\"smtpSecurity\": \"secure\","],
        ),
        (
            "\"type\": \"redis\", \"databaseConnectionString\": \"rediss://u:hunter2@a.example.com:6379\"",
            &["\"ignoreTls\": true,"],
        ),
    ] {
        let text = around(monitor);
        kuma(&text, keys).holds();
        kuma(&text, &common).holds();
    }
}

#[test]
fn every_type_of_uptime_kuma_and_its_lists() {
    let of = |monitor: &str| {
        format!(
            "{{\"monitorList\": [{{\"id\": 1, \"name\": \"a\", \"type\": \"{monitor}\", \"interval\": 60}}]}}"
        )
    };
    for kind in [
        "docker",
        "push",
        "steam",
        "gamedig",
        "mqtt",
        "radius",
        "kafka-producer",
        "snmp",
        "rabbitmq",
        "postgres",
        "sqlserver",
        "mongodb",
        "mysql",
        "redis",
        "tailscale-ping",
        "manual",
        "grpc-keyword",
        "system-service",
        "globalping",
        "another",
    ] {
        let (_, yaml, notes) = imported("uptime-kuma", "in", of(kind).as_bytes(), None);
        assert!(!yaml.contains("checks:") && notes.contains("left out"), "{kind}: {notes}");
    }
    let list = |gap: &str| {
        format!(
            "{{ \"monitorList\": [{{ \"id\": 1, \"name\": \"a\", \"type\": \"ping\", \"hostname\": \"a\", \"interval\": 60 }}], {gap} \"version\": \"1.23\" }}"
        )
    };
    kuma(
        &list("§"),
        &[
            "\"proxyList\": [{ \"id\": 1, \"host\": \"p\" }],",
            "\"notificationList\": [{ \"id\": 1, \"name\": \"n\", \"config\": \"{\\\"type\\\":\\\"slack\\\"}\" }],",
            "\"tagList\": [{ \"name\": \"t\" }],",
            "\"statusPageList\": [{ \"slug\": \"t\" }],",
        ],
    )
    .holds();
    let text = list(
        "\"maintenanceList\": [{ \"id\": 1, \"title\": \"t\", \"active\": true, § \"timeRange\": [{ \"hours\": 2, \"minutes\": 0 }, { \"hours\": 3, \"minutes\": 0 }] }],",
    );
    let windows = kuma(
        &text,
        &[
            "\"strategy\": \"recurring-weekday\", \"weekdays\": [1], \"timezoneOption\": \"SAME_AS_SERVER\",",
            "\"strategy\": \"recurring-weekday\", \"weekdays\": [1], \"timezone\": \"Asia/Tokyo\",",
            "\"strategy\": \"recurring-interval\", \"intervalDay\": 1, \"dateRange\": [\"2026-01-01 00:00:00\"],",
            "\"strategy\": \"recurring-interval\", \"intervalDay\": 3,",
            "\"strategy\": \"recurring-day-of-month\", \"daysOfMonth\": [1],",
            "\"strategy\": \"cron\", \"cron\": \"15 3 * * 1,2\", \"durationMinutes\": 30,",
            "\"strategy\": \"cron\", \"cron\": \"*/5 3 1 * *\", \"durationMinutes\": 30,",
            "\"strategy\": \"single\", \"dateRange\": [\"2026-01-01 00:00:00\", \"2026-01-02 00:00:00\"],",
            "\"strategy\": \"manual\",",
            "\"monitorList\": [{ \"id\": 7 }],",
            "\"description\": \"x\",",
        ],
    );
    // Without its strategy nothing of a window is understood.
    Place { unknown: None, ..windows }.holds();
    kuma(
        &list("\"notificationList\": [{ \"id\": 1, \"name\": \"n\", § \"config\": \"{\\\"type\\\":\\\"smtp\\\",\\\"smtpHost\\\":\\\"m.example.com\\\",\\\"smtpFrom\\\":\\\"a@example.com\\\",\\\"smtpTo\\\":\\\"b@example.com\\\",\\\"customSubject\\\":\\\"x\\\",\\\"other\\\":\\\"x\\\"}\" }],"),
        &["\"active\": false,"],
    )
    .holds();
}
