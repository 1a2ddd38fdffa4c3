//! What services write into their logs: templates with places that `logs` fills.

use fastrand::Rng;
use opentelemetry_proto::tonic::logs::v1::SeverityNumber;

/// One kind of log line of one service.
#[derive(Debug)]
pub(super) struct Template {
    pub(super) severity: SeverityNumber,
    /// With `{noun}` replaced already; other places in braces differ from record to record.
    pub(super) body: String,
    pub(super) logger: String,
}

/// How many a service has of each severity: 12 in all.
const SHARES: [(SeverityNumber, usize, &[&str]); 4] = [
    (SeverityNumber::Debug, 2, &DEBUG),
    (SeverityNumber::Info, 6, &INFO),
    (SeverityNumber::Warn, 2, &WARN),
    (SeverityNumber::Error, 2, &ERROR),
];

const DEBUG: [&str; 6] = [
    "cache {hit} for key {noun}:{id} ttl={n}s",
    "SELECT on {noun}s returned {small} rows in {ms} ms",
    "Acquired connection {n} from pool {noun}-pool (active={small}, idle={small})",
    "Sending request to http://{noun}.svc.cluster.local:8080{path} with timeout 2000 ms",
    "Deserialized {bytes} bytes of {noun} in {ms} ms",
    "feature flag {noun}.new-flow evaluated to {hit} for user {user}",
];

const INFO: [&str; 18] = [
    "{method} {path} {status} {bytes} {ms}ms",
    "{ip} - {user} \"{method} {path} HTTP/1.1\" {status} {bytes} \"-\" \"{agent}\"",
    "Created {noun} {id} for user {user}",
    "Updated {noun} {id}: status {state} -> {state}",
    "Processed message topic={noun}s partition={small} offset={offset} in {ms} ms",
    "{noun} {id} validated, {small} rules applied",
    "User {user} logged in from {ip}",
    "Completed batch of {small} {noun}s, {small} skipped, took {ms} ms",
    "{\"event\":\"{noun}_updated\",\"{noun}_id\":{id},\"user\":\"{user}\",\"amount\":{amount},\"currency\":\"EUR\",\"status\":\"{state}\",\"duration_ms\":{ms}}",
    "{\"level\":\"info\",\"msg\":\"request served\",\"method\":\"{method}\",\"path\":\"{path}\",\"status\":{status},\"bytes\":{bytes},\"remote\":\"{ip}\",\"request_id\":\"{uuid}\"}",
    "Publishing {noun}.{state} with key {uuid}",
    "Request {uuid} finished with status {status} after {ms} ms",
    "Scheduled refresh of {noun} {id} in {n} s",
    "Payment of {amount} EUR authorised for {noun} {id}, reference {hex}",
    "Connected to {ip}:5432 as {noun}_rw, backend pid {n}",
    "GC pause (G1 Evacuation Pause) {mem}M->{mem}M(2048M) {ms}ms",
    "Uploaded s3://shop-{noun}s/2026/{hex}.parquet ({bytes} bytes)",
    "Reconciled {small} {noun}s against ledger, difference {amount}",
];

const WARN: [&str; 8] = [
    "Slow query on {noun}s: {ms} ms, plan used sequential scan for id {id}",
    "Retrying call to {noun} service, attempt {small} of 5: timeout after {n} ms",
    "Connection pool {noun}-pool is at {pct}% of its capacity",
    "Rate limit for {ip} reached: {n} requests in 60 s",
    "{noun} {id} not found, falling back to default",
    "Consumer lag of {noun}s partition {small} is {n}",
    "Deprecated field '{noun}_code' used by client {agent}",
    "Token of user {user} expires in {n} s",
];

const ERROR: [&str; 6] = [
    "Failed to load {noun} {id}",
    "Unhandled exception while processing {method} {path}",
    "Could not commit offset {offset} for {noun}s-{small}",
    "Circuit breaker '{noun}' opened after {small} failures",
    "Payment provider answered {status} for {noun} {id}, correlation {uuid}",
    "Write to {noun}s failed: deadlock detected, transaction {hex} rolled back",
];

/// The 12 templates of a service, sorted by severity.
pub(super) fn templates(random: &mut Rng, noun: &str) -> Vec<Template> {
    let mut all = Vec::new();
    for (severity, count, pool) in SHARES {
        let mut chosen: Vec<&str> = pool.to_vec();
        random.shuffle(&mut chosen);
        all.extend(
            chosen
                .iter()
                .take(count)
                .enumerate()
                .map(|(index, body)| Template {
                    severity,
                    body: body.replace("{noun}", noun),
                    logger: format!(
                        "com.shop.{noun}.{}",
                        ["Handler", "Service", "Client"][index % 3]
                    ),
                }),
        );
    }
    all
}
