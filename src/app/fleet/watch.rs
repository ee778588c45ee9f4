//! `fleet watch`: the screen on a terminal. Keys, news and signals come in; cells go out, and only those that changed.

use std::time::Duration;

use super::show;
use crate::app::clock;
use crate::app::context::Common;
use crate::app::exit::{Exit, Failure, Outcome};
use crate::config;
use crate::model::filter::Filter;
use crate::view::screen::data::Want;
use crate::view::screen::{Screen, Step};
use crate::view::units;

mod cells;
mod input;
mod reader;
mod signals;
mod terminal;
mod whole;

use cells::{Cells, Glass};
use input::Decoder;
use reader::Reader;
use signals::Signals;
use terminal::Terminal;

/// Ages are shown to the second at the finest.
const TICK: Duration = Duration::from_secs(1);
/// An escape that nothing follows within this time is the key, and no arrow that comes in pieces.
const ESCAPE: Duration = Duration::from_millis(100);
/// The store is looked at no more often.
const OFTENEST: Duration = Duration::from_millis(100);

/// Flags.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only what fits: web*, group=web, level>=warning, cpu.used>80%
    #[arg(value_name = "FILTER")]
    filter: Vec<String>,
    /// How often the store is looked at: 500ms, 2s, 1m
    #[arg(long, value_name = "SPAN", default_value = "1s", value_parser = units::span)]
    every: Duration,
}

pub fn run(common: &Common, args: Args) -> Outcome {
    let typed = args.filter.join(" ");
    let filter = Filter::parse(&typed).map_err(|wrong| Failure::new(Exit::Usage, wrong.to_string()))?;
    let terminal = Terminal::open()?;
    let spec = common.spec()?;
    let files = config::read(&common.config_file()?).map(|loaded| loaded.files).unwrap_or_default();
    let lost = |error: std::io::Error| Failure::new(Exit::Failed, format!("the terminal is gone: {error}"));
    let waker = terminal.signals().waker().map_err(lost)?;
    let reader = Reader::start(spec, files, args.every.max(OFTENEST), waker);
    let screen = Screen::new(filter, &typed, terminal.size(), clock::now());
    let ended = terminal.take().and_then(|()| watch(&terminal, &reader, screen, show::color(common)));
    let signal = terminal.signals().ends();
    terminal.give_back();
    match (signal, ended) {
        (Some(signal), _) => {
            // Whoever sent it sees that it was heard.
            Signals::treat(signal);
            Ok(Exit::Failed)
        }
        (None, ended) => ended.map_err(lost).map(|()| Exit::Done),
    }
}

/// Until somebody ends it.
fn watch(terminal: &Terminal, reader: &Reader, mut screen: Screen, color: bool) -> std::io::Result<()> {
    let mut drawn = ratatui::Terminal::new(Cells::new(terminal, color, unicode()))?;
    let mut decoder = Decoder::default();
    let mut asked: Option<Want> = None;
    let signals = terminal.signals();
    while signals.ends().is_none() {
        for news in reader.news() {
            screen.hears(news);
        }
        screen.tick(clock::now(), terminal.size(), reader.busy());
        let want = screen.wants();
        if asked.as_ref() != Some(&want) {
            reader.asks(want.clone());
            asked = Some(want);
        }
        drawn.draw(|frame| screen.draw(frame))?;
        let bytes = terminal.read(if decoder.waits() { ESCAPE } else { TICK })?;
        let keys = if bytes.is_empty() { decoder.settle().into_iter().collect() } else { decoder.feed(&bytes) };
        for key in keys {
            match screen.takes(key) {
                Step::On => {}
                Step::End => return Ok(()),
                Step::Pause => signals.ask_for_pause(),
                Step::Redraw => drawn.clear()?,
            }
        }
        if signals.pauses() {
            terminal.give_back();
            Signals::treat(signal_hook::consts::SIGTSTP);
            signals.goes_on();
            terminal.take()?;
            drawn.clear()?;
        } else if signals.goes_on() {
            // Stopped by force, so the shell has had the terminal meanwhile.
            terminal.take()?;
            drawn.clear()?;
        }
    }
    Ok(())
}

/// Whether letters beyond ASCII can be shown, by the first of the variables that is set, as every program reads them.
fn unicode() -> bool {
    let set = ["LC_ALL", "LC_CTYPE", "LANG"].iter().filter_map(|name| std::env::var(name).ok());
    let first = set.into_iter().find(|value| !value.is_empty()).unwrap_or_default().to_uppercase();
    first.contains("UTF-8") || first.contains("UTF8")
}
