//! Watches what libssh2 writes until the line is encrypted, to know when it has asked for the login service.
//!
//! libssh2 asks and waits a round trip for "yes" before it lets us log in. Nothing in SSH makes a client wait there, so
//! the first login message goes out together with the question; but not before the keys are in force.

/// SSH_MSG_KEXINIT: the proposal of key exchanges and ciphers.
const KEXINIT: u8 = 20;
/// SSH_MSG_NEWKEYS: the last packet that is not encrypted.
const NEWKEYS: u8 = 21;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The version line.
    Version,
    /// Packets that anybody can read.
    Plain,
    /// Our NEWKEYS was written.
    Sealed,
    /// And something after it, which libssh2 writes only when the server's NEWKEYS has come: the question.
    Asked,
}

pub(super) struct Opening {
    stage: Stage,
    /// The beginning of a packet: its length, that of its padding, its type.
    head: Vec<u8>,
    /// What is left of the packet behind its head.
    skip: usize,
    /// The type of the last packet.
    last: u8,
}

impl Opening {
    pub(super) fn new() -> Self {
        Self { stage: Stage::Version, head: Vec::new(), skip: 0, last: 0 }
    }

    /// Whether the login service was asked for.
    pub(super) fn asked(&self) -> bool {
        self.stage == Stage::Asked
    }

    /// Whether the proposal is the last that was written.
    pub(super) fn proposed(&self) -> bool {
        self.stage == Stage::Plain && self.last == KEXINIT
    }

    /// Takes note of bytes that libssh2 wrote, however they are cut.
    pub(super) fn see(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            match self.stage {
                Stage::Version if byte == b'\n' => self.stage = Stage::Plain,
                Stage::Version => {}
                Stage::Plain if self.skip > 0 => self.skip -= 1,
                Stage::Plain => self.head(byte),
                Stage::Sealed => self.stage = Stage::Asked,
                Stage::Asked => return,
            }
            if self.stage == Stage::Plain && self.skip == 0 && self.head.len() == 6 {
                self.head.clear();
                self.stage = if self.last == NEWKEYS { Stage::Sealed } else { Stage::Plain };
            }
        }
    }

    fn head(&mut self, byte: u8) {
        self.head.push(byte);
        if let [a, b, c, d, _, kind] = self.head[..] {
            let length = usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(usize::MAX);
            // The length counts what follows it; two bytes of that are in the head.
            self.skip = length.saturating_sub(2);
            self.last = kind;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(kind: u8, size: u8) -> Vec<u8> {
        let mut packet = vec![0, 0, 0, size, 4, kind];
        packet.resize(4 + usize::from(size), NEWKEYS);
        packet
    }

    #[test]
    fn the_question_is_what_follows_new_keys() {
        let mut sent = b"SSH-2.0-x\r\n".to_vec();
        sent.extend([packet(20, 200), packet(30, 44), packet(NEWKEYS, 12)].concat());
        for size in [1, 3, 7, 1000] {
            let mut opening = Opening::new();
            for part in sent.chunks(size) {
                opening.see(part);
                assert!(!opening.asked(), "cut to {size}");
            }
            opening.see(&[0]);
            assert!(opening.asked(), "cut to {size}");
        }
        let mut opening = Opening::new();
        for (part, proposed) in [(&sent[..11], false), (&sent[11..215], true), (&sent[215..263], false)] {
            opening.see(part);
            assert_eq!(opening.proposed(), proposed);
        }
    }
}
