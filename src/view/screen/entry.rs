//! The line in which somebody types a filter.

use super::key::Key;

/// The longest filter.
const LONGEST: usize = 200;

/// What is typed so far, and what held before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// So far.
    pub text: String,
    /// Taken back by Escape.
    pub before: String,
}

/// What a key did to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Typed {
    /// It goes on.
    On,
    /// It is done; what is typed holds.
    Done,
    /// It is given up; what was before holds.
    Back,
}

impl Entry {
    /// Begins with what holds now.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self { text: text.to_owned(), before: text.to_owned() }
    }

    /// Takes a key.
    pub fn takes(&mut self, key: Key) -> Typed {
        match key {
            Key::Enter => return Typed::Done,
            Key::Escape => return Typed::Back,
            Key::Letter(c) | Key::Pasted(c) if self.text.len() + c.len_utf8() <= LONGEST => self.text.push(c),
            Key::Backspace => drop(self.text.pop()),
            Key::Control('u') => self.text.clear(),
            Key::Control('w') => {
                let kept = self.text.trim_end().rfind(' ').map_or(0, |at| at + 1);
                self.text.truncate(kept);
            }
            _ => {}
        }
        Typed::On
    }
}
