//! Changes to the text of a configuration that leave every other byte as it is: comments, order, spaces.

use super::range;
use super::report::{Report, Source};
use super::tree::{self, Node};
use crate::model::suggest::did_you_mean;

fn parse(text: &str) -> Result<Node, String> {
    let mut report = Report::default();
    let file = report.add_source(Source::new("config.xml".into(), "/".into(), true, text.into()));
    match tree::parse(file, text, &mut report) {
        Some(root) if report.errors() == 0 => Ok(root),
        _ => Err(report.to_string()),
    }
}

/// Every `<host>`, in the order of the text.
fn hosts(node: &Node) -> Vec<&Node> {
    let mut all = Vec::new();
    for child in &node.children {
        if child.name == "host" {
            all.push(child);
        } else if child.name == "group" {
            all.extend(hosts(child));
        }
    }
    all
}

fn name(node: &Node) -> &str {
    node.attr("name").map_or("", |attr| attr.value.as_str())
}

/// Whether the name of a `<host>`, which may be a range, stands for that host.
fn stands_for(node: &Node, wanted: &str) -> bool {
    name(node) == wanted || range::expand(name(node)).is_ok_and(|names| names.iter().any(|name| name == wanted))
}

/// The text with a host more: `line` is one `<host .../>` element. It comes after the last host of the group, without
/// one after the last host outside of groups; where there is none yet, before the end of that element.
///
/// # Errors
/// A text for people: the configuration or the line is no well-formed XML, the host is there already, or the group is
/// not in this text.
pub fn add_host(text: &str, line: &str, group: Option<&str>) -> Result<String, String> {
    let line = line.trim();
    let host = parse(line)?;
    if host.name != "host" || name(&host).is_empty() {
        return Err(format!("a <host> with a name is wanted, not <{}>", host.name));
    }
    let root = parse(text)?;
    let names = range::expand(name(&host)).map_err(|wrong| wrong.text)?;
    for other in hosts(&root) {
        if let Some(twice) = names.iter().find(|name| stands_for(other, name)) {
            return Err(format!("host {twice} is in the configuration already; see: fleet config show {twice}"));
        }
    }
    let home = match group {
        None => &root,
        Some(wanted) => find_group(&root, wanted).ok_or_else(|| no_group(&root, wanted))?,
    };
    let last = home.children.iter().rfind(|child| child.name == "host");
    let outer = indent(text, home.outer.start);
    let deeper = format!("{outer}  ");
    let (at, indent) = match last {
        Some(last) => (line_end(text, last.outer.end), indent(text, last.outer.start).to_owned()),
        None if home.inner_end == home.outer.end => return Ok(opened(text, home, line, outer)),
        None => (line_start(text, home.inner_end), deeper),
    };
    let (before, after) = (text.get(..at).unwrap_or_default(), text.get(at..).unwrap_or_default());
    let mut out = String::with_capacity(text.len() + line.len() + 8);
    out.push_str(before);
    if !out.ends_with('\n') {
        out.push('\n');
    }
    out.push_str(&indent);
    out.push_str(line);
    out.push('\n');
    // What stood behind on the same line, an end tag for example, keeps the depth of its element.
    if !before.ends_with('\n') {
        out.push_str(outer);
    }
    out.push_str(after);
    Ok(out)
}

/// `<group .../>` with the line in it.
fn opened(text: &str, home: &Node, line: &str, outer: &str) -> String {
    let head = text.get(..home.outer.end).unwrap_or_default();
    let head = head.strip_suffix("/>").unwrap_or(head).trim_end();
    let rest = text.get(home.outer.end..).unwrap_or_default();
    format!("{head}>\n{outer}  {line}\n{outer}</{}>{rest}", home.name)
}

fn find_group<'a>(node: &'a Node, wanted: &str) -> Option<&'a Node> {
    node.children
        .iter()
        .filter(|child| child.name == "group")
        .find_map(|child| if name(child) == wanted { Some(child) } else { find_group(child, wanted) })
}

fn no_group(root: &Node, wanted: &str) -> String {
    fn all<'a>(node: &'a Node, found: &mut Vec<&'a str>) {
        for child in node.children.iter().filter(|child| child.name == "group") {
            found.push(name(child));
            all(child, found);
        }
    }
    let mut known = Vec::new();
    all(root, &mut known);
    let mend = did_you_mean(wanted, known.iter().copied(), &format!("it has: {}", known.join(", ")));
    let mend = if known.is_empty() { "it has none; write one with <group name=\"...\">" } else { &mend };
    format!("there is no group {wanted} in this file; {mend}")
}

/// The text without a host, its whole line where nothing else stands on it.
///
/// # Errors
/// A text for people: no well-formed XML, no such host here, or it is one of a range.
pub fn remove_host(text: &str, wanted: &str) -> Result<String, String> {
    let root = parse(text)?;
    let all = hosts(&root);
    let Some(host) = all.iter().find(|host| name(host) == wanted) else {
        if let Some(range) = all.iter().find(|host| stands_for(host, wanted)) {
            return Err(format!("{wanted} is one of the range {}; change that line by hand", name(range)));
        }
        return Err(format!("there is no host {wanted} in this file; it may be in an included one"));
    };
    let (mut start, mut end) = (host.outer.start, host.outer.end);
    let before = line_start(text, start);
    let after = line_end(text, end);
    if before < start || start == 0 || text[..start].ends_with('\n') {
        let blank = |part: Option<&str>| part.is_some_and(|part| part.trim().is_empty());
        if blank(text.get(before..start)) && blank(text.get(end..after)) {
            (start, end) = (before, after);
        }
    }
    let mut out = text.get(..start).unwrap_or_default().to_owned();
    out.push_str(text.get(end..).unwrap_or_default());
    Ok(out)
}

