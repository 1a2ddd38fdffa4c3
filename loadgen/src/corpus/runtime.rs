//! Series of processes and of the runtimes of their languages.

use fastrand::Rng;

use super::names::LANGUAGES;
use super::points::{Family, Kind};
use super::series::family;
use super::topology::Service;
use super::values::text;

pub(super) fn process(random: &mut Rng) -> Vec<Family> {
    let modes = |key| ["user", "system"].map(|mode| vec![text(key, mode)]);
    let directions = ["receive", "transmit"].map(|direction| {
        vec![
            text("network.io.direction", direction),
            text("network.interface.name", "eth0"),
        ]
    });
    vec![
        family(
            "process.cpu.time",
            "s",
            Kind::FloatCounter,
            random,
            0.4,
            modes("cpu.mode"),
        ),
        family(
            "process.cpu.utilization",
            "1",
            Kind::Gauge,
            random,
            0.2,
            modes("cpu.mode"),
        ),
        family(
            "process.memory.usage",
            "By",
            Kind::UpDown,
            random,
            6e8,
            [vec![]],
        ),
        family(
            "process.open_file_descriptor.count",
            "{file_descriptor}",
            Kind::UpDown,
            random,
            180.0,
            [vec![]],
        ),
        family(
            "system.network.io",
            "By",
            Kind::Counter,
            random,
            2e6,
            directions,
        ),
    ]
}

pub(super) fn runtime(random: &mut Rng, service: &Service) -> Vec<Family> {
    match LANGUAGES[service.language].0 {
        "java" => {
            let pools = [
                "G1 Eden Space",
                "G1 Old Gen",
                "G1 Survivor Space",
                "Metaspace",
                "CodeHeap 'profiled nmethods'",
            ];
            let pools = pools.map(|pool| {
                let kind = if pool.starts_with("G1") {
                    "heap"
                } else {
                    "non_heap"
                };
                vec![
                    text("jvm.memory.type", kind),
                    text("jvm.memory.pool.name", pool),
                ]
            });
            let states = ["runnable", "waiting", "timed_waiting"]
                .map(|state| vec![text("jvm.thread.state", state)]);
            let collections = ["end of minor GC", "end of concurrent GC pause"].map(|action| {
                vec![
                    text("jvm.gc.name", "G1 Young Generation"),
                    text("jvm.gc.action", action),
                ]
            });
            vec![
                family("jvm.memory.used", "By", Kind::UpDown, random, 1.5e8, pools),
                family(
                    "jvm.thread.count",
                    "{thread}",
                    Kind::UpDown,
                    random,
                    24.0,
                    states,
                ),
                family(
                    "jvm.gc.duration",
                    "s",
                    Kind::Histogram,
                    random,
                    0.2,
                    collections,
                ),
            ]
        }
        "go" => vec![
            family(
                "go.goroutine.count",
                "{goroutine}",
                Kind::UpDown,
                random,
                90.0,
                [vec![]],
            ),
            family(
                "go.memory.allocated",
                "By",
                Kind::Counter,
                random,
                4e6,
                [vec![]],
            ),
            family(
                "go_gc_duration_seconds",
                "s",
                Kind::Summary,
                random,
                0.3,
                [vec![]],
            ),
            family(
                "go_sched_latency_seconds",
                "s",
                Kind::Summary,
                random,
                300.0,
                [vec![]],
            ),
        ],
        _ => vec![
            family(
                "runtime.eventloop.delay",
                "s",
                Kind::Gauge,
                random,
                0.004,
                [vec![]],
            ),
            family(
                "runtime.gc.pause",
                "s",
                Kind::Summary,
                random,
                0.5,
                [vec![]],
            ),
        ],
    }
}
