//! Draws cells on a terminal with the few sequences that every one knows. After a letter outside of ASCII the place of
//! the next is told, so that a terminal which takes the letter for wider or narrower than we do spoils no line.

use std::fmt::Write as _;
use std::io;

use ratatui::backend::{Backend, ClearType, WindowSize};
use ratatui::buffer::Cell;
use ratatui::layout::{Position, Size};
use ratatui::style::{Color, Modifier};

/// Where it goes to.
pub trait Glass {
    /// Columns and rows.
    fn size(&self) -> Size;
    /// Writes all of it.
    fn write(&self, bytes: &[u8]) -> io::Result<()>;
}

/// What a terminal shows, and whether in colour and beyond ASCII.
pub struct Cells<'a, G> {
    terminal: &'a G,
    out: String,
    color: bool,
    unicode: bool,
    cursor: Position,
}

/// How the cell before was drawn.
type Look = (Color, Color, Modifier);

impl<'a, G: Glass> Cells<'a, G> {
    /// Draws on this terminal.
    pub fn new(terminal: &'a G, color: bool, unicode: bool) -> Self {
        Self { terminal, out: String::new(), color, unicode, cursor: Position::ORIGIN }
    }

    fn look(&self, cell: &Cell) -> Look {
        if self.color { (cell.fg, cell.bg, cell.modifier) } else { (Color::Reset, Color::Reset, cell.modifier) }
    }

    fn dress(&mut self, look: Look) {
        let (fg, bg, modifier) = look;
        self.out.push_str("\x1b[0");
        for (held, code) in [
            (Modifier::BOLD, 1),
            (Modifier::DIM, 2),
            (Modifier::ITALIC, 3),
            (Modifier::UNDERLINED, 4),
            (Modifier::REVERSED, 7),
        ] {
            if modifier.contains(held) {
                let _ = write!(self.out, ";{code}");
            }
        }
        for (color, base) in [(fg, 30), (bg, 40)] {
            if let Some(code) = code(color, base) {
                let _ = write!(self.out, ";{code}");
            }
        }
        self.out.push('m');
    }

    fn to(&mut self, x: u16, y: u16) {
        let _ = write!(self.out, "\x1b[{};{}H", u32::from(y) + 1, u32::from(x) + 1);
    }
}

/// The number of one of the sixteen colours; the screen uses no others.
fn code(color: Color, base: u8) -> Option<u8> {
    let (number, bright) = match color {
        Color::Black => (0, false),
        Color::Red => (1, false),
        Color::Green => (2, false),
        Color::Yellow => (3, false),
        Color::Blue => (4, false),
        Color::Magenta => (5, false),
        Color::Cyan => (6, false),
        Color::Gray => (7, false),
        Color::DarkGray => (0, true),
        Color::LightRed => (1, true),
        Color::LightGreen => (2, true),
        Color::LightYellow => (3, true),
        Color::LightBlue => (4, true),
        Color::LightMagenta => (5, true),
        Color::LightCyan => (6, true),
        Color::White => (7, true),
        Color::Reset | Color::Rgb(..) | Color::Indexed(_) => return None,
    };
    Some(base + number + if bright { 60 } else { 0 })
}

/// The nearest in ASCII of what the screen draws by itself.
fn ascii(symbol: &str) -> char {
    match symbol.chars().next() {
        Some(c) if c.is_ascii() => c,
        Some('│' | '┤' | '├' | '┃') => '|',
        Some('─' | '━') => '-',
        Some('┌' | '┐' | '└' | '┘' | '┼' | '┬' | '┴') => '+',
        Some('█' | '▇' | '▆' | '▅' | '▓') => '#',
        Some('▄' | '▃' | '▂' | '▁' | '▒' | '░') => '=',
        Some('\u{2801}'..='\u{28ff}') => '*',
        Some('·') => '.',
        Some('…') => '~',
        Some('↑' | '▲') => '^',
        Some('↓' | '▼') => 'v',
        Some('▸') => '>',
        _ => '?',
    }
}

