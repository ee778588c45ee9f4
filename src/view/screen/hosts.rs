//! The fleet: a line that is the whole of it, and a table with a row for each host.

use std::cmp::{Ordering, Reverse};

use chrono::{DateTime, Utc};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};

use crate::model::filter::Filter;
use crate::model::level::Level;
use crate::model::natural::Natural;
use crate::model::snapshot::{HostRow, Snapshot, State, rank};
use crate::view::units;

use super::key::Key;
use super::list::List;
use super::paint::{self, BAR, FAINT, STRONG, left, right};

/// By what hosts are sorted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sort {
    /// Worst first.
    #[default]
    Worst,
    /// By name.
    Name,
    /// Oldest first.
    Age,
    /// Busiest first.
    Cpu,
    /// Fullest first.
    Memory,
    /// Highest load first.
    Load,
    /// Fullest filesystem first.
    Disk,
}

/// A sort, its keys and the title of its column.
const SORTS: &[(Sort, &[char], &str)] = &[
    (Sort::Worst, &['W'], "LEVEL"),
    (Sort::Name, &['N'], "HOST"),
    (Sort::Age, &['A'], "AGE"),
    (Sort::Cpu, &['C', 'P'], "CPU"),
    (Sort::Memory, &['M'], "MEM"),
    (Sort::Load, &['L'], "LOAD"),
    (Sort::Disk, &['D'], "DISK"),
];

/// The state of the page.
#[derive(Clone, Debug, Default)]
pub struct Hosts {
    /// Where somebody is.
    pub list: List,
    sort: Sort,
    reverse: bool,
    /// The host that is chosen: it stays chosen where its place changes. None at the top.
    chosen: Option<String>,
    /// Places in the snapshot, filtered and sorted.
    order: Vec<usize>,
}

impl Hosts {
    /// Takes the fleet as it is now.
    pub fn renew(&mut self, snapshot: &Snapshot, filter: &Filter, rows: usize) {
        let hosts = &snapshot.hosts;
        self.order = (0..hosts.len()).filter(|&n| hosts.get(n).is_some_and(|host| filter.host(host))).collect();
        let by = self.sort;
        self.order.sort_by(|&a, &b| match (hosts.get(a), hosts.get(b)) {
            (Some(a), Some(b)) => compare(by, a, b),
            _ => Ordering::Equal,
        });
        if self.reverse {
            self.order.reverse();
        }
        let place =
            |name: &String| self.order.iter().position(|&n| hosts.get(n).is_some_and(|host| host.name == *name));
        if let Some(place) = self.chosen.as_ref().and_then(place) {
            self.list.cursor = place;
        }
        self.list.settle(self.order.len(), rows);
    }

