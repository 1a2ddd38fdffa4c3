//! The queries of Grafana's ClickHouse data source and of HyperDX, in the form in which those send them
//! to the Collector exporter's tables, run on the views with known data.

mod support;

use spanmill_embedded::testing::TestServer;
use support::{ask, migrated};

const TRACE: &str = "000102030405060708090a0b0c0d0e0f";

/// A trace of two spans and three log records, all in the first seconds of an hour, and a record and a
/// trace an hour later. Gives back that hour's start as seconds since 1970.
async fn known_data() -> (TestServer, u64) {
    let (server, _) = migrated().await;
    let start: u64 = ask(
        &server,
        "SELECT toUnixTimestamp(toStartOfHour(now())) - 7200",
    )
    .parse()
    .expect("seconds");
    let at = |seconds: u64| format!("toDateTime64({}, 9)", start + seconds);
    ask(
        &server,
        "INSERT INTO spanmill.otel_resources (ResourceId, LastSeen, Attributes) VALUES \
         (1, now(), map('service.name', 'shop', 'host.name', 'a')), \
         (2, now(), map('service.name', 'db'))",
    );
    ask(
        &server,
        &format!(
            "INSERT INTO spanmill.otel_traces (Timestamp, TraceId, SpanId, ParentSpanId, TraceState, \
             SpanName, SpanKind, ServiceName, ResourceId, Duration, StatusCode, HttpRoute, \
             SpanAttributes, `Events.Timestamp`, `Events.Name`, `Events.Attributes`, \
             `Events.AttributeTypes`, `Events.DroppedAttributesCount`, `Links.TraceId`, \
             `Links.SpanId`, `Links.TraceState`, `Links.Flags`, `Links.Attributes`, \
             `Links.AttributeTypes`, `Links.DroppedAttributesCount`) VALUES \
             ({0}, unhex('{TRACE}'), 'spanspan', '', '', 'GET /', 2, 'shop', 1, 3000000, 2, '/', \
             map('n', '1'), [{0}], ['exception'], [map('k', 'v')], [[0]], [0], \
             [unhex('{TRACE}')], ['linklink'], [''], [0], [map('l', '1')], [[0]], [0]), \
             ({1}, unhex('{TRACE}'), 'childspn', 'spanspan', '', 'SELECT', 3, 'db', 2, 1000000, 0, \
             '', map(), [], [], [], [], [], [], [], [], [], [], [], []), \
             ({2}, unhex('ff'), 'othrspan', '', '', 'POST /', 2, 'shop', 1, 9000000, 0, '', map(), \
             [], [], [], [], [], [], [], [], [], [], [], [])",
            at(1),
            at(2),
            at(3700)
        ),
    );
    ask(
        &server,
        &format!(
            "INSERT INTO spanmill.otel_logs (Timestamp, TraceId, SpanId, SeverityNumber, \
             SeverityText, ServiceName, ResourceId, Body, LogAttributes) VALUES \
             ({}, unhex('{TRACE}'), 'spanspan', 9, 'INFO', 'shop', 1, 'Request started', map()), \
             ({}, unhex('{TRACE}'), 'spanspan', 17, 'ERROR', 'shop', 1, 'Payment declined: 4711', \
             map('card', 'visa')), \
             ({}, '', '', 17, 'ERROR', 'db', 2, 'disk full', map()), \
             ({}, '', '', 9, 'INFO', 'shop', 1, 'payment ok', map())",
            at(1),
            at(2),
            at(30),
            at(3700)
        ),
    );
    (server, start)
}

