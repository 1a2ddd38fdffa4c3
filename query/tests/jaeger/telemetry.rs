//! The server's own traces and metrics, through a real engine into the tables that it answers from.

use serde_json::json;

use crate::known::known;
use crate::support::{await_true, exchange};

const CALLER: &str = "0af7651916cd43dd8448eb211c80319c";

/// Scenario: a server that sends its telemetry to an engine is asked, with a caller's context, and probed; then it
/// stops.
/// Guarantees: a span for the request below the caller's and one for its query below that, with the semantic
/// conventions' names; how long both took; nothing of probes, and nothing more once nobody asks.
#[test]
fn the_server_tells_of_itself() {
    let known = known();
    let stack = &known.stack;
    let engine = stack.engine();
    let endpoint = format!("http://{}", engine.http_addr());
    let server = stack.server(|config| config.otlp_endpoint = Some(endpoint));
    let request = format!(
        "GET /jaeger/api/services HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\
         traceparent: 00-{CALLER}-b7ad6b7169203331-01\r\n\r\n"
    );
    assert_eq!(exchange(server.addr(), request.as_bytes()).status, 200);
    let probe = b"GET /healthz HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n";
    assert_eq!(exchange(server.addr(), probe).status, 200);
    server.shutdown();

    let trace = format!("/api/traces/{CALLER}");
    await_true("both spans are stored", || {
        let answer = stack.get(&trace);
        answer.status == 200
            && answer.json()["data"][0]["spans"].as_array().map(Vec::len) == Some(2)
    });
    let trace = stack.json(&trace)["data"][0].clone();
    let (request, query) = (&trace["spans"][0], &trace["spans"][1]);
    assert_eq!(request["operationName"], "GET /jaeger/api/services");
    assert_eq!(request["references"][0]["spanID"], "b7ad6b7169203331");
    assert_eq!(query["operationName"], "services");
    assert_eq!(query["references"][0]["spanID"], request["spanID"]);
    let has = |span: &serde_json::Value, key: &str, value: serde_json::Value| {
        let tags = span["tags"].as_array().expect("tags");
        assert!(
            tags.iter()
                .any(|tag| tag["key"] == key && tag["value"] == value),
            "{key}: {span}"
        );
    };
    has(request, "http.route", json!("/jaeger/api/services"));
    has(request, "http.response.status_code", json!(200));
    has(query, "db.system.name", json!("clickhouse"));
    has(query, "db.response.returned_rows", json!(2));
    assert_eq!(trace["processes"]["p1"]["serviceName"], "spanmill-query");

    let metrics = "SELECT arraySort(groupUniqArray(MetricName)) FROM spanmill.otel_metrics \
                   WHERE ServiceName = 'spanmill-query'";
    let both = "['db.client.operation.duration','http.server.request.duration']";
    await_true("both metrics are stored", || stack.sql(metrics) == both);
    engine.shutdown();
    let spans = "SELECT count() FROM spanmill.otel_traces WHERE ServiceName = 'spanmill-query'";
    assert_eq!(stack.sql(spans), "2");
}