    /// The host that is chosen.
    #[must_use]
    pub fn chosen<'a>(&self, snapshot: &'a Snapshot) -> Option<&'a HostRow> {
        self.order.get(self.list.cursor).and_then(|&n| snapshot.hosts.get(n))
    }

    /// How many hosts the filter leaves.
    #[must_use]
    pub fn count(&self) -> usize {
        self.order.len()
    }

    /// Takes a key; false where it is none of this page.
    pub fn takes(&mut self, key: Key, snapshot: &Snapshot, filter: &Filter, rows: usize) -> bool {
        if self.list.moves(key, self.order.len(), rows) {
            let top = self.list.cursor == 0;
            self.chosen = self.chosen(snapshot).filter(|_| !top).map(|host| host.name.clone());
            return true;
        }
        let Key::Letter(letter) = key else { return false };
        if let Some((sort, _, _)) = SORTS.iter().find(|(_, keys, _)| keys.contains(&letter)) {
            (self.sort, self.reverse) = (*sort, false);
        } else if matches!(letter, 's' | '>') {
            let at = SORTS.iter().position(|(sort, _, _)| *sort == self.sort).unwrap_or(0);
            let next = SORTS.get((at + 1) % SORTS.len()).map_or(Sort::Worst, |(sort, _, _)| *sort);
            (self.sort, self.reverse) = (next, false);
        } else if matches!(letter, 'r' | 'I') {
            self.reverse = !self.reverse;
        } else {
            return false;
        }
        self.renew(snapshot, filter, rows);
        true
    }

    /// The heading and the rows that are seen.
    pub fn draw(&self, buffer: &mut Buffer, area: Rect, snapshot: &Snapshot, now: DateTime<Utc>) {
        let rows = usize::from(area.height.saturating_sub(1));
        let shown = || self.order.iter().skip(self.list.top).take(rows).filter_map(|&n| snapshot.hosts.get(n));
        let columns = Columns::fitting(usize::from(area.width), snapshot);
        paint::line(buffer, area, 0, &self.heading(&columns), STRONG);
        for (row, host) in (1..).zip(shown()) {
            let chosen = self.list.top + usize::from(row) - 1 == self.list.cursor;
            let line = columns.row(host, now, chosen);
            paint::line(buffer, area, row, &line, if chosen { BAR } else { Style::new() });
        }
    }

    fn heading(&self, columns: &Columns) -> Line<'static> {
        let mark = |title: &str| {
            let sorted = SORTS.iter().any(|(sort, _, name)| *sort == self.sort && *name == title);
            let arrow = if self.reverse { '▲' } else { '▼' };
            if sorted { format!("{title}{arrow}") } else { title.to_owned() }
        };
        let mut text = format!(" {} {}", left(&mark("LEVEL"), 6), left(&mark("HOST"), columns.host));
        for (width, title) in columns.numbers() {
            text.push_str(&format!(" {}", right(&mark(title), width)));
        }
        if columns.mount > 0 {
            text.push_str(&format!(" {}", left("", columns.mount)));
        }
        if columns.problem > 0 {
            text.push_str(" PROBLEM");
        }
        Line::from(text)
    }
}

/// How wide the columns are; 0 where there is no room for one.
#[derive(Clone, Copy, Debug, Default)]
struct Columns {
    host: usize,
    age: usize,
    cpu: usize,
    memory: usize,
    load: usize,
    disk: usize,
    mount: usize,
    problem: usize,
}

impl Columns {
    /// What fits into a width: the name of the host first, then the age, then what is used, then what is wrong.
    fn fitting(width: usize, snapshot: &Snapshot) -> Self {
        let longest = snapshot.hosts.iter().map(|host| host.name.len()).max().unwrap_or(4).clamp(8, 24);
        let mut it = Self { host: longest.min(width.saturating_sub(15)).max(4), ..Self::default() };
        let mut room = width.saturating_sub(it.host + 8);
        let mut take = |place: &mut usize, wanted: usize| {
            if room > wanted {
                *place = wanted;
                room -= wanted + 1;
            }
        };
        take(&mut it.age, 5);
        take(&mut it.cpu, 5);
        take(&mut it.memory, 5);
        take(&mut it.disk, 5);
        take(&mut it.load, 6);
        if width >= 100 {
            take(&mut it.mount, 16);
        }
        // A few letters of a sentence help nobody.
        it.problem = room.saturating_sub(1);
        if it.problem < 12 {
            it.problem = 0;
        }
        it
    }

    fn numbers(&self) -> impl Iterator<Item = (usize, &'static str)> {
        let all =
            [(self.age, "AGE"), (self.cpu, "CPU"), (self.memory, "MEM"), (self.load, "LOAD"), (self.disk, "DISK")];
        all.into_iter().filter(|(width, _)| *width > 0)
    }

