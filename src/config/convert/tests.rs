//! Lists as people have them; what they become is a configuration.

use super::*;

/// The hosts that the lines mean, as `name address:port user key groups labels`.
fn meant(converted: &Converted) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("config.xml");
    let text = format!(
        "<fleet-health version=\"1\">\n<ssh user=\"root\" key-file=\"k\"/>\n{}</fleet-health>\n",
        converted.text
    );
    std::fs::write(&file, text).unwrap();
    let spec = crate::config::load(&file).map_err(|report| report.to_string()).unwrap();
    let one = |host: &crate::model::spec::HostSpec| {
        let reached = match &host.transport {
            crate::model::spec::Transport::Local => "local".to_owned(),
            crate::model::spec::Transport::Ssh(ssh) => {
                let key = ssh.key_files.first().and_then(|key| key.file_name()).unwrap_or_default().to_string_lossy();
                format!("{}:{} {} {key}", ssh.address, ssh.port, ssh.user)
            }
        };
        let labels: Vec<&str> = host.labels.keys().map(String::as_str).collect();
        format!("{} {reached} {} {}", host.name, host.groups.join("/"), labels.join(",")).trim_end().to_owned()
    };
    spec.hosts.iter().map(one).collect()
}

const INI: &str = r#"
# People write comments; like this one.
mail.example.net:2222
here ansible_connection=local ansible_host=127.0.0.1

[web]
web[01:03].example.net ansible_user="deploy"   # the shop
odd ansible_host=10.0.0.9 ansible_ssh_private_key_file='/keys/my "own" & key'
[web:vars]
ansible_user=www

[db]
db1 ansible_host=10.0.0.1 ansible_port=2200
db1 ansible_user={{ secret }}
[europe:children]
web
db
[fast]
db1
[empty]
[all:vars]
ansible_user = everybody
"#;

#[test]
fn an_inventory_of_ansible_becomes_groups_and_hosts() {
    let made = convert(INI).unwrap();
    assert_eq!(
        meant(&made),
        [
            "web01.example.net web01.example.net:22 deploy k europe/web",
            "web02.example.net web02.example.net:22 deploy k europe/web",
            "web03.example.net web03.example.net:22 deploy k europe/web",
            "odd 10.0.0.9:22 www my \"own\" & key europe/web",
            "db1 10.0.0.1:2200 root k europe/db fast",
            "mail.example.net mail.example.net:2222 everybody k",
            "here local",
        ],
        "{}",
        made.text
    );
    assert_eq!((made.hosts, made.left_out.len(), made.text.contains("empty")), (5, 0, false));
    let made =
        convert("[a]\nweb[1:9:2]\nx[a:c]\n\u{1b}[2J ansible_user=x\nfine ansible_ssh_common_args='-o ProxyJump=b'\n")
            .unwrap();
    assert_eq!((meant(&made).len(), made.left_out.len(), made.notes.len()), (1, 3, 1), "{made:?}");
    // A range, and one of it beside it: no host is written twice.
    let made = convert("[web]\nweb[1:3] ansible_user=a ansible_port=7\n[blue]\nweb2 ansible_user=b\n").unwrap();
    assert_eq!(
        meant(&made),
        ["web1 web1:7 a k web", "web2 web2:7 b k web blue", "web3 web3:7 a k web"],
        "{}",
        made.text
    );
    // Groups that are in each other, and what is no inventory.
    let made = convert("[a:children]\nb\n[b:children]\na\n[a]\nh\n").unwrap();
    assert_eq!(made.hosts, 1, "{}", made.text);
    assert!(convert("[a\n").unwrap_err().contains("line 1") && convert("[a:x]\ny\n").unwrap_err().contains(":x"));
    assert!(convert("all:\n  hosts:\n").unwrap_err().contains("ansible-inventory"));
    assert!(convert("\n# nothing\n").is_err());
}

#[test]
fn what_ansible_lists_is_read_too() {
    let text = r#"{"_meta": {"hostvars": {"a1": {"ansible_host": "10.1.1.1", "ansible_port": 2201, "deep": {}}}},
        "all": {"children": ["ungrouped", "app"]}, "app": {"hosts": ["a1", "a2"], "vars": {"ansible_user": "app"}}}"#;
    let made = convert(text).unwrap();
    assert_eq!(meant(&made), ["a1 10.1.1.1:2201 app k app", "a2 a2:22 app k app"], "{}", made.text);
    for wrong in ["{", "{}", "{\"a\": 1}", "{\"a\": {\"hosts\": 5}}"] {
        assert!(convert(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn aliases_of_ssh_become_hosts_that_ssh_is_asked_about() {
    let text = "Include more\nHost web1 web2 *.inside !web3\n  HostName 10.0.0.1\nhost=\"db\"\nHost *\n User x\nHost web1 a/b\nMatch all\n";
    let made = convert(text).unwrap();
    assert_eq!(
        made.text,
        "<ssh use-ssh-config=\"true\"/>\n<host name=\"web1\"/>\n<host name=\"web2\"/>\n<host name=\"db\"/>\n"
    );
    assert_eq!((made.hosts, made.left_out.len(), made.notes.len()), (3, 1, 2));
}

proptest::proptest! {
    #[test]
    fn whatever_is_converted_is_one_line_a_host(text in "(\\[[a-c]{1,2}(:children|:vars)?\\]\n|[a-c]{1,3}(\\[1:[2-4]\\])?( ansible_host=[a-z0-9\"<&]{0,5})?\n|[ -~]{0,20}\n){0,12}") {
        if let Ok(made) = convert(&text) {
            let hosts = made.text.lines().filter(|line| line.trim_start().starts_with("<host ")).count();
            proptest::prop_assert_eq!(hosts, made.hosts);
            proptest::prop_assert_eq!(made.text.matches("<group").count(), made.text.matches("</group").count());
        }
    }
}
