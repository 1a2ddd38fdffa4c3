//! What strangers send never becomes SQL: it stays within literals.

use crate::known::{CHECKOUT, known};
use crate::support::Stack;

/// In every hostile text, and in nothing else.
const MARK: &str = "zqxmark";
const CLIENTS: usize = 8;

/// 200 texts that would do harm if they became part of a statement.
fn hostile() -> Vec<String> {
    let ends = [
        "'",
        "\"",
        "`",
        "\\'",
        "')",
        "'))",
        "}",
        "{p0:String}",
        "\\",
        "\u{0}'",
    ];
    let attacks = [
        "OR 1=1",
        "; DROP TABLE spanmill.otel_traces",
        "UNION ALL SELECT 1",
        "-- ",
        "/*",
        "#",
        "SETTINGS readonly=0",
        "FORMAT Null",
        "INTO OUTFILE 'x'",
        "AND sleep(3)",
        "|| version()",
        "IN (SELECT name FROM system.users)",
        "FROM url('http://127.0.0.1/')",
        "LIMIT 0",
        "{p1:UInt64}",
        "\\x27",
        "\n;\n",
        "\t",
        "%27",
        "$$",
    ];
    let text = |(end, attack): (&str, &str)| format!("{MARK}{end} {attack} {MARK}");
    let pairs = ends
        .iter()
        .flat_map(|end| attacks.iter().map(|attack| (*end, *attack)));
    pairs.map(text).collect()
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// Where any text is a value, and where the list is that it must not fill.
fn taken(hostile: &str, as_json: &str) -> Vec<(String, &'static str)> {
    let range = "startTime=2026-01-01T00:00:00Z&endTime=2026-01-02T00:00:00Z";
    let search = "query.startTimeMin=2026-01-01T00:00:00Z&query.startTimeMax=2099-01-01T00:00:00Z";
    vec![
        (format!("/api/operations?service={hostile}"), "/data"),
        (format!("/api/services/{hostile}/operations"), "/data"),
        (
            format!("/api/traces?service={hostile}&operation={hostile}"),
            "/data",
        ),
        (
            format!("/api/traces?service=shop&tag={hostile}:{hostile}&tags={as_json}"),
            "/data",
        ),
        (format!("/api/v1/traces?tag=http.route:{hostile}"), "/data"),
        (format!("/api/dependencies?service={hostile}"), "/data"),
        (
            format!("/api/v1/services/stats?service={hostile}&operation={hostile}"),
            "/data",
        ),
        (
            format!("/api/metrics/calls?service={hostile}&step=60000"),
            "/metrics",
        ),
        (
            format!("/api/metrics/latencies?service={hostile}&quantile=0.5&step=60000"),
            "/metrics",
        ),
        (
            format!("/api/v3/operations?service={hostile}"),
            "/operations",
        ),
        (
            format!("/api/v3/trace-summaries?{search}&query.serviceName={hostile}"),
            "/summaries",
        ),
        (
            format!("/api/v3/trace-summaries?{search}&query.operationName={hostile}"),
            "/summaries",
        ),
        (
            format!("/api/v3/trace-summaries?{search}&query.attributes={as_json}"),
            "/summaries",
        ),
        (
            format!("/api/v3/dependencies?{range}&ignored={hostile}"),
            "/dependencies",
        ),
    ]
}

/// Where it makes no sense.
fn refused(hostile: &str) -> Vec<String> {
    let mut targets = vec![
        format!("/api/traces/{hostile}"),
        format!("/api/v1/traces/{hostile}"),
        format!("/api/v3/traces/{hostile}"),
        format!("/api/v3/traces/{CHECKOUT}?startTime={hostile}"),
        format!("/api/v3/traces/{CHECKOUT}?rawTraces={hostile}"),
        format!("/api/traces?traceID={hostile}"),
        format!("/api/operations?service=shop&spanKind={hostile}"),
        format!("/api/v3/operations?service=shop&spanKind={hostile}"),
        format!("/api/dependencies?endTs={hostile}"),
        format!("/api/dependencies?lookback={hostile}"),
        format!("/api/v3/dependencies?startTime={hostile}&endTime={hostile}"),
        format!("/api/v3/traces?query.startTimeMin={hostile}&query.startTimeMax={hostile}"),
    ];
    for name in [
        "start",
        "end",
        "limit",
        "minDuration",
        "maxDuration",
        "tags",
    ] {
        targets.push(format!("/api/traces?service=shop&{name}={hostile}"));
    }
    for name in ["start", "end", "groupBy", "spanKind", "limit"] {
        targets.push(format!("/api/v1/services/stats?{name}={hostile}"));
    }
    for name in [
        "endTs",
        "lookback",
        "step",
        "ratePer",
        "spanKind",
        "groupByOperation",
    ] {
        targets.push(format!("/api/metrics/errors?service=shop&{name}={hostile}"));
    }
    targets.push(format!(
        "/api/metrics/latencies?service=shop&quantile={hostile}"
    ));
    targets
}

fn ask(stack: &Stack, text: &str) {
    let hostile = encoded(text);
    let as_json = encoded(&serde_json::json!({ text: text }).to_string());
    for (target, none) in taken(&hostile, &as_json) {
        let answer = stack.get(&target);
        assert_eq!(answer.status, 200, "{text:?} in {target}: {answer:?}");
        let json = answer.json();
        let found = json.pointer(none).and_then(serde_json::Value::as_array);
        assert_eq!(found.map(Vec::len), Some(0), "{text:?} in {target}: {json}");
    }
    for target in refused(&hostile) {
        let answer = stack.get(&target);
        assert_eq!(answer.status, 400, "{text:?} in {target}: {answer:?}");
    }
}

/// Scenario: each of 200 hostile texts in every parameter of every endpoint.
/// Guarantees: answers are 200 without data, 400 or 404, never a failure of ClickHouse; statements in
/// ClickHouse's log hold it as values of literals alone; the stored spans are all still there.
#[test]
fn hostile_texts_stay_parameters() {
    let known = known();
    let stack = &known.stack;
    let texts = hostile();
    assert_eq!(texts.len(), 200);
    // A few at a time, because they are many.
    std::thread::scope(|scope| {
        for texts in texts.chunks(texts.len() / CLIENTS) {
            scope.spawn(|| texts.iter().for_each(|text| ask(stack, text)));
        }
    });
    stack.sql("SYSTEM FLUSH LOGS");
    let logged = "SELECT count() FROM system.query_log WHERE log_comment LIKE 'spanmill %'";
    let searches: u64 = stack.sql(logged).parse().expect("a number");
    assert!(searches >= 2_000, "{searches} statements are in the log");
    // The log shows parameters in their places, as literals, which normalizeQuery takes out again.
    let held = stack.sql(&format!(
        "{logged} AND position(query, concat('zqx', 'mark')) > 0 \
         AND position(normalizeQuery(query), concat('zqx', 'mark')) = 0"
    ));
    assert_ne!(held, "0", "the hostile texts got there");
    let held = stack.sql(&format!(
        "{logged} AND position(normalizeQuery(query), concat('zqx', 'mark')) > 0"
    ));
    assert_eq!(held, "0", "outside of literals");
    assert_eq!(stack.get(&format!("/api/traces/{CHECKOUT}")).status, 200);
    assert_eq!(stack.sql("SELECT count() FROM spanmill.otel_traces"), "5");
}
