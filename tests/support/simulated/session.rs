//! A session of a simulated host: real SSH, by russh, that goes wrong where its behaviour says so.

use std::borrow::Cow;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use russh::keys::{Algorithm, PrivateKey, PublicKey};
use russh::server::{Auth, Config, Handle, Handler, Msg, Session};
use russh::{Channel, ChannelId, MethodKind, MethodSet, Preferred, cipher, kex};

use super::Host;
use super::behaviour::Behaviour;
use super::probe::Conversation;

/// What floods send at once.
const FLOOD: usize = 32 * 1024;
/// How often: without end for whoever leaves in time, bounded for us.
const FLOODS: usize = 1024;

/// Cheap for the processors that it shares with whoever is measured.
pub fn config(key: PrivateKey, behaviour: Behaviour, post_quantum: bool) -> Config {
    let exchange = if post_quantum { kex::MLKEM768X25519_SHA256 } else { kex::CURVE25519 };
    let mut config = Config {
        methods: MethodSet::from(&[MethodKind::PublicKey][..]),
        auth_rejection_time: Duration::ZERO,
        keys: vec![key],
        preferred: Preferred {
            kex: Cow::Owned(vec![
                exchange,
                kex::EXTENSION_SUPPORT_AS_SERVER,
                kex::EXTENSION_OPENSSH_STRICT_KEX_AS_SERVER,
            ]),
            key: Cow::Owned(vec![Algorithm::Ed25519]),
            cipher: Cow::Owned(vec![cipher::AES_256_GCM]),
            ..Preferred::default()
        },
        inactivity_timeout: None,
        ..Config::default()
    };
    match behaviour {
        // A window of one byte is never opened again.
        Behaviour::IgnoresWindow => config.window_size = 1,
        Behaviour::FloodsRequests => {
            config.keepalive_interval = Some(Duration::from_millis(1));
            config.keepalive_max = 0;
        }
        _ => {}
    }
    config
}

pub struct Visitor {
    host: Arc<Host>,
    talk: Option<Conversation>,
}

impl Visitor {
    pub fn new(host: Arc<Host>) -> Self {
        Self { host, talk: None }
    }

    async fn hangs_at(&self, stage: Behaviour) {
        if self.host.behaviour == stage {
            pending().await
        }
    }
}

impl Handler for Visitor {
    type Error = russh::Error;

    async fn auth_publickey(&mut self, _user: &str, _key: &PublicKey) -> Result<Auth, Self::Error> {
        self.host.logins.fetch_add(1, Ordering::Relaxed);
        self.hangs_at(Behaviour::HangsAtLogin).await;
        Ok(if self.host.behaviour == Behaviour::RefusesLogin { Auth::reject() } else { Auth::Accept })
    }

    async fn channel_open_session(&mut self, _: Channel<Msg>, _: &mut Session) -> Result<bool, Self::Error> {
        self.hangs_at(Behaviour::HangsAtChannel).await;
        Ok(true)
    }

    async fn exec_request(&mut self, id: ChannelId, command: &[u8], session: &mut Session) -> Result<(), Self::Error> {
        self.hangs_at(Behaviour::HangsAtCommand).await;
        session.channel_success(id)?;
        match self.host.behaviour {
            Behaviour::HangsBeforeFrame | Behaviour::FloodsRequests => {}
            Behaviour::FloodsOutput => flood(session.handle(), id, None),
            Behaviour::FloodsErrors => flood(session.handle(), id, Some(1)),
            behaviour => {
                let command = String::from_utf8_lossy(command);
                let (talk, said) = Conversation::begin(&command, behaviour, &self.host.disk.lock().unwrap());
                self.talk = Some(talk);
                say(id, said, session)?;
            }
        }
        Ok(())
    }

    async fn data(&mut self, id: ChannelId, bytes: &[u8], session: &mut Session) -> Result<(), Self::Error> {
        let Some(talk) = &mut self.talk else { return Ok(()) };
        let mut said = talk.hear(bytes, &mut self.host.disk.lock().unwrap());
        if said.is_empty() {
            return Ok(());
        }
        // Where the probe is missing, it is asked for as others do.
        let behaviour = if talk.is_told() { self.host.behaviour } else { Behaviour::Good };
        match behaviour {
            Behaviour::HangsInFrame | Behaviour::Vanishes => said.truncate(said.len() / 2),
            Behaviour::DripsFrame => {
                drip(session.handle(), id, said);
                return Ok(());
            }
            _ => {}
        }
        say(id, said, session)?;
        match behaviour {
            Behaviour::HangsInFrame | Behaviour::HangsAfterFrame => self.talk = None,
            Behaviour::Vanishes => {
                let handle = session.handle();
                let reason = russh::Disconnect::ByApplication;
                tokio::spawn(async move { handle.disconnect(reason, String::new(), String::new()).await });
            }
            _ => {}
        }
        Ok(())
    }

    async fn channel_eof(&mut self, id: ChannelId, session: &mut Session) -> Result<(), Self::Error> {
        self.hangs_at(Behaviour::HangsAfterFrame).await;
        session.exit_status_request(id, 0)?;
        session.eof(id)?;
        session.close(id)
    }
}

fn say(id: ChannelId, said: Vec<u8>, session: &mut Session) -> Result<(), russh::Error> {
    if said.is_empty() { Ok(()) } else { session.data(id, said) }
}

fn flood(handle: Handle, id: ChannelId, stream: Option<u32>) {
    let much = vec![b'y'; FLOOD];
    tokio::spawn(async move {
        for _ in 0..FLOODS {
            let sent = match stream {
                Some(stream) => handle.extended_data(id, stream, much.clone()).await.is_ok(),
                None => handle.data(id, much.clone()).await.is_ok(),
            };
            if !sent {
                return;
            }
        }
    });
}

fn drip(handle: Handle, id: ChannelId, said: Vec<u8>) {
    tokio::spawn(async move {
        for byte in said {
            if handle.data(id, vec![byte]).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    });
}
