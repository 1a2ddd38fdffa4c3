//! The OpenTelemetry SDK for Rust, unmodified, says everything it can over each of its transports, and SQL
//! reads every field back: from the base tables with their types, and from the view of the Collector's form.

mod attributes;
mod sent;
mod stored;
#[path = "../support/mod.rs"]
mod support;

use opentelemetry_otlp::{
    Compression, SpanExporter, WithExportConfig as _, WithHttpConfig as _, WithTonicConfig as _,
};
use sent::{send_everything, send_past_limits};
use spanmill_engine::ReactorChoice;
use stored::assert_stored;
use support::{Stack, metrics};

on_each_reactor! {
    /// Scenario: the SDK exports a trace over gRPC and HTTP, each with and without gzip: resource and scope
    /// with attributes of every type and schema URLs, every kind and status, attributes of every type,
    /// promoted and not, events, links, trace state, flags, a remote and a local parent, times to the
    /// nanosecond, and counts of what limits made it drop.
    /// Guarantees: every field is stored as it was set and typed as it was; the view shows the same in the
    /// Collector's form; the trace index holds the first and the last start; gzip was really spoken.
    everything_an_sdk_can_say_is_stored
}

fn everything_an_sdk_can_say_is_stored(reactor: ReactorChoice) {
    let stack = Stack::start(reactor);
    // The connections of gRPC exporters live on it.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    for (transport, gzip) in [
        ("grpc", false),
        ("grpc", true),
        ("http", false),
        ("http", true),
    ] {
        let way = format!("{transport}, gzip {gzip}");
        let _entered = (transport == "grpc").then(|| runtime.enter());
        let before = Bytes::of(&stack);
        for send in [send_everything, send_past_limits] {
            let sent = send(exporter(&stack, transport, gzip));
            assert_stored(&stack, &way, &sent);
        }
        let after = Bytes::of(&stack);
        let received = after.received - before.received;
        let decoded = after.decoded - before.decoded;
        assert_eq!(
            received < decoded,
            gzip,
            "{way}: {received} of {decoded} bytes"
        );
    }
}

fn exporter(stack: &Stack, transport: &str, gzip: bool) -> SpanExporter {
    let exporter = if transport == "grpc" {
        let builder = SpanExporter::builder().with_tonic();
        let builder = builder.with_endpoint(format!("http://{}", stack.grpc_addr()));
        match gzip {
            true => builder.with_compression(Compression::Gzip).build(),
            false => builder.build(),
        }
    } else {
        let builder = SpanExporter::builder().with_http();
        let builder = builder.with_endpoint(format!("http://{}/v1/traces", stack.http_addr()));
        match gzip {
            true => builder.with_compression(Compression::Gzip).build(),
            false => builder.build(),
        }
    };
    exporter.expect("an exporter")
}

/// What the engine has counted so far, over all transports.
struct Bytes {
    received: f64,
    decoded: f64,
}

impl Bytes {
    fn of(stack: &Stack) -> Self {
        let text = metrics(stack.admin_addr());
        let sum = |name: &str| {
            let lines = text.lines().filter(|line| line.starts_with(name));
            let values = lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
            values.sum()
        };
        Bytes {
            received: sum("spanmill_received_bytes_total{"),
            decoded: sum("spanmill_decoded_bytes_total{"),
        }
    }
}
