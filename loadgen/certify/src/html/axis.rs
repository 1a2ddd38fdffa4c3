//! Scales and ticks of a plot: a range of values goes in, places on a picture and round numbers come out.

/// How values are laid out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Scale {
    /// From 0 on, to a multiple of the step.
    Linear { most: f64, step: f64 },
    /// Each power of ten takes as much room.
    Log { least: f64, most: f64 },
}

impl Scale {
    /// From 0 to a round number above all values.
    pub(super) fn linear(values: impl Iterator<Item = f64>) -> Self {
        let most = values.fold(0.0, f64::max);
        let step = step(if most > 0.0 { most } else { 1.0 }, 4.0);
        Scale::Linear {
            most: (most / step).ceil().max(1.0) * step,
            step,
        }
    }

    /// From the power of ten below all values to the one above; values of 0 lie at its lower end.
    pub(super) fn log(values: impl Iterator<Item = f64> + Clone) -> Self {
        let positive = values.filter(|value| *value > 0.0);
        let least = positive.clone().fold(f64::MAX, f64::min).min(1e12);
        let most = positive.fold(0.0, f64::max).max(least);
        let least = 10_f64.powf(least.log10().floor());
        let most = 10_f64.powf(most.log10().ceil());
        Scale::Log {
            least,
            most: most.max(least * 10.0),
        }
    }

    /// Where a value lies, from 0 to 1.
    pub(super) fn part(self, value: f64) -> f64 {
        let part = match self {
            Scale::Linear { most, .. } => value / most,
            Scale::Log { least, most } => {
                (value.max(least) / least).log10() / (most / least).log10()
            }
        };
        part.clamp(0.0, 1.0)
    }

    /// Round values.
    pub(super) fn ticks(self) -> Vec<f64> {
        match self {
            Scale::Linear { most, step } => {
                let count = (most / step).round() as u32;
                (0..=count).map(|tick| f64::from(tick) * step).collect()
            }
            Scale::Log { least, most } => {
                let decades = (most / least).log10().round() as i32;
                let every = (decades / 6 + 1).max(1) as usize;
                let powers = (0..=decades).step_by(every);
                powers.map(|power| least * 10_f64.powi(power)).collect()
            }
        }
    }
}

/// A round step that makes about so many of the whole.
fn step(whole: f64, parts: f64) -> f64 {
    let rough = whole / parts;
    let unit = 10_f64.powf(rough.log10().floor());
    let round = [1.0, 2.0, 2.5, 5.0, 10.0]
        .into_iter()
        .find(|round| *round * unit >= rough * 0.999);
    round.unwrap_or(10.0) * unit
}

/// Seconds as ticks with their words: seconds, minutes or hours.
pub(super) fn times(until: f64) -> Vec<(f64, String)> {
    const STEPS: [f64; 14] = [
        1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0,
        14_400.0,
    ];
    let step = STEPS
        .into_iter()
        .find(|step| until / step <= 6.5)
        .unwrap_or_else(|| (until / 6.0 / 86_400.0).ceil() * 86_400.0);
    let (unit, name) = match step {
        step if step < 60.0 && until < 120.0 => (1.0, "s"),
        step if step < 3600.0 => (60.0, "min"),
        _ => (3600.0, "h"),
    };
    let count = (until / step).floor() as u32;
    let ticks = (0..=count).map(|tick| f64::from(tick) * step);
    ticks
        .map(|at| (at, format!("{} {name}", crate::words::short(at / unit))))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scenario: ranges of every size, empty ones among them. Guarantees: ticks are few, rise, begin and end with
    /// the scale, and every value lies within.
    #[test]
    fn ticks_fit_their_scale() {
        for most in [0.0, 0.003, 1.0, 7.3, 99.0, 100.0, 123_456.0, 2.03e6, 4e9] {
            let scale = Scale::linear([0.0, most].into_iter());
            let ticks = scale.ticks();
            assert!((2..=7).contains(&ticks.len()), "{most}: {ticks:?}");
            assert_eq!(
                (scale.part(ticks[0]), scale.part(ticks[ticks.len() - 1])),
                (0.0, 1.0)
            );
            assert!(scale.part(most) <= 1.0 && most <= ticks[ticks.len() - 1]);
            let places: Vec<f64> = ticks.iter().map(|tick| scale.part(*tick)).collect();
            let even = 1.0 / (ticks.len() - 1) as f64;
            let gaps = places.windows(2).map(|pair| pair[1] - pair[0] - even);
            assert!(
                gaps.into_iter().all(|off| off.abs() < 1e-9),
                "{most}: {places:?}"
            );
        }
        for values in [
            vec![],
            vec![0.0],
            vec![5.0],
            vec![0.2, 700.0],
            vec![1e-9, 1e9],
        ] {
            let scale = Scale::log(values.iter().copied());
            let ticks = scale.ticks();
            assert!((2..=8).contains(&ticks.len()), "{values:?}: {ticks:?}");
            assert!(ticks.is_sorted() && ticks.iter().all(|tick| tick.is_finite()));
            assert!(
                values
                    .iter()
                    .all(|value| (0.0..=1.0).contains(&scale.part(*value)))
            );
        }
        for until in [0.5, 55.0, 300.0, 20_000.0, 86_400.0, 9e5] {
            let ticks = times(until);
            assert!((1..=8).contains(&ticks.len()), "{until}: {ticks:?}");
        }
    }
}
