//! The instrumentation libraries that made the spans, by language.

use opentelemetry_proto::tonic::common::v1::InstrumentationScope;

use super::names::LANGUAGES;
use super::topology::Entry;

pub(super) fn scope(language: usize, entry: &Entry) -> InstrumentationScope {
    let library = match entry {
        Entry::Http { .. } => "http-server",
        Entry::Rpc { .. } => "grpc",
        Entry::Consume { .. } => "kafka",
    };
    named_scope(LANGUAGES[language].0, library)
}

pub(super) fn client_scope(language: usize, entry: &Entry) -> InstrumentationScope {
    let library = match entry {
        Entry::Http { .. } => "http-client",
        Entry::Rpc { .. } => "grpc",
        Entry::Consume { .. } => "kafka",
    };
    named_scope(LANGUAGES[language].0, library)
}

pub(super) fn named_scope(language: &str, library: &str) -> InstrumentationScope {
    let (name, version) = match language {
        "java" => (
            format!("io.opentelemetry.{library}-instrumentation"),
            "2.22.0-alpha",
        ),
        "go" => (
            format!("go.opentelemetry.io/contrib/instrumentation/{library}"),
            "0.64.0",
        ),
        "nodejs" => (
            format!("@opentelemetry/instrumentation-{library}"),
            "0.208.0",
        ),
        "python" => (format!("opentelemetry.instrumentation.{library}"), "0.60b1"),
        _ => (format!("OpenTelemetry.Instrumentation.{library}"), "1.14.0"),
    };
    InstrumentationScope {
        name,
        version: version.into(),
        ..InstrumentationScope::default()
    }
}
