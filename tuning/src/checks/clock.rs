//! Whether reading the clock is cheap, and whether it shows the time of others.

use std::time::Duration;

use crate::finding::{Change, Judgement};
use crate::host::Host;
use crate::root::Unread;

const FOLDER: &str = "sys/devices/system/clocksource/clocksource0";
/// The kernel's own bound for a clock that nobody keeps, 16 s, is far above it; chrony stays under 0.1 s.
const ERROR_MAX: Duration = Duration::from_secs(1);

pub(super) fn source(host: &Host<'_>) -> Result<Judgement, Unread> {
    let source = host.root.text(&format!("{FOLDER}/current_clocksource"))?;
    let source = source.trim();
    let there = host
        .root
        .text(&format!("{FOLDER}/available_clocksource"))
        .unwrap_or_default();
    match source {
        "tsc" | "kvm-clock" | "arch_sys_counter" | "hyperv_clocksource_tsc_page" => {
            return Ok(Judgement::ok(format!(
                "{source}, read without a system call"
            )));
        }
        "hpet" | "acpi_pm" | "jiffies" | "xen" | "refined-jiffies" | "hyperv_clocksource_msr" => {}
        _ => {
            return Ok(Judgement::unknown(format!(
                "{source:?}: nothing is known of it here"
            )));
        }
    }
    let better = ["tsc", "kvm-clock", "hyperv_clocksource_tsc_page"];
    let better = better
        .into_iter()
        .find(|name| there.split_whitespace().any(|word| word == *name));
    let command = match better {
        Some(name) => format!("echo {name} > /{FOLDER}/current_clocksource"),
        None => {
            "journalctl -k --grep=tsc   # says why the kernel gave the faster ones up".to_owned()
        }
    };
    let change = Change::new(
        "let the kernel read the clock from the CPU",
        command,
        "shards read the clock at each event; from this source every reading is a system call and a slow device",
    );
    Ok(Judgement::advice(
        format!("{source}, of {}", there.trim()),
        change,
    ))
}

pub(super) fn synchronised(host: &Host<'_>) -> Result<Judgement, Unread> {
    let clock = match &host.probed.clock {
        Ok(clock) => clock,
        Err(reason) => return Ok(Judgement::unknown(format!("adjtimex failed: {reason}"))),
    };
    let error = Duration::from_micros(clock.error_us_max.max(0).unsigned_abs());
    let seen = match clock.synchronised {
        true => format!(
            "kept by the time of others, off by at most {:.1} ms",
            error.as_secs_f64() * 1e3
        ),
        false => "the kernel knows of nothing that keeps the clock".to_owned(),
    };
    if clock.synchronised && error <= ERROR_MAX {
        return Ok(Judgement::ok(seen));
    }
    let change = Change::new(
        "let chrony or systemd-timesyncd keep the clock; in a container that is the host's part",
        "apt-get install -y chrony && chronyc waitsync 30",
        "rows are refused whose times are too far from this clock, and retention counts from it",
    );
    Ok(Judgement::advice(seen, change))
}
