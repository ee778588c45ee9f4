//! An inventory of Ansible, whatever form it was read from.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::range::expand;

/// Variables by name.
pub type Variables = BTreeMap<String, String>;

/// Groups nest no deeper: one that is in itself would never end.
const DEEPEST: usize = 16;
/// Variables that are attributes here; the older names too.
const KNOWN: &[(&str, &[&str])] = &[
    ("address", &["ansible_host", "ansible_ssh_host"]),
    ("port", &["ansible_port", "ansible_ssh_port"]),
    ("user", &["ansible_user", "ansible_ssh_user"]),
    ("key-file", &["ansible_ssh_private_key_file", "ansible_private_key_file"]),
];

/// One machine, or a range of them.
#[derive(Clone, Debug, Default)]
pub struct Machine {
    /// As we write it: `web[01-50]`.
    pub name: String,
    /// Its own variables.
    pub variables: Variables,
}

/// A group.
#[derive(Clone, Debug, Default)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// Names of machines, as in [`Machine::name`].
    pub hosts: Vec<String>,
    /// Names of groups inside.
    pub children: Vec<String>,
    /// For all its machines.
    pub variables: Variables,
}

/// All of it.
#[derive(Clone, Debug, Default)]
pub struct Inventory {
    /// In the order of the file.
    pub hosts: Vec<Machine>,
    /// In the order of the file, without those that hold everything.
    pub groups: Vec<Group>,
    /// Variables of every machine.
    pub all: Variables,
    /// What could not be taken over.
    pub notes: Vec<String>,
}

impl Inventory {
    /// The machine of a name, made where there is none yet.
    pub fn host(&mut self, name: &str) -> &mut Machine {
        let at = self.hosts.iter().position(|host| host.name == name).unwrap_or_else(|| {
            self.hosts.push(Machine { name: name.to_owned(), ..Machine::default() });
            self.hosts.len() - 1
        });
        &mut self.hosts[at]
    }

    /// The group of a name, made where there is none yet.
    pub fn group(&mut self, name: &str) -> &mut Group {
        let at = self.groups.iter().position(|group| group.name == name).unwrap_or_else(|| {
            self.groups.push(Group { name: name.to_owned(), ..Group::default() });
            self.groups.len() - 1
        });
        &mut self.groups[at]
    }

    /// The first group that a group is in, unless that one is in it in turn.
    pub fn parent(&self, group: usize) -> Option<usize> {
        let name = &self.groups.get(group)?.name;
        let parent = self.groups.iter().position(|other| other.children.contains(name))?;
        (!self.inside(parent, group, DEEPEST)).then_some(parent)
    }

    fn inside(&self, group: usize, other: usize, deep: usize) -> bool {
        let names = |n: usize| self.groups.get(n).map_or(&[][..], |group| &group.children);
        let child = |name: &String| self.groups.iter().position(|group| group.name == *name);
        group == other
            || deep == 0
            || names(other).iter().filter_map(child).any(|child| self.inside(group, child, deep - 1))
    }

    /// The groups around a group, itself first.
    fn around(&self, group: usize) -> Vec<usize> {
        let up = |n: &usize| self.parent(*n);
        std::iter::successors(Some(group), up).take(DEEPEST).collect()
    }

    /// The group in which a machine is written: the innermost of those that name it, of equals the first.
    pub fn home(&self, host: usize) -> Option<usize> {
        let name = &self.hosts.get(host)?.name;
        let own = (0..self.groups.len()).filter(|n| self.groups.get(*n).is_some_and(|it| it.hosts.contains(name)));
        own.min_by_key(|n| std::cmp::Reverse(self.around(*n).len()))
    }

    /// A machine's attributes: its own variables, then those of its groups from inside out, then everybody's.
    pub fn attributes(&self, host: usize) -> Vec<(&'static str, String)> {
        let Some(machine) = self.hosts.get(host) else { return Vec::new() };
        let home: Vec<usize> = self.home(host).map(|home| self.around(home)).unwrap_or_default();
        let others = (0..self.groups.len()).filter(|n| !home.contains(n));
        let others: Vec<usize> =
            others.filter(|n| self.groups.get(*n).is_some_and(|it| it.hosts.contains(&machine.name))).collect();
        let groups = home.iter().chain(&others).filter_map(|n| self.groups.get(*n)).map(|group| &group.variables);
        let layers: Vec<&Variables> = std::iter::once(&machine.variables).chain(groups).chain([&self.all]).collect();
        // What is reckoned by Ansible has no value here.
        let value = |names: &[&str]| {
            let found = layers.iter().find_map(|layer| names.iter().find_map(|name| layer.get(*name)))?;
            Some(found.clone()).filter(|value| !value.is_empty() && !value.contains("{{"))
        };
        let mut out = Vec::new();
        if value(&["ansible_connection"]).is_some_and(|how| how == "local") {
            out.push(("transport", "local".to_owned()));
        } else {
            out.extend(KNOWN.iter().filter_map(|(name, from)| Some((*name, value(from)?))));
        }
        let labels: Vec<String> =
            others.iter().filter_map(|n| Some(format!("{}=yes", named(&self.groups.get(*n)?.name)))).collect();
        if !labels.is_empty() {
            out.push(("labels", labels.join(" ")));
        }
        out
    }

    /// Where a machine is named by a range and beside it too, each of the range gets a line of its own.
    pub fn spread(&mut self) {
        let names = |name: &str| expand(name).unwrap_or_else(|_| vec![name.to_owned()]);
        let all: Vec<String> = self.hosts.iter().flat_map(|host| names(&host.name)).collect();
        if all.iter().collect::<BTreeSet<_>>().len() == all.len() {
            return;
        }
        for host in std::mem::take(&mut self.hosts) {
            for name in names(&host.name) {
                let it = self.host(&name);
                // What is said of it alone is nearer than what is said of the range.
                let far = host.name != name;
                for (key, value) in &host.variables {
                    if far {
                        it.variables.entry(key.clone()).or_insert_with(|| value.clone());
                    } else {
                        it.variables.insert(key.clone(), value.clone());
                    }
                }
            }
        }
        for group in &mut self.groups {
            let spread: Vec<String> = group.hosts.iter().flat_map(|name| names(name)).collect();
            group.hosts = spread;
        }
    }

    /// Whether a group is one that Ansible makes of everything.
    pub fn is_everything(name: &str) -> bool {
        matches!(name, "all" | "ungrouped")
    }
}

/// The name of a group as it may be written here.
pub fn named(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' }).collect()
}
