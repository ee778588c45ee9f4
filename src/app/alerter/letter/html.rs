//! A letter as a page: one column, styles inside, nothing that is fetched; dark where the reader is.

use super::page::{Page, Past, Row, Section, cost};
use crate::model::clean::is_hostile;
use crate::model::level::Level;

/// Where the reader is dark, and where the screen is small; the rest stands in each element, for many readers drop this.
const STYLE: &str = "\
@media (prefers-color-scheme:dark){\
body,.out{background:#12161b!important;color:#e4e7eb!important}\
.card{background:#1c2229!important;border-color:#323b45!important}\
.soft{color:#a3adb8!important}\
.code{background:#12161b!important;color:#e4e7eb!important;border-color:#323b45!important}\
.cell{border-color:#323b45!important}\
.l0{color:#66c98a!important}.l1{color:#e8b04a!important}.l2{color:#ff8a80!important}}\
@media (max-width:480px){.out{padding:0!important}.card{border-radius:0!important;border-left:0!important;border-right:0!important}.in{padding:16px!important}.wide{display:none!important}}";

/// Bytes of a list in the page, as they stand in the mail.
const MAX_LIST: usize = 52_000;
const FONT: &str = "font-family:-apple-system,'Segoe UI',Roboto,Helvetica,Arial,sans-serif";
const MONO: &str = "font-family:ui-monospace,Consolas,Menlo,'DejaVu Sans Mono',monospace";
const BREAK: &str = "overflow-wrap:anywhere;word-break:break-word";

/// Red, green and blue of a level; dark enough for white letters on it.
fn color(level: Level) -> [u8; 3] {
    match level {
        Level::Ok => [0x1f, 0x7a, 0x3a],
        Level::Warning => [0x9a, 0x5b, 0x00],
        Level::Critical => [0xc0, 0x28, 0x22],
    }
}

/// Of a line that is seen on white and on black.
pub fn ink(level: Level) -> [u8; 3] {
    match level {
        Level::Ok => [0x2e, 0x9e, 0x55],
        Level::Warning => [0xc8, 0x84, 0x10],
        Level::Critical => [0xe0, 0x44, 0x3e],
    }
}

fn hex(level: Level) -> String {
    let [r, g, b] = color(level);
    format!("#{r:02x}{g:02x}{b:02x}")
}

/// Text that is only text.
fn esc(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            // A number keeps its sign beside it.
            ' ' if rest.peek() == Some(&'%') => out.push_str("&nbsp;"),
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c if is_hostile(c) => out.push('?'),
            c => out.push(c),
        }
    }
    out
}

fn badge(level: Level) -> String {
    format!(
        "<span style=\"background:{};color:#fff;border-radius:4px;padding:1px 7px;font-size:12px;font-weight:700;\
         letter-spacing:.4px;white-space:nowrap\">{}</span>",
        hex(level),
        level.tag()
    )
}

fn title(text: &str) -> String {
    format!(
        "<div class=\"soft\" style=\"margin:20px 0 6px;font-size:13px;font-weight:700;color:#5a6570;{BREAK}\">{}</div>",
        esc(text)
    )
}

fn past(past: &Past, cid: Option<&str>) -> String {
    let mut out = title(&format!("{}: {} to {}", past.title, past.first, past.last));
    match cid {
        Some(cid) => out.push_str(&format!(
            "<img src=\"cid:{}\" width=\"592\" alt=\"{}\" style=\"display:block;width:100%;max-width:592px;height:auto;border:0;\
             font-size:10px;line-height:1.2;{BREAK}\">",
            esc(cid),
            esc(&past.bars)
        )),
        None => out.push_str(&format!("<div style=\"{MONO};line-height:1;{BREAK}\">{}</div>", esc(&past.bars))),
    }
    out.push_str(&format!(
        "<table role=\"presentation\" width=\"100%\" cellpadding=\"0\" cellspacing=\"0\" class=\"soft\" \
         style=\"font-size:12px;color:#5a6570\"><tr><td align=\"left\">{}</td><td align=\"right\">{}</td></tr></table>\
         <div class=\"soft\" style=\"font-size:12px;color:#5a6570\">{}</div>",
        esc(&past.from),
        esc(&past.until),
        esc(&past.range)
    ));
    out
}

/// Short, for there may be hundreds.
fn row(row: &Row) -> String {
    let past = match row.past.is_empty() {
        true => String::new(),
        false => format!("<div class=\"soft\" style=\"{MONO};font-size:11px;color:#5a6570\">{}</div>", esc(&row.past)),
    };
    format!(
        "<div class=\"cell\" style=\"border-top:1px solid #e1e5ea;padding:6px 0\"><b class=\"l{}\" style=\"color:{}\">{}</b> {}{past}</div>\n",
        row.level.number(),
        hex(row.level),
        row.level.tag(),
        esc(&row.text)
    )
}

fn list(head: &str, rows: &[Row], more: usize) -> String {
    let (mut out, mut more, mut room) = (String::new(), more, MAX_LIST);
    for (n, row) in rows.iter().map(row).enumerate() {
        let size = cost(&row);
        if size > room {
            more += rows.len() - n;
            break;
        }
        room -= size;
        out.push_str(&row);
    }
    let more = if more > 0 { format!("<div style=\"padding:8px 0\">and {more} more</div>") } else { String::new() };
    let head = if head.is_empty() { String::new() } else { title(head) };
    format!("{head}<div style=\"margin-top:12px;font-size:14px;{BREAK}\">{out}{more}</div>")
}

