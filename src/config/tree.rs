//! A small tree with spans over `quick_xml::Reader`, bounded in size and depth.
//!
//! quick-xml with serde gives no position for a wrong value, and people need one.

use std::ops::Range;

use quick_xml::XmlVersion;
use quick_xml::events::{BytesStart, Event};
use quick_xml::reader::Reader;

use super::report::{At, Report};
use crate::model::clean::is_hostile;

/// Deeper than any configuration: root, four groups, host, rule.
const MAX_DEPTH: usize = 12;
const MAX_ELEMENTS: usize = 200_000;
const MAX_ATTRIBUTES: usize = 40;
const MAX_VALUE: usize = 16 * 1024;

/// An attribute as typed.
#[derive(Clone, Debug)]
pub(super) struct Attr {
    pub name: String,
    /// With entities resolved.
    pub value: String,
    pub name_at: At,
    pub value_at: At,
}

/// An element as typed.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub name: String,
    /// Its name in the start tag.
    pub at: At,
    /// From `<` of the start tag to `>` of the end tag.
    pub outer: Range<usize>,
    /// Where the end tag starts; for `<a/>` the end of it.
    pub inner_end: usize,
    pub attrs: Vec<Attr>,
    pub children: Vec<Node>,
}

impl Node {
    pub fn attr(&self, name: &str) -> Option<&Attr> {
        self.attrs.iter().find(|attr| attr.name == name)
    }
}

/// The root element; `None` where the text is no well-formed XML, which is then in the report.
pub(super) fn parse(file: usize, text: &str, report: &mut Report) -> Option<Node> {
    let mut reader = Reader::from_str(text);
    let mut stack: Vec<Node> = Vec::new();
    let mut root: Option<Node> = None;
    let mut elements = 0;
    loop {
        let start = offset(reader.buffer_position());
        let event = match reader.read_event() {
            Ok(event) => event,
            Err(error) => {
                let at = offset(reader.error_position()).min(text.len());
                report.error(At::new(file, at, at + 1), format!("this is not well-formed XML: {error}"), "");
                return None;
            }
        };
        let end = offset(reader.buffer_position());
        let here = At::new(file, start, end);
        match event {
            Event::Start(ref tag) | Event::Empty(ref tag) => {
                elements += 1;
                if root.is_some() && stack.is_empty() {
                    report.error(here, "a second root element", "everything stands inside one <fleet-health>");
                    return None;
                }
                if stack.len() >= MAX_DEPTH || elements > MAX_ELEMENTS {
                    report.error(here, format!("more than {MAX_DEPTH} levels or {MAX_ELEMENTS} elements"), "");
                    return None;
                }
                let node = element(file, start..end, tag, report)?;
                if matches!(event, Event::Start(_)) {
                    stack.push(node);
                } else {
                    attach(node, &mut stack, &mut root);
                }
            }
            Event::End(_) => {
                let mut node = stack.pop()?;
                node.outer.end = end;
                node.inner_end = start;
                attach(node, &mut stack, &mut root);
            }
            Event::Text(words) if words.trim().is_empty() => {}
            Event::Text(_) | Event::CData(_) | Event::GeneralRef(_) => {
                let lead = text.get(start..end).map_or(0, |words| words.len() - words.trim_start().len());
                let at = At::new(file, start + lead, start + lead + 1);
                report.error(at, "text outside of elements means nothing here", "values are written in attributes");
                if stack.is_empty() {
                    return None;
                }
            }
            Event::DocType(_) => {
                report.error(here, "a DOCTYPE is refused", "remove it: nothing here needs entities");
                return None;
            }
            Event::Decl(declaration) => {
                if let Some(Ok(name)) = declaration.encoding()
                    && !name.eq_ignore_ascii_case("utf-8")
                {
                    report.error(here, "the file must be UTF-8", "write encoding=\"UTF-8\"");
                }
            }
            Event::Comment(_) | Event::PI(_) => {}
            Event::Eof => break,
        }
    }
    if let Some(open) = stack.last() {
        let at = At::new(file, text.len(), text.len());
        let line = report.origin(open.at).line;
        let text = format!("the file ends inside <{}> of line {line}", open.name);
        report.error(at, text, format!("</{}> is missing", open.name));
        return None;
    }
    if root.is_none() {
        report.error(At::new(file, 0, 0), "the file holds no element", "it starts with <fleet-health version=\"1\">");
    }
    root
}

fn offset(position: u64) -> usize {
    usize::try_from(position).unwrap_or(usize::MAX)
}

fn attach(node: Node, stack: &mut [Node], root: &mut Option<Node>) {
    match stack.last_mut() {
        Some(parent) => parent.children.push(node),
        None => *root = Some(node),
    }
}

fn element(file: usize, outer: Range<usize>, tag: &BytesStart<'_>, report: &mut Report) -> Option<Node> {
    let name = tag.name().as_ref().to_owned();
    let content = outer.start + 1;
    let at = At::new(file, content, content + name.len());
    let whole: &str = tag;
    let place = |part: &str| {
        let from = content + (part.as_ptr() as usize).saturating_sub(whole.as_ptr() as usize);
        At::new(file, from, from + part.len())
    };
    let mut attrs: Vec<Attr> = Vec::new();
    // Duplicates are checked below: the reader's own check is quadratic.
    for attribute in tag.attributes().with_checks(false) {
        let attribute = match attribute {
            Ok(attribute) => attribute,
            Err(error) => {
                report.error(at, format!("attributes of <{name}>: {error}"), "write them as name=\"value\"");
                return None;
            }
        };
        let key: &str = attribute.key.as_ref();
        let (name_at, value_at) = (place(key), place(&attribute.value));
        if attrs.len() >= MAX_ATTRIBUTES {
            report.error(name_at, format!("more than {MAX_ATTRIBUTES} attributes"), "");
            return None;
        }
        if attribute.value.len() > MAX_VALUE {
            report.error(name_at, format!("a value over {MAX_VALUE} bytes"), "");
            return None;
        }
        if let Some(first) = attrs.iter().find(|attr| attr.name == key) {
            let first = report.named(first.name_at);
            report.error(name_at, format!("{key}= is given twice, first at {first}"), "keep one");
            continue;
        }
        let value = match attribute.normalized_value(XmlVersion::Explicit1_0) {
            Ok(value) => value.into_owned(),
            Err(_) => {
                report.error(value_at, "a character reference that is not known", "a plain & is written &amp;");
                continue;
            }
        };
        if attribute.value.contains('<') {
            report.error(value_at, format!("< inside of {key}="), "a quote is missing, or write &lt;");
        }
        if value.contains(is_hostile) {
            report.error(value_at, format!("a control character inside of {key}="), "remove it");
            continue;
        }
        attrs.push(Attr { name: key.to_owned(), value, name_at, value_at });
    }
    Some(Node { name, at, inner_end: outer.end, outer, attrs, children: Vec::new() })
}
