//! The keys of a terminal that the screen knows.

/// One key, as a terminal tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// A printable character.
    Letter(char),
    /// A printable character that was pasted: text, never a command.
    Pasted(char),
    /// Ctrl and a small letter.
    Control(char),
    /// Arrow.
    Up,
    /// Arrow.
    Down,
    /// Arrow.
    Left,
    /// Arrow.
    Right,
    /// A screen up.
    PageUp,
    /// A screen down.
    PageDown,
    /// To the first.
    Home,
    /// To the last.
    End,
    /// Return.
    Enter,
    /// Escape.
    Escape,
    /// Tab.
    Tab,
    /// Shift-Tab.
    BackTab,
    /// Takes the last character away.
    Backspace,
    /// F1.
    Help,
    /// Another of the keys with an F that htop has.
    Function(u8),
}
