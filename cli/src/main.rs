//! The one binary of Spanmill. `main` shows what each subcommand does, in order; the modules below
//! it know how. No data passes through here: that is the engine's part.

mod command_line;
mod embedded;
mod engine;
mod greeting;
mod logging;
mod progress;
mod query;
mod settings;
mod signals;

use std::fmt::Display;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use spanmill_engine::Engine;
use spanmill_query::Server as Queries;
use spanmill_schema::SchemaSettings;
use tracing::{info, warn};

use command_line::{Command, Invocation};
use embedded::Embedded;
use settings::{ClickHouse, Settings};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os();
    match arguments.nth(1).as_ref().and_then(|name| name.to_str()) {
        // First of all: the host takes over signals, streams and threads of its process.
        Some(embedded::HOST_COMMAND) => spanmill_embedded::host_main(arguments),
        Some("certify") => return spanmill_certify::main(arguments),
        Some("doctor") => return spanmill_tuning::main(arguments),
        Some("loadgen") => return spanmill_loadgen::main(arguments),
        _ => {}
    }
    let Invocation {
        command,
        flags,
        folders,
    } = match command_line::parse(std::env::args_os()) {
        Ok(invocation) => invocation,
        Err(help_or_complaint) => help_or_complaint.exit(),
    };
    if command == Command::Settings {
        return ended(print(&settings::markdown()));
    }
    let variables: Vec<_> = std::env::vars_os().collect();
    let settings = match settings::load(command, flags, &variables) {
        Ok(settings) => settings,
        Err(error) => {
            complain(&error);
            return ExitCode::from(2);
        }
    };
    ended(logging::start(&settings.log).and_then(|()| run(command, &settings, &folders)))
}

fn run(command: Command, settings: &Settings, folders: &[PathBuf]) -> Result<()> {
    match command {
        Command::Up => up(settings),
        Command::Engine => engine_alone(settings),
        Command::Query => query_alone(settings),
        Command::Migrate => migrate(&settings.clickhouse, &settings.schema),
        Command::Clickhouse => clickhouse_alone(settings),
        Command::ForgetLostTokens => forget_lost_tokens(folders),
        Command::Settings => print(&settings::markdown()),
    }
}

/// Before anything is started that goes by the limit.
fn raise_open_files() {
    match spanmill_engine::raise_open_files() {
        Ok((before, now)) if before < now => {
            info!(before, now, "the limit of open files is raised")
        }
        Ok(_) => {}
        Err(error) => warn!("the limit of open files stays as it is: {error}"),
    }
}

/// ClickHouse, its tables, the query server, the engine; and back in the opposite order, so that the engine
/// can still store what it has taken.
fn up(settings: &Settings) -> Result<()> {
    raise_open_files();
    let mut embedded = match settings.clickhouse_is_given {
        true => None,
        false => Some(Embedded::start(settings)?),
    };
    let clickhouse = match &embedded {
        Some(embedded) => embedded.clickhouse(),
        None => settings.clickhouse.clone(),
    };
    let events = signals::watch()?;
    migrate(&clickhouse, &settings.schema)?;
    let queries = Queries::start(&query::config(settings, &clickhouse))?;
    let engine = Engine::start(engine::config(settings, &clickhouse)).context("the engine")?;
    let data_dir = embedded.as_ref().map(|_| settings.data_dir.as_path());
    greet(&greeting::engine(
        addresses(&engine),
        Some(queries.addr()),
        &clickhouse,
        data_dir,
    ));

    match &mut embedded {
        Some(embedded) => embedded.keep_running(&events),
        None => signals::wait_for_stop(&events),
    }
    queries.shutdown();
    drain(engine);
    embedded.map_or(Ok(()), Embedded::stop)
}

/// The engine against somebody's ClickHouse, which may be down and come back at any time.
fn engine_alone(settings: &Settings) -> Result<()> {
    raise_open_files();
    let events = signals::watch()?;
    let config = engine::config(settings, &settings.clickhouse);
    let engine = Engine::start(config).context("the engine")?;
    greet(&greeting::engine(
        addresses(&engine),
        None,
        &settings.clickhouse,
        None,
    ));

    signals::wait_for_stop(&events);
    drain(engine);
    Ok(())
}

/// The query server against somebody's ClickHouse, which may be down and come back at any time.
fn query_alone(settings: &Settings) -> Result<()> {
    raise_open_files();
    let events = signals::watch()?;
    let queries = Queries::start(&query::config(settings, &settings.clickhouse))?;
    greet(&greeting::query(queries.addr(), &settings.clickhouse));

    signals::wait_for_stop(&events);
    info!("stopping: queries that run are finished");
    queries.shutdown();
    Ok(())
}

fn migrate(clickhouse: &ClickHouse, schema: &SchemaSettings) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.context("the runtime for migrations")?;
    let connection = engine::connection(clickhouse);
    let report = runtime
        .block_on(spanmill_schema::migrate(&connection, schema))
        .with_context(|| format!("the tables at {} could not be made", clickhouse.http))?;
    info!(applied = ?report.applied, already = report.already, "tables are up to date");
    Ok(())
}

/// The embedded ClickHouse for queries and for engines elsewhere on this machine.
fn clickhouse_alone(settings: &Settings) -> Result<()> {
    let mut embedded = Embedded::start(settings)?;
    let events = signals::watch()?;
    greet(&greeting::clickhouse(
        &embedded.clickhouse(),
        &settings.data_dir,
    ));

    embedded.keep_running(&events);
    info!("stopping ClickHouse");
    embedded.stop()
}

/// What the embedded ClickHouse does before each start, for another that does not run.
fn forget_lost_tokens(folders: &[PathBuf]) -> Result<()> {
    for folder in folders {
        let found = folder.join("store").is_dir();
        ensure!(
            found,
            "{} is no data folder of ClickHouse: it holds no folder `store`",
            folder.display()
        );
    }
    let tokens = spanmill_embedded::forget_lost_tokens(folders)?;
    info!(tokens, "what was noted and not stored is forgotten");
    Ok(())
}

fn addresses(engine: &Engine) -> greeting::Addresses {
    greeting::Addresses {
        otlp_grpc: engine.grpc_addr(),
        otlp_http: engine.http_addr(),
        admin: engine.admin_addr(),
    }
}

fn drain(engine: Engine) {
    info!("stopping: no new exports are taken, what was taken is being stored");
    let report = engine.shutdown();
    info!("engine stopped: {report}");
}

/// What runs keeps running when nobody reads the greeting.
fn greet(text: &str) {
    if let Err(error) = print(text) {
        warn!("the addresses could not be printed: {error:#}");
    }
}

/// To stdout, which holds only what a command was asked for; the log goes to stderr.
fn print(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .context("stdout")
}

fn ended(result: Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&in_words(&error));
            ExitCode::FAILURE
        }
    }
}

/// The error and its causes, leaving out those whose words an error above already holds.
fn in_words(error: &anyhow::Error) -> String {
    error
        .chain()
        .map(ToString::to_string)
        .fold(String::new(), |words, cause| match words.contains(&cause) {
            true => words,
            false if words.is_empty() => cause,
            false => format!("{words}: {cause}"),
        })
}

fn complain(about: &dyn Display) {
    // A closed stderr leaves the exit code to tell.
    let _ = writeln!(std::io::stderr(), "spanmill: {about}");
}
