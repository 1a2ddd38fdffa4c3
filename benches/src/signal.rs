//! The three signals: which tables each is stored in, here and by the exporter.

use clap::ValueEnum;

/// A kind of telemetry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[expect(missing_docs, reason = "OTLP's own words")]
pub enum Signal {
    Traces,
    Logs,
    Metrics,
}

impl Signal {
    /// What a row is.
    #[must_use]
    pub fn noun(self) -> &'static str {
        match self {
            Self::Traces => "span",
            Self::Logs => "log record",
            Self::Metrics => "point",
        }
    }

    /// The table in `spanmill` that has one row for each.
    #[must_use]
    pub fn table(self) -> &'static str {
        match self {
            Self::Traces => "otel_traces",
            Self::Logs => "otel_logs",
            Self::Metrics => "otel_metrics",
        }
    }

    /// Tables in `spanmill` that the engine writes besides, now and then.
    #[must_use]
    pub fn seldom_written(self) -> &'static [&'static str] {
        match self {
            Self::Traces | Self::Logs => &["otel_resources"],
            Self::Metrics => &["otel_resources", "otel_metric_series"],
        }
    }

    /// The exporter's tables; the views in `otel` have the same names.
    #[must_use]
    pub fn exporter_tables(self) -> &'static [&'static str] {
        match self {
            Self::Traces => &["otel_traces"],
            Self::Logs => &["otel_logs"],
            Self::Metrics => &[
                "otel_metrics_gauge",
                "otel_metrics_sum",
                "otel_metrics_histogram",
                "otel_metrics_exponential_histogram",
                "otel_metrics_summary",
            ],
        }
    }
}
