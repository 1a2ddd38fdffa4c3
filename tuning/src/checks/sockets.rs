//! Whether as many clients can connect as the engine serves, and send as fast: descriptors, listen queues,
//! socket buffers.

use bytesize::ByteSize;

use super::reactor::limit;
use crate::finding::{Change, Judgement};
use crate::host::Host;
use crate::needs::{self, BACKLOG, CONNECTIONS_MIN, STREAM_WINDOW};
use crate::root::Unread;

pub(super) fn nofile(host: &Host<'_>) -> Result<Judgement, Unread> {
    let (soft, hard) = limit(host.root, "Max open files")?;
    let shards = host.shards as u64;
    let wanted = needs::connections(host.memory_max(), host.shards);
    let needed = needs::descriptors(host.shards, wanted);
    // The engine raises its soft limit to the hard one.
    if hard >= needed {
        let seen = format!(
            "{hard} descriptors (soft limit {soft}), and {} of {wanted} connections can need {needed}",
            host.shards_in_words()
        );
        return Ok(Judgement::ok(seen));
    }
    let served = needs::connections_within(host.shards, hard);
    let seen = format!(
        "{hard} descriptors are enough for {served} connections a shard; memory is for {wanted}"
    );
    let change = Change::new(
        format!("allow {needed} open files"),
        format!(
            "tuning/tune limits {shards} | install -D -m 644 /dev/stdin /etc/systemd/system/spanmill.service.d/limits.conf   # in a shell, as root: ulimit -n {needed}"
        ),
        "the engine raises its soft limit to the hard one and lowers its connections to that; further clients wait in the listen queue until \
         one that is idle makes room",
    );
    Ok(match served < CONNECTIONS_MIN {
        // It serves that many all the same, and then lacks descriptors for its log and for ClickHouse.
        true => Judgement::problem(seen, change),
        false => Judgement::advice(seen, change),
    })
}

pub(super) fn backlog(host: &Host<'_>) -> Result<Judgement, Unread> {
    let listen = host.root.number("proc/sys/net/core/somaxconn")?;
    let half_open = host.root.number("proc/sys/net/ipv4/tcp_max_syn_backlog")?;
    let cookies = host
        .root
        .number("proc/sys/net/ipv4/tcp_syncookies")
        .unwrap_or(0);
    let seen = format!(
        "somaxconn {listen}, tcp_max_syn_backlog {half_open}, tcp_syncookies {cookies}; the engine asks for {BACKLOG}"
    );
    if listen < BACKLOG {
        let change = Change::new(
            format!("let {BACKLOG} connections wait on each listening socket"),
            format!("sysctl -w net.core.somaxconn={BACKLOG}   # before the engine starts"),
            "when many clients come at once, as after a restart, those beyond it are dropped and try again a \
             second later",
        );
        return Ok(Judgement::advice(seen, change));
    }
    // With cookies a full queue of half-open connections turns nobody away.
    if cookies == 0 && half_open < BACKLOG {
        let change = Change::new(
            format!("let {BACKLOG} connections be half open, or allow SYN cookies"),
            format!("sysctl -w net.ipv4.tcp_max_syn_backlog={BACKLOG}"),
            "without SYN cookies the kernel drops new connections when three quarters of it are taken",
        );
        return Ok(Judgement::advice(seen, change));
    }
    Ok(Judgement::ok(seen))
}

/// The engine sets no buffer sizes, so what the kernel may grow them to counts, and not `net.core.?mem_max`.
pub(super) fn socket_memory(host: &Host<'_>) -> Result<Judgement, Unread> {
    let [_, _, receive] = host.root.numbers("proc/sys/net/ipv4/tcp_rmem")?;
    let [_, _, send] = host.root.numbers("proc/sys/net/ipv4/tcp_wmem")?;
    let grows = host
        .root
        .number("proc/sys/net/ipv4/tcp_moderate_rcvbuf")
        .unwrap_or(1);
    let asked = |path| match host.root.number(path) {
        Ok(bytes) => ByteSize(bytes).display().iec_short().to_string(),
        Err(_) => "unknown".to_owned(),
    };
    let seen = format!(
        "TCP grows to {} received and {} sent (rmem_max {} and wmem_max {} bound only who asks for a size)",
        ByteSize(receive).display().iec_short(),
        ByteSize(send).display().iec_short(),
        asked("proc/sys/net/core/rmem_max"),
        asked("proc/sys/net/core/wmem_max"),
    );
    let why = "a stream may have 4 MiB on the way; with a smaller buffer a client far away sends less than that \
               in a round trip";
    if grows == 0 {
        let change = Change::new(
            "let the kernel size receive buffers",
            "sysctl -w net.ipv4.tcp_moderate_rcvbuf=1",
            why,
        );
        return Ok(Judgement::advice(seen, change));
    }
    for (bytes, name, rest) in [
        (receive, "tcp_rmem", "4096 131072"),
        (send, "tcp_wmem", "4096 16384"),
    ] {
        if bytes < STREAM_WINDOW {
            let change = Change::new(
                format!(
                    "let {name} grow to {}",
                    ByteSize(STREAM_WINDOW).display().iec_short()
                ),
                format!("sysctl -w net.ipv4.{name}='{rest} {STREAM_WINDOW}'"),
                why,
            );
            return Ok(Judgement::advice(seen, change));
        }
    }
    Ok(Judgement::ok(seen))
}
