//! Where packets of the default route's interface are worked on: interrupts and the kernel's own spreading.

use std::collections::BTreeSet;

use crate::cpus;
use crate::finding::{Change, Judgement};
use crate::host::Host;
use crate::network;
use crate::root::{Root, Unread};

const NO_ROUTE: &str = "there is no default route, so no interface to look at";
const FLOWS: u64 = 32768;

pub(super) fn interrupts(host: &Host<'_>) -> Result<Judgement, Unread> {
    let Some(interface) = network::default_interface(host.root)? else {
        return Ok(Judgement::unknown(NO_ROUTE));
    };
    let interrupts = network::interrupts(host.root, &interface)?;
    if interrupts.is_empty() {
        let reason =
            format!("{interface} has no interrupts here, as in a container: look on the host");
        return Ok(Judgement::unknown(reason));
    }
    let usable = host.usable_cpus()?;
    let isolated = cpus::read_if_there(host.root, "sys/devices/system/cpu/isolated")?;
    let targets: BTreeSet<usize> = interrupts.iter().flat_map(|irq| irq.cpus.clone()).collect();
    let targets: Vec<_> = targets.into_iter().collect();
    let count = interrupts.len();
    let seen = format!(
        "{count} interrupts of {interface} go to CPUs {}",
        cpus::list(&targets)
    );
    let spread = |cpus: &[usize]| {
        let commands = interrupts.iter().zip(cpus.iter().cycle());
        let commands = commands
            .map(|(irq, cpu)| format!("echo {cpu} > /proc/irq/{}/smp_affinity_list", irq.number));
        format!(
            "systemctl stop irqbalance; {}",
            commands.collect::<Vec<_>>().join("; ")
        )
    };
    let others: Vec<_> = online(host.root)?
        .into_iter()
        .filter(|cpu| !isolated.contains(cpu))
        .collect();
    if targets.iter().any(|cpu| isolated.contains(cpu)) && !others.is_empty() {
        let change = Change::new(
            "keep interrupts off isolated CPUs",
            spread(&others),
            "a CPU that was isolated for a shard is interrupted for each burst of packets",
        );
        return Ok(Judgement::advice(seen, change));
    }
    if count > 2 && targets.len() == 1 && usable.len() > 1 {
        let change = Change::new(
            "spread the interrupts over the shards' CPUs",
            spread(&usable),
            "all packets are worked on by one CPU, and the shard on it has what is left",
        );
        return Ok(Judgement::advice(seen, change));
    }
    Ok(Judgement::ok(seen))
}

pub(super) fn packet_steering(host: &Host<'_>) -> Result<Judgement, Unread> {
    let Some(interface) = network::default_interface(host.root)? else {
        return Ok(Judgement::unknown(NO_ROUTE));
    };
    let queues = network::receive_queues(host.root, &interface);
    if queues.is_empty() {
        return Ok(Judgement::unknown(format!(
            "{interface} shows no receive queues"
        )));
    }
    let folder = format!("sys/class/net/{interface}/queues");
    let mut steered = 0;
    for queue in &queues {
        let path = format!("{folder}/{queue}/rps_cpus");
        let mask = host.root.text(&path)?;
        if !mask
            .trim()
            .chars()
            .all(|sign| sign.is_ascii_hexdigit() || sign == ',')
        {
            return Err(Unread::garbled(&path, &mask, "a mask of CPUs"));
        }
        steered += usize::from(
            mask.chars()
                .any(|sign| sign.is_ascii_hexdigit() && sign != '0'),
        );
    }
    let flows = host
        .root
        .number("proc/sys/net/core/rps_sock_flow_entries")?;
    let usable = host.usable_cpus()?;
    let seen = format!(
        "{interface} has {} receive queues for {} CPUs, RPS on {steered} of them, RFS for {flows} flows",
        queues.len(),
        usable.len()
    );
    if queues.len() >= usable.len() || (steered == queues.len() && flows > 0) {
        return Ok(Judgement::ok(seen));
    }
    let each = FLOWS / queues.len() as u64;
    let mask = cpus::mask(&usable);
    let command = format!(
        "sysctl -w net.core.rps_sock_flow_entries={FLOWS}; for q in /{folder}/rx-*; do echo {each} > $q/rps_flow_cnt; echo {mask} > $q/rps_cpus; done"
    );
    let change = Change::new(
        "let the kernel work on a connection's packets where its shard runs (RPS and RFS)",
        command,
        "with fewer queues than CPUs few CPUs work on all packets, and wake shards on others; if all clients are \
         on this machine it changes nothing",
    );
    Ok(Judgement::advice(seen, change))
}

fn online(root: &Root) -> Result<Vec<usize>, Unread> {
    cpus::read(root, "sys/devices/system/cpu/online")
}
