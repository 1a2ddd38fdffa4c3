//! What the measurement ran on: the kernel's files, the engine and ClickHouse are asked once, and facts come out.
//! What nobody tells is missing.

use std::fs;
use std::path::Path;

use procfs::{Current, FromRead};
use serde::{Deserialize, Serialize};

use crate::clickhouse::ClickHouse;
use crate::engine::EngineState;
use crate::error::Error;
use crate::local::Local;

/// What the measurement ran on.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Facts {
    /// Of the host on which this ran.
    pub(crate) host: Host,
    pub(crate) engine: EngineState,
    pub(crate) clickhouse: Server,
}

/// Of the host on which this ran.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Host {
    pub(crate) name: Option<String>,
    pub(crate) kernel: Option<String>,
    pub(crate) cpu_model: Option<String>,
    /// That this process may use, by affinity and cgroup quota.
    pub(crate) cpus: Option<usize>,
    pub(crate) memory_bytes: Option<u64>,
    /// The tightest limit around this process.
    pub(crate) cgroup_memory_bytes: Option<u64>,
}

/// Of ClickHouse.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Server {
    pub(crate) version: String,
    pub(crate) host: String,
    pub(crate) up_seconds: f64,
    pub(crate) spans_stored_before: f64,
    /// Where its CPU and memory were read.
    #[serde(skip_deserializing)]
    pub(crate) measured: Source,
}

/// Where ClickHouse's CPU and memory were read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Source {
    /// Its process is on this host.
    Process,
    /// It tells what it uses, resident memory too.
    Itself,
    /// The same, but memory is what it has allocated: an embedded one does not tell more.
    #[default]
    ItselfAllocated,
}

impl Source {
    /// For people.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Source::Process => "ClickHouse's CPU and memory are those of its process.",
            Source::Itself => {
                "ClickHouse's CPU is that of its queries, inserts and merges, its memory what is resident, as it tells."
            }
            Source::ItselfAllocated => {
                "ClickHouse's CPU is that of its queries, inserts and merges, its memory what it counts as allocated, which is less than what is resident."
            }
        }
    }
}

pub(crate) fn host() -> Host {
    let text = |path: &str| {
        let text = fs::read_to_string(path).ok()?;
        Some(text.trim().to_owned()).filter(|text| !text.is_empty())
    };
    let cpu = procfs::CpuInfo::from_file("/proc/cpuinfo").ok();
    let model = cpu
        .as_ref()
        .and_then(|cpu| cpu.model_name(0))
        .map(str::to_owned);
    let memory = procfs::Meminfo::current().ok();
    Host {
        name: text("/proc/sys/kernel/hostname"),
        kernel: text("/proc/sys/kernel/osrelease"),
        cpu_model: model,
        cpus: std::thread::available_parallelism().ok().map(usize::from),
        memory_bytes: memory.map(|memory| memory.mem_total),
        cgroup_memory_bytes: cgroup_memory(),
    }
}

/// Of version 2, which is what kernels of today have. In a container only the root may be mounted.
fn cgroup_memory() -> Option<u64> {
    let own = procfs::process::Process::myself().ok()?.cgroups().ok()?;
    let path = own
        .0
        .into_iter()
        .find(|cgroup| cgroup.hierarchy == 0)?
        .pathname;
    let limits = Path::new(path.trim_start_matches('/'))
        .ancestors()
        .filter_map(|folder| {
            let file = Path::new("/sys/fs/cgroup").join(folder).join("memory.max");
            fs::read_to_string(file).ok()?.trim().parse::<u64>().ok()
        });
    limits.min()
}

/// # Errors
/// When ClickHouse does not answer, or has not the tables.
pub(crate) async fn server(clickhouse: &ClickHouse, local: Option<Local>) -> Result<Server, Error> {
    let sql = "SELECT version() AS version, hostName() AS host, toFloat64(uptime()) AS up_seconds, \
        toFloat64((SELECT count() FROM spanmill.otel_traces)) AS spans_stored_before";
    let rows: Vec<Server> = clickhouse.rows(sql, &[]).await?;
    let mut server = rows.into_iter().next().unwrap_or_default();
    server.measured = match (local, clickhouse.tells_resident().await?) {
        (Some(_), _) => Source::Process,
        (None, true) => Source::Itself,
        (None, false) => Source::ItselfAllocated,
    };
    Ok(server)
}
