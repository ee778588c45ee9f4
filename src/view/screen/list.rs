//! Where somebody is in a list of lines, and the keys that move there: those of htop, less and vi alike.

use super::key::Key;

/// A place in a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct List {
    /// The line that is chosen.
    pub cursor: usize,
    /// The first line that is seen.
    pub top: usize,
}

impl List {
    /// Moves by a key over so many lines, of which `rows` are seen at once; false where the key is none that moves.
    pub fn moves(&mut self, key: Key, lines: usize, rows: usize) -> bool {
        let page = rows.max(2) - 1;
        let last = lines.saturating_sub(1);
        let before = self.cursor;
        let pages = matches!(key, Key::PageUp | Key::PageDown | Key::Control('b' | 'f' | 'u' | 'd') | Key::Letter(' '));
        self.cursor = match key {
            Key::Up | Key::Letter('k') | Key::Control('p') => self.cursor.saturating_sub(1),
            Key::Down | Key::Letter('j') | Key::Control('n') => self.cursor.saturating_add(1),
            Key::PageUp | Key::Control('b') => self.cursor.saturating_sub(page),
            Key::PageDown | Key::Control('f') | Key::Letter(' ') => self.cursor.saturating_add(page),
            Key::Control('u') => self.cursor.saturating_sub(page / 2),
            Key::Control('d') => self.cursor.saturating_add(page / 2),
            Key::Home | Key::Letter('g') => 0,
            Key::End | Key::Letter('G') => last,
            _ => return false,
        };
        if pages {
            // What is seen moves with the line that is chosen.
            self.top = (self.top + self.cursor).saturating_sub(before);
        }
        self.settle(lines, rows);
        true
    }

    /// Makes the place fit a list of so many lines, of which `rows` are seen.
    pub fn settle(&mut self, lines: usize, rows: usize) {
        self.cursor = self.cursor.min(lines.saturating_sub(1));
        let rows = rows.max(1);
        if self.cursor < self.top {
            self.top = self.cursor;
        }
        if self.cursor >= self.top + rows {
            self.top = self.cursor + 1 - rows;
        }
        self.top = self.top.min(lines.saturating_sub(rows));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_keeps_one_line_and_the_ends_hold() {
        let mut list = List::default();
        assert!(list.moves(Key::PageDown, 100, 10));
        assert_eq!((list.cursor, list.top), (9, 9));
        list.moves(Key::PageDown, 100, 10);
        assert_eq!((list.cursor, list.top), (18, 18));
        list.moves(Key::PageUp, 100, 10);
        assert_eq!((list.cursor, list.top), (9, 9));
        list.moves(Key::End, 100, 10);
        assert_eq!((list.cursor, list.top), (99, 90));
        list.moves(Key::Down, 100, 10);
        assert_eq!(list.cursor, 99);
        list.settle(3, 10);
        assert_eq!((list.cursor, list.top), (2, 0));
        list.moves(Key::Home, 0, 0);
        assert_eq!((list.cursor, list.top), (0, 0));
        assert!(!list.moves(Key::Letter('x'), 5, 5));
    }
}