impl<G: Glass> Backend for Cells<'_, G> {
    type Error = io::Error;

    fn draw<'c, I: Iterator<Item = (u16, u16, &'c Cell)>>(&mut self, content: I) -> io::Result<()> {
        let mut at: Option<(u16, u16)> = None;
        let mut worn: Option<Look> = None;
        for (x, y, cell) in content {
            if at != Some((x, y)) {
                self.to(x, y);
            }
            let look = self.look(cell);
            if worn != Some(look) {
                self.dress(look);
                worn = Some(look);
            }
            let symbol = cell.symbol();
            let plain = symbol.len() == 1;
            match symbol {
                _ if symbol.contains(char::is_control) => self.out.push('?'),
                _ if plain || self.unicode => self.out.push_str(symbol),
                _ => self.out.push(ascii(symbol)),
            }
            at = plain.then(|| (x.saturating_add(1), y));
        }
        if worn.is_some() {
            self.out.push_str("\x1b[0m");
        }
        Ok(())
    }

    fn hide_cursor(&mut self) -> io::Result<()> {
        self.out.push_str("\x1b[?25l");
        Ok(())
    }

    fn show_cursor(&mut self) -> io::Result<()> {
        self.out.push_str("\x1b[?25h");
        Ok(())
    }

    /// Where we put it: the terminal is not asked, as it may never answer.
    fn get_cursor_position(&mut self) -> io::Result<Position> {
        Ok(self.cursor)
    }

    fn set_cursor_position<P: Into<Position>>(&mut self, position: P) -> io::Result<()> {
        self.cursor = position.into();
        self.to(self.cursor.x, self.cursor.y);
        Ok(())
    }

    fn clear(&mut self) -> io::Result<()> {
        self.out.push_str("\x1b[0m\x1b[2J");
        Ok(())
    }

    fn clear_region(&mut self, clear_type: ClearType) -> io::Result<()> {
        self.out.push_str(match clear_type {
            ClearType::All => "\x1b[2J",
            ClearType::AfterCursor => "\x1b[J",
            ClearType::BeforeCursor => "\x1b[1J",
            ClearType::CurrentLine => "\x1b[2K",
            ClearType::UntilNewLine => "\x1b[K",
        });
        Ok(())
    }

    fn size(&self) -> io::Result<Size> {
        Ok(self.terminal.size())
    }

    fn window_size(&mut self) -> io::Result<WindowSize> {
        Ok(WindowSize { columns_rows: self.terminal.size(), pixels: Size::ZERO })
    }

    fn flush(&mut self) -> io::Result<()> {
        let out = std::mem::take(&mut self.out);
        if out.is_empty() { Ok(()) } else { self.terminal.write(out.as_bytes()) }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use ratatui::Terminal;
    use ratatui::style::Style;

    use super::*;

    #[derive(Default)]
    struct Paper(RefCell<Vec<u8>>);

    impl Glass for Paper {
        fn size(&self) -> Size {
            Size::new(12, 2)
        }
        fn write(&self, bytes: &[u8]) -> io::Result<()> {
            self.0.borrow_mut().extend_from_slice(bytes);
            Ok(())
        }
    }

    impl Paper {
        fn text(&self) -> String {
            String::from_utf8(std::mem::take(&mut self.0.borrow_mut())).unwrap()
        }
    }

    fn drawn(color: bool, unicode: bool, text: &str) -> (String, String) {
        let paper = Paper::default();
        let mut terminal = Terminal::new(Cells::new(&paper, color, unicode)).unwrap();
        let mut draw = |text: &str| {
            let red = Style::new().fg(Color::LightRed).bg(Color::Blue).add_modifier(Modifier::BOLD);
            terminal
                .draw(|frame| {
                    frame.buffer_mut().set_string(0, 0, text, red);
                })
                .unwrap();
            paper.text()
        };
        (draw(text), draw(text))
    }

    #[test]
    fn what_did_not_change_is_not_sent() {
        let (first, again) = drawn(true, true, "web01");
        assert!(first.contains("\x1b[0;1;91;44mweb01\x1b[0m"), "{first:?}");
        // Only that the cursor is hidden.
        assert_eq!(again, "\x1b[?25l");
    }

    #[test]
    fn colour_and_letters_are_as_the_terminal_wants_them() {
        let (plain, _) = drawn(false, false, "a│数⣿…é");
        assert!(plain.contains("\x1b[0;1m") && !plain.contains("91") && plain.is_ascii(), "{plain:?}");
        let letters: String =
            plain.split('\x1b').skip(1).filter_map(|it| it.split_once(['m', 'H'])).map(|it| it.1).collect();
        assert!(letters.starts_with("a|?*~?"), "{letters:?}");
        // After each letter that terminals disagree about, the place of the next is told.
        let (wide, _) = drawn(true, true, "数b");
        assert!(wide.contains("数\x1b[1;3Hb"), "{wide:?}");
    }
}