const TABLE: &str = "<table role=\"presentation\" width=\"100%\" cellpadding=\"0\" cellspacing=\"0\">";

fn processes(rows: &[[String; 5]]) -> String {
    let one = |cells: &[String; 5]| {
        let [by, amount, name, user, unit] = cells.each_ref().map(|cell| esc(cell));
        let cell =
            "class=\"cell\" valign=\"top\" style=\"padding:4px 8px 4px 0;border-top:1px solid #e1e5ea;font-size:13px";
        let wide =
            "class=\"cell wide\" valign=\"top\" style=\"padding:4px 0;border-top:1px solid #e1e5ea;font-size:13px";
        format!(
            "<tr><td {cell}\">{by}</td><td {cell};white-space:nowrap\">{amount}</td>\
             <td {cell};font-weight:700;{BREAK}\">{name}</td><td {cell};{BREAK}\">{user}</td><td {wide};{BREAK}\">{unit}</td></tr>"
        )
    };
    format!("{TABLE}{}</table>", rows.iter().map(one).collect::<String>())
}

fn commands(rows: &[(&'static str, String)]) -> String {
    let one = |(what, command): &(&str, String)| {
        let what = if what.is_empty() { String::new() } else { title(what) };
        format!(
            "{what}<div class=\"code\" style=\"{MONO};font-size:13px;background:#f3f5f7;border:1px solid #e1e5ea;border-radius:6px;\
             padding:7px 10px;margin:0 0 4px;{BREAK}\">{}</div>",
            esc(command)
        )
    };
    rows.iter().map(one).collect()
}

fn section(part: &Section, cid: Option<&str>) -> String {
    match part {
        Section::Past(it) => past(it, cid),
        Section::List { title: text, rows, more } => list(text, rows, *more),
        Section::Notes { title: text, lines } => {
            let one = |line: &String| format!("<div style=\"font-size:14px;margin:2px 0;{BREAK}\">{}</div>", esc(line));
            format!("{}{}", title(text), lines.iter().map(one).collect::<String>())
        }
        Section::Processes { title: text, rows } => format!("{}{}", title(text), processes(rows)),
        Section::Commands(rows) => commands(rows),
    }
}

/// The page; `cid` names the picture of the past, where there is one.
pub fn render(page: &Page, cid: Option<&str>) -> String {
    let lead: String = page
        .lead
        .iter()
        .enumerate()
        .map(|(n, text)| match n {
            0 => format!("<div style=\"font-size:16px;margin:8px 0 4px;{BREAK}\">{}</div>", esc(text)),
            _ => format!("<div class=\"soft\" style=\"font-size:14px;color:#5a6570;{BREAK}\">{}</div>", esc(text)),
        })
        .collect();
    let body: String = page.sections.iter().map(|part| section(part, cid)).collect::<Vec<_>>().join("\n");
    let (bar, badge, head, foot) = (hex(page.level), badge(page.level), esc(&page.title), esc(&page.foot));
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <meta name=\"color-scheme\" content=\"light dark\"><meta name=\"supported-color-schemes\" content=\"light dark\">\
         <title>{head}</title><style>{STYLE}</style></head>\n\
         <body style=\"margin:0;padding:0;background:#eef1f4;color:#1b2127;{FONT};font-size:15px;line-height:1.45\">\
         <div role=\"main\" class=\"out\" style=\"padding:20px 8px;background:#eef1f4;color:inherit\">\n\
         <table role=\"presentation\" align=\"center\" cellpadding=\"0\" cellspacing=\"0\" width=\"100%\" class=\"card\" \
         style=\"max-width:640px;margin:0 auto;background:#fff;border:1px solid #d9dee4;border-top:5px solid {bar}!important;border-radius:8px\">\
         <tr><td class=\"in\" style=\"padding:20px 24px\">\n\
         <div role=\"heading\" aria-level=\"1\" style=\"font-size:20px;font-weight:700;line-height:1.3;{BREAK}\">{badge} {head}</div>\n{lead}\n{body}\n\
         <div class=\"soft\" style=\"margin-top:22px;font-size:12px;color:#5a6570;{BREAK}\">{foot}</div>\n\
         </td></tr></table></div></body></html>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_never_markup() {
        let bad = "<script>alert(1)</script> \"x\" 'y' & \u{202e}a\r\nb";
        let page = Page {
            title: bad.into(),
            lead: vec![bad.into(); 2],
            sections: vec![
                Section::Notes { title: bad.into(), lines: vec![bad.into()] },
                Section::Processes { title: bad.into(), rows: vec![[(); 5].map(|()| bad.to_owned())] },
                Section::List {
                    title: bad.into(),
                    rows: vec![Row { level: Level::Ok, text: bad.into(), past: bad.into() }],
                    more: 2,
                },
                Section::Commands(vec![("x", bad.into())]),
            ],
            foot: bad.into(),
            ..Page::default()
        };
        let html = render(&page, Some("a\"b"));
        assert!(!html.contains("<script") && !html.contains('\u{202e}') && !html.contains('\r'));
        assert_eq!(html.matches("&lt;script&gt;").count(), html.matches("&lt;/script&gt;").count());
        assert!(html.contains("alert(1)") && !html.contains("cid:a\"b") && !html.contains("http"), "{html}");
    }
}
