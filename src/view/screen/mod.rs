//! The screen of `fleet watch`, without terminal, clock and store: keys and news change its state, and its state is drawn
//! as cells. Whoever holds the terminal feeds it and asks what should be read.

use std::mem::discriminant;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use ratatui::layout::Size;

use crate::model::filter::{Filter, FilterError};
use crate::model::snapshot::Snapshot;

mod body;
pub mod data;
mod entry;
mod frame;
mod help;
mod host;
mod hosts;
pub mod key;
mod list;
mod paint;
mod past;
mod problems;
mod rows;
mod services;
#[cfg(test)]
mod tests;

use data::{Fleet, Graph, Host, News, Story, Want};
use entry::{Entry, Typed};
use hosts::Hosts;
use key::Key;
use list::List;
use past::Chart;
use rows::{Reading, Target};

/// What is to be done after a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing but to draw.
    On,
    /// The program ends.
    End,
    /// The program pauses.
    Pause,
    /// All is drawn anew, whatever the terminal shows.
    Redraw,
}

/// What somebody looks at. The first of the pages that are open is one of the three lists.
#[derive(Clone, Debug)]
enum Page {
    Hosts,
    Problems,
    Services,
    Host(String, Reading),
    Problem(i64, Reading),
    Past(Chart),
}

/// The state.
#[derive(Clone, Debug)]
pub struct Screen {
    size: Size,
    now: DateTime<Utc>,
    pages: Vec<Page>,
    hosts: Hosts,
    problems: Reading,
    services: Reading,
    /// Problems that ended are listed, too.
    ended: bool,
    filter: Filter,
    typed: String,
    entry: Option<Entry>,
    wrong: Option<FilterError>,
    help: Option<List>,
    again: u32,
    /// The filter that the fleet is read for: another only where other metrics are compared.
    read_for: Filter,
    fleet: Option<Arc<Fleet>>,
    host: Option<Box<Host>>,
    story: Option<Box<Story>>,
    graph: Option<Box<Graph>>,
    trouble: Option<String>,
    /// Since when an answer is waited for.
    began: Option<DateTime<Utc>>,
}

impl Screen {
    /// Begins with the hosts that a filter chooses, which was typed so.
    #[must_use]
    pub fn new(filter: Filter, typed: &str, size: Size, now: DateTime<Utc>) -> Self {
        Self {
            size,
            now,
            pages: vec![Page::Hosts],
            hosts: Hosts::default(),
            // Under the heading.
            problems: Reading { list: List { cursor: 1, top: 0 }, ..Reading::default() },
            services: Reading { list: List { cursor: 1, top: 0 }, ..Reading::default() },
            ended: false,
            read_for: filter.clone(),
            filter,
            typed: typed.to_owned(),
            entry: None,
            wrong: None,
            help: None,
            again: 0,
            fleet: None,
            host: None,
            story: None,
            graph: None,
            trouble: None,
            began: None,
        }
    }

    /// What should be read for what is seen now.
    #[must_use]
    pub fn wants(&self) -> Want {
        let mut want = Want { filter: self.read_for.clone(), again: self.again, ..Want::default() };
        match self.pages.last() {
            Some(Page::Host(name, _)) => want.host = Some(name.clone()),
            Some(Page::Problem(id, _)) => want.problem = Some(*id),
            Some(Page::Past(chart)) => want.past = Some(chart.wants()),
            _ => {}
        }
        want
    }

    /// Time goes by, the terminal may have another size, and an answer may have been waited for since a moment.
    pub fn tick(&mut self, now: DateTime<Utc>, size: Size, began: Option<DateTime<Utc>>) {
        (self.now, self.began) = (now, began);
        if size != self.size {
            self.size = size;
            self.settle();
        }
    }

    /// Takes what was read.
    pub fn hears(&mut self, news: News) {
        match news {
            News::Done => self.trouble = None,
            News::Trouble(text) => self.trouble = Some(text),
            News::Fleet(fleet) => {
                self.fleet = Some(fleet);
                self.settle();
            }
            News::Host(host) => self.host = Some(host),
            News::Problem(story) => self.story = Some(story),
            News::Past(graph) => self.graph = Some(graph),
        }
    }

