//! A curve of percentiles from a histogram, with as much room for the last percent as for all others.

use spanmill_loadgen::Latencies;

use crate::report::CurvePoint;

/// Points for each further nine.
const A_NINE: u32 = 8;

pub(crate) fn curve(micros: &Latencies) -> Vec<CurvePoint> {
    if micros.is_empty() {
        return Vec::new();
    }
    // Beyond one in all that there are, nothing more is known.
    let nines = (micros.len() as f64).log10();
    let steps = (nines * f64::from(A_NINE)).floor() as u32;
    let point = |step: u32| {
        let quantile = 1.0 - 10_f64.powf(-f64::from(step) / f64::from(A_NINE));
        CurvePoint {
            percentile: quantile * 100.0,
            ms: micros.value_at_quantile(quantile) as f64 / 1000.0,
        }
    };
    (0..=steps).map(point).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scenario: a thousand latencies of 1 to 1,000 ms, and none. Guarantees: the curve rises from the least to
    /// the 99.9th percentile, passes the median, and of none there is none.
    #[test]
    fn a_curve_rises_to_the_last_nine() {
        let mut micros = Latencies::new(3).unwrap();
        assert!(curve(&micros).is_empty());
        (1..=1000).for_each(|ms| micros.record(ms * 1000).unwrap());
        let points = curve(&micros);
        assert!(points.is_sorted_by(|a, b| a.ms <= b.ms && a.percentile < b.percentile));
        let (first, last) = (points[0], points[points.len() - 1]);
        assert!(first.ms < 2.0 && first.percentile == 0.0);
        assert!((last.percentile - 99.9).abs() < 1e-9 && last.ms >= 999.0);
        let near = points.iter().find(|point| point.percentile > 50.0).unwrap();
        assert!((near.ms / 10.0 - near.percentile).abs() < 1.0, "{near:?}");
    }
}
