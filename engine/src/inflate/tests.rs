//! Bodies in every encoding: whole, in parts, broken, and larger than they look.

use std::io::Write;

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

use super::{Encoding, Inflate, InflateError};

const MIB: usize = 1 << 20;

/// An encoding, what is around it, and who makes it.
type Packer = (Encoding, &'static str, fn(&[u8]) -> Vec<u8>);

const PACKERS: [Packer; 5] = [
    (Encoding::Gzip, "gzip", gzip),
    (Encoding::Deflate, "zlib", |plain| {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(plain).unwrap();
        encoder.finish().unwrap()
    }),
    (Encoding::Deflate, "bare deflate", |plain| {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(plain).unwrap();
        encoder.finish().unwrap()
    }),
    (Encoding::Zstd, "zstd that says its size", zstd),
    (Encoding::Zstd, "zstd that does not", |plain| {
        zstd_stream(plain, 17)
    }),
];

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

fn zstd(plain: &[u8]) -> Vec<u8> {
    let mut packed = Vec::with_capacity(zstd_safe::compress_bound(plain.len()));
    let mut context = zstd_safe::CCtx::create();
    context
        .set_parameter(zstd_safe::CParameter::ChecksumFlag(true))
        .unwrap();
    context.compress2(&mut packed, plain).unwrap();
    packed
}

/// As a sender that does not know the size yet: the window is all that the frame's header says.
fn zstd_stream(plain: &[u8], window_log: u32) -> Vec<u8> {
    use zstd_safe::{CParameter, InBuffer, OutBuffer};
    let mut context = zstd_safe::CCtx::create();
    for parameter in [
        CParameter::WindowLog(window_log),
        CParameter::ChecksumFlag(true),
    ] {
        context.set_parameter(parameter).unwrap();
    }
    let mut packed = Vec::with_capacity(zstd_safe::compress_bound(plain.len()) + 1024);
    let mut output = OutBuffer::around(&mut packed);
    let mut input = InBuffer::around(plain);
    while input.pos() < plain.len() {
        context.compress_stream(&mut output, &mut input).unwrap();
    }
    while context.end_stream(&mut output).unwrap() > 0 {}
    packed
}

fn unpack(encoding: Encoding, packed: &[u8], limit: usize) -> Result<Vec<u8>, InflateError> {
    let mut plain = Vec::new();
    Inflate::default().decompress(encoding, packed, &mut plain, limit)?;
    Ok(plain)
}

/// Text that compresses, but not to nothing.
fn text() -> Vec<u8> {
    let numbers = (0..20_000u32).map(|number| number.wrapping_mul(2_654_435_761).to_string());
    numbers.collect::<String>().into_bytes()
}

/// Scenario: bodies of nothing, of a little, of much, and of one byte repeated, one after the other through
/// the same decompressors.
/// Guarantee: each comes out as it went in.
#[test]
fn every_encoding_is_taken() {
    let mut inflate = Inflate::default();
    for plain in [vec![], b"some text".to_vec(), text(), vec![7; MIB]] {
        for (encoding, name, pack) in PACKERS {
            let mut found = Vec::new();
            let result = inflate.decompress(encoding, &pack(&plain), &mut found, MIB);
            assert_eq!(result, Ok(()), "{name}, {} bytes", plain.len());
            assert!(found == plain, "{name}, {} bytes", plain.len());
        }
    }
}

/// Scenario: bodies of several gzip members or zstd frames, identical and empty ones among them, and with a
/// frame that zstd wants skipped.
/// Guarantee: all parts' content, in order.
#[test]
fn every_member_and_frame_counts() {
    let skipped = b"\x50\x2a\x4d\x18\x03\x00\x00\x00abc";
    for (encoding, pack) in [
        (Encoding::Gzip, gzip as fn(&[u8]) -> Vec<u8>),
        (Encoding::Zstd, zstd),
    ] {
        let mut body = [pack(b"same"), pack(b"same"), pack(b""), pack(b"end")].concat();
        if encoding == Encoding::Zstd {
            body.extend_from_slice(skipped);
        }
        assert_eq!(unpack(encoding, &body, MIB).unwrap(), b"samesameend");
    }
}

/// Scenario: a body of exactly the limit, and the same with one byte less allowed.
/// Guarantee: the limit is met exactly.
#[test]
fn the_limit_is_exact() {
    for (encoding, name, pack) in PACKERS {
        for plain in [vec![1; 50_000], text()] {
            let (body, length) = (pack(&plain), plain.len());
            assert!(unpack(encoding, &body, length).is_ok(), "{name}");
            let result = unpack(encoding, &body, length - 1);
            assert_eq!(result, Err(InflateError::TooLarge), "{name}");
        }
    }
}

/// Scenario: bombs, which become a thousand times larger and more, with sizes that lie about it.
/// Guarantee: refused, and room never grows past the limit and the byte that tells that it is passed.
#[test]
fn bombs_stay_small() {
    let zeros = vec![0; 64 * MIB];
    for (encoding, name, pack) in PACKERS {
        let mut bomb = pack(&zeros);
        assert!(bomb.len() * 1000 < zeros.len(), "{name}: {}", bomb.len());
        for lie in [false, true] {
            if lie {
                // gzip claims its size in the last four bytes, this zstd frame in four behind the first five.
                let place = match name {
                    "gzip" => bomb.len() - 4,
                    "zstd that says its size" => 5,
                    _ => continue,
                };
                bomb[place..place + 4].copy_from_slice(&1000u32.to_le_bytes());
            }
            let mut plain = Vec::new();
            let result = Inflate::default().decompress(encoding, &bomb, &mut plain, MIB);
            assert!(result.is_err(), "{name}");
            assert!(plain.capacity() <= MIB + 1, "{name}: {}", plain.capacity());
        }
    }
    // A claim of 2^64 - 1 bytes asks for nothing either.
    let mut liar = zstd(&zeros);
    liar.splice(4..9, [0xe4].into_iter().chain([0xff; 8]));
    let mut plain = Vec::new();
    let result = Inflate::default().decompress(Encoding::Zstd, &liar, &mut plain, MIB);
    assert!(result.is_err() && plain.capacity() <= MIB + 1);
}

/// Scenario: each gzip member once got room of its own up to the limit, so that a body took twice the limit
/// before it was refused. So: a member of nearly the limit, then one that passes it, or just reaches it.
/// Guarantees: the bound on room is one for the whole body.
#[test]
fn members_share_the_room() {
    let first = gzip(&vec![0; MIB - 100]);
    for (length, is_taken) in [(100, true), (101, false), (8 * MIB, false)] {
        let body = [first.clone(), gzip(&vec![1; length])].concat();
        let mut plain = Vec::new();
        let result = Inflate::default().decompress(Encoding::Gzip, &body, &mut plain, MIB);
        assert_eq!(result.is_ok(), is_taken, "{length}");
        assert!(
            plain.capacity() <= MIB + 1,
            "{length}: {}",
            plain.capacity()
        );
    }
}

/// Scenario: a small zstd frame that asks for a window within the bound, and ones past it.
/// Guarantee: the first is taken, the others are refused with the reason.
#[test]
fn windows_are_bounded() {
    let plain = text();
    let body = zstd_stream(&plain, 25);
    assert_eq!(unpack(Encoding::Zstd, &body, MIB).unwrap(), plain);
    for log in [26, 27, 31] {
        let mut body = body.clone();
        // The window's logarithm, less ten, is in the upper bits of the header's sixth byte.
        body[5] = (log - 10) << 3;
        let result = unpack(Encoding::Zstd, &body, MIB);
        assert_eq!(result, Err(InflateError::Window), "{log}");
    }
}

/// Scenario: a body cut at every byte, damaged, followed by rubbish, empty, or in another encoding.
/// Guarantee: "broken", never content.
#[test]
fn broken_bodies_are_refused() {
    let plain = b"some text that is long enough to be compressed, compressed, compressed";
    for (encoding, name, pack) in PACKERS {
        let body = pack(plain);
        for cut in 0..body.len() {
            let result = unpack(encoding, &body[..cut], MIB);
            assert_eq!(result, Err(InflateError::Broken), "{name} cut at {cut}");
        }
        let rubbish = unpack(encoding, &[&body, &b"rubbish"[..]].concat(), MIB);
        assert_eq!(rubbish, Err(InflateError::Broken), "{name}");
        if name != "bare deflate" {
            // The others end in a checksum.
            let mut damaged = body.clone();
            damaged[body.len() / 2] ^= 0x55;
            assert_eq!(
                unpack(encoding, &damaged, MIB),
                Err(InflateError::Broken),
                "{name}"
            );
        }
        for (other, other_name, pack) in PACKERS {
            if other != encoding {
                let result = unpack(encoding, &pack(plain), MIB);
                assert_eq!(
                    result,
                    Err(InflateError::Broken),
                    "{other_name} called {name}"
                );
            }
        }
    }
}

/// Scenario: names as they come in headers.
/// Guarantee: each encoding is found by its own name in any case, and the list for answers names all.
#[test]
fn encodings_have_names() {
    for encoding in Encoding::ALL {
        let name = encoding.name();
        assert_eq!(Encoding::named(name.as_bytes()), Some(encoding));
        assert_eq!(
            Encoding::named(name.to_uppercase().as_bytes()),
            Some(encoding)
        );
        assert!(super::ENCODINGS.split(',').any(|listed| listed == name));
    }
    for unknown in [&b""[..], b"br", b"gzip,gzip", b"x-gzip", b"\xff"] {
        assert_eq!(Encoding::named(unknown), None);
    }
}
