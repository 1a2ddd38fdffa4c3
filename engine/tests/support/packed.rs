//! Bodies packed as senders pack them, in every encoding that the engine takes.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

/// An encoding's name in headers, and who packs.
pub type Packing = (&'static str, fn(&[u8]) -> Vec<u8>);

/// Each encoding that packs; "deflate" as it should be and as some send it.
pub const PACKINGS: [Packing; 5] = [
    ("gzip", gzip),
    ("zstd", zstd),
    ("zstd", zstd_stream),
    ("deflate", zlib),
    ("deflate", bare_deflate),
];

/// gzip, as a sender would.
pub fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(plain).expect("a Vec takes everything");
    encoder.finish().expect("a Vec takes everything")
}

/// What HTTP calls deflate.
pub fn zlib(plain: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(plain).expect("a Vec takes everything");
    encoder.finish().expect("a Vec takes everything")
}

/// What some senders took it for.
fn bare_deflate(plain: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(plain).expect("a Vec takes everything");
    encoder.finish().expect("a Vec takes everything")
}

/// zstd that says how large it becomes, and ends in a checksum.
pub fn zstd(plain: &[u8]) -> Vec<u8> {
    let mut packed = Vec::with_capacity(zstd_safe::compress_bound(plain.len()));
    let done = zstd_encoder().compress2(&mut packed, plain);
    done.expect("room enough");
    packed
}

/// zstd of a sender that does not know how large its body becomes.
fn zstd_stream(plain: &[u8]) -> Vec<u8> {
    let mut packed = Vec::with_capacity(zstd_safe::compress_bound(plain.len()) + 64);
    let mut output = zstd_safe::OutBuffer::around(&mut packed);
    let mut input = zstd_safe::InBuffer::around(plain);
    let mut encoder = zstd_encoder();
    while input.pos() < plain.len() {
        let step = encoder.compress_stream(&mut output, &mut input);
        step.expect("room enough");
    }
    while encoder.end_stream(&mut output).expect("room enough") > 0 {}
    packed
}

fn zstd_encoder() -> zstd_safe::CCtx<'static> {
    let mut encoder = zstd_safe::CCtx::create();
    let checksum = zstd_safe::CParameter::ChecksumFlag(true);
    encoder.set_parameter(checksum).expect("a known parameter");
    encoder
}
