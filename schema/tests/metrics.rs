//! Series and points as the views in `otel` show them, what filters read, and that copies of a series
//! merge to its days.

mod support;

use spanmill_embedded::testing::TestServer;
use support::{ask, migrated};

/// A series of each type with its resource, written on two days.
const SERIES: &str = "
    INSERT INTO spanmill.otel_metric_series
        (SeriesId, MetricName, MetricType, AggregationTemporality, IsMonotonic, MetricUnit,
        MetricDescription, ServiceName, ResourceId, ScopeName, ScopeVersion, ScopeSchemaUrl,
        ScopeAttributes, ScopeAttributeTypes, ScopeDroppedAttributesCount, Attributes, AttributeTypes,
        FirstDay, LastDay)
    SELECT
        number + 1, concat('metric.', toString(number + 1)), number + 1, number = 1 ? 2 : 0, number = 1,
        'By', 'what it is', 'shop', 42, 'meter', '1.2', 'https://scope', map('s', 't'), [0], 3,
        map('k', toString(number)), [2], today() - 1 + copy, today() - 1 + copy
    FROM numbers(5) AS n, (SELECT arrayJoin([0, 1]) AS copy) AS copies";

const RESOURCE: &str = "
    INSERT INTO spanmill.otel_resources (ResourceId, LastSeen, ServiceName, Attributes, SchemaUrl)
    VALUES (42, now(), 'shop', map('service.name', 'shop', 'host.name', 'h'), 'https://resource')";

const POINTS: &str = "
    INSERT INTO spanmill.otel_metrics
        (MetricName, ServiceName, SeriesId, MetricType, AggregationTemporality, IsMonotonic, Timestamp,
        StartTimestamp, Flags, ValueType, Value, Count, Sum, Min, Max, Given, ExplicitBounds,
        BucketCounts, Scale, ZeroCount, PositiveOffset, PositiveBucketCounts, NegativeOffset,
        NegativeBucketCounts, `ValueAtQuantiles.Quantile`, `ValueAtQuantiles.Value`,
        `Exemplars.Timestamp`, `Exemplars.ValueType`, `Exemplars.Value`, `Exemplars.IntRemainder`,
        `Exemplars.TraceId`, `Exemplars.SpanId`, `Exemplars.FilteredAttributes`,
        `Exemplars.FilteredAttributeTypes`)
    SELECT
        concat('metric.', toString(number + 1)), 'shop', number + 1, number + 1, 2, number = 1,
        toDateTime64(today() - 1, 9) + toIntervalNanosecond(123456789), toDateTime64(today() - 2, 9),
        1, 1, 1.5, 6, 7.5, 0.5, 4.5, 7, [1, 2], [1, 2, 3], 3, 4, -2, [5, 6], -1, [7], [0.5], [2.5],
        [toDateTime64(today() - 1, 9)], [1], [9.5], [0],
        [unhex('000102030405060708090a0b0c0d0e0f')], [toFixedString('', 8)], [map('f', 'a')], [[0]]
    FROM numbers(5)";

/// Scenario: a series of each type, its resource and a point are stored; each view is read.
/// Guarantees: every column has the exporter's form and value, with labels of series and resource; a
/// point shows in the view of its type alone; an exemplar without a span has an empty id.
#[tokio::test]
async fn points_show_as_the_exporter_would_store_them() {
    let (server, _) = migrated().await;
    for insert in [RESOURCE, SERIES, POINTS] {
        ask(&server, insert);
    }
    let exemplars = "[{'f':'a'}]\t[9.5]\t['']\t['000102030405060708090a0b0c0d0e0f']".to_owned();
    for (at, view, expected) in [
        (0, "gauge", format!("1.5\t1\t{exemplars}")),
        (1, "sum", format!("1.5\t1\t{exemplars}\t2\ttrue")),
        (
            2,
            "histogram",
            format!("6\t7.5\t[1,2,3]\t[1,2]\t{exemplars}\t1\t0.5\t4.5\t2"),
        ),
        (
            3,
            "exponential_histogram",
            format!("6\t7.5\t3\t4\t-2\t[5,6]\t-1\t[7]\t{exemplars}\t1\t0.5\t4.5\t2"),
        ),
        (4, "summary", "6\t7.5\t[0.5]\t[2.5]\t1".into()),
    ] {
        let times = "StartTimeUnix, TimeUnix";
        let except = if view == "summary" {
            times.to_owned()
        } else {
            format!("{times}, `Exemplars.TimeUnix`")
        };
        let seen = ask(
            &server,
            &format!("SELECT * EXCEPT ({except}) FROM otel.otel_metrics_{view} FORMAT TSVRaw"),
        );
        let labels = format!(
            "{{'service.name':'shop','host.name':'h'}}\thttps://resource\tmeter\t1.2\t{{'s':'t'}}\t3\t\
             https://scope\tshop\tmetric.{}\twhat it is\tBy\t{{'k':'{at}'}}",
            at + 1
        );
        assert_eq!(seen, format!("{labels}\t{expected}"), "{view}");
        let exact = format!(
            "SELECT TimeUnix = toDateTime64(today() - 1, 9) + toIntervalNanosecond(123456789) \
             AND StartTimeUnix = toDateTime64(today() - 2, 9) FROM otel.otel_metrics_{view}"
        );
        assert_eq!(ask(&server, &exact), "1", "{view}");
    }
}

