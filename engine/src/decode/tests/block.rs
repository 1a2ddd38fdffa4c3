//! Reads sealed blocks back: takes LZ4 frames, checks every checksum and every length, and gives rows.
//! It shares no code with the writer and knows the Native format only from its description.

use std::borrow::Cow;

use cityhash_102_rs::city_hash_128;
use spanmill_schema::Table;

/// Plain bytes that ClickHouse expects in a frame at most.
const FRAME_BYTES_MAX: usize = 1 << 20;

/// A value of any type, as ClickHouse would show it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Value {
    Number(u64),
    Int(i64),
    /// The bits of a 64-bit float, so that every NaN equals itself.
    Float(u64),
    Bool(bool),
    Fixed(Vec<u8>),
    Text(String),
    List(Vec<Value>),
    Map(Vec<(Value, Value)>),
}

/// A row: every column of its table by name, in the table's order.
pub(crate) type Row = Vec<(Cow<'static, str>, Value)>;

/// A row, or a part of one.
pub(crate) fn row<const N: usize>(columns: [(&'static str, Value); N]) -> Row {
    let named = |(name, value)| (Cow::Borrowed(name), value);
    columns.into_iter().map(named).collect()
}

/// The value of a column of `row`.
pub(crate) fn get<'a>(row: &'a Row, name: &str) -> &'a Value {
    let found = row.iter().find(|(column, _)| column == name);
    &found.unwrap_or_else(|| panic!("no column {name}")).1
}

/// The plain bytes in `frames`, and how many frames there were.
pub(crate) fn unpack(mut frames: &[u8]) -> (Vec<u8>, usize) {
    let (mut plain, mut count) = (Vec::new(), 0);
    while !frames.is_empty() {
        let (checksum, rest) = frames.split_at(16);
        assert_eq!(rest[0], 0x82, "the method is LZ4");
        let packed = u32::from_le_bytes(rest[1..5].try_into().unwrap()) as usize;
        let unpacked = u32::from_le_bytes(rest[5..9].try_into().unwrap()) as usize;
        assert!((1..=FRAME_BYTES_MAX).contains(&unpacked));
        let (frame, rest) = rest.split_at(packed);
        assert_eq!(city_hash_128(frame).to_le_bytes(), checksum);
        plain.extend(lz4_flex::block::decompress(&frame[9..], unpacked).unwrap());
        frames = rest;
        count += 1;
    }
    (plain, count)
}

/// The rows of a block of `table`.
pub(crate) fn rows(table: &Table, plain: &[u8]) -> Vec<Row> {
    let mut bytes = Bytes(plain);
    assert_eq!(bytes.take(8), [1, 0, 2, 0xff, 0xff, 0xff, 0xff, 0]);
    assert_eq!(bytes.varint() as usize, table.columns.len());
    let count = bytes.varint() as usize;
    let mut rows = vec![Row::new(); count];
    for column in &table.columns {
        assert_eq!(bytes.text(), column.name);
        assert_eq!(bytes.text(), column.kind);
        assert_eq!(bytes.take(1), [0], "no custom serialization");
        let kind = Kind::parse(column.kind);
        kind.read_prefix(&mut bytes);
        let values = kind.read(&mut bytes, count);
        assert_eq!(values.len(), count, "{}", column.name);
        for (row, value) in rows.iter_mut().zip(values) {
            row.push((column.name.clone(), value));
        }
    }
    assert!(bytes.0.is_empty(), "bytes after the last column");
    rows
}

enum Kind {
    Number(usize),
    Int(usize),
    Float,
    Bool,
    Fixed(usize),
    Text,
    Dictionary,
    List(Box<Kind>),
    Map(Box<Kind>, Box<Kind>),
}

impl Kind {
    fn parse(name: &str) -> Kind {
        let (outer, inner) = match name.split_once('(') {
            Some((outer, inner)) => (outer, inner.strip_suffix(')').unwrap()),
            None => (name, ""),
        };
        match outer {
            "UInt8" => Kind::Number(1),
            "UInt16" | "Date" => Kind::Number(2),
            "UInt32" | "DateTime" => Kind::Number(4),
            // No time before 1970 is stored.
            "UInt64" | "DateTime64" => Kind::Number(8),
            "Int32" => Kind::Int(4),
            "Int64" => Kind::Int(8),
            "Float64" => Kind::Float,
            "Bool" => Kind::Bool,
            "FixedString" => Kind::Fixed(inner.parse().unwrap()),
            "String" => Kind::Text,
            "LowCardinality" if inner == "String" => Kind::Dictionary,
            "Array" => Kind::List(Box::new(Kind::parse(inner))),
            "Map" => {
                let (key, value) = inner.split_once(", ").unwrap();
                Kind::Map(Box::new(Kind::parse(key)), Box::new(Kind::parse(value)))
            }
            _ => panic!("unknown type {name}"),
        }
    }

    /// What comes before all offsets and values: the version of each dictionary below.
    fn read_prefix(&self, bytes: &mut Bytes<'_>) {
        match self {
            Kind::Dictionary => assert_eq!(bytes.number(8), 1, "version"),
            Kind::List(of) => of.read_prefix(bytes),
            Kind::Map(key, value) => {
                key.read_prefix(bytes);
                value.read_prefix(bytes);
            }
            Kind::Number(_) | Kind::Int(_) | Kind::Float | Kind::Bool => {}
            Kind::Fixed(_) | Kind::Text => {}
        }
    }

    fn read(&self, bytes: &mut Bytes<'_>, count: usize) -> Vec<Value> {
        match self {
            Kind::Number(width) => bytes.repeat(count, |b| Value::Number(b.number(*width))),
            Kind::Int(width) => bytes.repeat(count, |b| {
                let unused = 64 - 8 * *width as u32;
                Value::Int((b.number(*width) << unused) as i64 >> unused)
            }),
            Kind::Float => bytes.repeat(count, |b| Value::Float(b.number(8))),
            Kind::Bool => bytes.repeat(count, |b| match b.number(1) {
                byte @ 0..=1 => Value::Bool(byte == 1),
                byte => panic!("{byte} is no bool"),
            }),
            Kind::Fixed(width) => bytes.repeat(count, |b| Value::Fixed(b.take(*width).to_vec())),
            Kind::Text => bytes.repeat(count, |b| Value::Text(b.text().to_owned())),
            Kind::Dictionary => read_dictionary(bytes, count),
            Kind::List(of) => {
                let ends = bytes.offsets(count);
                let all = of.read(bytes, ends.last().copied().unwrap_or(0));
                cut(all, &ends).map(Value::List).collect()
            }
            Kind::Map(key, value) => {
                let ends = bytes.offsets(count);
                let entries = ends.last().copied().unwrap_or(0);
                let keys = key.read(bytes, entries);
                let values = value.read(bytes, entries);
                let all = keys.into_iter().zip(values).collect();
                cut(all, &ends).map(Value::Map).collect()
            }
        }
    }
}

fn read_dictionary(bytes: &mut Bytes<'_>, count: usize) -> Vec<Value> {
    if count == 0 {
        return Vec::new();
    }
    let header = bytes.number(8);
    assert_eq!(header & !0xff, 0x200, "a dictionary of this block only");
    let width = 1 << (header & 0xff);
    let size = bytes.number(8) as usize;
    let values = Kind::Text.read(bytes, size);
    let distinct: std::collections::BTreeSet<_> = values.iter().collect();
    assert_eq!(distinct.len(), size, "a value is in the dictionary twice");
    assert_eq!(bytes.number(8) as usize, count);
    bytes.repeat(count, |b| values[b.number(width) as usize].clone())
}

/// Cuts `all` into rows that end at `ends`.
fn cut<T>(all: Vec<T>, ends: &[usize]) -> impl Iterator<Item = Vec<T>> {
    let mut all = all.into_iter();
    let mut start = 0;
    ends.iter().map(move |&end| {
        let row = all.by_ref().take(end - start).collect();
        start = end;
        row
    })
}

struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, length: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(length);
        self.0 = rest;
        taken
    }

    fn number(&mut self, width: usize) -> u64 {
        let mut number = [0; 8];
        number[..width].copy_from_slice(self.take(width));
        u64::from_le_bytes(number)
    }

    fn varint(&mut self) -> u64 {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.take(1)[0];
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return value;
            }
        }
        panic!("a varint without an end")
    }

    fn text(&mut self) -> &'a str {
        let length = self.varint() as usize;
        std::str::from_utf8(self.take(length)).unwrap()
    }

    fn offsets(&mut self, count: usize) -> Vec<usize> {
        let ends: Vec<_> = (0..count).map(|_| self.number(8) as usize).collect();
        assert!(ends.is_sorted(), "offsets go back");
        ends
    }

    fn repeat(&mut self, count: usize, read: impl Fn(&mut Self) -> Value) -> Vec<Value> {
        (0..count).map(|_| read(self)).collect()
    }
}
