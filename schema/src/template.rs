//! A statement with placeholders goes in, the SQL that ClickHouse gets comes out, or nothing where the
//! statement is not for this configuration. It never reads ClickHouse.

use crate::columns::Existing;
use crate::literal::literal;
use crate::{Connection, SchemaSettings, TableId};
use std::borrow::Cow;

/// Placeholders whose value may change from run to run, so that their statements are repeated. The
/// cluster is not among them: it is decided once.
const CHANGEABLE: [&str; 9] = [
    "{{user}}",
    "{{password}}",
    "{{retention_raw}}",
    "{{retention_5m}}",
    "{{retention_1h}}",
    "{{span_promoted_columns}}",
    "{{log_promoted_columns}}",
    "{{span_promoted_map}}",
    "{{log_promoted_map}}",
];

/// The first word of a statement that is run on a cluster only.
const IF_CLUSTER: &str = "{{if_cluster}}";

/// On a cluster the number alone decides too, as it does on a single server: a week is longer than any
/// retry lasts, where ClickHouse's own hour is not.
const REMEMBERED_SECONDS: u32 = 7 * 24 * 3600;

/// Everything that placeholders stand for.
pub(crate) struct Values<'a> {
    pub(crate) connection: &'a Connection,
    pub(crate) settings: &'a SchemaSettings,
    pub(crate) existing: &'a Existing,
}

/// Whether the statement holds configuration and so must be repeated on each run.
pub(crate) fn is_repeated(statement: &str) -> bool {
    CHANGEABLE.iter().any(|name| statement.contains(name))
}

impl Values<'_> {
    /// The statement as ClickHouse gets it; `None` if this configuration has no use for it. Filled in
    /// after splitting, so that no password can split it.
    pub(crate) fn render(&self, statement: &str) -> Option<String> {
        if statement.starts_with(IF_CLUSTER) && self.settings.cluster.is_none() {
            return None;
        }
        // One pass from left to right: text that was filled in is not searched again.
        let mut rendered = String::with_capacity(statement.len());
        let mut rest = statement;
        while let Some((before, name, after)) = next_placeholder(rest) {
            rendered.push_str(before);
            match self.value(name) {
                // An ALTER that would add no column.
                Some(value) if value.is_empty() && name.ends_with("_promoted_columns") => {
                    return None;
                }
                Some(value) => rendered.push_str(&value),
                // None of the files has one, a test sees to that.
                None => rendered.push_str(&rest[before.len()..rest.len() - after.len()]),
            }
            rest = after;
        }
        rendered.push_str(rest);
        Some(rendered.trim_start().to_owned())
    }

    /// What a placeholder stands for; `None` for one that is not known.
    fn value(&self, name: &str) -> Option<Cow<'static, str>> {
        let SchemaSettings {
            tables,
            retention,
            inserts_remembered,
            ..
        } = self.settings;
        let cluster = self.settings.cluster.as_deref();
        let on_cluster = |there: &'static str| cluster.map_or("", |_| there).into();
        Some(match name {
            "user" => literal(&self.connection.user).into(),
            "password" => literal(&self.connection.password).into(),
            "if_cluster" => "".into(),
            "cluster" => literal(cluster.unwrap_or_default()).into(),
            "on_cluster" => cluster
                .map_or_else(String::new, |name| format!("ON CLUSTER {}", literal(name)))
                .into(),
            "Replicated" => on_cluster("Replicated"),
            "distributed" => on_cluster("_distributed"),
            // One ledger for all shards; the usual path has the shard's name in it.
            "ledger_replicas" => {
                on_cluster("('/clickhouse/tables/{uuid}/spanmill', '{shard}_{replica}')")
            }
            "deduplication" => match cluster {
                None => format!("non_replicated_deduplication_window = {inserts_remembered}"),
                Some(_) => format!(
                    "replicated_deduplication_window = {inserts_remembered}, \
                     replicated_deduplication_window_seconds = {REMEMBERED_SECONDS}"
                ),
            }
            .into(),
            "retention_raw" => retention.raw_days.to_string().into(),
            "retention_5m" => retention.five_minute_days.to_string().into(),
            "retention_1h" => retention.hour_days.to_string().into(),
            "span_promoted_columns" => crate::columns::additions(tables, TableId::Traces).into(),
            "log_promoted_columns" => crate::columns::additions(tables, TableId::Logs).into(),
            "span_promoted_map" => self.map(TableId::Traces).into(),
            "log_promoted_map" => self.map(TableId::Logs).into(),
            _ => return None,
        })
    }

    fn map(&self, table: TableId) -> String {
        let suffix = self.value("distributed").unwrap_or_default();
        let from = format!("{}{suffix}", table.name());
        self.existing.map(&self.settings.tables, table, &from)
    }
}

#[cfg(test)]
pub(crate) fn is_known(name: &str) -> bool {
    let connection = Connection {
        url: String::new(),
        user: String::new(),
        password: String::new(),
    };
    let values = Values {
        connection: &connection,
        settings: &SchemaSettings::default(),
        existing: &Existing::default(),
    };
    values.value(name).is_some()
}

/// What stands before the first `{{name}}`, its name, and what follows.
fn next_placeholder(text: &str) -> Option<(&str, &str, &str)> {
    let (before, from) = text.split_once("{{")?;
    let (name, after) = from.split_once("}}")?;
    Some((before, name, after))
}

