-- What `migrate` has applied. Two migrators that start at once may both record a file; the first
-- record of a name is the one that counts.
CREATE DATABASE IF NOT EXISTS spanmill {{on_cluster}};

CREATE TABLE IF NOT EXISTS spanmill.schema_migrations {{on_cluster}}
(
    `name` String,
    -- SHA-256 of the file, lower-case hex.
    `checksum` String,
    `applied_at` DateTime64(6) DEFAULT now64(6),
    -- Of the binary that applied it.
    `version` String
)
ENGINE = {{Replicated}}MergeTree{{ledger_replicas}}
ORDER BY (name, applied_at);