    fn row(&self, host: &HostRow, now: DateTime<Utc>, chosen: bool) -> Line<'static> {
        let old = if host.state == State::Fresh { Style::new() } else { FAINT };
        let share = |metric: &str| host.value(metric).map(units::ratio).unwrap_or_default();
        let fullest = host.fullest();
        let mut spans = vec![
            Span::raw(if chosen { ">" } else { " " }),
            Span::styled(left(paint::tag(host.level), 6), paint::level(host.level)),
            Span::raw(" "),
            Span::raw(left(&host.name, self.host)),
        ];
        for (width, title) in self.numbers() {
            let (text, look) = match title {
                "AGE" => (age(host, now), Style::new()),
                "CPU" => (share("cpu.used"), old),
                "MEM" => (share("memory.used"), old),
                "LOAD" => (host.value("load.1m").map(units::number).unwrap_or_default(), old),
                _ => (fullest.map(|(_, used)| units::ratio(used)).unwrap_or_default(), old),
            };
            spans.push(Span::raw(" "));
            spans.push(Span::styled(right(&text, width), look));
        }
        if self.mount > 0 {
            let mount = fullest.map(|(mount, _)| mount).unwrap_or_default();
            spans.push(Span::styled(format!(" {}", left(mount, self.mount)), old));
        }
        if self.problem > 0 {
            let said = host.sentences();
            let more = if said.len() > 1 { format!("({}) ", said.len()) } else { String::new() };
            // The level stands at the left already.
            let tag = format!("{}: ", paint::tag(host.level));
            let short = |text: &String| {
                let text = text.strip_prefix(&tag).unwrap_or(text);
                text.strip_prefix("cannot be collected: ").unwrap_or(text).to_owned()
            };
            let first = said.first().map(short);
            let text = first.map(|text| format!(" {}", left(&format!("{more}{text}"), self.problem)));
            spans.push(Span::raw(text.unwrap_or_default()));
        }
        Line::from(spans)
    }
}

/// How old what is known is, with a mark where it does not stand for the present.
#[must_use]
pub fn age(host: &HostRow, now: DateTime<Utc>) -> String {
    let Some(received) = host.received else { return "-".to_owned() };
    let mark = if host.state == State::Fresh { "" } else { "!" };
    units::seconds((now - received).num_seconds().max(0) as f64) + mark
}

fn compare(by: Sort, a: &HostRow, b: &HostRow) -> Ordering {
    // What is not known comes last.
    let most = |of: fn(&HostRow) -> Option<f64>| {
        let key = |host: &HostRow| of(host).unwrap_or(f64::NEG_INFINITY);
        key(b).total_cmp(&key(a))
    };
    let first = match by {
        Sort::Worst => Reverse(rank(a.level)).cmp(&Reverse(rank(b.level))),
        Sort::Name => Ordering::Equal,
        Sort::Age => a.received.cmp(&b.received),
        Sort::Cpu => most(|host| host.value("cpu.used")),
        Sort::Memory => most(|host| host.value("memory.used")),
        Sort::Load => most(|host| host.value("load.1m")),
        Sort::Disk => most(|host| host.fullest().map(|(_, used)| used)),
    };
    first.then_with(|| Natural(&a.name).cmp(&Natural(&b.name)))
}

/// The whole fleet in a few rows: a cell for each host, group after group, or where there are too many for the worst of
/// some neighbours.
pub fn heat(buffer: &mut Buffer, area: Rect, snapshot: &Snapshot) {
    let cells = usize::from(area.width) * usize::from(area.height);
    let count = snapshot.hosts.len();
    if cells == 0 || count == 0 {
        return;
    }
    let mut hosts: Vec<&HostRow> = snapshot.hosts.iter().collect();
    hosts.sort_by_key(|host| (&host.groups, Natural(&host.name)));
    for (place, some) in hosts.chunks(count.div_ceil(cells)).enumerate() {
        let worst = some.iter().max_by_key(|host| rank(host.level)).and_then(|host| host.level);
        let (letter, color) = match worst {
            Some(Level::Critical) => ('C', Some(Color::Red)),
            Some(Level::Warning) => ('W', Some(Color::Yellow)),
            Some(Level::Ok) => ('·', None),
            None => ('?', Some(Color::Cyan)),
        };
        let look = match color {
            Some(color) => Style::new().fg(color).add_modifier(Modifier::REVERSED),
            None => Style::new().fg(Color::Green),
        };
        let wide = usize::from(area.width);
        let (x, y) = ((place % wide) as u16, (place / wide) as u16);
        if y < area.height
            && let Some(cell) = buffer.cell_mut((area.x + x, area.y + y))
        {
            cell.set_char(letter).set_style(look);
        }
    }
}
