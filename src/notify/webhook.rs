//! Webhooks: JSON by HTTP POST, of our own kind or as Alertmanager writes it.

use std::path::PathBuf;
use std::time::Duration;

use super::http::{Answer, Lost, Request, ask, connect, origin};
use super::{Channel, Class, Parcel, Refusal, Say, Session, Setup};
use crate::model::clean::clean;
use crate::model::spec::ChannelSpec;

/// A server that asks for more patience is asked again after this.
const PATIENCE: Duration = Duration::from_secs(3600);

pub struct Webhook;

struct Hook {
    url: String,
    authorities: Option<PathBuf>,
    /// The line of the head that proves who we are.
    proof: Option<String>,
    timeout: Duration,
}

impl Channel for Webhook {
    fn name(&self) -> &'static str {
        "webhook"
    }

    fn recipients(&self, channel: &ChannelSpec) -> Option<Vec<String>> {
        match channel {
            // The path may be a secret; the store and every list see only where it goes.
            ChannelSpec::Webhook(hook) => Some(vec![origin(&hook.url)]),
            _ => None,
        }
    }

    fn open(&self, setup: &Setup<'_>, _say: Say<'_>) -> Result<Box<dyn Session>, Refusal> {
        let ChannelSpec::Webhook(hook) = setup.channel else {
            let text = "this destination is no webhook".to_owned();
            return Err(Refusal { class: Class::Configuration, stage: "connect", text });
        };
        Ok(Box::new(Hook {
            url: hook.url.clone(),
            authorities: hook.ca_file.clone(),
            proof: setup.password.map(|token| format!("Authorization: Bearer {}", token.expose())),
            timeout: setup.timeout,
        }))
    }

    fn reach(&self, setup: &Setup<'_>, say: Say<'_>) -> Result<(), Refusal> {
        let ChannelSpec::Webhook(hook) = setup.channel else { return self.open(setup, say).map(drop) };
        say(&format!("connect {}", origin(&hook.url)));
        connect(&hook.url, hook.ca_file.as_deref(), setup.timeout).map_err(|text| Refusal {
            class: Class::Transport,
            stage: "connect",
            text,
        })
    }
}

/// What an answer means for what was posted.
fn sort(answer: &Answer) -> Option<Class> {
    match answer.code {
        200..300 => None,
        // As with a wrong password: a person mends the token, and nothing is lost meanwhile.
        401 | 403 | 407 => Some(Class::Configuration),
        408 | 429 | 500.. => Some(match answer.retry_after {
            Some(after) => Class::Later(after.min(PATIENCE)),
            None => Class::RowTemporary,
        }),
        413 => Some(Class::Content),
        _ => Some(Class::RowDead),
    }
}

impl Session for Hook {
    fn send(&mut self, parcel: &Parcel<'_>, say: Say<'_>) -> Result<(), Refusal> {
        say(&format!("POST {} bytes to {}", parcel.bytes.len(), origin(&self.url)));
        // The same bytes again carry the same key, so that a receiver can know them.
        let key = format!("Idempotency-Key: \"{}\"", clean(parcel.message_id));
        let headers: Vec<String> = self.proof.iter().cloned().chain([key]).collect();
        let request = Request {
            url: &self.url,
            headers: &headers,
            body: Some(parcel.bytes),
            authorities: self.authorities.as_deref(),
            timeout: self.timeout,
        };
        let answer = ask(&request).map_err(|Lost { maybe, text }| Refusal {
            class: if maybe { Class::Ambiguous } else { Class::Transport },
            stage: if maybe { "answer" } else { "connect" },
            text,
        })?;
        say(&answer.line);
        let Some(class) = sort(&answer) else { return Ok(()) };
        let mend = match answer.code {
            300..=399 => "; redirects are not followed: write the address it leads to",
            401 | 403 | 407 => "; look at token-file= and what the receiver lets it do",
            404 | 405 | 410 => "; look at webhook=",
            _ => "",
        };
        Err(Refusal {
            class,
            stage: "answer",
            text: format!("{} answered \"{}\"{mend}", origin(&self.url), answer.line),
        })
    }

    fn close(&mut self, _say: Say<'_>) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_sorted() {
        let class = |code, retry_after: Option<u64>| {
            sort(&Answer { code, line: String::new(), retry_after: retry_after.map(Duration::from_secs) })
        };
        assert_eq!(class(200, None), None);
        assert_eq!(class(202, Some(5)), None);
        assert_eq!(class(301, None), Some(Class::RowDead));
        assert_eq!(class(400, Some(5)), Some(Class::RowDead));
        assert_eq!(class(401, None), Some(Class::Configuration));
        assert_eq!(class(408, None), Some(Class::RowTemporary));
        assert_eq!(class(413, None), Some(Class::Content));
        assert_eq!(class(429, Some(90)), Some(Class::Later(Duration::from_secs(90))));
        assert_eq!(class(503, Some(1_000_000)), Some(Class::Later(PATIENCE)));
        assert_eq!(class(500, None), Some(Class::RowTemporary));
    }
}
