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
    pub drip: Duration,
}

pub struct Server {
    pub port: u16,
    pub script: Arc<Mutex<Script>>,
    pub mails: Arc<Mutex<Vec<Got>>>,
}

impl Server {
    /// Starts; the thread ends with the test's process.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = Self { port, script: Arc::default(), mails: Arc::default() };
        let (script, mails) = (server.script.clone(), server.mails.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (script, mails) = (script.clone(), mails.clone());
                std::thread::spawn(move || {
                    let _ = serve(stream, &script, &mails);
                });
            }
        });
        server
    }

    pub fn accepted(&self) -> Vec<Got> {
        self.mails.lock().unwrap().clone()
    }
}

fn serve(mut stream: TcpStream, script: &Mutex<Script>, mails: &Mutex<Vec<Got>>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut answer = |said: &str, usual: &str| -> std::io::Result<()> {
        let script = script.lock().unwrap().clone();
        std::thread::sleep(script.drip);
        let found = script.answers.iter().find(|(start, _)| said.starts_with(start.as_str()));
        stream.write_all(format!("{}\r\n", found.map_or(usual, |(_, answer)| answer)).as_bytes())
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
                    return Ok(());
                }
                if !script.answers.contains_key("DOT") {
                    mails.lock().unwrap().push(Got { to: to.clone(), data });
                }
                if script.drop_after_dot {
                    return Ok(());
                }
                answer("DOT", "250 accepted")?;
            }
            "QUIT" => return answer(line, "221 bye"),
            _ => answer(line, "250 ok")?,
        }
    }
}