/// Scenario: Grafana's ClickHouse data source, OTel mode: its search for traces, a trace by its id with
/// and without the lookup table, with events and links.
/// Guarantees: each query runs unchanged and finds the known spans with their times in milliseconds,
/// tags, resource tags, events and links.
#[tokio::test]
async fn grafana_reads_traces() {
    let (server, start) = known_data().await;
    let search = ask(
        &server,
        &format!(
            "SELECT \"TraceId\" as traceID, \"ServiceName\" as serviceName, \
             \"SpanName\" as operationName, \"Timestamp\" as startTime, \
             multiply(\"Duration\", 0.000001) as duration FROM \"otel\".\"otel_traces\" \
             WHERE ( Timestamp >= toDateTime({start}) AND Timestamp <= toDateTime({}) ) \
             AND ( ParentSpanId = '' ) AND ( Duration > 0 ) AND ( ServiceName = 'shop' ) \
             ORDER BY Timestamp DESC, Duration DESC LIMIT 1000",
            start + 3600
        ),
    );
    let found: Vec<_> = search.split('\t').collect();
    assert_eq!(
        (found[0], found[1], found[2], found[4]),
        (TRACE, "shop", "GET /", "3")
    );

    let columns = "SELECT \"TraceId\" as traceID, \"SpanId\" as spanID, \
        \"ParentSpanId\" as parentSpanID, \"ServiceName\" as serviceName, \
        \"SpanName\" as operationName, \
        multiply(toUnixTimestamp64Nano(\"Timestamp\"), 0.000001) as startTime, \
        multiply(\"Duration\", 0.000001) as duration, \
        arrayMap(key -> map('key', key, 'value',\"SpanAttributes\"[key]), \
        mapKeys(\"SpanAttributes\")) as tags, \
        arrayMap(key -> map('key', key, 'value',\"ResourceAttributes\"[key]), \
        mapKeys(\"ResourceAttributes\")) as serviceTags, \
        if(\"StatusCode\" IN ('Error', 'STATUS_CODE_ERROR'), 2, 0) as statusCode, \
        arrayMap((name, timestamp, attributes) -> tuple(name, \
        toString(toUnixTimestamp64Milli(timestamp)), arrayMap( key -> map('key', key, 'value', \
        attributes[key]), mapKeys(attributes)))::Tuple(name String, timestamp String, \
        fields Array(Map(String, String))), \"Events\".Name, \"Events\".Timestamp, \
        \"Events\".Attributes) AS logs, \
        arrayMap((traceID, spanID, attributes) -> tuple(traceID, spanID, arrayMap(key -> map('key', \
        key, 'value', attributes[key]), mapKeys(attributes)))::Tuple(traceID String, spanID String, \
        tags Array(Map(String, String))), \"Links\".TraceId, \"Links\".SpanId, \
        \"Links\".Attributes) AS references, \"SpanKind\" as kind, \
        \"StatusMessage\" as statusMessage, \"TraceState\" as traceState \
        FROM \"otel\".\"otel_traces\"";
    let with_lookup = format!(
        "WITH '{TRACE}' as trace_id, (SELECT min(Start) FROM \"otel\".\"otel_traces_trace_id_ts\" \
         WHERE TraceId = trace_id) as trace_start, (SELECT max(End) + 1 FROM \
         \"otel\".\"otel_traces_trace_id_ts\" WHERE TraceId = trace_id) as trace_end {columns} \
         WHERE traceID = trace_id AND \"Timestamp\" >= trace_start AND \"Timestamp\" <= trace_end \
         LIMIT 1000"
    );
    let without = format!("{columns} WHERE traceID = '{TRACE}' LIMIT 1000");
    for query in [with_lookup, without] {
        let spans = ask(
            &server,
            &format!("SELECT * FROM ({query}) ORDER BY startTime FORMAT TSVRaw"),
        );
        let spans: Vec<Vec<_>> = spans
            .lines()
            .map(|line| line.split('\t').collect())
            .collect();
        assert_eq!(spans.len(), 2);
        let millis = (start + 1) * 1000;
        let id = "7370616e7370616e";
        assert_eq!(
            spans[0],
            [
                TRACE,
                id,
                "",
                "shop",
                "GET /",
                &ask(
                    &server,
                    &format!("SELECT multiply({millis}000000, 0.000001)")
                ),
                "3",
                "[{'key':'n','value':'1'},{'key':'http.route','value':'/'}]",
                "[{'key':'service.name','value':'shop'},{'key':'host.name','value':'a'}]",
                "2",
                &format!("[('exception','{millis}',[{{'key':'k','value':'v'}}])]"),
                &format!("[('{TRACE}','6c696e6b6c696e6b',[{{'key':'l','value':'1'}}])]"),
                "Server",
                "",
                "",
            ]
        );
        assert_eq!((spans[1][2], spans[1][3], spans[1][9]), (id, "db", "0"));
    }
}

/// Scenario: Grafana's list of logs with a filter by level and a search in messages, and its histogram
/// of log volume over the same.
/// Guarantees: both run unchanged; the list is newest first, the histogram's counts by level are those
/// of the known records.
#[tokio::test]
async fn grafana_reads_logs() {
    let (server, start) = known_data().await;
    let range = |end: u64| {
        format!(
            "( timestamp >= toDateTime({start}) AND timestamp <= toDateTime({}) )",
            start + end
        )
    };
    let list = "SELECT Timestamp as \"timestamp\", Body as \"body\", SeverityText as \"level\", \
                mapConcat(LogAttributes, ResourceAttributes) as \"labels\", TraceId as \"traceID\" \
                FROM \"otel\".\"otel_logs\"";
    let bodies = |query: &str| {
        ask(
            &server,
            &format!("SELECT body, level, labels, traceID FROM ({query}) FORMAT TSVRaw"),
        )
    };
    assert_eq!(
        bodies(&format!(
            "{list} WHERE {} AND ( level = 'ERROR' ) ORDER BY timestamp DESC LIMIT 1000",
            range(3600)
        )),
        format!(
            "disk full\tERROR\t{{'service.name':'db'}}\t\n\
             Payment declined: 4711\tERROR\t{{'card':'visa','service.name':'shop',\
             'host.name':'a'}}\t{TRACE}"
        )
    );
    let search = format!(
        "{list} WHERE {} AND (body LIKE '%declined%') ORDER BY timestamp DESC LIMIT 1000",
        range(7200)
    );
    assert!(bodies(&search).starts_with("Payment declined: 4711\t"));

    let head = format!(
        "SELECT Timestamp as \"timestamp\", Body as \"body\", SeverityText as \"level\" FROM \
         \"otel\".\"otel_logs\" WHERE {}",
        range(7200)
    );
    let level = "ifNull(toString(src.\"level\"), '')";
    let volume = format!(
        "SELECT toStartOfInterval(toDateTime(src.\"timestamp\"), INTERVAL 1 HOUR) AS \"time\", \
         sum({level} IN ('error','err','ERROR','Error')) AS \"error\", \
         sum({level} IN ('info','INFO','Info')) AS \"info\", \
         sum({level} NOT IN ('error','err','ERROR','Error','info','INFO','Info')) AS \"unknown\" \
         FROM (\n{head}\n) AS src WHERE toDateTime(src.\"timestamp\") >= toDateTime({start}) AND \
         toDateTime(src.\"timestamp\") <= toDateTime({}) GROUP BY \"time\" ORDER BY \"time\" ASC",
        start + 7200
    );
    assert_eq!(
        ask(
            &server,
            &format!(
                "SELECT toUnixTimestamp(time) - {start}, error, info, unknown FROM ({volume})"
            )
        ),
        "0\t2\t1\t0\n3600\t0\t1\t0"
    );
}

