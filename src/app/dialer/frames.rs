//! The pipe between keeper and dialer, cut into frames: four bytes of length (little end first), then as many bytes.

use std::io::{self, Read};

use super::message::Malformed;

/// What is read at once.
const CHUNK: usize = 64 * 1024;

/// Puts the length before a message.
#[must_use]
pub fn framed(message: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(4 + message.len());
    // No message comes near four gigabytes; one that did would be refused by its reader.
    frame.extend_from_slice(&u32::try_from(message.len()).unwrap_or(u32::MAX).to_le_bytes());
    frame.extend_from_slice(message);
    frame
}

/// Finds the frames in a stream, however its bytes come. Never holds more than the longest frame and one chunk.
pub struct Frames {
    most: usize,
    chunk: Box<[u8]>,
    held: Vec<u8>,
    begin: usize,
}

impl Frames {
    /// For messages of at most so many bytes.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self { most, chunk: vec![0; CHUNK].into_boxed_slice(), held: Vec::new(), begin: 0 }
    }

    /// Reads once; zero at the end of the stream. To be called when [`Frames::next`] has no more.
    ///
    /// # Errors
    /// Those of the stream.
    pub fn fill(&mut self, from: &mut impl Read) -> io::Result<usize> {
        let count = from.read(&mut self.chunk)?;
        self.held.drain(..self.begin);
        self.begin = 0;
        self.held.extend_from_slice(&self.chunk[..count]);
        Ok(count)
    }

    /// The next whole message, if it is here.
    ///
    /// # Errors
    /// A length that no message has; there is no way to go on.
    #[allow(clippy::should_implement_trait, reason = "what it gives is borrowed from it")]
    pub fn next(&mut self) -> Result<Option<&[u8]>, Malformed> {
        let rest = &self.held[self.begin..];
        let Some((length, rest)) = rest.split_first_chunk::<4>() else { return Ok(None) };
        let length = usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX);
        if length == 0 || length > self.most {
            return Err(Malformed("a message of impossible length"));
        }
        if rest.len() < length {
            return Ok(None);
        }
        let at = self.begin + 4;
        self.begin = at + length;
        Ok(Some(&self.held[at..self.begin]))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn messages_survive_however_the_stream_is_cut(
            messages in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..40), 0..20),
            cuts in proptest::collection::vec(1_usize..60, 1..50),
        ) {
            let stream: Vec<u8> = messages.iter().flat_map(|message| framed(message)).collect();
            let (mut rest, mut cuts) = (stream.as_slice(), cuts.iter().cycle());
            let (mut frames, mut found) = (Frames::new(40), Vec::new());
            loop {
                while let Some(message) = frames.next().unwrap() {
                    found.push(message.to_vec());
                }
                let (mut now, later) = rest.split_at(rest.len().min(*cuts.next().unwrap()));
                rest = later;
                if frames.fill(&mut now).unwrap() == 0 {
                    break;
                }
            }
            prop_assert_eq!(found, messages);
        }
    }

    #[test]
    fn a_length_is_refused_before_anything_is_kept_for_it() {
        for length in [0_u32, 41, u32::MAX] {
            let mut frames = Frames::new(40);
            frames.fill(&mut &length.to_le_bytes()[..]).unwrap();
            assert!(frames.next().is_err(), "{length}");
        }
        let mut frames = Frames::new(40);
        frames.fill(&mut &[40, 0, 0, 0, 1][..]).unwrap();
        assert!(frames.next().unwrap().is_none());
    }
}
