//! Requests that are encoded before the start: a corpus goes in, and bytes to send come out, with ids and
//! times of their own for each send. Compressed ones stay as they are: their ids and times repeat.

mod offsets;
mod stamp;

use std::io::Write;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use flate2::write::GzEncoder;
use prost::Message;
use serde::Serialize;

use crate::corpus::{Corpus, Pace};
use crate::error::Error;
use crate::options::{Compression, Encoding, Options, Protocol, Rate};
use crate::signal::Signal;
use offsets::Offsets;
pub(crate) use stamp::Stamp;
use stamp::{Form, restamp};

/// The pace of what is sent at the maximum rate, which nobody knows beforehand.
const PACE_AT_MAX: f64 = 200_000.0;
/// gRPC's flag and length.
const PREFIX: usize = 5;
/// Copies of the company whose series are measured: each takes memory, and 100 have over 100,000 series.
const COPIES_MAX: usize = 100;

/// One encoded request.
#[derive(Debug)]
pub(crate) struct Template {
    bytes: Bytes,
    /// `None` when it is compressed.
    patch: Option<(Form, Offsets)>,
    stamp: Stamp,
    items: u64,
    sends: u64,
}

impl Template {
    pub(crate) fn items(&self) -> u64 {
        self.items
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The bytes of one more send, whose latest time is `latest` (nanoseconds since 1970).
    pub(crate) fn next(&mut self, run: u64, latest: u64) -> Bytes {
        let stamp = Stamp::of_round(run, self.sends, latest);
        self.sends += 1;
        if let Some((form, offsets)) = &self.patch {
            // Without a copy, unless an earlier send of it is still on its way.
            let mut bytes = match std::mem::take(&mut self.bytes).try_into_mut() {
                Ok(bytes) => bytes,
                Err(in_flight) => BytesMut::from(&in_flight[..]),
            };
            restamp(*form, &mut bytes, offsets, self.stamp, stamp);
            self.stamp = stamp;
            self.bytes = bytes.freeze();
        }
        self.bytes.clone()
    }
}

/// What is encoded for each signal, by its number; none for those that are not sent. `start` is when the first
/// request is due, in nanoseconds since 1970.
///
/// # Errors
/// When a request cannot be encoded.
pub(crate) fn encode(options: &Options, run: u64, start: u64) -> Result<[Vec<Template>; 3], Error> {
    let times = options.times(start);
    let now = times.at(Duration::ZERO);
    let corpus = options
        .resource
        .iter()
        .fold(Corpus::new(options.seed), |corpus, attribute| {
            corpus.with_resource_attribute(&attribute.key, &attribute.value)
        });
    let (count, items) = (options.distinct, options.items_per_request);
    let pace = Pace {
        start: now,
        spans_per_second: match options.rate {
            Rate::Items(rate) => (times.rate(rate) as u64).max(1),
            Rate::Max => (times.rate(PACE_AT_MAX) as u64).max(1),
        },
    };
    let one = |signal: Signal| {
        if options.signals.weights[signal as usize] == 0 {
            return Ok(Vec::new());
        }
        match signal {
            Signal::Traces => {
                let mut traces = corpus.traces(pace);
                let requests = (0..count).map(|_| traces.request(items));
                requests
                    .map(|request| template(options, signal, &request, run, now))
                    .collect()
            }
            Signal::Logs => {
                let mut logs = corpus.logs(pace);
                let requests = (0..count).map(|_| logs.request(items));
                requests
                    .map(|request| template(options, signal, &request, run, now))
                    .collect()
            }
            Signal::Metrics => {
                // As many series as there are points, so that no series has two in one round.
                let series = corpus.metrics(now, 1).series().max(1);
                let copies = (count * items).div_ceil(series).clamp(1, COPIES_MAX);
                let mut metrics = corpus.metrics(now, copies);
                let requests = (0..count).map(|_| metrics.request(items));
                requests
                    .map(|request| template(options, signal, &request, run, now))
                    .collect()
            }
        }
    };
    let [traces, logs, metrics] = Signal::ALL.map(one);
    Ok([traces?, logs?, metrics?])
}

/// Encodes a request, stamped with the first round's ids and the present.
fn template(
    options: &Options,
    signal: Signal,
    request: &(impl Message + Serialize),
    run: u64,
    now: u64,
) -> Result<Template, Error> {
    let protobuf = request.encode_to_vec();
    let broken = || Error::Encode(signal.name());
    let binary = offsets::in_protobuf(signal, &protobuf).ok_or_else(broken)?;
    let items = binary.items;
    let (form, mut body, mut offsets) = match options.encoding {
        Encoding::Protobuf => (Form::Binary, protobuf, binary),
        Encoding::Json => {
            let text = serde_json::to_vec(request).map_err(|_| broken())?;
            let offsets = offsets::in_json(&text);
            (Form::Text, text, offsets)
        }
    };
    let generated = Stamp {
        trace: 0,
        span: 0,
        latest: stamp::latest(form, &mut body, &offsets),
    };
    let stamp = Stamp::of_round(run, 0, now);
    restamp(form, &mut body, &offsets, generated, stamp);
    let body = compressed(options.compression, body).ok_or_else(broken)?;
    let mut bytes = BytesMut::with_capacity(body.len() + PREFIX);
    if options.protocol == Protocol::Grpc {
        let length = u32::try_from(body.len()).map_err(|_| broken())?;
        bytes.put_u8(u8::from(options.compression != Compression::Identity));
        bytes.put_u32(length);
        let all = [&mut offsets.traces, &mut offsets.spans, &mut offsets.times];
        all.into_iter()
            .flatten()
            .for_each(|at| *at += PREFIX as u32);
    }
    bytes.put_slice(&body);
    let patched = options.compression == Compression::Identity;
    Ok(Template {
        bytes: bytes.freeze(),
        patch: patched.then_some((form, offsets)),
        stamp,
        items,
        sends: 0,
    })
}

fn compressed(compression: Compression, body: Vec<u8>) -> Option<Vec<u8>> {
    match compression {
        Compression::Identity => Some(body),
        Compression::Gzip => {
            let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::default());
            encoder.write_all(&body).ok()?;
            encoder.finish().ok()
        }
        Compression::Zstd => {
            let mut packed = Vec::with_capacity(zstd_safe::compress_bound(body.len()));
            zstd_safe::compress(&mut packed, &body, zstd_safe::CLEVEL_DEFAULT).ok()?;
            Some(packed)
        }
    }
}

#[cfg(test)]
mod tests;
