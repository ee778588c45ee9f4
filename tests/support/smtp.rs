//! A scripted SMTP server on loopback: answers as told, and keeps what it accepted.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A mail that was accepted.
#[derive(Clone, Debug)]
pub struct Got {
    pub to: String,
    pub data: String,
}

/// What the server does out of the usual.
#[derive(Clone, Debug, Default)]
pub struct Script {
    /// Answers by the beginning of a command (`RCPT TO:<bad@`, `MAIL`, `EHLO`), or `BANNER` and `DOT`.
    pub answers: BTreeMap<String, String>,
    /// Accept the mail, then close instead of answering the final dot.
    pub drop_after_dot: bool,
    /// Close after the final dot without accepting the mail.
    pub lose_after_dot: bool,
    /// A pause before each answer.
    pub delay: Duration,
    /// A pause before each byte of an answer.
    pub drip: Duration,
}

/// What a server did out of the usual, and how often.
pub type Did = Arc<Mutex<BTreeMap<&'static str, u32>>>;

pub struct Server {
    pub port: u16,
    pub script: Arc<Mutex<Script>>,
    pub mails: Arc<Mutex<Vec<Got>>>,
    pub did: Did,
}

impl Server {
    /// Starts; the thread ends with the test's process.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = Self { port, script: Arc::default(), mails: Arc::default(), did: Did::default() };
        let (script, mails, did) = (server.script.clone(), server.mails.clone(), server.did.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (script, mails, did) = (script.clone(), mails.clone(), did.clone());
                std::thread::spawn(move || {
                    let _ = serve(stream, &script, &mails, &did);
                });
            }
        });
        server
    }

    pub fn accepted(&self) -> Vec<Got> {
        self.mails.lock().unwrap().clone()
    }

    /// How often it did this out of the usual: `refused`, `delayed`, `dripped`, `dropped` (accepted, then hung up) or
    /// `lost` (hung up without accepting).
    pub fn times(&self, what: &str) -> u32 {
        self.did.lock().unwrap().get(what).copied().unwrap_or_default()
    }
}

fn serve(mut stream: TcpStream, script: &Mutex<Script>, mails: &Mutex<Vec<Got>>, did: &Did) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let does = |what: &'static str| *did.lock().unwrap().entry(what).or_default() += 1;
    let mut answer = |said: &str, usual: &str| -> std::io::Result<()> {
        let script = script.lock().unwrap().clone();
        let found = script.answers.iter().find(|(start, _)| said.starts_with(start.as_str()));
        let line = format!("{}\r\n", found.map_or(usual, |(_, answer)| answer));
        if found.is_some() {
            does("refused");
        }
        if !script.delay.is_zero() {
            does("delayed");
            std::thread::sleep(script.delay);
        }
        if script.drip.is_zero() {
            return stream.write_all(line.as_bytes());
        }
        does("dripped");
        for byte in line.as_bytes() {
            std::thread::sleep(script.drip);
            stream.write_all(&[*byte])?;
        }
        Ok(())
    };
    answer("BANNER", "220 scripted")?;
    let mut to = String::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let line = line.trim_end();
        match line.get(..4).unwrap_or_default().to_ascii_uppercase().as_str() {
            "EHLO" => answer(line, "250-scripted\r\n250 8BITMIME")?,
            "RCPT" => {
                to = line.trim_start_matches("RCPT TO:<").trim_end_matches('>').to_owned();
                answer(line, "250 ok")?;
            }
            "DATA" => {
                answer(line, "354 go on")?;
                let mut data = String::new();
                loop {
                    let mut row = String::new();
                    if reader.read_line(&mut row)? == 0 {
                        return Ok(());
                    }
                    if row == ".\r\n" {
                        break;
                    }
                    data.push_str(row.strip_prefix('.').unwrap_or(&row));
                }
                let script = script.lock().unwrap().clone();
                if script.lose_after_dot {
                    does("lost");
                    return Ok(());
                }
                if !script.answers.contains_key("DOT") {
                    mails.lock().unwrap().push(Got { to: to.clone(), data });
                }
                if script.drop_after_dot {
                    does("dropped");
                    return Ok(());
                }
                answer("DOT", "250 accepted")?;
            }
            "QUIT" => return answer(line, "221 bye"),
            _ => answer(line, "250 ok")?,
        }
    }
}
