//! Each table's columns in the order and with the types in which they travel in a Native block. The
//! engine's writer and the migration tests both read this; the SQL files must agree with it.

/// One column as a block header names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    /// Also the name in SQL; dotted names are parts of a nested column and need backticks there.
    pub name: &'static str,
    /// ClickHouse's own spelling of the type.
    pub kind: &'static str,
}

/// A table that the engine inserts into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Table {
    /// The database it is in.
    pub database: &'static str,
    /// Its name there.
    pub name: &'static str,
    /// All its columns, in the table's order.
    pub columns: &'static [Column],
}

/// What an attribute was before it became text in a map. The n-th byte of a types column belongs to
/// the n-th entry of the map beside it.
#[repr(u8)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ValueType {
    /// The text itself.
    String = 0,
    /// `true` or `false`.
    Bool = 1,
    /// Decimal, 64 bits signed.
    Int = 2,
    /// The shortest decimal that reads back as the same 64-bit float.
    Double = 3,
    /// Base64.
    Bytes = 4,
    /// JSON.
    Array = 5,
    /// JSON.
    Map = 6,
    /// An attribute without a value: the empty text.
    Empty = 7,
}

impl TryFrom<u8> for ValueType {
    type Error = u8;

    /// # Errors
    /// The byte itself, if a newer writer must have stored it.
    fn try_from(byte: u8) -> Result<Self, u8> {
        Ok(match byte {
            0 => Self::String,
            1 => Self::Bool,
            2 => Self::Int,
            3 => Self::Double,
            4 => Self::Bytes,
            5 => Self::Array,
            6 => Self::Map,
            7 => Self::Empty,
            unknown => return Err(unknown),
        })
    }
}

/// A span attribute that has a column of its own instead of an entry in the map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Promoted {
    /// The attribute's key in OpenTelemetry's semantic conventions.
    pub key: &'static str,
    /// The column's name in `spanmill.otel_traces`.
    pub column: &'static str,
    /// Which values move into the column.
    pub kind: PromotedKind,
}

/// Which values of a promoted attribute move into its column; all others stay in the map, with
/// their type, so that nothing is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PromotedKind {
    /// Strings that are not empty. The column's empty string means "not here".
    Text,
    /// Integers from 1 to 65,535. The column's 0 means "not here".
    Code,
}

const fn column(name: &'static str, kind: &'static str) -> Column {
    Column { name, kind }
}

const fn text(key: &'static str, column: &'static str) -> Promoted {
    Promoted {
        key,
        column,
        kind: PromotedKind::Text,
    }
}

const fn code(key: &'static str, column: &'static str) -> Promoted {
    Promoted {
        key,
        column,
        kind: PromotedKind::Code,
    }
}

/// In the order of their columns in [`TRACES`].
pub static PROMOTED_SPAN_ATTRIBUTES: &[Promoted] = &[
    text("http.request.method", "HttpRequestMethod"),
    code("http.response.status_code", "HttpResponseStatusCode"),
    text("http.route", "HttpRoute"),
    text("url.path", "UrlPath"),
    text("server.address", "ServerAddress"),
    text("db.system.name", "DbSystemName"),
    text("rpc.method", "RpcMethod"),
    text("messaging.destination.name", "MessagingDestinationName"),
];

const NAME: &str = "LowCardinality(String)";
const ATTRIBUTES: &str = "Map(LowCardinality(String), String)";

/// One row a span.
pub static TRACES: Table = Table {
    database: "spanmill",
    name: "otel_traces",
    columns: &[
        column("Timestamp", "DateTime64(9)"),
        column("TraceId", "FixedString(16)"),
        column("SpanId", "FixedString(8)"),
        column("ParentSpanId", "FixedString(8)"),
        column("TraceState", "String"),
        column("Flags", "UInt32"),
        column("SpanName", NAME),
        column("SpanKind", "UInt8"),
        column("ServiceName", NAME),
        column("ResourceId", "UInt64"),
        column("ScopeName", NAME),
        column("ScopeVersion", NAME),
        column("ScopeSchemaUrl", NAME),
        column("ScopeAttributes", ATTRIBUTES),
        column("ScopeAttributeTypes", "Array(UInt8)"),
        column("ScopeDroppedAttributesCount", "UInt32"),
        column("Duration", "UInt64"),
        column("StatusCode", "UInt8"),
        column("StatusMessage", "String"),
        column("HttpRequestMethod", NAME),
        column("HttpResponseStatusCode", "UInt16"),
        column("HttpRoute", NAME),
        column("UrlPath", "String"),
        column("ServerAddress", NAME),
        column("DbSystemName", NAME),
        column("RpcMethod", NAME),
        column("MessagingDestinationName", NAME),
        column("SpanAttributes", ATTRIBUTES),
        column("SpanAttributeTypes", "Array(UInt8)"),
        column("DroppedAttributesCount", "UInt32"),
        column("DroppedEventsCount", "UInt32"),
        column("DroppedLinksCount", "UInt32"),
        column("Events.Timestamp", "Array(DateTime64(9))"),
        column("Events.Name", "Array(LowCardinality(String))"),
        column(
            "Events.Attributes",
            "Array(Map(LowCardinality(String), String))",
        ),
        column("Events.AttributeTypes", "Array(Array(UInt8))"),
        column("Events.DroppedAttributesCount", "Array(UInt32)"),
        column("Links.TraceId", "Array(FixedString(16))"),
        column("Links.SpanId", "Array(FixedString(8))"),
        column("Links.TraceState", "Array(String)"),
        column("Links.Flags", "Array(UInt32)"),
        column(
            "Links.Attributes",
            "Array(Map(LowCardinality(String), String))",
        ),
        column("Links.AttributeTypes", "Array(Array(UInt8))"),
        column("Links.DroppedAttributesCount", "Array(UInt32)"),
    ],
};

/// One row a resource, which rows of all signals name by `ResourceId`.
pub static RESOURCES: Table = Table {
    database: "spanmill",
    name: "otel_resources",
    columns: &[
        column("ResourceId", "UInt64"),
        column("LastSeen", "DateTime"),
        column("ServiceName", NAME),
        column("Attributes", ATTRIBUTES),
        column("AttributeTypes", "Array(UInt8)"),
        column("SchemaUrl", NAME),
        column("DroppedAttributesCount", "UInt32"),
    ],
};

#[cfg(test)]
mod tests {
    use super::{PROMOTED_SPAN_ATTRIBUTES, PromotedKind, TRACES, ValueType};

    /// Scenario: the list of promoted attributes beside the table's columns.
    /// Guarantees: each has its column, of a type that fits its kind, in the same order.
    #[test]
    fn promoted_attributes_have_their_columns() {
        let mut columns = TRACES.columns.iter();
        for promoted in PROMOTED_SPAN_ATTRIBUTES {
            let column = columns
                .find(|c| c.name == promoted.column)
                .expect(promoted.column);
            match promoted.kind {
                PromotedKind::Text => assert!(column.kind.contains("String"), "{column:?}"),
                PromotedKind::Code => assert_eq!(column.kind, "UInt16"),
            }
        }
    }

    /// Scenario: every byte is read as an attribute type.
    /// Guarantees: the known ones read back as themselves, all others are refused.
    #[test]
    fn type_bytes_read_back() {
        for byte in 0..=u8::MAX {
            match ValueType::try_from(byte) {
                Ok(known) => assert_eq!(known as u8, byte),
                Err(unknown) => assert!(unknown == byte && byte > ValueType::Empty as u8),
            }
        }
    }
}
