//! The walk that the three signals share: an Export request is resources, below them scopes, below those
//! the signal's own items (spans, log records, metrics), which `Rows` reads. Fields come in any order, so
//! each level is looked through for what all below it need before anything below is read. Rows that hold their
//! scope need it only when they are done.

use std::rc::Rc;

use super::allowance::Allowance;
use super::rejected::Rejected;
use super::resource::{read_scope, repeated_bytes, resolve};
use super::value::Merged;
use super::wire::{BYTES, Reader, WireType};
use super::{Arrival, DecodeError, SCOPE_BYTES_MAX};
use crate::columns::{
    Buffer as _, ColumnSet, NANOS_A_DAY, ResourceId, Resources, Scope, Series, SeriesKey,
};

/// One signal's columns, as the common walk fills them.
pub(super) trait Rows: ColumnSet + Sized {
    /// Whether each row holds its scope, which is then filled in when the scope ends.
    const HOLD_SCOPE: bool;

    /// Reads one item and appends its rows.
    fn item(
        &mut self,
        message: &[u8],
        place: &Place<'_>,
        walk: &mut Walk<'_>,
    ) -> Result<(), DecodeError>;

    /// How many rows an item stands for, as its sender counts them.
    fn count(message: &[u8]) -> usize;

    /// What each row takes at most, whatever it holds, in bytes.
    fn row_bytes(&self) -> usize;

    /// Bytes that rows will still take when their scope and resource end.
    fn unfilled_bytes(&self) -> usize;

    /// Fills the columns that hold the scope, for rows that have none yet.
    fn end_scope(&mut self, scope: &Scope<'_>) -> Result<(), DecodeError>;

    /// Fills the columns that hold the resource, for rows that have none yet.
    fn end_resource(&mut self, id: ResourceId, service: &[u8]) -> Result<(), DecodeError>;
}

/// What all rows below one scope share.
pub(super) struct Place<'a> {
    pub(super) resource: ResourceId,
    pub(super) service: &'a [u8],
    /// Empty for rows that hold it: they get it in the end.
    pub(super) scope: &'a Scope<'a>,
    /// What tells the scope and its resource from others; for rows that do not hold them.
    pub(super) key: SeriesKey,
}

/// The walk over one request.
pub(super) struct Walk<'c> {
    pub(super) resources: &'c mut Resources,
    pub(super) series: &'c mut Series,
    pub(super) arrival: Arrival,
    /// Room for an attribute's text.
    pub(super) text: Vec<u8>,
    /// Room for hashed bytes.
    pub(super) room: Vec<u8>,
    /// `Some` when bad rows are left out one by one, which costs more; `None` when the first bad one ends
    /// the walk.
    pub(super) rejected: Option<Rejected>,
    /// Whether a message's last fields may be guessed instead of looked for behind all others. A guess that turns
    /// out to be wrong is an error of its own, and all of it is walked again.
    pub(super) guesses: bool,
    /// That of the last scope, which is the guess for the next one.
    schema_url: Vec<u8>,
    /// Bytes of what this request has once and is stored with each row, series or block.
    repeated: usize,
    pub(super) allowance: Allowance,
}

impl<'c> Walk<'c> {
    pub(super) fn new(
        resources: &'c mut Resources,
        series: &'c mut Series,
        arrival: Arrival,
        rejected: Option<Rejected>,
    ) -> Self {
        Walk {
            resources,
            series,
            arrival,
            text: Vec::new(),
            room: Vec::new(),
            rejected,
            guesses: false,
            schema_url: Vec::new(),
            repeated: 0,
            allowance: Allowance::default(),
        }
    }

    /// Walks a whole request.
    pub(super) fn request<R: Rows>(
        &mut self,
        body: &[u8],
        rows: &mut R,
    ) -> Result<(), DecodeError> {
        self.allow(rows);
        let mut reader = Reader::new(body);
        while let Some((field, wire)) = reader.tag()? {
            match field {
                1 => {
                    let message = reader.bytes(wire)?;
                    let count = || count_below(message, |scope| count_below(scope, R::count));
                    self.step(rows, count, |walk, rows| walk.resource(message, rows))?;
                }
                _ => reader.skip(field, wire)?,
            }
        }
        Ok(())
    }

