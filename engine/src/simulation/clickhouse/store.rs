//! What the simulated ClickHouse holds: it outlives the server's process. An insert is stored whole or not
//! at all, and not again while its token is remembered. What no engine may ever do is noted as a fault.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use spanmill_schema::{Partition, TableId, Tables};

use crate::decode::tests::block::{self, Row, Value, get};
use crate::simulation::ledger::RowId;
use crate::simulation::requests::name_of;

/// See the module.
pub(in crate::simulation) struct Store {
    pub(super) tables: Arc<Tables>,
    /// Tokens that each table remembers, oldest first.
    tokens: [VecDeque<String>; TableId::ALL.len()],
    /// Inserts that each table has stored.
    pub(super) stored: [u64; TableId::ALL.len()],
    /// How many it remembers.
    pub(super) window: usize,
    resources: BTreeSet<u64>,
    series: BTreeSet<u64>,
    /// How often each row of a signal is stored, and in which partition.
    pub(in crate::simulation) rows: BTreeMap<RowId, Stored>,
    /// Rows that came before what they refer to.
    pub(in crate::simulation) orphans: Vec<String>,
    /// What else was wrong with what came.
    pub(in crate::simulation) faults: Vec<String>,
    pub(in crate::simulation) counts: Counts,
}

pub(in crate::simulation) struct Stored {
    pub(in crate::simulation) times: u32,
    pub(in crate::simulation) partition: u32,
    pub(in crate::simulation) table: TableId,
}

/// What happened.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::simulation) struct Counts {
    pub(in crate::simulation) inserts: u64,
    /// Inserts that were dropped because their token was known.
    pub(in crate::simulation) repeated: u64,
}

impl Store {
    pub(in crate::simulation) fn new(tables: Arc<Tables>, window: usize) -> Self {
        Store {
            tables,
            tokens: Default::default(),
            stored: Default::default(),
            window,
            resources: BTreeSet::new(),
            series: BTreeSet::new(),
            rows: BTreeMap::new(),
            orphans: Vec::new(),
            faults: Vec::new(),
            counts: Counts::default(),
        }
    }

    pub(super) fn fault(&mut self, what: impl Into<String>) {
        self.faults.push(what.into());
    }

    /// Whether a table remembers this token.
    pub(super) fn remembers(&self, table: TableId, token: &str) -> bool {
        self.tokens[table as usize]
            .iter()
            .any(|known| known == token)
    }

    /// Stores the blocks of one INSERT, unless its token is known.
    pub(super) fn insert(&mut self, table: TableId, token: &str, blocks: &[Vec<u8>]) {
        self.counts.inserts += 1;
        if token.is_empty() {
            self.fault(format!("an insert into {} without a token", table.name()));
        }
        if self.remembers(table, token) {
            self.counts.repeated += 1;
            return;
        }
        let tables = Arc::clone(&self.tables);
        let description = tables.table(table);
        let mut partitions = BTreeSet::new();
        for plain in blocks {
            for row in block::rows(description, plain) {
                let partition = partition(&row, description.partition);
                partitions.insert(partition);
                self.insert_row(table, &row, partition);
            }
        }
        if partitions.len() > 1 {
            let table = table.name();
            self.fault(format!(
                "one insert into {table} over {} partitions",
                partitions.len()
            ));
        }
        self.stored[table as usize] += 1;
        let tokens = &mut self.tokens[table as usize];
        tokens.push_back(token.to_owned());
        if tokens.len() > self.window {
            tokens.pop_front();
        }
    }

    fn insert_row(&mut self, table: TableId, row: &Row, partition: u32) {
        let id = match table {
            TableId::Resources => {
                self.resources.insert(number(row, "ResourceId"));
                return;
            }
            TableId::MetricSeries => {
                self.needs_resource(table, row);
                self.series.insert(number(row, "SeriesId"));
                return;
            }
            TableId::Metrics => {
                let series = number(row, "SeriesId");
                if !self.series.contains(&series) {
                    let orphan = format!("a point came before its series {series}");
                    self.orphans.push(orphan);
                }
                match get(row, "Value") {
                    Value::Float(bits) => f64::from_bits(*bits) as RowId,
                    other => panic!("{other:?} is no value"),
                }
            }
            TableId::Traces | TableId::Logs => {
                self.needs_resource(table, row);
                let id = match get(row, "SpanId") {
                    Value::Fixed(bytes) => RowId::from_be_bytes(bytes[..].try_into().unwrap()),
                    other => panic!("{other:?} is no span id"),
                };
                let named = if table == TableId::Traces {
                    "SpanName"
                } else {
                    "Body"
                };
                if *get(row, named) != Value::Text(name_of(id)) {
                    self.fault(format!("row {id} has another content than was sent"));
                }
                id
            }
        };
        let stored = self.rows.entry(id).or_insert(Stored {
            times: 0,
            partition,
            table,
        });
        stored.times += 1;
    }

    fn needs_resource(&mut self, table: TableId, row: &Row) {
        let resource = number(row, "ResourceId");
        if !self.resources.contains(&resource) {
            let table = table.name();
            let orphan = format!("a row of {table} came before its resource {resource}");
            self.orphans.push(orphan);
        }
    }
}

fn number(row: &Row, column: &str) -> u64 {
    match get(row, column) {
        Value::Number(number) => *number,
        other => panic!("{other:?} is no number"),
    }
}

fn partition(row: &Row, partition: Partition) -> u32 {
    match partition {
        Partition::Whole => 0,
        Partition::Day => (number(row, "Timestamp") / 1_000_000_000 / 86_400) as u32,
    }
}
