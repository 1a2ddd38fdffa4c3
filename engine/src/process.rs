//! What the kernel says of this process, read at each scrape of `/metrics` and published under the names that
//! Prometheus clients share. What cannot be read is left out, never made up.

use std::fmt::Error;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use procfs::WithCurrentSystemInfo;
use procfs::process::{LimitValue, Process as Entry};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;

/// The metrics `process_*`.
#[derive(Debug)]
pub(crate) struct Process;

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), Error> {
        let mut put = |name: &str, help: &str, unit: Option<&Unit>, value: &dyn EncodeMetric| {
            value.encode(encoder.encode_descriptor(name, help, unit, value.metric_type())?)
        };
        if let Ok(usage) = getrusage(UsageWho::RUSAGE_SELF) {
            let micros = (usage.user_time() + usage.system_time()).num_microseconds();
            let seconds = ConstCounter::new(micros as f64 / 1e6);
            let help = "CPU time of the process, user and system";
            put("process_cpu", help, Some(&Unit::Seconds), &seconds)?;
        }
        let Ok(entry) = Entry::myself() else {
            return Ok(());
        };
        if let Ok(stat) = entry.stat() {
            let resident = ConstGauge::new(stat.rss_bytes().get());
            let help = "Memory of the process that is resident";
            put(
                "process_resident_memory",
                help,
                Some(&Unit::Bytes),
                &resident,
            )?;
            if let Ok(boot) = procfs::boot_time_secs() {
                let after_boot = stat.starttime as f64 / procfs::ticks_per_second() as f64;
                let start = ConstGauge::new(boot as f64 + after_boot);
                let help = "When the process started, in Unix seconds";
                put("process_start_time", help, Some(&Unit::Seconds), &start)?;
            }
        }
        if let Ok(open) = entry.fd_count() {
            let open = ConstGauge::new(open as u64);
            put("process_open_fds", "Descriptors that are open", None, &open)?;
        }
        if let Ok(limits) = entry.limits()
            && let LimitValue::Value(max) = limits.max_open_files.soft_limit
        {
            let max = ConstGauge::new(max);
            put(
                "process_max_fds",
                "Descriptors that may be open",
                None,
                &max,
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::registry::Registry;

    use super::*;

    /// Scenario: a scrape of this test's process. Guarantees: each metric is there once under its standard
    /// name, with a value that a running process can have.
    #[test]
    fn a_process_has_its_standard_metrics() {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Process));
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        let value = |name: &str| -> f64 {
            let mut found = text
                .lines()
                .filter_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
            let value = found
                .next()
                .unwrap_or_else(|| panic!("no {name} in {text}"));
            assert_eq!(found.next(), None, "{name} twice in {text}");
            value.parse().unwrap()
        };
        assert!(value("process_cpu_seconds_total") > 0.0);
        assert!(value("process_resident_memory_bytes") > 1e6);
        // After 2020, and before now.
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap();
        let start = value("process_start_time_seconds");
        assert!(
            start > 1.577e9 && start <= now.as_secs_f64() + 1.0,
            "{start}"
        );
        assert!(value("process_open_fds") >= 3.0);
        assert!(value("process_max_fds") >= value("process_open_fds"));
    }
}
