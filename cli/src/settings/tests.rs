//! Settings as a whole: which source wins, how values relate, and what each command needs.

use std::io::Write;

use super::*;

const HOME: (&str, &str) = ("HOME", "/home/me");

/// Loads with `--key value` flags, variables, and a file if its text is not empty.
fn load_for(
    command: Command,
    flags: &[(&str, &str)],
    variables: &[(&str, &str)],
    file: &str,
) -> Result<Settings, String> {
    let mut on_disk = tempfile::NamedTempFile::new().expect("temp file");
    on_disk.write_all(file.as_bytes()).expect("written");
    let flag =
        |(key, text): &(&str, &str)| (table::find(key).expect("a setting"), (*text).to_owned());
    let mut flags: Vec<_> = flags.iter().map(flag).collect();
    if !file.is_empty() {
        flags.push((
            &table::CONFIG,
            on_disk.path().to_str().expect("UTF-8").to_owned(),
        ));
    }
    let mut variables = variables.to_vec();
    variables.push(HOME);
    let variables: Vec<_> = variables
        .iter()
        .map(|(k, v)| (k.into(), v.into()))
        .collect();
    load(command, flags, &variables).map_err(|error| error.to_string())
}

fn up(flags: &[(&str, &str)], variables: &[(&str, &str)], file: &str) -> Result<Settings, String> {
    load_for(Command::Up, flags, variables, file)
}

fn refused(flags: &[(&str, &str)], expected: &[&str]) {
    let error = up(flags, &[], "").expect_err("refused");
    for text in expected {
        assert!(error.contains(text), "{text:?} is not in: {error}");
    }
}

/// Scenario: nothing is given. Guarantees: all defaults are good and agree with each other, and
/// are the documented ones.
#[test]
fn defaults_are_valid() {
    let settings = up(&[], &[], "").expect("valid");
    assert_eq!(
        settings.data_dir,
        PathBuf::from("/home/me/.local/share/spanmill")
    );
    assert!(!settings.clickhouse_is_given);
    assert_eq!(settings.listeners.otlp_grpc.to_string(), "127.0.0.1:4317");
    assert_eq!(settings.listeners.otlp_http.to_string(), "127.0.0.1:4318");
    assert_eq!(settings.listeners.admin.to_string(), "127.0.0.1:8888");
    assert!(matches!(settings.embedded.native, Port::Prefer(9000)));
    assert!(matches!(settings.embedded.http, Port::Prefer(8123)));
    let for_few_shards = SchemaSettings {
        inserts_remembered: settings.schema.inserts_remembered,
        ..SchemaSettings::default()
    };
    assert_eq!(settings.schema, for_few_shards);
    assert!((1..=256).contains(&settings.shards));
    assert!(matches!(settings.reactor, ReactorChoice::Auto));
    assert_eq!(settings.pin, Pin::Auto);
    assert_eq!(
        (settings.batching.rows, settings.batching.rows_max),
        (10_000, 200_000)
    );
    assert_eq!(settings.batching.ack, AckMode::Log);
    assert_eq!(settings.batching.age, Duration::from_secs(1));
    assert_eq!(settings.wal.folder, settings.data_dir.join("wal"));
    assert_eq!(
        settings.wal.bytes_max,
        spanmill_engine::host_needs::WAL_BYTES
    );
    assert_eq!(settings.batching.insert_timeout, Duration::from_secs(30));
    assert_eq!(settings.batching.ack_timeout, Duration::from_secs(8));
    assert!(settings.memory.request_bytes_max <= 64 << 20);
    let day = Duration::from_hours(24);
    assert_eq!(settings.timestamps.past_max, 30 * day);
    assert_eq!(settings.timestamps.future_max, day);
    assert_eq!(settings.drain_timeout, Duration::from_secs(15));
    assert_eq!(
        (settings.log.format, settings.log.filter.as_str()),
        (LogFormat::Auto, "info")
    );
}

