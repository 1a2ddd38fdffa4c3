//! What the parts of a column set can do: be marked, rolled back, cleared, and written into a block.

use super::block::BlockWriter;

/// Growing bytes of rows.
///
/// `mark` pushes as many numbers as `rollback` takes, in the same order; a set marks all its parts
/// before a request and rolls all of them back when the request turns out to be bad.
pub(crate) trait Buffer {
    /// Pushes the numbers that describe the present length.
    fn mark(&self, marks: &mut Vec<usize>);
    /// Returns to the length that `mark` described.
    fn rollback(&mut self, marks: &mut std::vec::Drain<'_, usize>);
    /// Forgets all rows, keeping memory for the next chunk.
    fn clear(&mut self);
    /// Bytes held by rows.
    fn bytes(&self) -> usize;
    /// Bytes of the buffers, whether rows hold them or not.
    fn room(&self) -> usize;
}

/// The rows that a block takes, in its order; `None` takes all of them as they stand.
pub(crate) type Picked<'a> = Option<&'a [u32]>;

/// One column, or several that follow each other in their table.
pub(crate) trait Column: Buffer {
    /// Writes name, type and data of each column it stands for, in the table's order.
    fn write(&self, rows: Picked<'_>, block: &mut BlockWriter<'_>);
}

/// Takes the next number that `mark` pushed.
pub(super) fn next_mark(marks: &mut std::vec::Drain<'_, usize>) -> usize {
    marks.next().unwrap_or(0)
}

/// Declares a struct of buffers that are marked, rolled back and cleared together.
macro_rules! buffer_group {
    ($(#[$doc:meta])* $name:ident { $($field:ident: $kind:ty,)* }) => {
        $(#[$doc])*
        #[derive(Default)]
        pub(crate) struct $name {
            $(pub(super) $field: $kind,)*
        }

        impl $crate::columns::Buffer for $name {
            fn mark(&self, marks: &mut Vec<usize>) {
                $(self.$field.mark(marks);)*
            }

            fn rollback(&mut self, marks: &mut std::vec::Drain<'_, usize>) {
                $(self.$field.rollback(marks);)*
            }

            fn clear(&mut self) {
                $(self.$field.clear();)*
            }

            fn bytes(&self) -> usize {
                0 $(+ self.$field.bytes())*
            }

            fn room(&self) -> usize {
                0 $(+ self.$field.room())*
            }
        }
    };
}
pub(super) use buffer_group;

/// Declares a buffer group that writes its parts one after the other.
macro_rules! column_group {
    ($(#[$doc:meta])* $name:ident { $($field:ident: $kind:ty,)* }) => {
        $crate::columns::column::buffer_group! {
            $(#[$doc])*
            $name { $($field: $kind,)* }
        }

        impl $crate::columns::Column for $name {
            fn write(
                &self,
                rows: $crate::columns::column::Picked<'_>,
                block: &mut $crate::columns::BlockWriter<'_>,
            ) {
                $($crate::columns::Column::write(&self.$field, rows, block);)*
            }
        }
    };
}
pub(super) use column_group;
