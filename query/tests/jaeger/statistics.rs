//! Rates, errors and durations: Jaeger's monitor and Spanmill's own statistics of services.

use serde_json::{Value, json};

use crate::known::{CHECKOUT, Known, MINUTE, OLDER, known};

const HOUR: u64 = 60 * MINUTE;

fn numbers(points: &Value) -> Vec<f64> {
    let points = points.as_array().expect("points");
    let value = |point: &Value| point["gaugeValue"]["doubleValue"].as_f64();
    points
        .iter()
        .map(|point| value(point).expect("a number"))
        .collect()
}

fn close(found: f64, expected: f64) -> bool {
    (found - expected).abs() <= expected.abs() * 1e-3
}

/// `endTs` at the first multiple of a minute behind the checkout, looking back an hour by minutes.
fn monitor(known: &Known, family: &str, more: &str) -> String {
    let end = (known.start / MINUTE + 1) * 60_000;
    format!(
        "/api/metrics/{family}?service=shop&endTs={end}&lookback=3600000&step=60000&ratePer=120000{more}"
    )
}

/// Scenario: calls, errors and latencies of known spans by minute, over windows of two minutes.
/// Guarantees: each span counts in the two windows that hold it, and in no other; by operation if asked; only
/// servers' spans unless kinds are named; families have Jaeger's names.
#[test]
fn monitor_of_known_spans() {
    let known = known();
    let stack = &known.stack;
    let calls = stack.json(&monitor(&known, "calls", ""));
    assert_eq!(
        (&calls["name"], &calls["type"]),
        (&json!("service_call_rate"), &json!("GAUGE"))
    );
    let labels = json!([{"name": "service_name", "value": "shop"}]);
    assert_eq!(calls["metrics"][0]["labels"], labels);
    // The checkout in the last window, and the call ten minutes before in two.
    let rates = numbers(&calls["metrics"][0]["metricPoints"]);
    assert_eq!(rates, [1.0 / 120.0; 3]);

    let errors = stack.json(&monitor(&known, "errors", ""));
    assert_eq!(errors["name"], "service_error_rate");
    assert_eq!(
        numbers(&errors["metrics"][0]["metricPoints"]),
        [0.0, 0.0, 1.0]
    );

    let by_operation = monitor(&known, "latencies", "&quantile=0.95&groupByOperation=true");
    let latencies = stack.json(&by_operation);
    assert_eq!(latencies["name"], "service_operation_latencies");
    let labels = json!([
        {"name": "operation", "value": "GET /items"},
        {"name": "service_name", "value": "shop"},
    ]);
    assert_eq!(latencies["metrics"][0]["labels"], labels);
    assert_eq!(
        numbers(&latencies["metrics"][0]["metricPoints"]),
        [1.0, 1.0]
    );
    assert_eq!(numbers(&latencies["metrics"][1]["metricPoints"]), [250.0]);
    let timestamp = latencies["metrics"][1]["metricPoints"][0]["timestamp"].as_str();
    let end = (known.start / MINUTE + 1) * 60;
    let end = std::time::UNIX_EPOCH + std::time::Duration::from_secs(end);
    assert_eq!(
        timestamp,
        Some(&*humantime::format_rfc3339_seconds(end).to_string())
    );

    let clients = stack.json(&monitor(&known, "calls", "&spanKind=client"));
    assert_eq!(clients["metrics"], json!([]));
    let both = monitor(
        &known,
        "calls",
        "&service=db&spanKind=client&spanKind=server",
    );
    assert_eq!(
        stack.json(&both)["metrics"].as_array().map(Vec::len),
        Some(2)
    );
    assert_eq!(stack.json("/api/metrics/minstep")["data"], 1_000);
}

