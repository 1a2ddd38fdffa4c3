//! Takes the table of settings and hands out its reference as Markdown, the text of
//! `cli/SETTINGS.md`. It never shows a value in force.

use std::fmt::Write;

use super::table::{self, Setting};

const OPENING: &str = "\
# Settings

Written by `spanmill settings`; change `cli/src/settings/table.rs` and run
`cargo run -- settings > cli/SETTINGS.md`.

A value is looked for in this order: flag, `SPANMILL_*` variable, settings file, default. The file
is YAML, one `key: value` a line, and is named by `--config` or `SPANMILL_CONFIG`. Unknown keys,
unknown `SPANMILL_*` variables and bad values are errors: nothing starts until they are mended.

Sizes take B, KB, MB, GB (powers of 1000) and KiB, MiB, GiB (powers of 1024). Times take ms, s, m
and combinations such as `1m 30s`.
";

/// The whole reference.
pub(crate) fn markdown() -> String {
    let mut text = OPENING.to_owned();
    let mut group = "";
    for setting in table::ALL {
        if setting.group != group {
            group = setting.group;
            // Writing to a String cannot fail.
            let _ = write!(
                text,
                "\n## {group}\n\n| key, flag, variable | default | accepted | meaning |\n|---|---|---|---|\n"
            );
        }
        let _ = writeln!(text, "{}", row(setting));
    }
    text
}

fn row(setting: &Setting) -> String {
    // The settings file cannot name itself.
    let key = match setting.key {
        key if key == table::CONFIG.key => String::new(),
        key => format!("`{key}`<br>"),
    };
    let default = match setting.default {
        table::Default::Text(text) => format!("`{text}`"),
        table::Default::Found(words) => words.to_owned(),
    };
    format!(
        "| {key}`{}`<br>`{}` | {default} | {} | {}. |",
        setting.flag(),
        setting.variable(),
        setting.accepts,
        setting.help
    )
}

#[cfg(test)]
mod tests {
    /// Scenario: a setting was added or changed. Guarantees: `cli/SETTINGS.md` says the same as
    /// the table; run `cargo run -- settings > cli/SETTINGS.md` if this fails.
    #[test]
    fn the_written_reference_is_in_step() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/SETTINGS.md");
        let written = std::fs::read_to_string(path).expect("cli/SETTINGS.md is there");
        assert!(
            written == super::markdown(),
            "run `cargo run -- settings > cli/SETTINGS.md`"
        );
    }
}
