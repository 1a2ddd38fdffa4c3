//! Numbers with the distributions that telemetry has, from a seeded generator.

use fastrand::Rng;

/// A generator for one purpose, so that what one of them draws never shifts another.
pub(super) fn stream(seed: u64, purpose: &str) -> Rng {
    // FNV-1a: small, and the same everywhere.
    let hash = purpose.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    Rng::with_seed(seed ^ hash)
}

/// Ranks from 0 on; rank r is drawn in proportion to 1 / (r + 1)^exponent.
#[derive(Debug)]
pub(super) struct Zipf {
    cumulative: Vec<f64>,
}

impl Zipf {
    pub(super) fn new(ranks: usize, exponent: f64) -> Self {
        let mut sum = 0.0;
        let weights = (1..=ranks).map(|rank| {
            sum += (rank as f64).powf(-exponent);
            sum
        });
        Zipf {
            cumulative: weights.collect(),
        }
    }

    pub(super) fn draw(&self, random: &mut Rng) -> usize {
        let all = self.cumulative.last().copied().unwrap_or_default();
        let drawn = random.f64() * all;
        self.cumulative.partition_point(|sum| *sum <= drawn)
    }
}

/// A duration or size with the given median; `sigma` is the deviation of its logarithm.
pub(super) fn log_normal(random: &mut Rng, median: f64, sigma: f64) -> f64 {
    let radius = (-2.0 * (1.0 - random.f64()).ln()).sqrt();
    let normal = radius * (std::f64::consts::TAU * random.f64()).cos();
    median * (sigma * normal).exp()
}

/// True once in `1 / probability`.
pub(super) fn chance(random: &mut Rng, probability: f64) -> bool {
    random.f64() < probability
}

/// One of a list that is not empty.
pub(super) fn pick<'a, T: ?Sized>(random: &mut Rng, list: &[&'a T]) -> &'a T {
    list[random.usize(..list.len())]
}

pub(super) fn trace_id(random: &mut Rng) -> Vec<u8> {
    random.u128(1..).to_be_bytes().to_vec()
}

pub(super) fn span_id(random: &mut Rng) -> Vec<u8> {
    random.u64(1..).to_be_bytes().to_vec()
}

/// A random UUID in its text form.
pub(super) fn uuid(random: &mut Rng) -> String {
    let bits = random.u128(..);
    format!(
        "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
        (bits >> 96) as u32,
        (bits >> 80) as u16,
        (bits >> 64) as u16 & 0xfff,
        (bits >> 48) as u16 & 0x3fff | 0x8000,
        bits as u64 & 0xffff_ffff_ffff,
    )
}