/// Scenario: a series is written on two days, in two parts that merge; a point comes of a series that is
/// not stored.
/// Guarantees: one row with the whole range of days is left; before and after, a point shows once; the
/// other point shows too, with empty labels.
#[tokio::test]
async fn copies_of_a_series_merge_to_its_days() {
    let (server, _) = migrated().await;
    ask(&server, RESOURCE);
    ask(&server, &format!("{SERIES} WHERE copy = 1"));
    ask(&server, &format!("{SERIES} WHERE copy = 0"));
    ask(&server, POINTS);
    let count = || ask(&server, "SELECT count() FROM otel.otel_metrics_gauge");
    assert_eq!(count(), "1");
    ask(&server, "OPTIMIZE TABLE spanmill.otel_metric_series FINAL");
    assert_eq!(count(), "1");
    assert_eq!(
        ask(
            &server,
            "SELECT count(), min(FirstDay = today() - 1 AND LastDay = today()) \
             FROM spanmill.otel_metric_series"
        ),
        "5\t1"
    );
    ask(
        &server,
        "INSERT INTO spanmill.otel_metrics (MetricName, SeriesId, MetricType, Timestamp, Value) \
         VALUES ('unknown', 7, 1, now64(9), 3)",
    );
    assert_eq!(
        ask(
            &server,
            "SELECT ResourceAttributes, ServiceName, Attributes, Value \
             FROM otel.otel_metrics_gauge WHERE MetricName = 'unknown'"
        ),
        "{}\t\t{}\t3"
    );
}

/// What `EXPLAIN indexes = 1` says of each table: granules kept and granules there, after all indexes.
fn granules(server: &TestServer, select: &str) -> Vec<(u32, u32)> {
    let plan = ask(
        server,
        &format!("EXPLAIN indexes = 1 {select} FORMAT TSVRaw"),
    );
    let mut tables: Vec<(u32, u32)> = Vec::new();
    for line in plan
        .lines()
        .map(|line| line.trim_matches([' ', '│', '└', '─', '├']))
    {
        if line.starts_with("ReadFromMergeTree") {
            tables.push((0, 0));
        }
        let count = line
            .strip_prefix("Granules: ")
            .and_then(|count| count.split_once('/'));
        if let (Some((kept, of)), Some(table)) = (count, tables.last_mut()) {
            let number = |text: &str| -> u32 { text.parse().expect("a number of granules") };
            *table = (number(kept), table.1.max(number(of)));
        }
    }
    assert!(!tables.is_empty(), "no table in {plan}");
    tables
}

/// Scenario: a week of points, each ten minutes, of 8,000 series of 40 metrics and 10 services, parts
/// merged; readers select series by metric and label, points of one metric over an hour, and the same
/// through a view with labels.
/// Guarantees: keys and partitions leave a small part of the granules, in the series table too when the
/// view joins it.
#[tokio::test]
async fn filters_read_few_granules() {
    let (server, _) = migrated().await;
    let named = "concat('metric.', toString(s % 40)) AS MetricName, \
                 concat('svc-', toString(intDiv(s, 40) % 10)) AS ServiceName, cityHash64(s) AS SeriesId";
    ask(
        &server,
        &format!(
            "INSERT INTO spanmill.otel_metric_series \
             (MetricName, ServiceName, SeriesId, MetricType, Attributes, FirstDay, LastDay) \
             SELECT {named}, 1, map('path', toString(s % 7)), today() - 8, today() \
             FROM (SELECT number AS s FROM numbers(8000))"
        ),
    );
    ask(
        &server,
        &format!(
            "INSERT INTO spanmill.otel_metrics \
             (MetricName, ServiceName, SeriesId, MetricType, Timestamp, ValueType, Value) \
             SELECT {named}, 1, toDateTime64(toStartOfDay(now()) - 7 * 86400, 9) \
             + toIntervalSecond(at * 600), 1, at \
             FROM (SELECT number % 2000 AS s, intDiv(number, 2000) AS at FROM numbers(2016000))"
        ),
    );
    ask(&server, "OPTIMIZE TABLE spanmill.otel_metrics FINAL");
    let hour = "Timestamp > toStartOfDay(now()) - 3 * 86400 + 39600 \
                AND Timestamp <= toStartOfDay(now()) - 3 * 86400 + 43200";
    let through_view = hour.replace("Timestamp", "TimeUnix");
    let series = "SELECT DISTINCT SeriesId FROM spanmill.otel_metric_series \
                  WHERE MetricName = 'metric.7' AND Attributes['path'] = '3'";
    for (select, kept_max) in [
        (series.to_owned(), vec![2]),
        (
            format!("SELECT * FROM spanmill.otel_metrics WHERE MetricName = 'metric.7' AND {hour}"),
            vec![6],
        ),
        (
            format!(
                "SELECT * FROM spanmill.otel_metrics WHERE MetricName = 'metric.7' \
                 AND ServiceName = 'svc-0' AND SeriesId = cityHash64(7) AND {hour}"
            ),
            vec![2],
        ),
        (
            format!(
                "SELECT Attributes['path'] AS path, avg(Value) FROM otel.otel_metrics_gauge \
                 WHERE MetricName = 'metric.7' AND {through_view} GROUP BY path"
            ),
            vec![6, 2],
        ),
    ] {
        let tables = granules(&server, &select);
        assert_eq!(tables.len(), kept_max.len(), "{select}");
        for ((kept, of), kept_max) in tables.into_iter().zip(kept_max) {
            assert!(
                (1..=kept_max).contains(&kept),
                "{kept} of {of} granules: {select}"
            );
            assert!(of >= 8, "{of} granules are too few to tell: {select}");
        }
        let rows = ask(&server, &format!("SELECT count() FROM ({select})"));
        assert_ne!(rows, "0", "{select}");
    }
}
