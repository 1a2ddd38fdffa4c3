//! The end of a certification: what was gathered goes in, rows and bytes are counted in ClickHouse, and the report
//! comes out. What cannot be counted any more is "not measured", with the reason.

use std::time::Duration;

use spanmill_loadgen::Compression;

use crate::drift::drift;
use crate::error::Error;
use crate::found::{Ended, Found, unix_seconds};
use crate::options::Profile;
use crate::phase::{Kind, Phase};
use crate::report::{Figure, Measured, Report};
use crate::sampler::Summary;
use crate::sizes::sizes;
use crate::targets::verdicts;
use crate::verify::{Sent, Stored, await_stored, stored};
use crate::words::{bytes, count, ms, short};

/// After the last second of a stretch: what is under way is answered or given up within this.
const ANSWERED: Duration = Duration::from_secs(30);

/// Counts, judges, and gives the report.
pub(crate) fn finish(ended: &Ended<'_>) -> Report {
    let Ended { options, found, .. } = ended;
    let counted = ended
        .runtime
        .block_on(count_stored(ended))
        .map_err(|error| error.to_string());
    let after = ended.runtime.block_on(ended.clickhouse.sizes());
    let sizes = after
        .map(|after| sizes(&found.sizes_before, &after))
        .map_err(|error| error.to_string());
    let summary = ended.sampler.summary();
    let load = found.load.points();
    let of_kind = |kind| found.phases.iter().find(|phase| phase.kind == kind);
    let (hold, cpu) = (of_kind(Kind::Hold), of_kind(Kind::Cpu));
    let drift = hold.map_or_else(Vec::new, |hold| {
        drift(
            &summary.samples,
            load,
            hold.began,
            hold.began + hold.sending_seconds,
        )
    });
    let verdicts = verdicts(&Measured {
        targets: &options.targets,
        must_not_drift: options.profile == Profile::Soak,
        stored: counted.as_deref().map_err(String::as_str),
        hold,
        cpu,
        engine_cpus: found.facts.engine.usable_cpus(),
        rss_max: summary.rss_max,
        queries: found.queries.as_ref().map(|(all, _)| all),
        sizes: sizes.as_ref().map_err(String::as_str),
        drift: &drift,
    });
    Report {
        version: env!("CARGO_PKG_VERSION"),
        run: found.run.clone(),
        started_unix_seconds: unix_seconds(found.started),
        seconds: ended.start.elapsed().as_secs_f64(),
        interrupted: ended.interrupted,
        verdicts,
        figures: figures(found, &summary, hold),
        notes: notes(ended, &summary),
        options: (*options).clone(),
        facts: found.facts.clone(),
        phases: found.phases.clone(),
        queries: found
            .queries
            .as_ref()
            .map(|(_, each)| each.clone())
            .unwrap_or_default(),
        stored: counted.unwrap_or_default(),
        sizes: sizes.ok(),
        drift,
        ack_curve: found.ack_curve.clone(),
        load: load.to_vec(),
        samples: summary.samples,
    }
}

async fn count_stored(ended: &Ended<'_>) -> Result<Vec<Stored>, Error> {
    let mut all = Vec::new();
    for phase in &ended.found.phases {
        let sent = sent(phase, ended.options.compression);
        await_stored(ended.clickhouse, &sent, ended.catch_up).await?;
        all.push(stored(ended.clickhouse, &sent).await?);
    }
    Ok(all)
}

fn sent(phase: &Phase, compression: Compression) -> Sent {
    let sending = Duration::from_secs_f64(phase.sending_seconds.max(0.0));
    let until = phase.began_unix_nanos + (sending + ANSWERED).as_nanos() as u64;
    Sent {
        mark: phase.mark.clone(),
        unix_nanos: (phase.began_unix_nanos, until),
        acknowledged: phase.total.acknowledged,
        uncertain: phase.total.failed + phase.total.unknown + phase.total.rejected,
        has_own_ids: compression == Compression::Identity,
    }
}

fn figures(found: &Found, summary: &Summary, hold: Option<&Phase>) -> Vec<Figure> {
    let mut figures = Vec::new();
    let mut add = |name, value: Option<f64>, words: fn(f64) -> String, note: String| {
        figures.extend(value.map(|value| Figure {
            name,
            value,
            words: words(value),
            note,
        }));
    };
    let held_back = found
        .phases
        .iter()
        .rev()
        .find(|phase| phase.kind == Kind::Step && !phase.is_sustained());
    let held_back = held_back.map_or_else(
        || "no step failed".to_owned(),
        |step| {
            format!(
                "at {} spans/s: {}",
                count(step.asked_rate.unwrap_or(0.0)),
                step.not_sustained.join("; ")
            )
        },
    );
    add(
        "Highest sustained rate",
        found.highest,
        |rate| format!("{} spans/s", count(rate)),
        held_back,
    );
    if let Some(hold) = hold.filter(|hold| hold.ack_ms.count > 0) {
        let ack = hold.ack_ms;
        let note = format!(
            "at the target rate; p50 {}, p99.9 {}, max {}",
            ms(ack.p50),
            ms(ack.p999),
            ms(ack.max)
        );
        add("Acknowledgement p99", Some(ack.p99), ms, note);
    }
    if let Some(hold) = hold {
        let of = |seconds| hold.per_million(seconds);
        let words = |value: f64| format!("{} CPU s", short(value));
        let each = [
            (
                "Engine CPU for a million spans",
                hold.engine_cpu_seconds,
                "",
            ),
            (
                "ClickHouse CPU for a million spans",
                hold.clickhouse_cpu_seconds,
                ", with its merges and queries of that time",
            ),
            (
                "Generator CPU for a million spans",
                Some(hold.loadgen_cpu_seconds),
                "",
            ),
        ];
        for (name, seconds, more) in each {
            add(
                name,
                of(seconds),
                words,
                format!("at the target rate{more}"),
            );
        }
    }
    let source = found.facts.clickhouse.measured.words();
    add(
        "ClickHouse memory, most",
        summary.clickhouse_memory_max,
        bytes,
        source.into(),
    );
    figures
}

fn notes(ended: &Ended<'_>, summary: &Summary) -> Vec<String> {
    let found = &ended.found;
    let mut notes = found.notes.clone();
    notes.dedup();
    if ended.interrupted {
        notes.push("The run was ended early; what was measured until then is here.".into());
    }
    if summary.engine_restarts > 0 {
        notes.push(format!(
            "The engine was restarted {} times during the run.",
            summary.engine_restarts
        ));
    }
    let lagging = found.phases.iter().filter(|phase| {
        phase.kind != Kind::Probe
            && !phase.behind_schedule
            && phase.lag_ms.p99 > phase.ack_ms.p99 / 2.0
            && phase.lag_ms.p99 > 20.0
    });
    if lagging.count() > 0 {
        notes.push("The generator was short of CPU at times and sent late; latencies count that. Run it on another machine, or with more --threads.".into());
    }
    notes.push(format!(
        "The spans of this run stay stored until their retention ends. They are those whose resource attribute {} begins with {}.",
        crate::MARK, found.run
    ));
    notes
}