/// Scenario: one setting from all sources, another from two, another from one. Guarantees: flag
/// wins over variable, variable over file, file over default.
#[test]
fn the_nearest_source_wins() {
    let file = "shards: 3\nbatch_rows: 300\nbatch_age: 300ms\n";
    let variables = [("SPANMILL_SHARDS", "2"), ("SPANMILL_BATCH_ROWS", "200")];
    let settings = up(&[("shards", "1")], &variables, file).expect("valid");
    assert_eq!(settings.shards, 1);
    assert_eq!(settings.batching.rows, 200);
    assert_eq!(settings.batching.age, Duration::from_millis(300));
    assert_eq!(settings.batching.rows_max, 200_000);
}

/// Scenario: the file is named by `SPANMILL_CONFIG`, and by a flag too. Guarantees: the variable
/// works, and the flag wins.
#[test]
fn the_file_may_be_named_by_a_variable() {
    let mut file = tempfile::NamedTempFile::new().expect("temp file");
    file.write_all(b"shards: 7\n").expect("written");
    let path = file.path().to_str().expect("UTF-8");
    assert_eq!(
        up(&[], &[("SPANMILL_CONFIG", path)], "")
            .expect("valid")
            .shards,
        7
    );
    let both = up(&[], &[("SPANMILL_CONFIG", path)], "shards: 6\n").expect("valid");
    assert_eq!(both.shards, 6);
    let error = up(&[("config", "/nowhere/s.yaml")], &[], "").expect_err("refused");
    assert!(
        error.contains("/nowhere/s.yaml: the settings file cannot be read"),
        "{error}"
    );
}

/// Scenario: bad values in a flag, a variable and the file, and an unknown key. Guarantees: all
/// four are reported at once, each with key, value, source and what is accepted.
#[test]
fn all_problems_are_reported_at_once() {
    let variables = [("SPANMILL_BATCH_AGE", "fast")];
    let file = "\n\nreactor: kqueue\nbogus: 1\n";
    let error = up(&[("shards", "0")], &variables, file).expect_err("refused");
    for text in [
        "shards = \"0\" (--shards): out of range. Accepted: a whole number from 1 to 256",
        "batch_age = \"fast\" (SPANMILL_BATCH_AGE): not a time",
        ":3): no such reactor. Accepted: auto, uring or epoll",
        ":4: bogus: no such setting",
    ] {
        assert!(error.contains(text), "{text:?} is not in: {error}");
    }
    assert_eq!(error.lines().count(), 5, "{error}");
}

/// Scenario: each setting gets a text that is never valid for it. Guarantees: every setting is
/// read and checked; none is declared and then forgotten.
#[test]
fn every_setting_is_read() {
    for setting in table::ALL {
        let bad = match setting.key {
            "clickhouse_password" | "config" => continue,
            "clickhouse_user" | "data_dir" | "wal_dir" => "",
            "log_level" => "=nonsense=,",
            _ => "no such value",
        };
        let error = up(&[(setting.key, bad)], &[], "").expect_err(setting.key);
        assert!(error.contains(&format!("{} = ", setting.key)), "{error}");
        assert!(error.contains(setting.accepts), "{error}");
    }
}

