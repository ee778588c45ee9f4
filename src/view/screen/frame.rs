//! The state as cells: a bar with the fleet in numbers, the page, what must be told, and the keys that help.

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use unicode_width::UnicodeWidthStr;

use crate::model::level::Level;
use crate::model::snapshot::{self, Snapshot};
use crate::view::units;

use super::paint::{self, BAR, FAINT, STRONG};
use super::{Page, Screen, help, hosts};

/// A read that takes longer is told.
const SLOW: i64 = 3;
/// Older than so many intervals, all that is known is stale.
const STALE: i32 = 3;

/// Where things are drawn.
pub(super) struct Areas {
    head: Rect,
    heat: Rect,
    /// The page.
    pub body: Rect,
    notes: Rect,
    keys: Rect,
}

impl Screen {
    /// Draws all of it.
    pub fn draw(&self, frame: &mut Frame<'_>) {
        let areas = self.areas();
        let whole = frame.area();
        let fits = |area: Rect| area.intersection(whole);
        let buffer = frame.buffer_mut();
        paint::line(buffer, fits(areas.head), 0, &self.head(), BAR);
        if let Some(snapshot) = self.snapshot() {
            hosts::heat(buffer, fits(areas.heat), snapshot);
        }
        self.page(buffer, fits(areas.body));
        let notes = self.notes();
        for (row, note) in (0..).zip(&notes) {
            paint::line(buffer, fits(areas.notes), row, note, Style::new());
        }
        paint::line(buffer, fits(areas.keys), 0, &self.keys(), FAINT);
        if self.entry.is_some() {
            let end = notes.last().map_or(0, Line::width);
            let place = fits(areas.notes);
            if place.height > 0 && place.width > 0 {
                let x = place.x + (end as u16).min(place.width - 1);
                frame.set_cursor_position(Position { x, y: place.bottom() - 1 });
            }
        }
    }

    pub(super) fn areas(&self) -> Areas {
        let (width, height) = (self.size.width, self.size.height);
        let mut left = height;
        let mut take = |wanted: u16, spare: u16| {
            let taken = if left >= wanted + spare { wanted } else { 0 };
            left -= taken;
            taken
        };
        let head = take(1, 1);
        let notes = take(self.notes().len() as u16, 2);
        let keys = take(1, 6);
        let seen = self.help.is_none() && matches!(self.pages.last(), Some(Page::Hosts));
        let count = self.snapshot().map_or(0, |it| it.hosts.len());
        let full = count.div_ceil(usize::from(width).max(1)) as u16;
        let heat = if seen { take(full.min(if height >= 40 { 3 } else { 1 }), 8) } else { 0 };
        let row = |y: u16, height: u16| Rect { x: 0, y, width, height };
        Areas {
            head: row(0, head),
            heat: row(head, heat),
            body: row(head + heat, left),
            notes: row(head + heat + left, notes),
            keys: row(height - keys, keys),
        }
    }

    fn page(&self, buffer: &mut Buffer, area: Rect) {
        if let Some(list) = &self.help {
            for (row, line) in (0..area.height).zip(help::lines(usize::from(self.size.width)).iter().skip(list.top)) {
                paint::line(buffer, area, row, line, Style::new());
            }
            return;
        }
        let Some(fleet) = &self.fleet else {
            let text = match &self.trouble {
                Some(_) => "Nothing could be read yet; this goes on trying.",
                None => "The store is being read ...",
            };
            say(buffer, area, text);
            return;
        };
        match self.pages.last() {
            Some(Page::Past(chart)) => chart.draw(buffer, area, self.graph_of(chart)),
            Some(Page::Host(_, reading) | Page::Problem(_, reading)) => reading.draw(buffer, area, &self.lines()),
            Some(Page::Problems) => self.problems.draw(buffer, area, &self.lines()),
            Some(Page::Services) => self.services.draw(buffer, area, &self.lines()),
            Some(Page::Hosts) | None if fleet.snapshot.hosts.is_empty() => {
                say(buffer, area, "No hosts yet; add one with: fleet hosts add USER@HOST");
            }
            Some(Page::Hosts) | None if self.hosts.count() == 0 => {
                say(buffer, area, "No host that the filter chooses; Esc takes it away.");
            }
            Some(Page::Hosts) | None => self.hosts.draw(buffer, area, &fleet.snapshot, self.now),
        }
    }

