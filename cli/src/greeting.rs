//! Takes what runs, and hands out the block of text that tells a person where to send data and
//! where it is stored. It holds no password.

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::Path;

use crate::settings::ClickHouse;

/// Addresses the engine really listens on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Addresses {
    pub otlp_grpc: SocketAddr,
    pub otlp_http: SocketAddr,
    pub admin: SocketAddr,
}

/// For `up` and `engine`; `queries` where they are answered too, `data_dir` where data lies on this
/// machine.
pub(crate) fn engine(
    addresses: Addresses,
    queries: Option<SocketAddr>,
    clickhouse: &ClickHouse,
    data_dir: Option<&Path>,
) -> String {
    let Addresses {
        otlp_grpc,
        otlp_http,
        admin,
    } = addresses;
    let lines = [
        ("OTLP/gRPC", otlp_grpc.to_string()),
        (
            "OTLP/HTTP",
            format!("http://{otlp_http} (/v1/traces /v1/logs /v1/metrics)"),
        ),
        (
            "Admin",
            format!("http://{admin} (/healthz /readyz /metrics)"),
        ),
    ];
    let asked = queries.map_or_else(String::new, ask);
    block("Send data", &lines) + &asked + &stored(clickhouse, data_dir)
}

/// For `query`.
pub(crate) fn query(queries: SocketAddr, clickhouse: &ClickHouse) -> String {
    let lines = [("ClickHouse", clickhouse.http.clone())];
    ask(queries) + &block("Stored in", &lines) + "\nCtrl-C stops.\n"
}

fn ask(queries: SocketAddr) -> String {
    let lines = [
        (
            "Jaeger",
            format!("http://{queries}/jaeger (also without /jaeger)"),
        ),
        (
            "Health",
            format!("http://{queries} (/healthz /readyz /metrics)"),
        ),
    ];
    block("Ask", &lines)
}

/// For `clickhouse`.
pub(crate) fn clickhouse(clickhouse: &ClickHouse, data_dir: &Path) -> String {
    stored(clickhouse, Some(data_dir))
}

fn stored(clickhouse: &ClickHouse, data_dir: Option<&Path>) -> String {
    let mut lines = vec![
        ("ClickHouse", clickhouse.http.clone()),
        ("native", clickhouse.native.join(", ")),
    ];
    lines.extend(data_dir.map(|data_dir| ("Data", data_dir.display().to_string())));
    lines.push(("Query", query_by_hand(clickhouse)));
    block("Stored in", &lines) + "\nCtrl-C stops.\n"
}

/// A command that can be pasted into a shell.
fn query_by_hand(clickhouse: &ClickHouse) -> String {
    let ClickHouse { http, user, .. } = clickhouse;
    let credentials = match user.as_str() {
        "default" => String::new(),
        // curl asks for the password.
        user => format!(" -u '{}'", user.replace('\'', r"'\''")),
    };
    format!("curl{credentials} {http} -d 'SELECT count() FROM otel.otel_traces'")
}

fn block(title: &str, lines: &[(&str, String)]) -> String {
    let mut text = format!("\n{title}\n");
    for (name, value) in lines {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  {name:<12}{value}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Secret;

    /// Scenario: a user with a password and a quote in the name. Guarantees: the password is not
    /// shown, and the query can be pasted into a shell.
    #[test]
    fn the_block_is_pasteable_and_holds_no_password() {
        let clickhouse = ClickHouse {
            native: vec!["db:9000".to_owned()],
            http: "http://db:8123".to_owned(),
            user: "o'brien".to_owned(),
            password: Secret::new("s3cret"),
        };
        let any = "127.0.0.1:1".parse().expect("an address");
        let addresses = Addresses {
            otlp_grpc: any,
            otlp_http: any,
            admin: any,
        };
        let text = engine(addresses, None, &clickhouse, None);
        assert!(
            text.contains(r"curl -u 'o'\''brien' http://db:8123 -d 'SELECT"),
            "{text}"
        );
        assert!(!text.contains("s3cret") && !text.contains("Data"), "{text}");
    }
}