/// Scenario: HyperDX's search over logs by words and by a field, its histogram, its list of services
/// and the logs of a trace, with time ranges on `TimestampTime` as its default source has them.
/// Guarantees: each query runs unchanged and gives the known records.
#[tokio::test]
async fn hyperdx_reads_logs_and_traces() {
    let (server, start) = known_data().await;
    let range = |column: &str| {
        format!(
            "({column} >= fromUnixTimestamp64Milli({}) AND {column} <= fromUnixTimestamp64Milli({}))",
            start * 1000,
            (start + 7199) * 1000
        )
    };
    let (time, precise) = (range("TimestampTime"), range("Timestamp"));
    let settings = "SETTINGS optimize_read_in_order = 0, cast_keep_nullable = 1, \
                    count_distinct_implementation = 'uniqCombined64'";
    let rows = "SELECT Timestamp,ServiceName,SeverityText,Body,TimestampTime FROM otel.otel_logs \
                WHERE";
    for (filter, bodies) in [
        (
            "((hasToken(lower(Body), lower('payment'))))",
            "payment ok\nPayment declined: 4711",
        ),
        (
            "((hasToken(lower(Body), lower('payment')) AND hasToken(lower(Body), lower('declined')) \
             AND (lower(Body) LIKE lower('%payment declined%'))))",
            "Payment declined: 4711",
        ),
        ("((ServiceName = 'db'))", "disk full"),
        (
            "((`LogAttributes`['card'] ILIKE '%visa%'))",
            "Payment declined: 4711",
        ),
        (
            "((`ResourceAttributes`['host.name'] = 'a') AND (SeverityNumber > '10'))",
            "Payment declined: 4711",
        ),
    ] {
        let query = format!(
            "SELECT Body FROM ({rows} {time} AND {filter} ORDER BY TimestampTime DESC LIMIT 200 \
             OFFSET 0 {settings}) ORDER BY Timestamp DESC FORMAT TSVRaw"
        );
        assert_eq!(ask(&server, &query), bodies, "{filter}");
    }
    assert_eq!(
        ask(
            &server,
            &format!(
                "SELECT count(),SeverityText,toStartOfInterval(toDateTime(TimestampTime), INTERVAL 1 \
                 hour) AS `__hdx_time_bucket` FROM otel.otel_logs WHERE {time} GROUP BY \
                 SeverityText,toStartOfInterval(toDateTime(TimestampTime), INTERVAL 1 hour) AS \
                 `__hdx_time_bucket` ORDER BY toStartOfInterval(toDateTime(TimestampTime), INTERVAL \
                 1 hour) AS `__hdx_time_bucket`, SeverityText {settings}"
            )
        )
        .lines()
        .map(|line| line.rsplit_once('\t').expect("a time").0)
        .collect::<Vec<_>>(),
        ["2\tERROR", "1\tINFO", "1\tINFO"]
    );
    assert_eq!(
        ask(
            &server,
            &format!("SELECT DISTINCT ServiceName FROM otel.otel_logs WHERE {time} ORDER BY 1")
        ),
        "db\nshop"
    );
    assert_eq!(
        ask(
            &server,
            &format!(
                "SELECT Body,SpanId FROM otel.otel_logs WHERE {precise} AND TraceId = '{TRACE}' \
                 ORDER BY Timestamp ASC"
            )
        ),
        "Request started\t7370616e7370616e\nPayment declined: 4711\t7370616e7370616e"
    );
    assert_eq!(
        ask(
            &server,
            &format!(
                "SELECT SpanName,SpanKind,StatusCode,(Duration)/1e6,SpanAttributes['http.route'] \
                 FROM otel.otel_traces WHERE {precise} AND (TraceId = '{TRACE}') \
                 ORDER BY Timestamp ASC"
            )
        ),
        "GET /\tServer\tError\t3\t/\nSELECT\tClient\tUnset\t1\t"
    );
}
