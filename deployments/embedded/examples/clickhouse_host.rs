//! The host process on its own: what `spanmill clickhouse-host` is, without the rest of spanmill.

fn main() {
    // The program's own name and `clickhouse-host`.
    spanmill_embedded::host_main(std::env::args_os().skip(2))
}