    /// The first line: what this is, and how old what it shows.
    fn head(&self) -> Line<'static> {
        let width = usize::from(self.size.width);
        let mut first = vec![Span::raw(" ")];
        match self.pages.last() {
            Some(Page::Host(name, _)) => self.named(name, &mut first),
            Some(Page::Problem(id, _)) => match self.story.as_ref().filter(|story| story.incident.id == *id) {
                Some(story) => first.extend(super::problems::title(&story.incident).spans),
                None => first.push(Span::raw(format!("problem {id}"))),
            },
            Some(Page::Past(chart)) => {
                first.push(Span::raw(paint::safe(&format!("{}  {} {}", chart.host, chart.metric, chart.item))));
            }
            page => {
                let before = match page {
                    Some(Page::Problems) => "problems of ",
                    Some(Page::Services) => "services of ",
                    _ => "",
                };
                self.counts(before, width, &mut first);
            }
        }
        paint::ends(first, self.clock(), width)
    }

    fn named(&self, name: &str, out: &mut Vec<Span<'static>>) {
        let Some(host) = self.snapshot().and_then(|it| it.host(name)) else {
            out.push(Span::raw(paint::safe(name)));
            return;
        };
        out.push(Span::raw(format!("{}  ", paint::safe(name))));
        out.push(Span::styled(paint::tag(host.level), paint::level(host.level)));
        let labels: Vec<String> = host.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let more = [host.groups.join("/"), labels.join(" ")].join("  ");
        let age = hosts::age(host, self.now);
        out.push(Span::raw(paint::safe(&format!("  {}, {age} old  {}", host.state.word(), more.trim()))));
    }

    fn counts(&self, before: &str, width: usize, out: &mut Vec<Span<'static>>) {
        let Some(snapshot) = self.snapshot() else {
            out.push(Span::raw(format!("{before}the fleet")));
            return;
        };
        let all = snapshot.hosts.len();
        out.push(Span::raw(format!("{before}{}", units::counted(all, "host"))));
        let short = width < 70;
        let [critical, warning, unknown, well] = snapshot::counts(&snapshot.hosts);
        for (count, level, brief) in [
            (critical, Some(Level::Critical), 'C'),
            (warning, Some(Level::Warning), 'W'),
            (unknown, None, '?'),
            (well, Some(Level::Ok), '·'),
        ] {
            if count > 0 {
                let text = if short { format!("{brief}{count}") } else { format!("{} {count}", paint::tag(level)) };
                out.push(Span::raw("  "));
                out.push(Span::styled(text, paint::level(level)));
            }
        }
    }

    /// How old the newest of all is, and the time.
    fn clock(&self) -> Vec<Span<'static>> {
        let time = self.now.format("%H:%M UTC ").to_string();
        let Some(snapshot) = self.snapshot() else { return vec![Span::raw(time)] };
        let old = match newest(snapshot) {
            None if snapshot.hosts.is_empty() => String::new(),
            None => "never collected".to_owned(),
            Some(at) => {
                let age = (self.now - at).num_seconds().max(0) as f64;
                let stale = age > snapshot.interval.as_secs_f64() * f64::from(STALE);
                format!("{}{} old", if stale { "STALE " } else { "" }, units::seconds(age))
            }
        };
        let look = if old.starts_with("STALE") { paint::level(Some(Level::Critical)) } else { Style::new() };
        match self.size.width {
            // What is wrong is worth more than an age that is as it should be.
            ..30 if !old.starts_with("STALE") => return Vec::new(),
            ..50 => return vec![Span::styled(format!("{old} "), look)],
            _ => {}
        }
        vec![Span::styled(old, look), Span::raw(format!("  {time}"))]
    }

    /// What must be told under the page: what is wrong with the host that is chosen, trouble with the programs, and what
    /// is typed or holds as a filter.
    fn notes(&self) -> Vec<Line<'static>> {
        let width = usize::from(self.size.width);
        let mut notes = self.chosen();
        let mut told = |level: Level, text: &str| {
            let text = format!("{}: {text}", level.tag());
            for line in few(&text, width, 3) {
                notes.push(Line::styled(line, paint::level(Some(level))));
            }
        };
        let waits = self.began.map_or(0, |began| (self.now - began).num_seconds());
        let ill = self.fleet.iter().flat_map(|fleet| &fleet.health).max_by_key(|part| part.level);
        if let Some(text) = &self.trouble {
            told(Level::Critical, text);
        } else if waits >= SLOW {
            told(Level::Warning, &format!("the store has not answered for {waits} s; this goes on waiting"));
        } else if let Some(part) = ill.filter(|part| part.level > Level::Ok) {
            told(part.level, &part.text);
        } else if let Some(problem) = self.snapshot().and_then(|it| it.fleet.first()) {
            told(problem.incident.level, &problem.incident.text);
        }
        if let Some(wrong) = self.wrong.as_ref().filter(|_| self.entry.is_some()) {
            let text = format!(" {}; {}", wrong.text, wrong.mend);
            notes.push(Line::styled(paint::cut(&paint::safe(&text), width), paint::level(None)));
        }
        let reads = self.only();
        let holds = reads.unwrap_or(&self.typed);
        if let Some(entry) = &self.entry {
            // The end is what is typed at.
            let mut shown = paint::safe(&entry.text);
            while shown.width() + 3 > width && !shown.is_empty() {
                shown.remove(0);
            }
            notes.push(Line::from(vec![Span::styled(" /", STRONG), Span::raw(shown)]));
        } else if !holds.is_empty() && self.help.is_none() {
            let count = match (self.pages.last(), self.snapshot()) {
                (Some(Page::Hosts), Some(it)) => format!("  {} of {} hosts", self.hosts.count(), it.hosts.len()),
                _ => String::new(),
            };
            let text = format!(" /{}{count}  (Esc: all)", paint::safe(holds));
            if !matches!(self.pages.last(), Some(Page::Past(_))) {
                notes.push(Line::styled(paint::cut(&text, width), STRONG));
            }
        }
        notes
    }

    /// What is wrong with the chosen host, in so many lines whatever it is, so that the table stays where it is.
    fn chosen(&self) -> Vec<Line<'static>> {
        const LINES: usize = 2;
        let seen = matches!(self.pages.last(), Some(Page::Hosts)) && self.help.is_none();
        let Some(snapshot) = self.snapshot().filter(|_| seen && self.size.height >= 20) else { return Vec::new() };
        let Some(host) = self.hosts.chosen(snapshot) else { return Vec::new() };
        let width = usize::from(self.size.width);
        let mut text = host.sentences().join("; ");
        if text.is_empty() {
            text = "nothing is wrong".to_owned();
        }
        let mut lines = few(&format!("{}: {text}", host.name), width, LINES);
        lines.resize(LINES, String::new());
        lines.into_iter().map(Line::raw).collect()
    }

    /// The keys that help most here.
    fn keys(&self) -> Line<'static> {
        let keys = match (self.pages.last(), &self.entry, &self.help) {
            (_, Some(_), _) => " Enter takes it  Esc gives it up  ^U empties it",
            (_, _, Some(_)) => " ↑↓ moves  Esc back  q back",
            (Some(Page::Problems), ..) => " ? keys  ↑↓ Enter opens  o host  e ended  / filter  Tab services  q end",
            (Some(Page::Services), ..) => " ? keys  ↑↓ Enter opens  / filter  i problems  Tab hosts  q end",
            (Some(Page::Host(..)), ..) => " ? keys  ↑↓ Enter opens  / search  Esc back  q end",
            (Some(Page::Problem(..)), ..) => " ? keys  ↑↓ Enter opens  o host  Esc back  q end",
            (Some(Page::Past(_)), ..) => " ? keys  + - time  n p item  Esc back  q end",
            _ => " ? keys  ↑↓ Enter opens  / filter  s sort  i problems  S services  q end",
        };
        let width = usize::from(self.size.width);
        let mut shown = String::new();
        for key in keys.split("  ") {
            let gap = if shown.is_empty() { "" } else { "  " };
            if shown.width() + gap.len() + key.width() > width {
                break;
            }
            shown.push_str(gap);
            shown.push_str(key);
        }
        Line::raw(shown)
    }
}

/// The first lines of a text, with a mark where there are more.
fn few(text: &str, width: usize, most: usize) -> Vec<String> {
    let all = paint::wrap(text, width.saturating_sub(2));
    let more = all.len() > most;
    let mut lines: Vec<String> = all.into_iter().take(most).map(|line| format!(" {line}")).collect();
    if let Some(last) = lines.last_mut().filter(|_| more) {
        last.push('…');
    }
    lines
}

/// When the newest of all samples arrived.
fn newest(snapshot: &Snapshot) -> Option<chrono::DateTime<chrono::Utc>> {
    snapshot.hosts.iter().filter_map(|host| host.received).max()
}

fn say(buffer: &mut Buffer, area: Rect, text: &str) {
    for (row, line) in (1..).zip(paint::wrap(text, usize::from(area.width).saturating_sub(2))) {
        paint::line(buffer, area, row, &Line::raw(format!(" {line}")), Style::new());
    }
}