    fn resource<R: Rows>(&mut self, message: &[u8], rows: &mut R) -> Result<(), DecodeError> {
        let (resource, schema_url) = look_ahead(message)?;
        let row = Resources::ROW_BYTES + schema_url.len();
        self.foresee_owned(resource.parts(), 1, row, rows)?;
        let mut marks = Vec::new();
        self.resources.mark(&mut marks);
        let (resources, now) = (&mut *self.resources, self.arrival.now_seconds());
        let (id, service) = resolve(&resource, schema_url, resources, &mut self.room, now)?;
        let before = rows.rows();
        let mut reader = Reader::new(message);
        while let Some((field, wire)) = reader.tag()? {
            match field {
                2 => {
                    let message = reader.bytes(wire)?;
                    let count = || count_below(message, R::count);
                    let service = Rc::clone(&service);
                    self.step(rows, count, |walk, rows| {
                        walk.scope(message, id, &service, rows)
                    })?;
                }
                _ => reader.skip(field, wire)?,
            }
        }
        self.repeat(service.len(), partitions(rows, before))?;
        self.grow(Resources::service_bytes(&service), rows)?;
        if rows.rows() == before {
            // Nothing refers to it.
            self.resources.rollback(&mut marks.drain(..));
        }
        rows.end_resource(id, &service)
    }

    fn scope<R: Rows>(
        &mut self,
        message: &[u8],
        resource: ResourceId,
        service: &[u8],
        rows: &mut R,
    ) -> Result<(), DecodeError> {
        let owned = self.owned();
        let place = |scope, key| Place {
            resource,
            service,
            scope,
            key,
        };
        if !R::HOLD_SCOPE {
            let (head, schema_url) = match self.guess_head(message) {
                Some(guess) => guess,
                None => look_ahead(message)?,
            };
            self.own(head.parts(), 3, rows)?;
            let scope = read_scope(&head, schema_url)?;
            self.schema_url.clear();
            // A length of one byte is looked for.
            if schema_url.len() < 0x80 {
                self.schema_url.extend_from_slice(schema_url);
            }
            let key = scope.key(resource, &mut self.room);
            let (seen, seen_url) = self.items(message, &place(&scope, key), rows)?;
            if seen.parts() != head.parts() || seen_url != schema_url {
                return Err(DecodeError::GuessedWrong);
            }
            self.disown(owned);
            return Ok(());
        }
        // A look ahead would touch every row's memory once more.
        let before = rows.rows();
        let none = Scope::default();
        let (scope, schema_url) = self.items(message, &place(&none, 0), rows)?;
        self.own(scope.parts(), 3, rows)?;
        let scope = read_scope(&scope, schema_url)?;
        let times = rows.rows() - before;
        self.repeat(repeated_bytes(&scope.attributes), times)?;
        self.repeat(scope.dictionary_bytes(), partitions(rows, before))?;
        self.grow(scope.stored_bytes(times), rows)?;
        self.disown(owned);
        rows.end_scope(&scope)
    }

