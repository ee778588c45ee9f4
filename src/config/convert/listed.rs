//! What `ansible-inventory --list` prints: every form that Ansible reads, with all variables of each host.

use serde_json::{Map, Value};

use super::inventory::{Inventory, Variables};

/// Reads it.
///
/// # Errors
/// What is not as Ansible prints it.
pub fn read(text: &str) -> Result<Inventory, String> {
    let whole: Value = serde_json::from_str(text).map_err(|error| format!("it begins as JSON, but {error}"))?;
    let wrong = || "no inventory as ansible-inventory --list prints it".to_owned();
    let groups = whole.as_object().ok_or_else(wrong)?;
    let mut out = Inventory::default();
    let variables = groups.get("_meta").and_then(|meta| meta.get("hostvars")).and_then(Value::as_object);
    for (name, found) in variables.into_iter().flatten() {
        out.host(name).variables = found.as_object().map(flat).unwrap_or_default();
    }
    for (name, group) in groups.iter().filter(|(name, _)| *name != "_meta") {
        let texts = |key: &str| -> Vec<String> {
            let list = group.get(key).and_then(Value::as_array).into_iter().flatten();
            list.filter_map(Value::as_str).map(str::to_owned).collect()
        };
        let (hosts, children) = (texts("hosts"), texts("children"));
        for host in &hosts {
            out.host(host);
        }
        if !Inventory::is_everything(name) {
            let it = out.group(name);
            (it.hosts, it.children) = (hosts, children);
            it.variables = group.get("vars").and_then(Value::as_object).map(flat).unwrap_or_default();
        }
    }
    if out.hosts.is_empty() { Err(wrong()) } else { Ok(out) }
}

fn flat(map: &Map<String, Value>) -> Variables {
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    map.iter().filter_map(|(name, value)| Some((name.clone(), text(value)?))).collect()
}
