//! A query in the making: constants of this program become SQL, everything else becomes a typed
//! parameter. There is no way to put a text that is known at run time into the SQL, but for checked
//! names of columns.

use serde::Serialize;

/// A value that travels beside the SQL.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(untagged)]
pub(crate) enum Value {
    Text(String),
    Texts(Vec<String>),
    Unsigned(u64),
    Unsigneds(Vec<u64>),
    Signed(i64),
}

impl Value {
    /// How SQL refers to parameter `number` of this type.
    fn placeholder(&self, number: usize) -> String {
        let kind = match self {
            Self::Text(_) => "String",
            Self::Texts(_) => "Array(String)",
            Self::Unsigned(_) => "UInt64",
            Self::Unsigneds(_) => "Array(UInt64)",
            Self::Signed(_) => "Int64",
        };
        format!("{{p{number}:{kind}}}")
    }
}

/// The name of a column that the database told, of letters, digits and underscores.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identifier(String);

impl Identifier {
    /// `None` if anything else is in it.
    pub(crate) fn new(name: String) -> Option<Self> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        (!name.is_empty() && name.bytes().all(is_plain)).then_some(Self(name))
    }
}

/// SQL and its parameters. Equal statements have equal answers.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Statement {
    /// What it is called in metrics and in ClickHouse's log of queries.
    pub(super) name: &'static str,
    pub(super) sql: String,
    pub(super) parameters: Vec<Value>,
}

impl Statement {
    pub(crate) fn new(name: &'static str) -> Self {
        Self {
            name,
            sql: String::new(),
            parameters: Vec::new(),
        }
    }

    /// Appends SQL.
    pub(crate) fn sql(&mut self, text: &'static str) -> &mut Self {
        self.sql.push_str(text);
        self
    }

    /// Appends the name of a column.
    pub(crate) fn column(&mut self, name: &Identifier) -> &mut Self {
        self.sql.push('`');
        self.sql.push_str(&name.0);
        self.sql.push('`');
        self
    }

    /// Appends a reference to this value.
    pub(crate) fn value(&mut self, value: Value) -> &mut Self {
        self.sql.push_str(&value.placeholder(self.parameters.len()));
        self.parameters.push(value);
        self
    }

    /// As [`Self::value`], of a text.
    pub(crate) fn text(&mut self, text: impl Into<String>) -> &mut Self {
        self.value(Value::Text(text.into()))
    }

    /// Appends a number from 0 to 1, given in millionths: a parameter of a function, where ClickHouse takes no
    /// reference.
    pub(crate) fn fraction(&mut self, millionths: u32) -> &mut Self {
        let (whole, rest) = (millionths / 1_000_000, millionths % 1_000_000);
        self.sql.push_str(&format!("{whole}.{rest:06}"));
        self
    }

    /// Appends a time, given in nanoseconds since 1970, as `DateTime64(9)`.
    pub(crate) fn time(&mut self, nanos: i64) -> &mut Self {
        self.sql("fromUnixTimestamp64Nano(")
            .value(Value::Signed(nanos))
            .sql(")")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scenario: a statement is built with hostile texts as values and as names of columns.
    /// Guarantees: the SQL holds placeholders alone, and such a name is refused.
    #[test]
    fn values_never_become_sql() {
        let mut statement = Statement::new("test");
        statement
            .sql("SELECT 1 WHERE a = ")
            .text("x' OR 1 = 1 --")
            .sql(" AND b IN ")
            .value(Value::Texts(vec!["{p0:String}".into()]));
        assert_eq!(
            statement.sql,
            "SELECT 1 WHERE a = {p0:String} AND b IN {p1:Array(String)}"
        );
        for name in ["", "a b", "a`", "a)--"] {
            assert_eq!(Identifier::new(name.to_owned()), None);
        }
    }
}
