//! The ways from the SDK to the engine: transport and compression, and the exporters set up for them.

use std::fmt;

use opentelemetry_otlp::{
    Compression, Protocol, WithExportConfig, WithHttpConfig, WithTonicConfig,
};
use serde_json::{Value, json};
use spanmill_engine::ReactorChoice;
use spanmill_schema::ValueType;

use crate::support::{Stack, metrics};

/// How requests travel.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Way {
    pub(crate) protocol: Protocol,
    compression: Option<Compression>,
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.protocol)?;
        match self.compression {
            Some(compression) => write!(f, " with {compression}"),
            None => Ok(()),
        }
    }
}

const WAYS: [(Protocol, Option<Compression>); 9] = [
    (Protocol::Grpc, None),
    (Protocol::Grpc, Some(Compression::Gzip)),
    (Protocol::Grpc, Some(Compression::Zstd)),
    (Protocol::HttpBinary, None),
    (Protocol::HttpBinary, Some(Compression::Gzip)),
    (Protocol::HttpBinary, Some(Compression::Zstd)),
    (Protocol::HttpJson, None),
    (Protocol::HttpJson, Some(Compression::Gzip)),
    (Protocol::HttpJson, Some(Compression::Zstd)),
];

/// Calls `send` with a stack of its own for each way, and sees that what was sent was compressed on those
/// that compress, and on no other.
pub(crate) fn on_each_way(reactor: ReactorChoice, send: impl Fn(&Stack, Way)) {
    let stack = Stack::start(reactor);
    // The connections of gRPC exporters live on it.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    for (protocol, compression) in WAYS {
        let way = Way {
            protocol,
            compression,
        };
        let _entered = (protocol == Protocol::Grpc).then(|| runtime.enter());
        let before = Bytes::of(&stack);
        send(&stack, way);
        let after = Bytes::of(&stack);
        let received = after.received - before.received;
        let decoded = after.decoded - before.decoded;
        assert_eq!(
            received < decoded,
            compression.is_some(),
            "{way}: {received} of {decoded} bytes"
        );
    }
}

impl Way {
    /// What is expected of these rows when they come this way. In JSON the SDK writes doubles that are not
    /// finite as null, and so does not send them.
    pub(crate) fn carries(self, mut rows: Vec<Value>) -> Vec<Value> {
        if self.protocol == Protocol::HttpJson {
            rows.iter_mut().for_each(without_non_finite);
        }
        rows
    }

    /// An exporter's builder set up for gRPC.
    pub(crate) fn over_grpc<B: WithExportConfig + WithTonicConfig>(
        self,
        stack: &Stack,
        builder: B,
    ) -> B {
        let builder = builder.with_endpoint(format!("http://{}", stack.grpc_addr()));
        match self.compression {
            Some(compression) => builder.with_compression(compression),
            None => builder,
        }
    }

    /// An exporter's builder set up for HTTP.
    pub(crate) fn over_http<B: WithExportConfig + WithHttpConfig>(
        self,
        stack: &Stack,
        path: &str,
        builder: B,
    ) -> B {
        let builder = builder
            .with_endpoint(format!("http://{}{path}", stack.http_addr()))
            .with_protocol(self.protocol);
        match self.compression {
            Some(compression) => builder.with_compression(compression),
            None => builder,
        }
    }
}

/// Makes every attribute and body that is not a finite double "no value".
fn without_non_finite(value: &mut Value) {
    if let Value::Object(row) = &mut *value
        && let (Some(body), Some(kind)) = (row.get("body"), row.get("body_type"))
    {
        let mut body = json!(["body", body, kind]);
        without_non_finite(&mut body);
        row["body"] = body[1].take();
        row["body_type"] = body[2].take();
    }
    if let Value::Array(entry) = &mut *value
        && let [_, Value::String(text), kind] = entry.as_mut_slice()
    {
        if *kind == ValueType::Double as u8 && ["NaN", "+Inf", "-Inf"].contains(&text.as_str()) {
            text.clear();
            *kind = json!(ValueType::Empty as u8);
        } else if *kind == ValueType::Array as u8 {
            *text = text.replace("\"+Inf\"", "null");
        }
    }
    match value {
        Value::Array(values) => values.iter_mut().for_each(without_non_finite),
        Value::Object(row) => row.values_mut().for_each(without_non_finite),
        _ => (),
    }
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
