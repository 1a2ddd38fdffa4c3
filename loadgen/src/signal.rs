//! The three signals, how they are named on each transport, and in which order a mix of them is sent.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use crate::options::OptionsError;

/// What a request carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Signal {
    /// Spans.
    Traces,
    /// Log records.
    Logs,
    /// Points.
    Metrics,
}

impl Signal {
    /// Every signal, in the order of their numbers.
    pub const ALL: [Signal; 3] = [Signal::Traces, Signal::Logs, Signal::Metrics];

    /// Name in options and reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        ["traces", "logs", "metrics"][self as usize]
    }

    pub(crate) fn grpc_path(self) -> &'static str {
        [
            "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
            "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
            "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
        ][self as usize]
    }

    pub(crate) fn http_path(self) -> &'static str {
        ["/v1/traces", "/v1/logs", "/v1/metrics"][self as usize]
    }
}

/// The share of each signal in the items that are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mix {
    /// By [`Signal`]'s number; 0 where a signal is not sent.
    pub weights: [u32; 3],
}

impl FromStr for Mix {
    type Err = OptionsError;

    /// Reads `traces=8,logs=1`; a signal without a weight weighs 1.
    fn from_str(text: &str) -> Result<Self, OptionsError> {
        let wrong = |part: &str| OptionsError::Signals(part.to_owned());
        let mut weights = [0; 3];
        for part in text.split(',') {
            let (name, weight) = part.split_once('=').unwrap_or((part, "1"));
            let signal = Signal::ALL
                .into_iter()
                .find(|signal| signal.name() == name.trim())
                .ok_or_else(|| wrong(part))?;
            let weight: u32 = weight.trim().parse().map_err(|_| wrong(part))?;
            if weights[signal as usize] != 0 || weight == 0 {
                return Err(wrong(part));
            }
            weights[signal as usize] = weight;
        }
        Ok(Mix { weights })
    }
}

impl fmt::Display for Mix {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut comma = "";
        for signal in Signal::ALL {
            let weight = self.weights[signal as usize];
            if weight > 0 {
                write!(formatter, "{comma}{}={weight}", signal.name())?;
                comma = ",";
            }
        }
        Ok(())
    }
}

impl Serialize for Mix {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Whose turn it is: the signal that has had least of its share.
#[derive(Debug)]
pub(crate) struct Turns {
    mix: Mix,
    items: [u64; 3],
}

impl Turns {
    pub(crate) fn new(mix: Mix) -> Self {
        Turns { mix, items: [0; 3] }
    }

    pub(crate) fn next(&self) -> Signal {
        let had = |signal: &Signal| {
            let place = *signal as usize;
            self.items[place] as f64 / f64::from(self.mix.weights[place])
        };
        let wanted = Signal::ALL
            .into_iter()
            .filter(|signal| self.mix.weights[*signal as usize] > 0);
        wanted
            .min_by(|one, other| had(one).total_cmp(&had(other)))
            .unwrap_or(Signal::Traces)
    }

    pub(crate) fn count(&mut self, signal: Signal, items: u64) {
        self.items[signal as usize] += items;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scenario: a mix of 6:3:1 with requests of unequal sizes. Guarantees: each signal gets its share of the
    /// items, not of the requests, and never lags by more than a request.
    #[test]
    fn a_mix_is_kept_in_items() {
        let mix: Mix = "traces=6,logs=3,metrics=1".parse().unwrap();
        let mut turns = Turns::new(mix);
        let sizes = [100, 100, 350];
        for _ in 0..1000 {
            let signal = turns.next();
            turns.count(signal, sizes[signal as usize]);
        }
        let all: u64 = turns.items.iter().sum();
        for (items, share) in turns.items.iter().zip([0.6, 0.3, 0.1]) {
            let off = (*items as f64 - share * all as f64).abs();
            assert!(off <= 400.0, "{:?}", turns.items);
        }
    }

    /// Scenario: mixes as people write them. Guarantees: what is read prints as it is written; unknown names,
    /// weights of 0, repeated and missing signals are errors.
    #[test]
    fn a_mix_is_read() {
        let mix: Mix = "metrics,traces=4".parse().unwrap();
        assert_eq!(mix.to_string(), "traces=4,metrics=1");
        for wrong in ["", "spans", "traces=0", "traces=x", "logs,logs", "traces,"] {
            assert!(wrong.parse::<Mix>().is_err(), "{wrong}");
        }
    }
}
