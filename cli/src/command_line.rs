//! Takes the arguments of the process, and hands out the subcommand with the flags as given.
//! It understands no value: that is the settings' part.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{Arg, ArgMatches};

use crate::settings::table::{self, Setting};

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Command {
    Up,
    Engine,
    Migrate,
    Clickhouse,
    ForgetLostTokens,
    Settings,
}

const COMMANDS: [(Command, &str, &str); 6] = [
    (
        Command::Up,
        "up",
        "Run everything: ClickHouse (embedded unless --clickhouse is given), its tables, and the \
         engine. This is what happens without a subcommand",
    ),
    (
        Command::Engine,
        "engine",
        "Run the engine alone, against a ClickHouse whose tables `migrate` made",
    ),
    (
        Command::Migrate,
        "migrate",
        "Make or update the tables in ClickHouse, then end; doing it again changes nothing",
    ),
    (
        Command::Clickhouse,
        "clickhouse",
        "Run the embedded ClickHouse alone, on the same data as `up`",
    ),
    (
        Command::ForgetLostTokens,
        "forget-lost-tokens",
        "Mend a ClickHouse of your own without replication, before it starts again after it was \
         killed: its tables forget inserts that they noted and did not store, which the engine \
         then sends again. The embedded one does so by itself",
    ),
    (
        Command::Settings,
        "settings",
        "Print the reference of all settings as Markdown",
    ),
];

/// Subcommands with arguments of their own, which `main` hands to their crates when they come first.
const HANDED_OVER: [(&str, &str); 3] = [
    (
        "certify",
        "Certify a running installation against targets: rate, loss, CPU, memory, queries, disk",
    ),
    (
        "doctor",
        "Check this host: what slows the engine or endangers what it acknowledged, and what to change",
    ),
    (
        "loadgen",
        "Load an OTLP endpoint on a fixed schedule, and report latencies and failures",
    ),
];

const AFTER_HELP: &str = "\
Every setting can also come from a variable (--batch-rows is SPANMILL_BATCH_ROWS) or from the \
YAML file named by --config (batch_rows: 10000). Flags win over variables, variables over the \
file. Unknown or bad settings are errors.

Exit codes: 0 after a stop by SIGINT or SIGTERM, 1 after a failure, 2 for bad settings, 130 when \
a second signal cut a stop short.";

const FOLDERS: &str = "folders";

/// What was asked for.
#[derive(Debug)]
pub(crate) struct Invocation {
    pub command: Command,
    pub flags: Vec<(&'static Setting, String)>,
    /// What `forget-lost-tokens` is to mend.
    pub folders: Vec<PathBuf>,
}

/// Reads the arguments, the program's name first. `Err` holds help, version or a complaint, to be
/// printed by [`clap::Error::exit`].
pub(crate) fn parse(
    arguments: impl IntoIterator<Item = OsString>,
) -> Result<Invocation, clap::Error> {
    let matches = definition().try_get_matches_from(arguments)?;
    let handed_over = HANDED_OVER.map(|(name, _)| name);
    if let Some(name) = matches
        .subcommand_name()
        .filter(|name| handed_over.contains(name))
    {
        let words = format!("`{name}` has flags of its own, behind it: see spanmill {name} --help");
        return Err(definition().error(ErrorKind::ArgumentConflict, words));
    }
    let command = COMMANDS
        .iter()
        .find(|(_, name, _)| matches.subcommand_name() == Some(name));
    // Flags are global: clap hands those before and after the subcommand to both.
    let flags = table::ALL.into_iter().filter_map(|setting| {
        let text = matches.get_one::<String>(setting.key)?;
        Some((setting, text.clone()))
    });
    Ok(Invocation {
        command: command.map_or(Command::Up, |(command, ..)| *command),
        flags: flags.collect(),
        folders: folders(&matches),
    })
}

fn folders(matches: &ArgMatches) -> Vec<PathBuf> {
    let of_subcommand = matches.subcommand().map(|(_, matches)| matches);
    let folders = of_subcommand.and_then(|matches| matches.try_get_many(FOLDERS).ok()?);
    folders.into_iter().flatten().cloned().collect()
}

fn definition() -> clap::Command {
    clap::Command::new("spanmill")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Takes OpenTelemetry traces, metrics and logs, and stores them in ClickHouse")
        .after_help(AFTER_HELP)
        .disable_help_subcommand(true)
        .max_term_width(100)
        .subcommands(COMMANDS.map(|(command, name, about)| {
            let subcommand = clap::Command::new(name).about(about).after_help(AFTER_HELP);
            match command {
                Command::ForgetLostTokens => subcommand.arg(folders_argument()),
                _ => subcommand,
            }
        }))
        .subcommands(HANDED_OVER.map(|(name, about)| clap::Command::new(name).about(about)))
        .args(table::ALL.map(argument))
}

fn folders_argument() -> Arg {
    Arg::new(FOLDERS)
        .value_name("FOLDER")
        .help(
            "ClickHouse's data folder, such as /var/lib/clickhouse, and that of each further disk",
        )
        .num_args(1..)
        .required(true)
        .value_parser(clap::value_parser!(PathBuf))
}

fn argument(setting: &'static Setting) -> Arg {
    let help = format!(
        "{}\n[{}] [default: {}]",
        setting.help,
        setting.accepts,
        setting.default_words()
    );
    Arg::new(setting.key)
        .long(setting.flag().split_off(2))
        .value_name(setting.value)
        .help(help)
        .help_heading(setting.group)
        .global(true)
        .value_parser(clap::value_parser!(String))
}
