//! What the frames of one HTTP/2 connection cost, read off its bytes as they pass: h2 bounds what frames
//! make it hold, but answers or skips those that carry nothing for as long as they come. Nothing is
//! buffered or changed here but the nine bytes of a frame's head.

use crate::limits::{FRAME_DATA_MIN, FRAME_HEAVY, FRAME_UNASKED};

/// Bytes of a frame's head: three of length, type, flags, four of stream.
const HEAD: usize = 9;

const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;

/// Where in its frames a connection stands.
#[derive(Default)]
pub(super) struct FrameMeter {
    head: [u8; HEAD],
    head_bytes: usize,
    payload_left: usize,
    /// Between a HEADERS frame and the CONTINUATION that ends its block.
    in_block: bool,
}

/// What some bytes brought.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Brought {
    /// Their cost, in frames that carry nothing.
    pub(super) cost: u32,
    /// A frame, and the block that it belongs to, was completed.
    pub(super) completed: bool,
}

impl FrameMeter {
    /// Follows what was read next.
    pub(super) fn follow(&mut self, mut bytes: &[u8]) -> Brought {
        let mut brought = Brought::default();
        loop {
            let skipped = self.payload_left.min(bytes.len());
            self.payload_left -= skipped;
            bytes = &bytes[skipped..];
            if skipped > 0 {
                brought.completed |= self.between();
            }
            let missing = (HEAD - self.head_bytes).min(bytes.len());
            if missing == 0 {
                return brought;
            }
            self.head[self.head_bytes..][..missing].copy_from_slice(&bytes[..missing]);
            self.head_bytes += missing;
            bytes = &bytes[missing..];
            if self.head_bytes == HEAD {
                self.head_bytes = 0;
                brought.cost = brought.cost.saturating_add(self.begin());
                brought.completed |= self.between();
            }
        }
    }

    /// Whether the last frame is complete and the next has not begun.
    pub(super) fn between(&self) -> bool {
        self.payload_left == 0 && self.head_bytes == 0 && !self.in_block
    }

    /// Takes in a frame's head, and says what the frame costs.
    fn begin(&mut self) -> u32 {
        let [high, middle, low, kind, flags, ..] = self.head;
        let length = u32::from_be_bytes([0, high, middle, low]) as usize;
        self.payload_left = length;
        match kind {
            // DATA: what an honest sender cuts a body into is large, but for its first and last pieces.
            0 => u32::from(length < FRAME_DATA_MIN && flags & END_STREAM == 0),
            // HEADERS begin or end a request, and that is counted where requests are.
            1 => {
                self.in_block = flags & END_HEADERS == 0;
                0
            }
            // RST_STREAM, SETTINGS and GOAWAY.
            3 | 4 | 7 => FRAME_HEAVY,
            // PING: the only answer that is due is to the one that is sent when the connection ends.
            6 if flags & ACK != 0 => FRAME_UNASKED,
            // CONTINUATION
            9 => {
                self.in_block = flags & END_HEADERS == 0;
                1
            }
            // PRIORITY, PUSH_PROMISE, PING, WINDOW_UPDATE, and what HTTP/2 does not have.
            _ => 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, length: usize) -> Vec<u8> {
        let [_, high, middle, low] = (length as u32).to_be_bytes();
        let mut frame = vec![high, middle, low, kind, flags, 0, 0, 0, 1];
        frame.resize(HEAD + length, 0xff);
        frame
    }

    /// Scenario: a connection's frames of all kinds, cut into reads of every length up to all at once.
    /// Guarantee: the cost is the same however they are cut, and it ends between two frames.
    #[test]
    fn cost_does_not_depend_on_how_bytes_are_cut() {
        let frames = [
            (frame(4, 0, 12), FRAME_HEAVY),
            (frame(1, END_HEADERS, 40), 0),
            (frame(0, 0, 5), 1),
            (frame(0, 0, 1000), 0),
            (frame(0, END_STREAM, 3), 0),
            (frame(0, END_STREAM, 0), 0),
            (frame(0, 0, 0), 1),
            (frame(6, 0, 8), 1),
            (frame(6, ACK, 8), FRAME_UNASKED),
            (frame(8, 0, 4), 1),
            (frame(3, 0, 4), FRAME_HEAVY),
            (frame(2, 0, 5), 1),
            (frame(0x42, 0, 100), 1),
        ];
        let cost: u32 = frames.iter().map(|(_, cost)| cost).sum();
        let bytes: Vec<u8> = frames.into_iter().flat_map(|(frame, _)| frame).collect();
        for length in 1..=bytes.len() {
            let mut meter = FrameMeter::default();
            let costs = bytes.chunks(length).map(|part| meter.follow(part).cost);
            assert_eq!(costs.sum::<u32>(), cost, "in reads of {length}");
            assert!(meter.between());
        }
    }

    /// Scenario: frames and header blocks that are begun, continued and ended, byte by byte.
    /// Guarantee: it says to the byte when something is incomplete, and when it was completed.
    #[test]
    fn says_what_is_incomplete() {
        let mut meter = FrameMeter::default();
        assert!(meter.between());
        let ping = frame(6, 0, 8);
        for byte in &ping[..16] {
            assert!(!meter.follow(&[*byte]).completed);
            assert!(!meter.between());
        }
        assert!(meter.follow(&ping[16..]).completed);
        assert!(meter.between());

        // A block is not complete before its last frame is.
        for part in [frame(1, 0, 10), frame(9, 0, 0), frame(9, 0, 3)] {
            assert!(!meter.follow(&part).completed);
            assert!(!meter.between());
        }
        assert!(meter.follow(&frame(9, END_HEADERS, 0)).completed);
        assert!(meter.between());
    }
}
