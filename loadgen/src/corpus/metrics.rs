//! Points of all series: each instance exports at its own interval, and begins anew now and then.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use fastrand::Rng;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::metrics::v1::{ResourceMetrics, ScopeMetrics};
use opentelemetry_proto::tonic::resource::v1::Resource;

use super::NANOS_A_SECOND;
use super::points::{Family, Moment};
use super::random::{chance, stream, uuid};
use super::series::families;
use super::topology::Topology;
use super::traces::SCHEMA_URL;

/// Seconds between two exports; a service keeps to one.
const INTERVALS: [u64; 4] = [60, 30, 60, 15];
/// A process lives this long on average, so counters begin at zero again about four times a day.
const LIFE_SECONDS: f64 = 6.0 * 3600.0;
/// Families of one instrumentation library.
const FAMILIES_A_SCOPE: usize = 6;

/// Points in the order in which they are taken.
#[derive(Debug)]
pub struct Metrics {
    random: Rng,
    instances: Vec<Measured>,
    due: BinaryHeap<Reverse<(u64, usize)>>,
}

#[derive(Debug)]
struct Measured {
    resource: Resource,
    families: Vec<Family>,
    interval: u64,
    started: u64,
    last: u64,
    delta: bool,
}

impl Metrics {
    pub(super) fn new(topology: &Topology, seed: u64, start: u64, copies: usize) -> Self {
        let mut random = stream(seed, "metrics");
        let mut instances = Vec::new();
        for copy in 0..copies {
            for instance in &topology.instances {
                let mut resource = instance.resource.clone();
                if copy > 0 {
                    rename(&mut random, &mut resource);
                }
                let started = start - random.u64(1..12 * 3600) * NANOS_A_SECOND;
                instances.push(Measured {
                    resource,
                    families: families(&mut random, topology, instance.service),
                    interval: INTERVALS[instance.service % INTERVALS.len()] * NANOS_A_SECOND,
                    started,
                    last: started,
                    delta: instance.service % 10 == 7,
                });
            }
        }
        let due = instances
            .iter()
            .enumerate()
            .map(|(index, instance)| Reverse((start + random.u64(..instance.interval), index)));
        let due = due.collect();
        Metrics {
            random,
            instances,
            due,
        }
    }

    /// How many series there are.
    #[must_use]
    pub fn series(&self) -> usize {
        let families = self
            .instances
            .iter()
            .flat_map(|instance| &instance.families);
        families.map(|family| family.series.len()).sum()
    }

    /// The next exports of instances, as many as give at least `points` points.
    pub fn request(&mut self, points: usize) -> ExportMetricsServiceRequest {
        let mut resource_metrics = Vec::new();
        let mut taken = 0;
        while taken < points {
            let Some(Reverse((time, index))) = self.due.pop() else {
                break;
            };
            let instance = &mut self.instances[index];
            // A timer is late by milliseconds.
            let late = self.random.u64(100_000..6_000_000);
            resource_metrics.push(instance.export(&mut self.random, time + late));
            taken += instance
                .families
                .iter()
                .map(|family| family.series.len())
                .sum::<usize>();
            self.due.push(Reverse((time + instance.interval, index)));
        }
        ExportMetricsServiceRequest { resource_metrics }
    }
}

impl Measured {
    fn export(&mut self, random: &mut Rng, time: u64) -> ResourceMetrics {
        if chance(
            random,
            self.interval as f64 / NANOS_A_SECOND as f64 / LIFE_SECONDS,
        ) {
            self.started = time - random.u64(1..self.interval);
            self.last = self.started;
            self.families.iter_mut().for_each(Family::reset);
        }
        let moment = Moment {
            start: if self.delta { self.last } else { self.started },
            time,
            seconds: (time - self.last) as f64 / NANOS_A_SECOND as f64,
            delta: self.delta,
        };
        self.last = time;
        let scopes =
            self.families
                .chunks_mut(FAMILIES_A_SCOPE)
                .enumerate()
                .map(|(index, families)| ScopeMetrics {
                    scope: Some(InstrumentationScope {
                        name: [
                            "io.opentelemetry.runtime",
                            "io.opentelemetry.server",
                            "com.shop.business",
                        ][index % 3]
                            .into(),
                        version: "2.22.0".into(),
                        ..InstrumentationScope::default()
                    }),
                    metrics: families
                        .iter_mut()
                        .map(|family| family.metric(random, moment))
                        .collect(),
                    schema_url: SCHEMA_URL.into(),
                });
        ResourceMetrics {
            scope_metrics: scopes.collect(),
            resource: Some(self.resource.clone()),
            schema_url: SCHEMA_URL.into(),
        }
    }
}

/// Makes a copy's instance another one.
fn rename(random: &mut Rng, resource: &mut Resource) {
    for attribute in &mut resource.attributes {
        let Some(Value::StringValue(value)) = attribute
            .value
            .as_mut()
            .and_then(|value| value.value.as_mut())
        else {
            continue;
        };
        match attribute.key.as_str() {
            "service.instance.id" => *value = uuid(random),
            "k8s.pod.name" => {
                value.truncate(value.len() - 5);
                value.push_str(&uuid(random)[..5]);
            }
            _ => {}
        }
    }
}
