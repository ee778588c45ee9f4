//! The keys, once: what `?` shows and what the last line reminds of.

use ratatui::text::Line;

use super::paint::{STRONG, left, wrap};

/// A group of keys that do one kind of thing.
pub struct Group {
    /// Its heading.
    pub title: &'static str,
    /// The keys and what they do.
    pub keys: &'static [(&'static str, &'static str)],
}

/// All keys, in the order of the help.
pub const KEYS: &[Group] = &[
    Group {
        title: "MOVE",
        keys: &[
            ("↑ ↓, k j", "a line up, down"),
            ("PgUp PgDn, ^B ^F, space", "a screen up, down"),
            ("^U ^D", "half a screen up, down"),
            ("g G, Home End", "to the first, the last line"),
            ("Enter, →", "open: a host, a problem, the history of a reading"),
            ("Esc, ←, h", "back; in the first lists: all, without the filter"),
            ("Tab", "hosts, problems, services: from one list to the next"),
            ("i, S", "the problems, the services"),
        ],
    },
    Group {
        title: "HOSTS",
        keys: &[
            ("/, F3, F4", "filter: web*  group=web  level>=warning  cpu.used>80%"),
            ("W", "sort: worst first"),
            ("N A", "sort by name, by age of what is known"),
            ("C P, M, L, D", "sort by processor, memory, load, fullest filesystem"),
            ("s F6, r I", "the next sort, the reverse"),
        ],
    },
    Group {
        title: "PROBLEMS",
        keys: &[("e", "those that ended too, or not"), ("o", "the host of the one that is chosen")],
    },
    Group { title: "A HOST", keys: &[("/", "only lines with this text")] },
    Group {
        title: "HISTORY",
        keys: &[("+ -", "a shorter, a longer time"), ("n p, ↓ ↑", "the next, the previous item: mount, disk, core")],
    },
    Group {
        title: "ALWAYS",
        keys: &[
            ("R, F5, ^L", "read and draw anew"),
            ("^Z", "to the shell; fg comes back"),
            ("?, F1", "this"),
            ("q, F10, ^C", "end"),
        ],
    },
];

/// What the marks mean.
const MARKS: &str = "The second line of the hosts is the whole fleet, group after group: C critical, W warning, ? nothing \
                     known yet, · well. An age with ! is of a host whose last visit failed or is long ago: what stands \
                     beside it is old, not fine. A line with · in front leads on.";
/// Room for the keys, where what they do stands beside them.
const KEYS_WIDE: usize = 24;

/// The help as lines of at most so many columns.
#[must_use]
pub fn lines(width: usize) -> Vec<Line<'static>> {
    let mut out = Vec::new();
    for group in KEYS {
        out.push(Line::styled(group.title, STRONG));
        for (keys, what) in group.keys {
            if width < 76 {
                out.push(Line::raw(format!("  {keys}")));
                out.extend(
                    wrap(what, width.saturating_sub(6)).into_iter().map(|line| Line::raw(format!("      {line}"))),
                );
            } else {
                out.push(Line::raw(format!("  {} {what}", left(keys, KEYS_WIDE))));
            }
        }
    }
    out.push(Line::styled("MARKS", STRONG));
    out.extend(wrap(MARKS, width.saturating_sub(3)).into_iter().map(|line| Line::raw(format!("  {line}"))));
    out
}
