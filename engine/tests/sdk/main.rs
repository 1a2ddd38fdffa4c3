//! The OpenTelemetry SDK for Rust, unmodified, says everything it can over each of its transports, and SQL
//! reads every field back: from the base tables with their types, and from the views of the Collector's form.

mod attributes;
mod logs;
mod metrics;
mod origin;
mod rows;
#[path = "../support/mod.rs"]
mod support;
mod traces;
mod way;

use opentelemetry_sdk::metrics::Temporality;
use spanmill_engine::ReactorChoice;
use way::on_each_way;

on_each_reactor! {
    /// Scenario: the SDK exports a trace over each way, which are gRPC, HTTP with protobuf and HTTP
    /// with JSON, each without compression, with gzip and with zstd: resource and scope
    /// with attributes of every type and schema URLs, every kind and status, attributes of every type,
    /// promoted and not, events, links, trace state, flags, a remote and a local parent, times to the
    /// nanosecond, and counts of what limits made it drop.
    /// Guarantees: every field is stored as it was set and typed as it was; the view shows the same in the
    /// Collector's form; the trace index holds the first and the last start; compression was really spoken.
    everything_of_traces_is_stored

    /// Scenario: the SDK exports log records over each way: with a body of every type and without, with
    /// each severity and without, with its text, event name, times of event and observation, without
    /// the former, a trace context set or found, flags, attributes of every type, promoted and not,
    /// and a target in place of the scope's name.
    /// Guarantees: every field is stored as it was set and typed as it was; the view shows the same in the
    /// Collector's form; the errors of each hour are counted.
    everything_of_logs_is_stored

    /// Scenario: the SDK collects twice and exports, over each way and with cumulative and with delta
    /// temporality, from every instrument that it has, of every number type, synchronous and observable:
    /// counters, up-down counters, gauges, histograms with and without bounds and extremes, exponential
    /// histograms of scales from 20 to below 0, with several series of one metric that differ in the
    /// attributes' types or the scope alone.
    /// Guarantees: every field of both points of each series is stored as the SDK counted it, integers
    /// past 2^53 too; a series is one, whenever its points come; the views show the same in the
    /// Collector's form.
    everything_of_metrics_is_stored
}

fn everything_of_traces_is_stored(reactor: ReactorChoice) {
    on_each_way(reactor, |stack, way| {
        for send in [traces::send_everything, traces::send_past_limits] {
            let sent = way.carries(send(traces::exporter(stack, way)));
            traces::assert_stored(stack, way, &sent);
        }
    });
}

fn everything_of_logs_is_stored(reactor: ReactorChoice) {
    on_each_way(reactor, |stack, way| {
        let service = format!("rust-shop over {way}");
        let sent = logs::send_everything(logs::exporter(stack, way), &service);
        logs::assert_stored(stack, &service, &way.carries(sent));
    });
}

fn everything_of_metrics_is_stored(reactor: ReactorChoice) {
    on_each_way(reactor, |stack, way| {
        for temporality in [Temporality::Cumulative, Temporality::Delta] {
            let service = format!("rust-shop over {way}, {temporality:?}");
            let exporter = metrics::exporter(stack, way, temporality);
            let (sent, _until_read) = metrics::send_everything(exporter, &service);
            metrics::assert_stored(stack, &service, &way.carries(sent));
        }
    });
}
