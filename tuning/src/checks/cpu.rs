//! Whether shards have CPUs of their own: affinity, isolation, quota, hardware threads, frequency.

use spanmill_engine::{Pin, host_needs};

use crate::cpus;
use crate::finding::{Change, Judgement};
use crate::host::Host;
use crate::root::Unread;

/// The engine's own rule says which shards it pins by default.
pub(super) fn cpus(host: &Host<'_>) -> Result<Judgement, Unread> {
    let usable = host.usable_cpus()?;
    let isolated = cpus::read_if_there(host.root, "sys/devices/system/cpu/isolated")?;
    let tickless = cpus::read_if_there(host.root, "sys/devices/system/cpu/nohz_full")?;
    let shards = host.shards;
    let left_alone = host_needs::isolated_cores(host.root.path(), &usable);
    let cores = host_needs::cores(Pin::Auto, shards, &usable, &left_alone);
    let mut seen = format!(
        "{} on CPUs {}, {}",
        host.shards_in_words(),
        cpus::list(&usable),
        match &cores {
            Some(_) if shards == usable.len() => "pinned one to one".to_owned(),
            Some(cores) => format!("pinned, because CPUs are isolated, to {cores:?}"),
            None => "not pinned".to_owned(),
        }
    );
    for (name, cpus) in [("isolated", &isolated), ("nohz_full", &tickless)] {
        if !cpus.is_empty() {
            seen += &format!("; {name} {}", cpus::list(cpus));
        }
    }
    if cores.is_some() && shards <= usable.len() {
        return Ok(Judgement::ok(seen));
    }
    let change = if shards < usable.len() {
        let own = &usable[usable.len() - shards..];
        Change::new(
            format!("give the engine {shards} CPUs of its own"),
            format!(
                "taskset -c {} spanmill …   # in a unit: AllowedCPUs={}",
                cpus::list(own),
                cpus::list(own)
            ),
            "with fewer shards than usable CPUs the engine pins none, so that engines side by side do not all \
             choose the same; the scheduler moves them, and their caches with them. Where no other engine runs, \
             --pin always does it too",
        )
    } else {
        Change::new(
            "run no more shards than CPUs",
            format!("spanmill --shards {}", usable.len()),
            "shards that share a CPU wait for each other",
        )
    };
    Ok(Judgement::advice(seen, change))
}

pub(super) fn quota(host: &Host<'_>) -> Result<Judgement, Unread> {
    let Some(quota) = host.quota else {
        return Ok(Judgement::ok("no cgroup limits CPU time"));
    };
    let usable = host.usable_cpus()?;
    let shards = host.shards as f64;
    let seen = format!(
        "a cgroup grants {quota:.2} CPUs' time on {} CPUs, to {}",
        usable.len(),
        host.shards_in_words()
    );
    let whole = quota.fract().abs() < 1e-6;
    if quota >= usable.len() as f64 || (whole && quota >= shards) {
        return Ok(Judgement::ok(seen));
    }
    let wanted = (quota.ceil() as usize).clamp(1, usable.len());
    let own = cpus::list(&usable[usable.len() - wanted..]);
    let change = Change::new(
        format!("give the engine {wanted} whole CPUs, by cpuset in place of a quota"),
        format!(
            "systemctl set-property spanmill.service CPUQuota= AllowedCPUs={own}   # docker: --cpuset-cpus={own}; \
             Kubernetes: static CPU manager, whole requests = limits"
        ),
        match quota < shards {
            true => {
                "shards that are busy use up the quota of a period (100 ms), and then all stop until the next, and \
                 acknowledgements wait for so long"
            }
            false => {
                "the engine rounds a quota down to whole shards, so the rest of it is hardly used"
            }
        },
    );
    Ok(Judgement::advice(seen, change))
}

pub(super) fn siblings(host: &Host<'_>) -> Result<Judgement, Unread> {
    let usable = host.usable_cpus()?;
    let mut shared = Vec::new();
    for &cpu in &usable {
        let path = format!("sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list");
        let mut siblings = cpus::read(host.root, &path)?;
        siblings.retain(|sibling| usable.contains(sibling));
        if siblings.len() > 1 && siblings[0] == cpu {
            shared.push(cpus::list(&siblings));
        }
    }
    if shared.is_empty() {
        return Ok(Judgement::ok(
            "no two usable CPUs are threads of one core, as far as the host shows",
        ));
    }
    let cores = usable.len() - shared.len();
    let seen = format!(
        "usable CPUs that are threads of one core: {}",
        shared.join(" ")
    );
    if host.shards <= cores && host.shards < usable.len() {
        return Ok(Judgement::ok(
            seen + "; there are no more shards than cores",
        ));
    }
    let first: Vec<_> = usable
        .iter()
        .copied()
        .filter(|cpu| {
            !shared
                .iter()
                .any(|list| cpus::parse(list).is_some_and(|siblings| siblings[1..].contains(cpu)))
        })
        .collect();
    let change = Change::new(
        "measure with one shard a core too, and keep what is better",
        format!("taskset -c {} spanmill …", cpus::list(&first)),
        "two shards on one core share its caches and units: together they do more than one, each does less, and \
         the other threads are then free for ClickHouse and interrupts",
    );
    Ok(Judgement::advice(seen, change))
}

pub(super) fn governor(host: &Host<'_>) -> Result<Judgement, Unread> {
    let mut slow = Vec::new();
    let mut name = String::new();
    for cpu in host.usable_cpus()? {
        let path = format!("sys/devices/system/cpu/cpu{cpu}/cpufreq/scaling_governor");
        let governor = match host.root.text(&path) {
            Ok(text) => text.trim().to_owned(),
            Err(Unread::Missing(_)) => {
                let reason = format!(
                    "CPU {cpu} shows no cpufreq: the hypervisor or the host sets its frequency"
                );
                return Ok(Judgement::unknown(reason));
            }
            Err(unread) => return Err(unread),
        };
        match governor.as_str() {
            "performance" => {}
            "powersave" | "schedutil" | "ondemand" | "conservative" | "userspace" => {
                slow.push(cpu);
                name = governor;
            }
            _ => return Err(Unread::garbled(&path, &governor, "a governor")),
        }
    }
    if slow.is_empty() {
        return Ok(Judgement::ok("performance"));
    }
    let change = Change::new(
        "keep CPUs at their highest frequency",
        "echo performance | tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor",
        "a shard sleeps between requests, so its CPU is slow when the next one comes",
    );
    Ok(Judgement::advice(
        format!("{name} on CPUs {}", cpus::list(&slow)),
        change,
    ))
}
