//! A table in Markdown, for documents that are made from a view.

use super::{Page, table};

/// Renders a page: one line a row, every column with a title.
#[must_use]
pub fn render(page: &Page) -> String {
    let shown = || page.columns.iter().enumerate().filter(|(_, column)| !column.title.is_empty());
    let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let mut out = line(shown().map(|(_, column)| column.title.to_lowercase()).collect());
    out.push_str(&line(shown().map(|_| "---".to_owned()).collect()));
    for row in &page.rows {
        let cells = shown().map(|(i, _)| row.get(i).map(table::text).unwrap_or_default());
        // What a document would take for its own marks is marked as text.
        out.push_str(&line(
            cells
                .map(|text| text.replace('\\', "\\\\").replace('|', "\\|").replace('*', "\\*").replace('<', "\\<"))
                .collect(),
        ));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::{Cell, Column, Place, column};
    use super::*;

    #[test]
    fn no_text_leaves_its_cell() {
        const COLUMNS: &[Column] =
            &[column("a", "HOST", Place::Left), column("b", "", Place::Left), column("c", "NOTE", Place::Below)];
        let row = vec![Cell::Text("a|b\n<i>".into()), Cell::Text("hidden".into()), Cell::Ratio(0.5)];
        let page = Page { columns: COLUMNS, rows: vec![row] };
        assert_eq!(render(&page), "| host | note |\n| --- | --- |\n| a\\|b?\\<i> | 50% |\n");
    }
}
