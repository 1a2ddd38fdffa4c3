//! How long each stage takes, for its rows or bytes.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use spanmill_stages::STAGES;

fn stages(criterion: &mut Criterion) {
    for (name, make) in STAGES {
        let mut case = make();
        let mut group = criterion.benchmark_group("stages");
        group.throughput(Throughput::Elements(case.units as u64));
        group.bench_function(name, |bencher| bencher.iter(|| (case.run)()));
        group.finish();
    }
}

criterion_group!(benches, stages);
criterion_main!(benches);
