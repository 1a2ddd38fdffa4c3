//! Traces, logs and metrics of one imagined company, made from a seed: a seed and a start go in, OTLP
//! requests come out. The same seed, start and rate give the same bytes; no clock is read.

mod attributes;
mod exceptions;
mod leaves;
mod logs;
mod maker;
mod metrics;
mod names;
mod points;
mod random;
mod resources;
mod runtime;
mod scopes;
mod series;
mod templates;
mod topology;
mod traces;
mod values;

use topology::Topology;

pub use logs::Logs;
pub use metrics::Metrics;
pub use traces::Traces;

const NANOS_A_SECOND: u64 = 1_000_000_000;

/// The company: 40 services with a few instances each, about 200 operations that call each other, their
/// log templates and their metric series.
#[derive(Debug)]
pub struct Corpus {
    seed: u64,
    topology: Topology,
}

/// When spans happen.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// When the first trace begins, in nanoseconds since 1970.
    pub start: u64,
    /// How many spans begin in a second, on average; not 0.
    pub spans_per_second: u64,
}

impl Corpus {
    /// The company that `seed` gives.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Corpus {
            seed,
            topology: Topology::new(&mut random::stream(seed, "topology")),
        }
    }

    /// Adds an attribute to every resource.
    #[must_use]
    pub fn with_resource_attribute(mut self, key: &str, value: &str) -> Self {
        for instance in &mut self.topology.instances {
            let attributes = &mut instance.resource.attributes;
            attributes.push(values::text(key, value));
        }
        self
    }

    /// Spans from `pace.start` on.
    #[must_use]
    pub fn traces(&self, pace: Pace) -> Traces<'_> {
        Traces::new(&self.topology, self.seed, pace)
    }

    /// Log records from `pace.start` on, about one a span. Those that belong to a trace carry the ids that
    /// [`Corpus::traces`] gives for the same pace.
    #[must_use]
    pub fn logs(&self, pace: Pace) -> Logs<'_> {
        Logs::new(&self.topology, self.seed, pace)
    }

    /// Points of every series from `start` on (nanoseconds since 1970), at 15 to 60 s intervals. The company
    /// is counted `copies` times, each with instances of its own: a copy has a few thousand series.
    #[must_use]
    pub fn metrics(&self, start: u64, copies: usize) -> Metrics {
        Metrics::new(&self.topology, self.seed, start, copies)
    }
}