#[cfg(test)]
mod tests {
    use super::{Values, is_repeated};
    use crate::columns::Existing;
    use crate::migrations::{LEDGER, MIGRATIONS, Migration};
    use crate::{Connection, SchemaSettings, Tables, split};
    use std::sync::Arc;

    fn render(statement: &str, settings: &SchemaSettings) -> Option<String> {
        let connection = Connection {
            url: String::new(),
            user: "o'brien{{password}}".into(),
            password: "a\\b';c".into(),
        };
        let values = Values {
            connection: &connection,
            settings,
            existing: &Existing::default(),
        };
        values.render(statement)
    }

    /// Scenario: account and password full of quotes, backslashes, semicolons and placeholders.
    /// Guarantees: each ends up as one SQL string, and filled-in text is not filled in again.
    #[test]
    fn credentials_become_sql_strings() {
        assert_eq!(
            render(
                "USER {{user}} PASSWORD {{password}} {{other}} {{",
                &SchemaSettings::default()
            )
            .unwrap(),
            "USER 'o\\'brien{{password}}' PASSWORD 'a\\\\b\\';c' {{other}} {{"
        );
    }

    /// Scenario: the same templates with and without a cluster whose name has a quote.
    /// Guarantees: a single server sees nothing of clusters and skips what is only for them; a
    /// cluster's name is one SQL string.
    #[test]
    fn templates_serve_one_server_and_a_cluster() {
        let alone = SchemaSettings::default();
        let cluster = SchemaSettings {
            cluster: Some("o'c".into()),
            ..SchemaSettings::default()
        };
        let create =
            "CREATE TABLE t{{distributed}} {{on_cluster}} ENGINE = {{Replicated}}MergeTree";
        assert_eq!(
            render(create, &alone).unwrap(),
            "CREATE TABLE t  ENGINE = MergeTree"
        );
        assert_eq!(
            render(create, &cluster).unwrap(),
            "CREATE TABLE t_distributed ON CLUSTER 'o\\'c' ENGINE = ReplicatedMergeTree"
        );
        let only = "{{if_cluster}} CREATE TABLE d ENGINE = Distributed({{cluster}}, 'x', 't')";
        assert_eq!(render(only, &alone), None);
        assert_eq!(
            render(only, &cluster).unwrap(),
            "CREATE TABLE d ENGINE = Distributed('o\\'c', 'x', 't')"
        );
        let window = |settings| render("{{deduplication}}", settings).unwrap();
        assert_eq!(
            window(&alone),
            "non_replicated_deduplication_window = 200000"
        );
        assert!(window(&cluster).starts_with("replicated_deduplication_window = 200000, "));
    }

    /// Scenario: every statement of every file, filled in for a single server and for a cluster.
    /// Guarantees: ClickHouse can parse each.
    #[test]
    fn every_statement_can_be_parsed() {
        let server = spanmill_embedded::testing::start_private();
        let files = MIGRATIONS.iter().flat_map(Migration::statements);
        let statements: Vec<_> = files.chain(split::statements(LEDGER)).collect();
        for cluster in [None, Some("prod".to_owned())] {
            let settings = SchemaSettings {
                cluster,
                ..SchemaSettings::default()
            };
            for sql in statements.iter().filter_map(|sql| render(sql, &settings)) {
                if let Err(error) = server.query(&format!("EXPLAIN AST {sql}")) {
                    panic!("{error}\n{sql}");
                }
                let on_cluster = settings.cluster.is_some();
                assert_eq!(sql.contains(" ON CLUSTER 'prod'"), on_cluster, "{sql}");
            }
        }
    }

    /// Scenario: a list of promoted attributes, and an empty one.
    /// Guarantees: each column stands behind the one that it follows in a block; a statement that
    /// would add none is left out; the map of none is a map all the same.
    #[test]
    fn promoted_attributes_become_columns_and_a_map() {
        let with = |keys: &[&str]| {
            let promoted = keys.iter().map(|key| key.parse().unwrap()).collect();
            SchemaSettings {
                tables: Arc::new(Tables::new(promoted, vec![]).unwrap()),
                ..SchemaSettings::default()
            }
        };
        let (some, none) = (with(&["a.b", "c=i64"]), with(&[]));
        let alter = "ALTER TABLE t {{span_promoted_columns}}";
        assert_eq!(
            render(alter, &some).unwrap(),
            "ALTER TABLE t ADD COLUMN IF NOT EXISTS `AB` LowCardinality(String) \
             COMMENT 'attribute a.b' CODEC(ZSTD(1)) AFTER `StatusMessage`, \
             ADD COLUMN IF NOT EXISTS `C` Int64 \
             COMMENT 'attribute c' CODEC(T64, ZSTD(1)) AFTER `AB`"
        );
        assert_eq!(render(alter, &none), None);
        assert!(is_repeated(alter) && !is_repeated("CREATE TABLE t {{on_cluster}}"));
        let map = |settings| render("{{span_promoted_map}}", settings).unwrap();
        assert!(map(&some).contains("map('a.b', CAST(otel_traces.`AB`, 'String'), 'c', if("));
        assert!(map(&none).contains("map())"));
    }
}
