//! Hosts that are hostile before there is a session: a script over the bare line.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::behaviour::Behaviour;
use super::line::Line;

const VERSION: &[u8] = b"SSH-2.0-simulated\r\n";

/// What a host does that never comes as far as a session; `false` for those that do.
pub fn is_raw(behaviour: Behaviour) -> bool {
    use Behaviour::*;
    matches!(
        behaviour,
        Silent
            | DripsBanner
            | FloodsBanner
            | HangsAfterVersion
            | HangsInKeyExchange
            | DripsKeyExchange
            | FloodsKeyExchange
    )
}

/// Goes on until the other end has enough.
pub async fn act(mut line: Line, behaviour: Behaviour) -> io::Result<()> {
    match behaviour {
        Behaviour::DripsBanner => drip(&mut line, &b"x".repeat(3600)).await?,
        Behaviour::FloodsBanner => flood(&mut line, b"no ssh here\r\n").await?,
        Behaviour::HangsAfterVersion => line.write_all(VERSION).await?,
        Behaviour::HangsInKeyExchange => line.write_all(&[VERSION, &proposal()].concat()).await?,
        Behaviour::DripsKeyExchange => {
            line.write_all(VERSION).await?;
            drip(&mut line, &proposal()).await?;
        }
        Behaviour::FloodsKeyExchange => {
            line.write_all(&[VERSION, &proposal()].concat()).await?;
            flood(&mut line, &packet(&[&[2, 0, 0, 4, 0][..], &[b'x'; 1024]].concat())).await?;
        }
        _ => {}
    }
    // Silence, but what was said before is under way only while somebody waits.
    while line.read(&mut [0; 4096]).await? > 0 {}
    Ok(())
}

async fn flood(line: &mut Line, what: &[u8]) -> io::Result<()> {
    let much = what.repeat(32 * 1024 / what.len() + 1);
    loop {
        line.write_all(&much).await?;
    }
}

/// A byte a second; what comes meanwhile is read and forgotten.
async fn drip(line: &mut Line, bytes: &[u8]) -> io::Result<()> {
    for byte in bytes {
        line.write_all(&[*byte]).await?;
        let pause = tokio::time::sleep(Duration::from_secs(1));
        tokio::pin!(pause);
        let mut room = [0; 4096];
        loop {
            tokio::select! {
                () = &mut pause => break,
                came = line.read(&mut room) => if came? == 0 { return Ok(()) },
            }
        }
    }
    Ok(())
}

/// SSH_MSG_KEXINIT that a client of ours finds nothing wrong with. Without strict key exchange: only then may there be
/// other messages in between.
fn proposal() -> Vec<u8> {
    let mut payload = vec![20];
    payload.extend([7; 16]);
    let (cipher, mac) = ("aes256-gcm@openssh.com", "hmac-sha2-256");
    for list in ["curve25519-sha256", "ssh-ed25519", cipher, cipher, mac, mac, "none", "none", "", ""] {
        payload.extend(u32::try_from(list.len()).unwrap().to_be_bytes());
        payload.extend(list.as_bytes());
    }
    payload.extend([0; 5]);
    packet(&payload)
}

/// A packet as before any keys are in force.
fn packet(payload: &[u8]) -> Vec<u8> {
    // Whole blocks of eight, of which at least four bytes are padding.
    let padding = match 8 - (5 + payload.len()) % 8 {
        few @ 0..4 => few + 8,
        enough => enough,
    };
    let length = u32::try_from(1 + payload.len() + padding).unwrap();
    let mut packet = length.to_be_bytes().to_vec();
    packet.push(u8::try_from(padding).unwrap());
    packet.extend(payload);
    packet.resize(packet.len() + padding, 0);
    packet
}
