//! Draws cells on a terminal with the few sequences that every one knows. After a letter outside of ASCII the place of
//! the next is told, so that a terminal which takes the letter for wider or narrower than we do spoils no line.

use std::fmt::Write as _;
use std::io;

use ratatui::backend::{Backend, ClearType, WindowSize};
use ratatui::buffer::Cell;
use ratatui::layout::{Position, Size};
use ratatui::style::{Color, Modifier};

use super::terminal::Terminal;

/// What a terminal shows, and whether in colour and beyond ASCII.
#[derive(Debug)]
pub struct Cells<'a> {
    terminal: &'a Terminal,
    out: String,
    color: bool,
    unicode: bool,
    cursor: Position,
}

/// How the cell before was drawn.
type Look = (Color, Color, Modifier);

impl<'a> Cells<'a> {
    /// Draws on this terminal.
    pub fn new(terminal: &'a Terminal, color: bool, unicode: bool) -> Self {
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
        Some('\u{2800}') => ' ',
        Some('\u{2801}'..='\u{28ff}') => '*',
        Some('·') => '.',
        Some('…') => '~',
        Some('↑' | '▲') => '^',
        Some('↓' | '▼') => 'v',
        Some('▸') => '>',
        _ => '?',
    }
}

impl Backend for Cells<'_> {
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
