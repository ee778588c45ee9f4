//! The first configuration, as text: commented, and with every value escaped.

use std::path::Path;

/// Where mail goes when nobody says otherwise.
pub const DEFAULT_SMTP: &str = "localhost:25";

/// The words of `tls=`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum TlsWord {
    /// TLS from the first byte
    Implicit,
    /// STARTTLS, required
    Starttls,
    /// Plain
    None,
}

/// The answers about mail, checked.
#[derive(Debug, PartialEq, Eq)]
pub struct Mail {
    to: String,
    host: String,
    port: u16,
    tls: &'static str,
    from: String,
    login: Option<(String, String)>,
}

impl Mail {
    /// Checks the answers; `None` where nobody gets mail.
    pub fn new(
        to: Option<&str>,
        smtp: Option<&str>,
        tls: Option<TlsWord>,
        login: Option<(&str, &Path)>,
        from: Option<&str>,
    ) -> Result<Option<Self>, String> {
        let Some(to) = to else {
            let given = smtp.is_some() || tls.is_some() || login.is_some() || from.is_some();
            return if given {
                Err("a mail server without anybody to tell; add --mail ADDRESS".to_owned())
            } else {
                Ok(None)
            };
        };
        let to: Vec<&str> = to.split([' ', ',']).filter(|part| !part.is_empty()).collect();
        let good = |a: &str| a.split_once('@').is_some_and(|(name, at)| !name.is_empty() && !at.is_empty());
        if let Some(wrong) = to.iter().find(|address| !good(address)) {
            return Err(format!("\"{wrong}\" is not a mail address; write it as name@example.net"));
        }
        if to.is_empty() {
            return Err("--mail is empty; write --mail name@example.net".to_owned());
        }
        let smtp = smtp.unwrap_or(DEFAULT_SMTP);
        let (host, port) = smtp.rsplit_once(':').unwrap_or((smtp, "25"));
        let wrong = || format!("\"{smtp}\" is not a mail server; write it as mail.example.net:465");
        let port: u16 = port.parse().ok().filter(|port| *port > 0).ok_or_else(wrong)?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() || host.contains(char::is_whitespace) {
            return Err(wrong());
        }
        let near = ["localhost", "127.0.0.1", "::1"].contains(&host);
        let tls = match (tls, port) {
            (Some(TlsWord::Implicit), _) | (None, 465) => "implicit",
            (Some(TlsWord::None), _) | (None, 25) => "none",
            (Some(TlsWord::Starttls), _) => "starttls",
            (None, _) if near => "none",
            (None, _) => "starttls",
        };
        if tls == "none" && login.is_some() {
            return Err("a password is not sent over a line without TLS; add --smtp-tls starttls".to_owned());
        }
        let login = login.map(|(user, file)| {
            let file = std::path::absolute(file).unwrap_or_else(|_| file.to_path_buf());
            (user.to_owned(), file.display().to_string())
        });
        let from = from.map_or_else(|| format!("fleet-health@{host}"), str::to_owned);
        Ok(Some(Self { to: to.join(" "), host: host.to_owned(), port, tls, from, login }))
    }
}

/// The file's text. `schema` is where editors find which words there are.
pub fn config(mail: Option<&Mail>, watch_self: bool, schema: Option<&Path>) -> Result<String, String> {
    let root = match schema {
        Some(file) => format!(
            "<fleet-health xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\"\n              \
             xsi:noNamespaceSchemaLocation=\"{}\" version=\"1\">",
            escape(&file.display().to_string())?
        ),
        None => "<fleet-health version=\"1\">".to_owned(),
    };
    let own = if watch_self { "\n  <host name=\"self\" transport=\"local\"/>\n" } else { "" };
    let alerts = match mail {
        Some(mail) => alerts(mail)?,
        None => "    <!-- Nobody gets mail yet: alerts become .eml files in this folder. -->\n    \
                 <to name=\"box\" directory=\"mail\"/>\n"
            .to_owned(),
    };
    Ok(format!(
        "{HEAD}{root}\n{BODY}{own}\n  <alerts repeat=\"4h\" cap=\"3\" recovered=\"true\">\n{alerts}  </alerts>\n</fleet-health>\n"
    ))
}

const HEAD: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<!-- Written by fleet init. After a change: fleet check-config. Relative paths start at this file's folder. -->
"#;