/// Scenario: the same question twice, and over a range that moved on.
/// Guarantees: answers are the same; what is settled is not read again, which metrics tell.
#[test]
fn settled_points_are_kept() {
    let known = known();
    let stack = &known.stack;
    let target = monitor(&known, "calls", "");
    let first = stack.json(&target);
    let hits = |stack: &crate::support::Stack| {
        let text = String::from_utf8(stack.get("/metrics").body).expect("text");
        let line = text
            .lines()
            .find(|line| line.starts_with("spanmill_query_cache_hits_total "));
        line.and_then(|line| line.split(' ').nth(1)?.parse::<u64>().ok())
            .expect("a counter")
    };
    assert_eq!(hits(stack), 0);
    assert_eq!(stack.json(&target), first);
    // The two points of the call ten minutes before; those of the checkout are too young.
    assert_eq!(hits(stack), 2);
}

/// Scenario: hourly statistics far back, asked by hours.
/// Guarantees: the header says which table answered: hours where they are exact, spans where not.
#[test]
fn the_table_is_told() {
    let known = known();
    let stack = &known.stack;
    let end = (known.start / HOUR + 1) * 3_600_000;
    let hours = format!(
        "/api/metrics/calls?service=shop&endTs={end}&lookback=86400000&step=3600000&ratePer=3600000"
    );
    let answer = stack.get(&hours);
    assert!(
        answer.headers.contains("x-spanmill-tables: 1h"),
        "{answer:?}"
    );
    let rates = numbers(&answer.json()["metrics"][0]["metricPoints"]);
    assert!(close(rates.iter().sum::<f64>() * 3_600.0, 4.0), "{rates:?}");
    let minutes = stack.get(&monitor(&known, "calls", ""));
    assert!(
        minutes.headers.contains("x-spanmill-tables: raw"),
        "{minutes:?}"
    );
}

/// Scenario: monitor questions that lack something or ask too much.
/// Guarantees: 400 that names the parameter.
#[test]
fn monitor_refuses() {
    let known = known();
    let stack = &known.stack;
    for (target, name) in [
        ("calls", "service"),
        ("latencies?service=shop", "quantile"),
        ("latencies?service=shop&quantile=2", "quantile"),
        ("latencies?service=shop&quantile=half", "quantile"),
        ("calls?service=shop&step=1", "step"),
        ("calls?service=shop&step=1000&lookback=86400000", "step"),
        ("calls?service=shop&ratePer=soon", "ratePer"),
        ("calls?service=shop&step=1001&ratePer=600000", "ratePer"),
        ("errors?service=shop&spanKind=sideways", "spanKind"),
        (
            "errors?service=shop&groupByOperation=perhaps",
            "groupByOperation",
        ),
        ("errors?service=shop&endTs=-1", "endTs"),
    ] {
        let answer = stack.get(&format!("/api/metrics/{target}"));
        assert_eq!(answer.status, 400, "{target}: {answer:?}");
        let message = answer.json()["errors"][0]["msg"].to_string();
        assert!(
            message.contains(&format!("`{name}`")),
            "{target}: {message}"
        );
    }
}