/// Scenario: values that are each in range and contradict each other. Guarantees: refused, with
/// both keys and sources.
#[test]
fn relations_are_checked() {
    refused(
        &[("batch_rows", "500"), ("batch_rows_max", "100")],
        &["batch_rows = \"500\" (--batch-rows) is above batch_rows_max = \"100\""],
    );
    refused(
        &[("batch_age", "8s")],
        &["batch_age", "is not below ack_timeout = \"8s\" (default)"],
    );
    refused(
        &[
            ("memory_max", "256MiB"),
            ("request_bytes_max", "64MiB"),
            ("shards", "1"),
        ],
        &[
            "memory_max = \"256MiB\" (--memory-max), 256 MiB, is too little for request_bytes_max",
            "raise memory_max to ",
            "or lower shards or request_bytes_max",
        ],
    );
    refused(
        &[("memory_max", "64MiB"), ("shards", "256")],
        &["memory_max", "raise memory_max to ", "or lower shards"],
    );
    refused(
        &[("native_port", "9"), ("http_port", "9")],
        &["native_port", "http_port"],
    );
    refused(
        &[("otlp_http", "127.0.0.1:4317")],
        &["otlp_grpc", "otlp_http", "cannot both"],
    );
    refused(
        &[("admin", "0.0.0.0:4318")],
        &["otlp_http", "admin", "cannot both"],
    );
    refused(
        &[("clickhouse", "db:9000")],
        &["clickhouse = \"db:9000\"", "clickhouse_http"],
    );
    refused(
        &[("clickhouse_cluster", "prod")],
        &[
            "clickhouse_cluster (--clickhouse-cluster)",
            "has no cluster",
        ],
    );
    refused(
        &[("clickhouse_http", "http://db:8123")],
        &["needs clickhouse of the same"],
    );
    let free = [
        ("otlp_grpc", "127.0.0.1:0"),
        ("otlp_http", "127.0.0.1:0"),
        ("native_port", "0"),
    ];
    assert!(up(&free, &[], "").is_ok());
}

/// Scenario: a password that cannot apply, and one inside a URL. Guarantees: refused, and the
/// password is in no message.
#[test]
fn passwords_stay_out_of_messages() {
    let error = up(&[], &[("SPANMILL_CLICKHOUSE_PASSWORD", "s3cret")], "").expect_err("refused");
    assert!(
        error.contains("clickhouse_password (SPANMILL_CLICKHOUSE_PASSWORD)"),
        "{error}"
    );
    assert!(!error.contains("s3cret"), "{error}");
    let url = ("clickhouse_http", "http://me:s3cret@db:8123");
    let error = up(&[url, ("clickhouse", "db:9000")], &[], "").expect_err("refused");
    assert!(
        error.contains("settings of their own") && !error.contains("s3cret"),
        "{error}"
    );
    let given = [
        ("clickhouse", "db:9000"),
        ("clickhouse_http", "http://db:8123"),
        ("clickhouse_password", "s3cret"),
    ];
    let settings = up(&given, &[], "").expect("valid");
    assert!(!format!("{settings:?}").contains("s3cret"));
    assert_eq!(settings.clickhouse.password.reveal(), "s3cret");
}

/// Scenario: each command without and with a ClickHouse. Guarantees: `up` runs its own unless
/// both addresses are given, `engine` and `migrate` fall back to the local default ports, and
/// `migrate` is content with the HTTP address.
#[test]
fn each_command_finds_its_clickhouse() {
    let local = |command| load_for(command, &[], &[], "").expect("valid");
    assert!(!local(Command::Up).clickhouse_is_given);
    for command in [Command::Engine, Command::Migrate] {
        let found = local(command).clickhouse;
        assert_eq!(found.native, ["127.0.0.1:9000"]);
        assert_eq!(found.http, "http://127.0.0.1:8123");
        assert_eq!(found.user, "default");
    }
    let http = [("clickhouse_http", "http://db:8123/")];
    let found = load_for(Command::Migrate, &http, &[], "")
        .expect("valid")
        .clickhouse;
    assert_eq!(found.http, "http://db:8123");
    assert!(load_for(Command::Migrate, &[("clickhouse", "db:9000")], &[], "").is_err());
    assert!(load_for(Command::Engine, &http, &[], "").is_err());
    let both = [
        http[0],
        ("clickhouse", "db:9000"),
        ("clickhouse_user", "writer"),
    ];
    let settings = up(&both, &[], "").expect("valid");
    assert!(settings.clickhouse_is_given);
    assert_eq!(settings.clickhouse.native, ["db:9000"]);
    assert_eq!(settings.clickhouse.user, "writer");
}

