//! Resources by their ids. What an id stands for never changes, so those that were read are kept, within a bound.

use std::collections::HashMap;
use std::sync::Arc;

use moka::sync::Cache;

use super::row::{self, RESOURCE_COLUMNS, ResourceRow};
use super::{Attribute, Resource};
use crate::clickhouse::{ClickHouse, Source, Statement, Value};
use crate::error::Error;
use crate::limits;

/// Those that are kept.
#[derive(Clone)]
pub(super) struct Resources(Cache<u64, Arc<Resource>>);

impl Default for Resources {
    fn default() -> Self {
        let weigh = |_: &u64, resource: &Arc<Resource>| {
            let bytes = |attribute: &Attribute| {
                size_of::<Attribute>() + attribute.key.len() + attribute.text.len()
            };
            let attributes: usize = resource.attributes.iter().map(bytes).sum();
            u32::try_from(size_of::<Resource>() + attributes).unwrap_or(u32::MAX)
        };
        let cache = Cache::builder().weigher(weigh);
        Self(cache.max_capacity(limits::RESOURCES_BYTES_MAX).build())
    }
}

impl Resources {
    /// Those of the ids that are stored.
    pub(super) async fn read(
        &self,
        clickhouse: &ClickHouse,
        mut ids: Vec<u64>,
    ) -> Result<HashMap<u64, Arc<Resource>>, Error> {
        ids.sort_unstable();
        ids.dedup();
        let mut all = HashMap::new();
        ids.retain(|id| match self.0.get(id) {
            Some(known) => all.insert(*id, known).is_some(),
            None => true,
        });
        if ids.is_empty() {
            return Ok(all);
        }
        let mut statement = Statement::new("resources");
        statement
            .sql("SELECT ")
            .sql(RESOURCE_COLUMNS)
            .sql(" FROM ")
            .sql(clickhouse.name(Source::Resources))
            .sql(" WHERE ResourceId IN ")
            .value(Value::Unsigneds(ids))
            .sql(" LIMIT 1 BY ResourceId");
        let rows: Arc<Vec<ResourceRow>> = clickhouse.rows(statement).await?;
        for resource in rows.iter().map(row::resource) {
            let (id, resource) = (resource.id, Arc::new(resource));
            self.0.insert(id, Arc::clone(&resource));
            all.insert(id, resource);
        }
        Ok(all)
    }
}
