//! A simulated host's end of the conversation: the deployment script and the probe, with a sample that is replayed.

use std::collections::HashSet;

use chrono::Utc;
use fleet_health::model::catalogue;
use fleet_health::model::metric::Unit;
use fleet_health::model::sample::{Reading, Sample, SampleKey};
use fleet_health::wire::task::Task;
use fleet_health::wire::{frame, seal, v1};

use super::behaviour::Behaviour;

/// What lies on the host's disk: it outlives the connections.
pub struct Disk {
    boot: String,
    sequence: u64,
    /// What was measured and not acknowledged yet.
    spool: Vec<(String, Vec<u8>)>,
    /// Hashes of the probes that are in place; `None` for whichever is asked for.
    probes: Option<HashSet<String>>,
}

impl Disk {
    pub fn new(number: usize, deployed: bool) -> Self {
        let probes = (!deployed).then(HashSet::new);
        Self { boot: format!("{number:08}-simulated"), sequence: 0, spool: Vec::new(), probes }
    }

    fn has(&self, hash: &str) -> bool {
        self.probes.as_ref().is_none_or(|probes| probes.contains(hash))
    }

    /// Measures: each value that a host of the catalogue can have, as the sequence moves it.
    fn measure(&mut self, nonce: &str, recipients: &[String]) {
        self.sequence += 1;
        let wanted = catalogue::METRICS.iter().filter(|metric| !metric.is_of_service()).take(100);
        let readings = wanted.map(|metric| Reading {
            metric: metric.name.to_owned(),
            item: metric.item.to_owned(),
            value: if metric.unit == Unit::Ratio { 0.25 } else { self.sequence as f64 },
        });
        let sample = Sample {
            key: SampleKey { boot: self.boot.clone(), sequence: self.sequence },
            taken: Utc::now(),
            hostname: self.boot.clone(),
            probe: "simulated".into(),
            readings: readings.collect(),
            faults: Vec::new(),
            facts: Vec::new(),
            top: Vec::new(),
        };
        let sealed = seal::seal(recipients, &v1::encode(Some(nonce), &sample)).unwrap();
        self.spool.push((format!("{}-{:010}.age", &self.boot[..8], self.sequence), sealed));
    }
}

enum Stage {
    /// The task is read and, where the probe is missing, thrown away: it comes once more.
    Missing {
        hash: String,
        size: usize,
    },
    /// So many bytes of the probe are still to come.
    Upload {
        hash: String,
        left: usize,
    },
    Task,
    Answer,
}

/// One run of the command.
pub struct Conversation {
    nonce: String,
    behaviour: Behaviour,
    stage: Stage,
    heard: Vec<u8>,
}

impl Conversation {
    /// Begins as `deploy.sh` does on a machine of this architecture; what it says first.
    pub fn begin(command: &str, behaviour: Behaviour, disk: &Disk) -> (Self, Vec<u8>) {
        let words: Vec<&str> = command.rsplit_once("' fleet ").map_or("", |(_, rest)| rest).split(' ').collect();
        let nonce = words.first().copied().unwrap_or_default().to_owned();
        let own = format!("{}:", std::env::consts::ARCH);
        let offered = words.iter().find_map(|word| word.strip_prefix(&own)?.split_once(':'));
        let mut said = Vec::new();
        let stage = match offered {
            Some((hash, size)) if !disk.has(hash) => {
                said = format!("\nFLEET-NEED {nonce} {hash}\n").into_bytes();
                Stage::Missing { hash: hash.to_owned(), size: size.parse().unwrap() }
            }
            _ => Stage::Task,
        };
        (Self { nonce, behaviour, stage, heard: Vec::new() }, said)
    }

    /// Takes what came on standard input; what is said to it.
    pub fn hear(&mut self, bytes: &[u8], disk: &mut Disk) -> Vec<u8> {
        self.heard.extend_from_slice(bytes);
        let mut said = Vec::new();
        loop {
            match &mut self.stage {
                Stage::Missing { hash, size } => {
                    let (hash, left) = (std::mem::take(hash), *size);
                    if take_line(&mut self.heard).is_none() {
                        self.stage = Stage::Missing { hash, size: left };
                        return said;
                    }
                    self.stage = Stage::Upload { hash, left };
                }
                Stage::Upload { hash, left } => {
                    let count = self.heard.len().min(*left);
                    self.heard.drain(..count);
                    *left -= count;
                    if *left > 0 {
                        return said;
                    }
                    disk.probes.get_or_insert_default().insert(std::mem::take(hash));
                    said.extend(format!("FLEET-READY {}\n", self.nonce).bytes());
                    self.stage = Stage::Task;
                }
                Stage::Task => {
                    let Some(line) = take_line(&mut self.heard) else { return said };
                    self.stage = Stage::Answer;
                    said.extend(self.frame(&Task::decode(&line).unwrap(), disk));
                }
                Stage::Answer => {
                    while let Some(line) = take_line(&mut self.heard) {
                        if let Some(name) = line.strip_prefix("ack ") {
                            disk.spool.retain(|(its, _)| its != name);
                        }
                    }
                    return said;
                }
            }
        }
    }

    /// Whether the probe has handed over what it has.
    pub fn is_told(&self) -> bool {
        matches!(self.stage, Stage::Answer)
    }

    /// What the probe hands over, or what a hostile host makes of it.
    fn frame(&self, task: &Task, disk: &mut Disk) -> Vec<u8> {
        let mut out = Vec::new();
        frame::write_start(&mut out, &self.nonce).unwrap();
        match self.behaviour {
            Behaviour::LiesOfSize => {
                out.extend(format!("file 00000000-0000000001.age 99999999999 {}\n", "0".repeat(64)).bytes());
                out.extend([b'x'; 64 * 1024]);
            }
            Behaviour::Grows => {
                for number in 0..task.pull_files + 8 {
                    frame::write_file(&mut out, &format!("00000000-{number:010}.age"), &[b'x'; 16 * 1024]).unwrap();
                }
            }
            Behaviour::Replays => {
                disk.measure("00000000000000000000000000000000", &task.recipients);
                self.hand_over(&mut out, disk);
            }
            _ => {
                disk.measure(&task.nonce, &task.recipients);
                self.hand_over(&mut out, disk);
            }
        }
        out
    }

    fn hand_over(&self, out: &mut Vec<u8>, disk: &Disk) {
        for (name, sealed) in &disk.spool {
            frame::write_file(out, name, sealed).unwrap();
        }
        let files = u32::try_from(disk.spool.len()).unwrap();
        frame::write_end(out, &self.nonce, files, 0, 0).unwrap();
    }
}

/// The next line, without its break, once it is whole.
fn take_line(heard: &mut Vec<u8>) -> Option<String> {
    let end = heard.iter().position(|&byte| byte == b'\n')?;
    let line = heard.drain(..=end).take(end).collect();
    Some(String::from_utf8(line).unwrap())
}
