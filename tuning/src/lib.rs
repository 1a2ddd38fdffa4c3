//! `spanmill doctor`: takes what `/proc`, `/sys` and a few probes say of this host, and hands out a verdict on
//! each setting with what to change. It never changes anything; `tuning/tune` does.

mod cgroup;
mod checks;
mod command;
mod cpus;
mod finding;
mod host;
mod kernel;
mod needs;
mod network;
mod probe;
mod root;
#[cfg(test)]
mod tests;

pub use command::main;