    /// The head of a scope that comes first in its message, if the message ends with the last scope's schema URL.
    fn guess_head<'m>(&self, message: &'m [u8]) -> Option<Head<'m>> {
        let schema_url = &self.schema_url[..];
        if !self.guesses || schema_url.is_empty() {
            return None;
        }
        let (rest, url) = message.split_at_checked(message.len().checked_sub(schema_url.len())?)?;
        // Its tag and length come before it.
        let head = [3 << 3 | BYTES, u8::try_from(url.len()).ok()?];
        if url != schema_url || !rest.ends_with(&head) {
            return None;
        }
        let mut reader = Reader::new(message);
        let (1, wire) = reader.tag().ok()?? else {
            return None;
        };
        Some((Merged::Whole(reader.bytes(wire).ok()?), url))
    }

    /// Reads the items in a scope, and gives what else there is.
    fn items<'m, R: Rows>(
        &mut self,
        message: &'m [u8],
        place: &Place<'_>,
        rows: &mut R,
    ) -> Result<Head<'m>, DecodeError> {
        let mut head = Head::default();
        let mut reader = Reader::new(message);
        while let Some((field, wire)) = reader.tag()? {
            match field {
                2 => {
                    let message = reader.bytes(wire)?;
                    self.step(
                        rows,
                        || R::count(message),
                        |walk, rows| rows.item(message, place, walk),
                    )?;
                }
                _ => read_head(&mut head, field, wire, &mut reader)?,
            }
        }
        Ok(head)
    }

    /// Does one part of the walk. When bad rows are left out and this part is bad for a reason of its own,
    /// what it appended is taken back and the `count` rows in it are counted as rejected.
    #[inline]
    pub(super) fn step<R: Rows>(
        &mut self,
        rows: &mut R,
        count: impl FnOnce() -> usize,
        part: impl FnOnce(&mut Self, &mut R) -> Result<(), DecodeError>,
    ) -> Result<(), DecodeError> {
        if self.rejected.is_none() {
            return part(self, rows);
        }
        let rejected = self.rejected;
        let mut marks = Vec::new();
        rows.mark(&mut marks);
        self.resources.mark(&mut marks);
        self.series.mark(&mut marks);
        let owned = self.owned();
        match part(self, rows) {
            Err(error) if !error.is_of_request() => {
                self.disown(owned);
                self.rejected = rejected;
                let mut marks = marks.drain(..);
                rows.rollback(&mut marks);
                self.resources.rollback(&mut marks);
                self.series.rollback(&mut marks);
                if let Some(rejected) = &mut self.rejected {
                    rejected.add(error, count());
                }
                Ok(())
            }
            other => other,
        }
    }

    /// Counts `bytes` bytes that are sent once and stored `times` times.
    pub(super) fn repeat(&mut self, bytes: usize, times: usize) -> Result<(), DecodeError> {
        self.repeated = self.repeated.saturating_add(bytes.saturating_mul(times));
        if self.repeated > SCOPE_BYTES_MAX {
            return Err(DecodeError::ScopeTooLarge);
        }
        Ok(())
    }
}

/// About how many blocks the rows from `from` on go to, where each holds the dictionaries of its rows:
/// never less, and more only when they come in disorder.
pub(super) fn partitions<R: Rows>(rows: &R, from: usize) -> usize {
    let times = rows.timestamps().into_iter();
    let times = times.flat_map(|times| times.values().skip(from));
    let (mut day, mut count) = (0..0, 0);
    for time in times.map(u64::from_le_bytes) {
        if !day.contains(&time) {
            let begin = time - time % NANOS_A_DAY;
            day = begin..begin.saturating_add(NANOS_A_DAY);
            count += 1;
        }
    }
    count
}

/// Fields 1 (resource or scope) and 3 (schema URL) of a message whose field 2 is walked.
type Head<'m> = (Merged<'m>, &'m [u8]);

/// The head of a message whose field 2 is walked later.
fn look_ahead(message: &[u8]) -> Result<Head<'_>, DecodeError> {
    let mut head = Head::default();
    let mut reader = Reader::new(message);
    while let Some((field, wire)) = reader.tag()? {
        read_head(&mut head, field, wire, &mut reader)?;
    }
    Ok(head)
}

fn read_head<'m>(
    (message, schema_url): &mut Head<'m>,
    field: u32,
    wire: WireType,
    reader: &mut Reader<'m>,
) -> Result<(), DecodeError> {
    match field {
        1 => message.push(reader.bytes(wire)?)?,
        3 => *schema_url = reader.bytes(wire)?,
        _ => reader.skip(field, wire)?,
    }
    Ok(())
}

/// The sum of `count` over the messages in field 2; of a broken message, those before it breaks.
fn count_below(message: &[u8], count: impl Fn(&[u8]) -> usize) -> usize {
    let mut reader = Reader::new(message);
    let mut sum = 0;
    while let Ok(Some((field, wire))) = reader.tag() {
        let counted = match field {
            2 => reader.bytes(wire).map(|below| sum += count(below)),
            _ => reader.skip(field, wire),
        };
        if counted.is_err() {
            break;
        }
    }
    sum
}
