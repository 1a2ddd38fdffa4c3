//! What an operator chooses about the tables: promoted attributes, how long rows are kept, the cluster.

use crate::Tables;
use std::sync::Arc;

/// The choices that [`migrate`](crate::migrate) brings the tables to. Each but the cluster may be
/// changed later: run it again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaSettings {
    /// With the attributes that have columns of their own.
    pub tables: Arc<Tables>,
    /// How long rows are kept.
    pub retention: Retention,
    /// The cluster's name in the server's `remote_servers`, or `None` for a single server. Tables that
    /// were made without it cannot be moved to a cluster by setting it, nor back.
    pub cluster: Option<String>,
    /// Of how many inserts each table remembers the tokens: a retry is dropped as a repetition as long as
    /// others inserted less since it was first sent. Each costs the server 240 bytes of memory.
    pub inserts_remembered: u32,
    /// Whether somebody asked for this number. If not, tables that remember more keep that: another who shares
    /// them has asked for it, and a smaller window drops tokens that a retry may still need.
    pub inserts_remembered_is_given: bool,
}

impl SchemaSettings {
    /// 003_create_otel_traces.sql derives it.
    pub const INSERTS_REMEMBERED: u32 = 200_000;
}

impl Default for SchemaSettings {
    fn default() -> Self {
        Self {
            tables: Arc::default(),
            retention: Retention::default(),
            cluster: None,
            inserts_remembered: Self::INSERTS_REMEMBERED,
            inserts_remembered_is_given: false,
        }
    }
}

/// How long rows are kept, in whole days from 1 to [`Retention::DAYS_MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Spans, log records and points as they came.
    pub raw_days: u16,
    /// Rollups of five minutes.
    pub five_minute_days: u16,
    /// Rollups of an hour, and the metric series that they name.
    pub hour_days: u16,
}

impl Retention {
    /// Beyond it (27 years) `DateTime`, which ends in 2106, would come near.
    pub const DAYS_MAX: u16 = 10_000;

    /// The first number that is out of range.
    pub(crate) fn out_of_range(self) -> Option<u16> {
        [self.raw_days, self.five_minute_days, self.hour_days]
            .into_iter()
            .find(|days| !(1..=Self::DAYS_MAX).contains(days))
    }
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            raw_days: 30,
            five_minute_days: 90,
            hour_days: 365,
        }
    }
}