const BODY: &str = r#"  <!-- interval is what cron is set to; timeout is for one host, deadline for all. -->
  <collector jobs="64" timeout="20s" deadline="4m" interval="5m" state-dir="state"/>
  <!-- Stats are sealed to the public keys; only the private ones open them. Back them up. -->
  <keys recipient-file="keys/fleet.pub" identity-file="keys/fleet.key"/>
  <store url="sqlite:fleet.db" keep="14d" keep-hourly="400d"/>
  <ssh key-file="keys/id_ed25519" known-hosts="keys/known_hosts" unknown-hosts="refuse"/>

  <!-- Thresholds for every host; a group or host can change each, off="true" removes one. -->
  <defaults>
    <rule metric="cpu.used" warning="85%" critical="95%" for="10m" clear="75%"/>
    <rule metric="memory.used" warning="80%" critical="90%" for="5m"/>
    <rule metric="filesystem.used" warning="80%" critical="90%" not-item="/snap/* /run/*"/>
    <rule metric="filesystem.inodes.used" warning="80%" critical="90%"/>
    <rule metric="load.per-core" warning="2" critical="5" for="10m"/>
    <rule metric="host.silent" warning="10m" critical="20m"/>
  </defaults>

  <!-- Hosts stand alone or in groups:
  <group name="web">
    <host name="web[01-04]" address="web[01-04].example.net"/>
  </group> -->
"#;

fn alerts(mail: &Mail) -> Result<String, String> {
    let login = match &mail.login {
        Some((user, file)) => format!(" user=\"{}\" password-file=\"{}\"", escape(user)?, escape(file)?),
        None => String::new(),
    };
    Ok(format!(
        "    <smtp host=\"{}\" port=\"{}\" tls=\"{}\" from=\"{}\"{login}/>\n    <to name=\"ops\" mail=\"{}\"/>\n",
        escape(&mail.host)?,
        mail.port,
        mail.tls,
        escape(&mail.from)?,
        escape(&mail.to)?,
    ))
}

/// A text as the value of an attribute.
fn escape(text: &str) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            // XML 1.0 cannot hold most of these at all, and none belongs into a name or address.
            c if crate::model::clean::is_hostile(c) => {
                return Err(format!("{text:?} holds a control character; type it again without"));
            }
            c => out.push(c),
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_escaped_and_control_characters_refused() {
        let from = Some("\"Fleet & Co\" <f@x.net>");
        let mail = Mail::new(Some("a@x.net, b@x.net"), Some("mx:465"), None, None, from).unwrap().unwrap();
        let text = config(Some(&mail), true, None).unwrap();
        assert!(text.contains("from=\"&quot;Fleet &amp; Co&quot; &lt;f@x.net&gt;\""), "{text}");
        assert!(text.contains("tls=\"implicit\"") && text.contains("mail=\"a@x.net b@x.net\""));
        assert!(escape("a\nb").is_err());
    }

    #[test]
    fn what_is_written_is_a_configuration_and_says_what_was_answered() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("config.xml");
        let login = Some(("u<&>\"'", Path::new("/etc/smtp.pw")));
        let mail = Mail::new(Some("a&b@x.net"), Some("mx:465"), None, login, Some("F <f@x.net>")).unwrap();
        for (mail, watch_self) in [(mail.as_ref(), true), (None, false), (None, true)] {
            let schema = watch_self.then_some(Path::new("/opt/a & b/config.xsd"));
            std::fs::write(&file, config(mail, watch_self, schema).unwrap()).unwrap();
            let spec = crate::config::load(&file).map_err(|report| report.to_string()).unwrap();
            assert_eq!(spec.hosts.len(), usize::from(watch_self));
            let smtp = spec.alerts.smtp.as_ref().map(|smtp| (smtp.user.as_deref(), smtp.from.as_str()));
            assert_eq!(smtp, mail.map(|_| (Some("u<&>\"'"), "F <f@x.net>")));
        }
    }

    #[test]
    fn the_line_is_protected_unless_it_stays_on_this_machine_or_port_25() {
        let tls = |smtp, word| Mail::new(Some("a@b"), Some(smtp), word, None, None).unwrap().unwrap().tls;
        assert_eq!(
            (tls("mx:587", None), tls("mx:25", None), tls("127.0.0.1:2525", None)),
            ("starttls", "none", "none")
        );
        assert_eq!(tls("mx:25", Some(TlsWord::Starttls)), "starttls");
        let login = Some(("u", Path::new("/p")));
        assert!(Mail::new(Some("a@b"), Some("mx:25"), None, login, None).is_err());
        for wrong in ["mx:0", "mx:x", ":25", "a b:25", ""] {
            assert!(Mail::new(Some("a@b"), Some(wrong), None, None, None).is_err(), "{wrong}");
        }
        assert!(Mail::new(Some("nobody"), None, None, None, None).is_err());
        assert!(Mail::new(None, Some("mx:25"), None, None, None).is_err());
        assert_eq!(Mail::new(None, None, None, None, None), Ok(None));
    }
}