    /// Takes a key.
    pub fn takes(&mut self, key: Key) -> Step {
        let key = match key {
            Key::Control('c') | Key::Function(10) => return Step::End,
            Key::Control('z') => return Step::Pause,
            // htop's, but none of them is a letter while somebody types.
            Key::Function(3 | 4) if self.entry.is_none() => Key::Letter('/'),
            Key::Function(6) if self.entry.is_none() => Key::Letter('s'),
            key => key,
        };
        if self.entry.is_some() {
            self.types(key);
        } else if let Some(mut list) = self.help {
            let closes = matches!(key, Key::Escape | Key::Help | Key::Enter | Key::Left | Key::Letter('?' | 'q' | 'h'));
            list.moves(key, help::lines(usize::from(self.size.width)).len(), self.body());
            self.help = (!closes).then_some(list);
        } else {
            match key {
                Key::Letter('q') => return Step::End,
                Key::Letter('?') | Key::Help => self.help = Some(List::default()),
                Key::Letter('R') | Key::Control('l') => {
                    self.again = self.again.wrapping_add(1);
                    return Step::Redraw;
                }
                Key::Letter('/') => self.entry = Some(Entry::new(self.only().unwrap_or(&self.typed))),
                Key::Letter('i') => self.opens_list(Page::Problems),
                Key::Letter('S') => self.opens_list(Page::Services),
                Key::Tab | Key::BackTab => {
                    let lists = [Page::Hosts, Page::Problems, Page::Services];
                    let here = self.pages.first().map(discriminant);
                    let at = lists.iter().position(|list| Some(discriminant(list)) == here).unwrap_or(0);
                    let step = if key == Key::Tab { 1 } else { lists.len() - 1 };
                    lists.into_iter().cycle().nth(at + step).into_iter().for_each(|list| self.opens_list(list));
                }
                Key::Escape | Key::Left | Key::Letter('h') | Key::Backspace => self.back(key),
                key => self.page_takes(key),
            }
        }
        self.settle();
        Step::On
    }

    /// The text that the lines of this page are searched for, where it is one that is read.
    fn only(&self) -> Option<&String> {
        match self.pages.last() {
            Some(Page::Host(_, reading) | Page::Problem(_, reading)) => Some(&reading.only),
            _ => None,
        }
    }

    /// What is typed holds at once, as far as it is understood.
    fn types(&mut self, key: Key) {
        let Some(mut entry) = self.entry.take() else { return };
        let done = entry.takes(key);
        let text = if done == Typed::Back { entry.before.clone() } else { entry.text.clone() };
        if let Some(Page::Host(_, reading) | Page::Problem(_, reading)) = self.pages.last_mut() {
            reading.only = text;
            reading.list = List::default();
            self.entry = (done == Typed::On).then_some(entry);
            return;
        }
        match Filter::parse(&text) {
            Ok(filter) => {
                let new = filter.metrics().any(|metric| !self.read_for.metrics().any(|known| known == metric));
                if new {
                    self.read_for = filter.clone();
                }
                (self.filter, self.typed, self.wrong) = (filter, text, None);
                self.entry = (done == Typed::On).then_some(entry);
            }
            // It is mended or given up, but never left so.
            Err(wrong) => (self.wrong, self.entry) = (Some(wrong), Some(entry)),
        }
    }

    fn opens_list(&mut self, page: Page) {
        self.pages = vec![page];
    }

    /// To the page before; from a list to the list without filter.
    fn back(&mut self, key: Key) {
        if self.only().is_some_and(|only| !only.is_empty()) && key == Key::Escape {
            if let Some(Page::Host(_, reading) | Page::Problem(_, reading)) = self.pages.last_mut() {
                reading.only.clear();
            }
        } else if self.pages.len() > 1 {
            self.pages.pop();
        } else if key == Key::Escape {
            (self.filter, self.typed, self.wrong) = (Filter::default(), String::new(), None);
        }
    }