/// Where the line of a place starts, if only blanks are between; else the place itself.
fn line_start(text: &str, at: usize) -> usize {
    let before = text.get(..at).unwrap_or_default();
    let start = before.rfind('\n').map_or(0, |found| found + 1);
    if before.get(start..).is_some_and(|blank| blank.trim().is_empty()) { start } else { at }
}

/// After the line break of the line of a place, if only blanks and a comment are between; else the place itself.
fn line_end(text: &str, at: usize) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    let end = rest.find('\n').map_or(rest.len(), |found| found + 1);
    let line = rest.get(..end).unwrap_or_default().trim();
    let comment = line.strip_prefix("<!--").and_then(|line| line.strip_suffix("-->"));
    if line.is_empty() || comment.is_some_and(|comment| !comment.contains("-->")) { at + end } else { at }
}

fn indent(text: &str, at: usize) -> &str {
    text.get(line_start(text, at)..at).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "<fleet-health version=\"1\">\n  <!-- ours </fleet-health> -->\n  <group name=\"g\">\n    \
        <host name=\"a\"/>\n  </group>\n  <host name=\"web[1-3]\" address=\"x[1-3]\"/> <!-- shop -->\n\n  \
        <consent require=\"false\"/>\n</fleet-health>\n";

    #[test]
    fn a_host_is_added_and_removed_without_a_trace() {
        let more = add_host(TEXT, "<host name=\"new\" address=\"n.example\"/>", None).unwrap();
        assert!(more.contains("<!-- shop -->\n  <host name=\"new\" address=\"n.example\"/>\n\n  <consent"), "{more}");
        assert_eq!(remove_host(&more, "new").unwrap(), TEXT);
        let less = remove_host(TEXT, "a").unwrap();
        assert_eq!(less, TEXT.replace("    <host name=\"a\"/>\n", ""));
        let first = add_host("<fleet-health version=\"1\"></fleet-health>", "<host name=\"x\"/>", None).unwrap();
        assert_eq!(first, "<fleet-health version=\"1\">\n  <host name=\"x\"/>\n</fleet-health>");
    }

    #[test]
    fn a_host_goes_into_its_group_and_nothing_else_moves() {
        let text = "<fleet-health version=\"1\">\n\t<group name=\"web\"   description='x'>\n\t\t<!-- <group name=\"no\"> -->\n\t\t\
            <host name=\"w1\"/>   <!-- old -->\n\t\t<rule metric=\"cpu.used\" off=\"true\"/>\n\t\t<group name=\"inner\"/>\n\t</group>\n  \
            <group name=\"flat\"><rule metric=\"cpu.used\" off=\"true\"/></group>\n</fleet-health>\n";
        let line = "<host name=\"x\"/>";
        for (group, before, after) in
            [("web", "<!-- old -->\n", "\t\t<rule"), ("flat", "off=\"true\"/>\n", "  </group>\n</fleet")]
        {
            let more = add_host(text, line, Some(group)).unwrap();
            let at = more.find(line).unwrap();
            assert!(more[..at].trim_end_matches([' ', '\t']).ends_with(before), "{more}");
            assert!(more[at + line.len()..].strip_prefix('\n').unwrap().starts_with(after), "{more}");
            assert_eq!(
                more.replace(char::is_whitespace, "").replace("<hostname=\"x\"/>", ""),
                text.replace(char::is_whitespace, "")
            );
            let root = parse(&more).unwrap();
            assert!(find_group(&root, group).unwrap().children.iter().any(|child| name(child) == "x"));
        }
        assert_eq!(remove_host(&add_host(text, line, Some("web")).unwrap(), "x").unwrap(), text);
        let inner = add_host(text, line, Some("inner")).unwrap();
        assert!(
            inner.contains("\t\t<group name=\"inner\">\n\t\t  <host name=\"x\"/>\n\t\t</group>\n\t</group>"),
            "{inner}"
        );
        assert!(add_host(text, line, Some("wep")).unwrap_err().contains("web"));
        assert!(add_host(TEXT, line, Some("no")).unwrap_err().contains("no group no"));
    }

    #[test]
    fn what_cannot_be_done_is_said() {
        assert!(add_host(TEXT, "<host name=\"web2\"/>", None).unwrap_err().contains("already"));
        assert!(add_host(TEXT, "<host name=\"x\"", None).is_err());
        assert!(add_host(TEXT, "<host/>", None).is_err());
        assert!(add_host("<fleet-health>", "<host name=\"x\"/>", None).is_err());
        assert!(remove_host(TEXT, "web2").unwrap_err().contains("range web[1-3]"));
        assert!(remove_host(TEXT, "nobody").is_err());
    }

    proptest::proptest! {
        #[test]
        fn nothing_panics(text in r#"[<>/a-z "=\n!-]{0,60}"#) {
            let _ = add_host(&text, "<host name=\"x\"/>", None);
            let _ = add_host(&text, "<host name=\"x\"/>", Some("a"));
            let _ = remove_host(&text, "x");
        }
    }
}