/// Scenario: statistics of known spans over a day, over the last minutes, by service, by kind, from spans and
/// from hours.
/// Guarantees: calls, errors and durations as sent; the range that was counted; which tables answered.
#[test]
fn statistics_of_services() {
    let known = known();
    let (stack, micros) = (&known.stack, known.start / 1000);
    let recent = format!(
        "/api/v1/services/stats?start={}&end={}",
        micros - 1,
        micros + 1_000_000
    );
    let answer = stack.get(&recent);
    assert!(answer.headers.contains("x-spanmill-tables:"), "{answer:?}");
    let json = answer.json();
    let rows = json["data"].as_array().expect("rows");
    assert_eq!(rows.len(), 2, "{json}");
    let row = |service: &str| {
        rows.iter()
            .find(|row| row["service"] == service)
            .expect("a row")
    };
    let shop = row("shop");
    assert_eq!(shop["operation"], "POST /checkout");
    assert_eq!((&shop["calls"], &shop["errors"]), (&json!(1), &json!(1)));
    assert_eq!(
        (&shop["spanKind"], &shop["errorRatio"]),
        (&json!("server"), &json!(1.0))
    );
    for name in ["min", "mean", "p50", "p95", "p99", "max"] {
        let found = shop["durationMs"][name].as_f64().expect("a number");
        assert!(close(found, 250.0), "{name} {found}");
    }
    assert!(
        close(row("db")["callsPerSecond"].as_f64().expect("a rate"), 1.0),
        "{json}"
    );
    assert_eq!(
        (&json["start"], &json["end"]),
        (&json!(micros - 1), &json!(micros + 1_000_000))
    );

    let day = format!(
        "/api/v1/services/stats?start={}&end={}&groupBy=service&service=shop",
        micros - 20 * HOUR / 1000,
        micros + 1_000_000
    );
    let answer = stack.get(&day);
    let tables = answer
        .headers
        .lines()
        .find(|line| line.starts_with("x-spanmill-tables"));
    let tables = tables.and_then(|line| line.strip_prefix("x-spanmill-tables: "));
    // Which of them, depends on the day and its time.
    let is_whole = |tables: &str| tables.split(", ").all(|table| table != "raw");
    assert!(tables.is_some_and(is_whole), "{answer:?}");
    let json = answer.json();
    assert_eq!(json["data"][0]["calls"], 4, "{json}");
    assert_eq!(json["data"][0].get("operation"), None);
    assert_eq!(
        json["start"].as_u64().map(|start| start * 1000 % HOUR),
        Some(0),
        "whole hours"
    );

    let kinds = stack.json(&format!("{recent}&spanKind=client&limit=1"));
    assert_eq!(kinds["data"][0]["service"], "db");
    assert_eq!(
        stack.json("/api/v1/services/stats?service=nobody")["data"],
        json!([])
    );
    for (query, name) in [
        ("start=2000&end=1000", "start"),
        ("start=yesterday", "start"),
        ("end=2026-13-01T00:00:00Z", "end"),
        ("groupBy=colour", "groupBy"),
        ("spanKind=x", "spanKind"),
        ("limit=0", "limit"),
    ] {
        let answer = stack.get(&format!("/api/v1/services/stats?{query}"));
        assert_eq!(answer.status, 400, "{query}: {answer:?}");
        let message = answer.json()["errors"][0]["msg"].to_string();
        assert!(message.contains(&format!("`{name}`")), "{query}: {message}");
    }
}

/// Scenario: a range of some hours whose ends cut hours in two.
/// Guarantees: whole hours and spans together count each span within the range once, and none outside.
#[test]
fn a_range_across_hours_counts_each_span_once() {
    let known = known();
    let stack = &known.stack;
    // OLDER[1] is 100 minutes before, OLDER[2] 1,000.
    let within = |start: u64, end: u64| {
        let target = format!(
            "/api/v1/services/stats?groupBy=service&service=shop&start={}&end={}",
            start / 1000,
            end / 1000
        );
        stack.json(&target)["data"][0]["calls"]
            .as_u64()
            .unwrap_or(0)
    };
    let (oldest, start) = (known.start - 100 * MINUTE, known.start);
    assert_eq!(within(oldest, start), 2);
    assert_eq!(within(oldest + 1_000, start), 1);
    assert_eq!(within(oldest, start + 1_000), 3);
    assert_eq!(within(oldest - 300 * MINUTE, start + 1_000), 3);
}

/// Scenario: Spanmill's own path for traces, with and without a service.
/// Guarantees: an attribute is found in all services; ids and times as by Jaeger's path.
#[test]
fn traces_of_all_services() {
    let known = known();
    let stack = &known.stack;
    let ids = |target: &str| {
        let answer = stack.json(target);
        let traces = answer["data"].as_array().expect("traces").clone();
        traces
            .iter()
            .map(|trace| trace["traceID"].as_str().expect("an id").to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(ids("/api/v1/traces?limit=2"), [CHECKOUT, OLDER[0]]);
    assert_eq!(
        ids("/api/v1/traces?tag=db.system.name:postgresql"),
        [CHECKOUT]
    );
    assert_eq!(
        ids(&format!("/api/v1/traces?traceID={}", OLDER[1])),
        [OLDER[1]]
    );
    assert_eq!(ids(&format!("/api/v1/traces/{CHECKOUT}")), [CHECKOUT]);
    assert_eq!(stack.get("/api/v1/traces/ff").status, 404);
    assert_eq!(stack.get("/api/v1/traces?limit=0").status, 400);
}
