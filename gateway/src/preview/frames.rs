//! Reads along in one direction of a WebSocket, to tell messages from the pings that only keep it open (RFC 6455,
//! section 5.2).

/// Length of the two bytes that every frame begins with.
const HEAD: usize = 2;

/// The longest head: those two, a length of eight bytes, and a mask of four.
const HEAD_MAX: usize = 14;

const OPCODE: u8 = 0x0f;
const FIRST_CONTROL_OPCODE: u8 = 0x8;
const MASKED: u8 = 0x80;
const LENGTH: u8 = 0x7f;
const LENGTH_IN_TWO_BYTES: u8 = 126;
const LENGTH_IN_EIGHT_BYTES: u8 = 127;

/// Where one direction of a WebSocket stands.
#[derive(Debug, Default)]
pub(super) struct Frames {
    head: [u8; HEAD_MAX],
    filled: usize,
    /// Bytes of the present frame that are still to come, once its head is complete.
    body: u64,
    is_data: bool,
}

impl Frames {
    /// Takes bytes as they pass; whether any of them belong to a message.
    pub(super) fn take(&mut self, mut bytes: &[u8]) -> bool {
        let mut data = false;
        while !bytes.is_empty() {
            if self.body > 0 {
                let passed = usize::try_from(self.body).map_or(bytes.len(), |body| body.min(bytes.len()));
                data |= self.is_data;
                self.body -= passed as u64;
                bytes = &bytes[passed..];
                continue;
            }
            self.head[self.filled] = bytes[0];
            self.filled += 1;
            bytes = &bytes[1..];
            if self.filled >= HEAD && self.filled == self.head_length() {
                self.is_data = self.head[0] & OPCODE < FIRST_CONTROL_OPCODE;
                self.body = self.body_length();
                // An empty message is one, too.
                data |= self.is_data;
                self.filled = 0;
            }
        }
        data
    }

    fn head_length(&self) -> usize {
        let mask = if self.head[1] & MASKED == 0 { 0 } else { 4 };
        HEAD + mask
            + match self.head[1] & LENGTH {
                LENGTH_IN_TWO_BYTES => 2,
                LENGTH_IN_EIGHT_BYTES => 8,
                _ => 0,
            }
    }

    fn body_length(&self) -> u64 {
        let of = |bytes: &[u8]| {
            bytes
                .iter()
                .fold(0, |length, byte| (length << 8) | u64::from(*byte))
        };
        match self.head[1] & LENGTH {
            LENGTH_IN_TWO_BYTES => of(&self.head[2..4]),
            LENGTH_IN_EIGHT_BYTES => of(&self.head[2..10]),
            short => u64::from(short),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PING: &[u8] = &[0x89, 0x02, 1, 2];
    const PONG_FROM_A_BROWSER: &[u8] = &[0x8a, 0x81, 9, 9, 9, 9, 5];
    const TEXT: &[u8] = &[0x81, 0x03, b'a', b'b', b'c'];

    /// A binary message of so many bytes.
    fn message(length: usize) -> Vec<u8> {
        let mut bytes = vec![0x82];
        match length {
            0..126 => bytes.push(length as u8),
            126..65_536 => {
                bytes.push(126);
                bytes.extend((length as u16).to_be_bytes());
            }
            _ => {
                bytes.push(127);
                bytes.extend((length as u64).to_be_bytes());
            }
        }
        bytes.resize(bytes.len() + length, 7);
        bytes
    }

    #[test]
    fn pings_and_pongs_are_no_messages() {
        let mut frames = Frames::default();
        assert!(!frames.take(PING));
        assert!(!frames.take(PONG_FROM_A_BROWSER));
        assert!(frames.take(TEXT));
        assert!(!frames.take(PING));
    }

    #[test]
    fn it_does_not_matter_how_the_bytes_come() {
        let all = [PING, &message(0), PING, &message(70_000), PING, &message(300), PONG_FROM_A_BROWSER].concat();
        for size in [1, 2, 3, 7, 4_096, all.len()] {
            let mut frames = Frames::default();
            let parts = all.chunks(size).filter(|part| frames.take(part)).count();
            assert!(parts > 0, "{size}");
            assert!(!frames.take(PING), "after parts of {size} it has lost its place");
            assert!(frames.take(TEXT), "{size}");
        }
    }
}