    fn page_takes(&mut self, key: Key) {
        let Some(page) = self.pages.last().cloned() else { return };
        let opens = matches!(key, Key::Enter | Key::Right | Key::Letter('l'));
        let seen = self.body();
        match page {
            Page::Hosts => self.hosts_take(key, opens),
            Page::Problems => {
                let lines = self.lines();
                if key == Key::Letter('e') {
                    self.ended = !self.ended;
                } else if !self.problems.moves(key, &lines, seen) {
                    let target = self.problems.target(&lines).cloned();
                    match (target, key) {
                        (Some(Target::Problem(id)), Key::Letter('o')) => self.opens_host_of(id),
                        (target, _) if opens => self.opens(target),
                        _ => {}
                    }
                }
            }
            Page::Services => {
                let lines = self.lines();
                if !self.services.moves(key, &lines, seen) && opens {
                    self.opens(self.services.target(&lines).cloned());
                }
            }
            Page::Host(name, mut reading) => {
                let lines = self.lines();
                if reading.moves(key, &lines, seen) {
                    self.replace(Page::Host(name, reading));
                } else if opens {
                    self.opens(reading.target(&lines).cloned());
                }
            }
            Page::Problem(id, mut reading) => {
                let lines = self.lines();
                if reading.moves(key, &lines, seen) {
                    self.replace(Page::Problem(id, reading));
                } else if key == Key::Letter('o') {
                    self.opens_host_of(id);
                } else if opens {
                    self.opens(reading.target(&lines).cloned());
                }
            }
            Page::Past(mut chart) => {
                if chart.takes(key, self.graph_of(&chart)) {
                    self.replace(Page::Past(chart));
                }
            }
        }
    }

    fn hosts_take(&mut self, key: Key, opens: bool) {
        let Some(fleet) = self.fleet.clone() else { return };
        let rows = self.body().saturating_sub(1);
        if !self.hosts.takes(key, &fleet.snapshot, &self.filter, rows)
            && opens
            && let Some(host) = self.hosts.chosen(&fleet.snapshot)
        {
            self.opens(Some(Target::Host(host.name.clone())));
        }
    }

    fn replace(&mut self, page: Page) {
        if let Some(last) = self.pages.last_mut() {
            *last = page;
        }
    }

    fn opens_host_of(&mut self, id: i64) {
        let Some(fleet) = &self.fleet else { return };
        let open = fleet.snapshot.hosts.iter().find(|host| host.problems.iter().any(|it| it.incident.id == id));
        let ended = || fleet.ended.iter().find(|it| it.id == id).map(|it| it.subject.host.clone());
        let name = open.map(|host| host.name.clone()).or_else(ended).filter(|name| !name.is_empty());
        self.opens(name.map(Target::Host));
    }

    fn opens(&mut self, target: Option<Target>) {
        /// Pages that lead to each other in a circle must not pile up.
        const DEEPEST: usize = 16;
        let host = match self.pages.last() {
            Some(Page::Host(name, _)) => Some(name.clone()),
            Some(Page::Problem(id, _)) => {
                self.story.as_ref().filter(|story| story.incident.id == *id).map(|it| it.incident.subject.host.clone())
            }
            _ => None,
        };
        let page = match target {
            Some(Target::Host(name)) => Page::Host(name, Reading::default()),
            Some(Target::Problem(id)) => Page::Problem(id, Reading::default()),
            Some(Target::Past { metric, item }) => match host {
                Some(host) => Page::Past(Chart::new(&host, &metric, &item)),
                None => return,
            },
            None => return,
        };
        if self.pages.len() == DEEPEST {
            self.pages.remove(1);
        }
        self.pages.push(page);
    }

    /// The history that was asked for, if it is the one that was read.
    fn graph_of(&self, chart: &Chart) -> Option<&Graph> {
        self.graph.as_deref().filter(|graph| graph.past == chart.wants())
    }

    fn snapshot(&self) -> Option<&Snapshot> {
        self.fleet.as_ref().map(|fleet| &fleet.snapshot)
    }

    /// Every list fits what it shows now.
    fn settle(&mut self) {
        let rows = self.body();
        if let Some(fleet) = self.fleet.clone() {
            self.hosts.renew(&fleet.snapshot, &self.filter, rows.saturating_sub(1));
        }
        match self.pages.last() {
            Some(Page::Problems) => {
                let lines = self.lines().len();
                self.problems.list.settle(lines, rows);
            }
            Some(Page::Services) => {
                let lines = self.lines().len();
                self.services.list.settle(lines, rows);
            }
            Some(Page::Host(..) | Page::Problem(..)) => {
                let lines = self.lines().len();
                if let Some(Page::Host(_, reading) | Page::Problem(_, reading)) = self.pages.last_mut() {
                    reading.list.settle(lines, rows);
                }
            }
            _ => {}
        }
        if let Some(list) = &mut self.help {
            list.settle(help::lines(usize::from(self.size.width)).len(), rows);
        }
    }
}