/// Scenario: several endpoints with and without a cluster. Guarantees: with one they arrive in order;
/// without they are refused, since rows would be stored twice.
#[test]
fn several_endpoints_need_a_cluster() {
    let several = [
        ("clickhouse", "db1:9000, db2:9000"),
        ("clickhouse_http", "http://db1:8123"),
    ];
    refused(
        &several,
        &["clickhouse = \"db1:9000, db2:9000\"", "clickhouse_cluster"],
    );
    let with_cluster = [several[0], several[1], ("clickhouse_cluster", "prod")];
    let settings = up(&with_cluster, &[], "").expect("valid");
    assert_eq!(settings.clickhouse.native, ["db1:9000", "db2:9000"]);
}

/// Scenario: no folder for data can be guessed. Guarantees: refused with the flag to give; an
/// absolute XDG_DATA_HOME is preferred over HOME, a relative one ignored.
#[test]
fn the_data_folder_follows_xdg() {
    let error = load(Command::Up, vec![], &[])
        .expect_err("refused")
        .to_string();
    assert!(error.contains("give --data-dir"), "{error}");
    let settings = up(&[], &[("XDG_DATA_HOME", "/data")], "").expect("valid");
    assert_eq!(settings.data_dir, PathBuf::from("/data/spanmill"));
    let settings = up(&[], &[("XDG_DATA_HOME", "data")], "").expect("valid");
    assert_eq!(
        settings.data_dir,
        PathBuf::from("/home/me/.local/share/spanmill")
    );
}

/// Scenario: few shards, and many. Guarantees: tables remember as many inserts as derived for them.
#[test]
fn tables_remember_the_inserts_of_all_shards() {
    for (shards, inserts) in [("1", 200_000), ("66", 200_000), ("100", 300_000)] {
        let given = [("shards", shards), ("memory_max", "64GiB")];
        let settings = up(&given, &[], "").expect("valid");
        assert_eq!(settings.schema.inserts_remembered, inserts, "{shards}");
        assert!(!settings.schema.inserts_remembered_is_given);
    }
}

/// Scenario: attributes, days and a cluster are given; lists that are empty, and lists whose columns
/// clash. Guarantees: they arrive as given; a clash is refused with its key, source and attribute.
#[test]
fn the_tables_are_settled() {
    let given = [
        ("clickhouse", "db:9000"),
        ("clickhouse_http", "http://db:8123"),
        ("clickhouse_cluster", "prod"),
        ("promoted_span_attributes", ""),
        ("promoted_log_attributes", "k8s.pod.name, code=i64"),
        ("retention_raw", "7"),
        ("retention_1h", "730"),
        ("inserts_remembered", "500000"),
    ];
    let schema = up(&given, &[], "").expect("valid").schema;
    assert_eq!(schema.inserts_remembered, 500_000);
    assert!(schema.inserts_remembered_is_given);
    assert_eq!(schema.cluster.as_deref(), Some("prod"));
    assert_eq!(schema.tables.promoted_spans, []);
    let logs: Vec<_> = schema
        .tables
        .promoted_logs
        .iter()
        .map(|p| &p.column)
        .collect();
    assert_eq!(logs, ["ExceptionType", "K8sPodName", "Code"]);
    let retention = schema.retention;
    let days = (
        retention.raw_days,
        retention.five_minute_days,
        retention.hour_days,
    );
    assert_eq!(days, (7, 90, 730));

    for (key, clash, with) in [
        ("promoted_span_attributes", "a.b,a_b", "\"a_b\""),
        ("promoted_log_attributes", "body", "\"body\""),
    ] {
        refused(
            &[(key, clash)],
            &[&format!("{key} = \"{clash}\" (--"), with],
        );
    }
    refused(
        &[("retention_5m", "10001")],
        &["retention_5m = \"10001\"", "out of range"],
    );
}

/// Scenario: memory from little to much, with nothing said about requests.
/// Guarantee: the largest request is 64 MiB, or less where that could not be held.
#[test]
fn requests_are_bounded_by_memory() {
    let request_bytes_max = |memory| {
        let given = [("memory_max", memory), ("shards", "1")];
        up(&given, &[], "").expect(memory).memory.request_bytes_max
    };
    assert_eq!(request_bytes_max("2GiB"), 64 << 20);
    assert!((8 << 20..64 << 20).contains(&request_bytes_max("256MiB")));
}
