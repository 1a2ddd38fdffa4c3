//! What strangers send never becomes SQL: it stays within literals.

use crate::known::{CHECKOUT, known};

/// In every hostile text, and in nothing else.
const MARK: &str = "zqxmark";

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

/// Scenario: each of 200 hostile texts in every parameter of every endpoint.
/// Guarantees: answers are 200 without data, 400 or 404, never a failure of ClickHouse; statements in
/// ClickHouse's log hold it as values of literals alone; the stored spans are all still there.
#[test]
fn hostile_texts_stay_parameters() {
    let known = known();
    let stack = &known.stack;
    let texts = hostile();
    assert_eq!(texts.len(), 200);
    for text in &texts {
        let hostile = encoded(text);
        let as_json = encoded(&serde_json::json!({ text: text }).to_string());
        for target in [
            format!("/api/operations?service={hostile}"),
            format!("/api/services/{hostile}/operations"),
            format!("/api/traces?service={hostile}&operation={hostile}"),
            format!("/api/traces?service=shop&tag={hostile}:{hostile}&tags={as_json}"),
        ] {
            let answer = stack.get(&target);
            assert_eq!(answer.status, 200, "{text:?} in {target}: {answer:?}");
            assert_eq!(answer.json()["total"], 0, "{text:?} in {target}");
        }
        for target in [
            format!("/api/traces/{hostile}"),
            format!("/api/traces?traceID={hostile}"),
            format!("/api/operations?service=shop&spanKind={hostile}"),
            format!("/api/dependencies?endTs={hostile}"),
            format!("/api/dependencies?lookback={hostile}"),
        ] {
            assert_eq!(stack.get(&target).status, 400, "{target}");
        }
        for name in [
            "start",
            "end",
            "limit",
            "minDuration",
            "maxDuration",
            "tags",
        ] {
            let answer = stack.get(&format!("/api/traces?service=shop&{name}={hostile}"));
            assert_eq!(answer.status, 400, "{name} = {text:?}");
        }
    }
    stack.sql("SYSTEM FLUSH LOGS");
    let logged = "SELECT count() FROM system.query_log WHERE log_comment LIKE 'spanmill %'";
    let searches: u64 = stack.sql(logged).parse().expect("a number");
    assert!(searches >= 800, "{searches} statements are in the log");
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
