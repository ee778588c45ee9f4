//! What a simulated host does, and which of a fleet does what: that follows from the seed and the host's number alone.

/// One host's manners.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Behaviour {
    /// Answers as a host with the probe in place does.
    Good,
    /// Nothing listens.
    Refuses,
    /// What is sent to it vanishes.
    BlackHole,
    /// Takes the connection and says nothing.
    Silent,
    /// A byte a second, and never a version line.
    DripsBanner,
    /// Lines without end before the version line.
    FloodsBanner,
    /// Nothing after the version line.
    HangsAfterVersion,
    /// Nothing after its proposal of key exchanges.
    HangsInKeyExchange,
    /// Its proposal comes a byte a second.
    DripsKeyExchange,
    /// SSH_MSG_IGNORE without end after its proposal.
    FloodsKeyExchange,
    /// Shows another key than the one that is known.
    WrongKey,
    /// Turns the login away.
    RefusesLogin,
    /// Never answers the login.
    HangsAtLogin,
    /// Never opens the channel.
    HangsAtChannel,
    /// Never says that the command was started.
    HangsAtCommand,
    /// Starts the command, which says nothing.
    HangsBeforeFrame,
    /// Half a frame, and then nothing.
    HangsInFrame,
    /// The frame a byte a second.
    DripsFrame,
    /// Half a frame, and the connection is gone.
    Vanishes,
    /// Takes nothing of what the command is sent.
    IgnoresWindow,
    /// Standard output without end.
    FloodsOutput,
    /// Standard error without end.
    FloodsErrors,
    /// The command says nothing, but the server asks without end whether we are there, and each time wants an answer.
    FloodsRequests,
    /// Says that a file has 99,999,999,999 bytes.
    LiesOfSize,
    /// A file after the other, without end.
    Grows,
    /// Hands over what it measured for another run.
    Replays,
    /// The frame is whole; what comes after it is never answered.
    HangsAfterFrame,
}

/// How the hosts of a fleet behave: so many of each of these, at random places, and all others well.
pub fn spread(seed: u64, hosts: usize, odd: &[(Behaviour, usize)]) -> Vec<Behaviour> {
    let listed = odd.iter().flat_map(|&(behaviour, count)| std::iter::repeat_n(behaviour, count));
    let mut all: Vec<Behaviour> = listed.chain(std::iter::repeat(Behaviour::Good)).take(hosts).collect();
    let mut dice = Dice(seed);
    for at in (1..all.len()).rev() {
        all.swap(at, dice.below(at + 1));
    }
    all
}

/// Numbers that look random and can be had again: splitmix64.
pub struct Dice(pub u64);

impl Dice {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit as u64).unwrap()
    }

    pub fn bytes(&mut self) -> [u8; 32] {
        let mut all = [0; 32];
        for chunk in all.chunks_mut(8) {
            chunk.copy_from_slice(&self.next().to_le_bytes());
        }
        all
    }
}
