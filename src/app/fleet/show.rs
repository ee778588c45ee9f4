//! How the reading commands answer: format flags, colour, and standard output that may be closed early.

use std::io::IsTerminal;

use clap::ValueEnum;

use crate::app::context::{Color, Common};
use crate::app::exit::{self, Exit, Failure, Outcome};
use crate::app::probe::show::wrapped;
use crate::model::clean::clean;
use crate::view::{Page, csv, json, markdown, sort, table};

/// How rows are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Aligned text for people
    #[default]
    Table,
    /// {"version":1,"rows":[...]}, values in base units
    Json,
    /// RFC 4180 with a line of names
    Csv,
    /// A table for documents
    Markdown,
}

/// The number of a problem or a silence.
///
/// # Errors
/// A text that is none, with what to write.
pub fn number(text: &str) -> Result<i64, String> {
    text.parse().map_err(|_| "write its number, as the list shows it in its first column".to_owned())
}

/// Which rows, and in which order.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct RowArgs {
    /// Sort by columns, named as in JSON; a - before one turns it round: --sort -cpu,host
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',', allow_hyphen_values = true)]
    sort: Vec<String>,
    /// At most so many rows; 0 for all
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
}

impl RowArgs {
    /// Sorts and cuts a page. `usual`: how many rows there are where nobody says.
    ///
    /// # Errors
    /// A column that there is not.
    pub fn apply(&self, page: &mut Page, usual: Option<usize>) -> Result<(), Failure> {
        sort::sort(page, &self.sort).map_err(|text| Failure::new(Exit::Usage, text))?;
        if let Some(most) = self.limit.or(usual).filter(|most| *most > 0) {
            page.rows.truncate(most);
        }
        Ok(())
    }
}

/// Flags of every reading command.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub struct FormatArgs {
    /// How rows are written
    #[arg(long, value_enum, default_value = "table", value_name = "FORMAT")]
    format: Format,
    /// Short for --format json
    #[arg(long, conflicts_with_all = ["csv", "format"])]
    json: bool,
    /// Short for --format csv
    #[arg(long, conflicts_with = "format")]
    csv: bool,
}

impl FormatArgs {
    /// The format that is meant.
    pub fn format(self) -> Format {
        match (self.json, self.csv) {
            (true, _) => Format::Json,
            (_, true) => Format::Csv,
            _ => self.format,
        }
    }
}

/// Whether to colour standard output.
pub fn color(common: &Common) -> bool {
    match common.color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => {
            let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
            let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
            std::io::stdout().is_terminal() && !refused && !dumb
        }
    }
}

/// Adds a sentence in lines of at most 80 columns, each word cleaned for the terminal.
pub fn sentence(line: &str, indent: &str, text: &mut String) {
    let words: Vec<String> = line.split_whitespace().map(clean).collect();
    wrapped(&words.join(" "), indent, text);
}

/// The width of the terminal, or 80.
pub fn width() -> usize {
    let known = comfy_table::Table::new().width().map(usize::from);
    known.filter(|_| std::io::stdout().is_terminal()).unwrap_or(80).clamp(40, 250)
}

/// Prints a page.
pub fn page(common: &Common, format: Format, page: &Page) -> Outcome {
    exit::print(&match format {
        // A heading over nothing looks like a mistake.
        Format::Table if page.rows.is_empty() => "none\n".to_owned(),
        Format::Table => table::render(page, width(), color(common)),
        Format::Json => json::render(page),
        Format::Csv => csv::render(page),
        Format::Markdown => markdown::render(page),
    })
}
