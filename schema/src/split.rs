//! SQL text in, its statements out, without comments. It knows quotes and comments and nothing else
//! of SQL; heredocs (`$$`) are not known and must not be used in a migration.

/// The statements of `sql`, trimmed, comments removed, empty ones dropped.
///
/// A semicolon inside `'…'`, `"…"`, `` `…` ``, `-- …` or `/* … */` does not end a statement.
pub(crate) fn statements(sql: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut current = String::new();
    let mut rest = sql;
    while let Some(first) = rest.chars().next() {
        let taken = match first {
            '\'' | '"' | '`' => {
                let quoted = quoted_len(rest, first);
                current.push_str(&rest[..quoted]);
                quoted
            }
            '-' if rest.starts_with("--") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => {
                current.push(' ');
                rest[2..].find("*/").map_or(rest.len(), |end| end + 4)
            }
            ';' => {
                finish(&mut current, &mut found);
                1
            }
            other => {
                current.push(other);
                other.len_utf8()
            }
        };
        rest = &rest[taken..];
    }
    finish(&mut current, &mut found);
    found
}

fn finish(current: &mut String, found: &mut Vec<String>) {
    let statement = current.trim();
    if !statement.is_empty() {
        found.push(statement.to_owned());
    }
    current.clear();
}

/// Bytes from the opening quote through the closing one. A doubled quote reads as two strings side
/// by side, which splits alike; a backslash protects the character after it.
fn quoted_len(text: &str, quote: char) -> usize {
    let mut characters = text.char_indices().skip(1);
    while let Some((at, character)) = characters.next() {
        if character == '\\' {
            characters.next();
        } else if character == quote {
            return at + 1;
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::statements;

    /// Scenario: semicolons in every kind of quote and comment, quotes inside comments, comment
    /// marks inside quotes, escapes, text beyond ASCII, no semicolon at the end.
    /// Guarantees: only semicolons of SQL itself split, and quoted text is kept to the byte.
    #[test]
    fn only_real_semicolons_split() {
        let sql = "-- it's; a comment\nSELECT 'a;b', 'it''s;', 'x\\';y', `c;d`, \"e;f\" /* ; ' */ FROM t;\n\
                   ;; /* only; a comment */ ;\nSELECT '-- ü; /*' -- tail; '\n, 1 - 2 / 3;\nSELECT 4";
        assert_eq!(
            statements(sql),
            [
                "SELECT 'a;b', 'it''s;', 'x\\';y', `c;d`, \"e;f\"   FROM t",
                "SELECT '-- ü; /*' \n, 1 - 2 / 3",
                "SELECT 4",
            ]
        );
    }

    /// Scenario: a quote or a comment is never closed.
    /// Guarantees: the rest is one statement, for ClickHouse to refuse; nothing panics.
    #[test]
    fn unclosed_quotes_and_comments_end_with_the_text() {
        assert_eq!(statements("SELECT 'a; b"), ["SELECT 'a; b"]);
        assert_eq!(statements("SELECT 'a\\"), ["SELECT 'a\\"]);
        assert_eq!(statements("SELECT 1 /* ; "), ["SELECT 1"]);
        assert_eq!(statements("-- nothing"), [""; 0]);
    }
}
