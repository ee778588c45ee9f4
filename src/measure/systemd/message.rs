//! Messages of D-Bus: calls are made, replies are taken apart. Only the types that are asked for.

/// What a call gives.
#[derive(Clone, Copy, Debug)]
pub(super) enum Given<'a> {
    Nothing,
    /// Texts, one after the other.
    Texts(&'a [&'a str]),
    /// One list of texts.
    List(&'a [&'a str]),
}

/// What is called, and where.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call<'a> {
    pub(super) destination: &'a str,
    pub(super) path: &'a str,
    pub(super) interface: &'a str,
    pub(super) member: &'a str,
    pub(super) given: Given<'a>,
}

/// Everything before the fields of a header: order of bytes, kind, flags, version, length of the body, number, length of
/// the fields.
const FIXED: usize = 16;
const CALL: u8 = 1;
const REPLY: u8 = 2;
const ERROR: u8 = 3;
/// Nothing is started in order to answer.
const NO_START: u8 = 2;

impl Call<'_> {
    /// Appends the message.
    pub(super) fn put(&self, number: u32, out: &mut Vec<u8>) {
        let mut body = Writer::default();
        let signature = match self.given {
            Given::Nothing => String::new(),
            Given::Texts(texts) => {
                texts.iter().for_each(|text| body.text(text));
                "s".repeat(texts.len())
            }
            Given::List(texts) => {
                body.list(texts);
                "as".to_owned()
            }
        };
        let mut head = Writer(vec![b'l', CALL, NO_START, 1]);
        head.length(body.0.len());
        head.number(number);
        let place = head.0.len();
        head.number(0);
        for (code, kind, text) in [
            (1, "o", self.path),
            (2, "s", self.interface),
            (3, "s", self.member),
            (6, "s", self.destination),
            (8, "g", signature.as_str()),
        ] {
            if text.is_empty() {
                continue;
            }
            head.align(8);
            head.0.push(code);
            head.signature(kind);
            if kind == "g" { head.signature(text) } else { head.text(text) }
        }
        head.patch(place, head.0.len() - FIXED);
        head.align(8);
        out.extend(head.0);
        out.extend(body.0);
    }
}

/// Writes values, the low byte first; each at a multiple of its size from the start.
#[derive(Debug, Default)]
struct Writer(Vec<u8>);

impl Writer {
    fn align(&mut self, to: usize) {
        self.0.resize(self.0.len().next_multiple_of(to), 0);
    }

    fn number(&mut self, value: u32) {
        self.align(4);
        self.0.extend(value.to_le_bytes());
    }

    fn length(&mut self, value: usize) {
        self.number(u32::try_from(value).unwrap_or(u32::MAX));
    }

    fn text(&mut self, text: &str) {
        self.length(text.len());
        self.0.extend(text.as_bytes());
        self.0.push(0);
    }

    fn signature(&mut self, text: &str) {
        self.0.push(u8::try_from(text.len()).unwrap_or(u8::MAX));
        self.0.extend(text.as_bytes());
        self.0.push(0);
    }

    fn list(&mut self, texts: &[&str]) {
        let place = self.0.len();
        self.number(0);
        texts.iter().for_each(|text| self.text(text));
        self.patch(place, self.0.len() - place - 4);
    }

    /// Sets a length that was not known yet.
    fn patch(&mut self, place: usize, value: usize) {
        let bytes = u32::try_from(value).unwrap_or(u32::MAX).to_le_bytes();
        self.0.iter_mut().skip(place).zip(bytes).for_each(|(old, new)| *old = new);
    }
}

/// An answer to a call.
#[derive(Debug, PartialEq)]
pub(super) struct Reply {
    /// The number of the call; 0 for what answers none.
    pub(super) to: u32,
    /// The name of an error.
    pub(super) error: Option<String>,
    body: Vec<u8>,
    big: bool,
}

/// How long a message is, by its first 16 bytes; `None` where it is none.
pub(super) fn length(head: &[u8; FIXED]) -> Option<usize> {
    let mut reader = Reader { bytes: head, at: 4, big: is_big(head)? };
    let body = reader.number()?;
    reader.number()?;
    let fields = usize::try_from(reader.number()?).ok()?;
    FIXED.checked_add(fields.checked_next_multiple_of(8)?)?.checked_add(usize::try_from(body).ok()?)
}

fn is_big(head: &[u8]) -> Option<bool> {
    match (head.first()?, head.get(3)?) {
        (b'l', 1) => Some(false),
        (b'B', 1) => Some(true),
        _ => None,
    }
}

impl Reply {
    /// From a whole message; `None` where it is none.
    pub(super) fn parse(message: &[u8]) -> Option<Self> {
        let big = is_big(message)?;
        let kind = *message.get(1)?;
        let mut reader = Reader { bytes: message, at: 12, big };
        let end = FIXED.checked_add(usize::try_from(reader.number()?).ok()?)?;
        let (mut to, mut error) = (0, None);
        while reader.at < end {
            reader.align(8)?;
            let code = reader.byte()?;
            // The types that fields have.
            match reader.signature()?.as_str() {
                "s" | "o" => {
                    let text = reader.text()?;
                    error = if code == 4 && kind == ERROR { Some(text) } else { error };
                }
                "g" => drop(reader.signature()?),
                "u" => {
                    let value = reader.number()?;
                    to = if code == 5 && matches!(kind, REPLY | ERROR) { value } else { to };
                }
                _ => return None,
            }
        }
        Some(Self { to, error, body: message.get(end.checked_next_multiple_of(8)?..)?.to_vec(), big })
    }

    /// The values of the answer.
    pub(super) fn values(&self) -> Reader<'_> {
        Reader { bytes: &self.body, at: 0, big: self.big }
    }
}

/// Reads values one after the other.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    big: bool,
}

impl Reader<'_> {
    /// Skips to a multiple of a size.
    pub(super) fn align(&mut self, to: usize) -> Option<()> {
        self.at = self.at.checked_next_multiple_of(to)?;
        Some(())
    }

    fn some<const N: usize>(&mut self) -> Option<[u8; N]> {
        let bytes = self.bytes.get(self.at..)?.first_chunk::<N>()?;
        self.at += N;
        Some(*bytes)
    }

    fn byte(&mut self) -> Option<u8> {
        self.some::<1>().map(|[byte]| byte)
    }

    /// Four bytes.
    pub(super) fn number(&mut self) -> Option<u32> {
        self.align(4)?;
        let bytes = self.some()?;
        Some(if self.big { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) })
    }

    /// Eight bytes.
    pub(super) fn long(&mut self) -> Option<u64> {
        self.align(8)?;
        let bytes = self.some()?;
        Some(if self.big { u64::from_be_bytes(bytes) } else { u64::from_le_bytes(bytes) })
    }

    /// A text, or the path of an object.
    pub(super) fn text(&mut self) -> Option<String> {
        let length = usize::try_from(self.number()?).ok()?;
        self.characters(length)
    }

    fn signature(&mut self) -> Option<String> {
        let length = usize::from(self.byte()?);
        self.characters(length)
    }

    /// With the zero behind them.
    fn characters(&mut self, length: usize) -> Option<String> {
        let end = self.at.checked_add(length)?;
        let text = String::from_utf8_lossy(self.bytes.get(self.at..end)?).into_owned();
        self.at = end.checked_add(1)?;
        Some(text)
    }

    /// True while there is more of a list that ends there.
    pub(super) fn before(&self, end: usize) -> bool {
        self.at < end.min(self.bytes.len())
    }

    /// Where the list that begins here ends; its elements begin at multiples of eight.
    pub(super) fn list(&mut self) -> Option<usize> {
        let length = usize::try_from(self.number()?).ok()?;
        self.align(8)?;
        self.at.checked_add(length)
    }

    /// Skips a list of bytes.
    pub(super) fn skip_bytes(&mut self) -> Option<()> {
        let length = usize::try_from(self.number()?).ok()?;
        self.at = self.at.checked_add(length)?;
        Some(())
    }

    /// Goes into a structure of these types that stands for itself.
    pub(super) fn any_structure(&mut self, types: &str) -> Option<()> {
        (self.signature()? == types).then(|| self.align(8))?
    }

    /// A text that stands for itself in any place.
    pub(super) fn any_text(&mut self) -> Option<String> {
        (self.signature()? == "s").then(|| self.text())?
    }

    /// A whole number of either size, likewise.
    pub(super) fn any_number(&mut self) -> Option<u64> {
        match self.signature()?.as_str() {
            "u" => self.number().map(u64::from),
            "t" => self.long(),
            _ => None,
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A message of the other side, in either order of bytes: its kind, the number of the call, the name of an error,
    /// and its body, as it is.
    pub(in super::super) fn message(big: bool, kind: u8, to: u32, error: Option<&str>, body: &[u8]) -> Vec<u8> {
        let number = |value: usize| {
            let value = u32::try_from(value).unwrap();
            if big { value.to_be_bytes() } else { value.to_le_bytes() }
        };
        let mut fields = vec![5, 1, b'u', 0];
        fields.extend(number(to as usize));
        if let Some(error) = error {
            fields.extend([4, 1, b's', 0]);
            fields.extend(number(error.len()));
            fields.extend(error.as_bytes());
            fields.push(0);
        }
        let mut all = vec![if big { b'B' } else { b'l' }, kind, 1, 1];
        all.extend(number(body.len()));
        all.extend(number(7));
        all.extend(number(fields.len()));
        all.extend(fields);
        all.resize(all.len().next_multiple_of(8), 0);
        all.extend(body);
        all
    }

    /// The bytes that `busctl get-property org.freedesktop.systemd1 /a b.c D` sends, by the specification of D-Bus.
    #[test]
    fn a_call_is_as_the_specification_says() {
        let mut bytes = Vec::new();
        let given = Given::Texts(&["b.c", "D"]);
        let call = Call { destination: "x.y", path: "/a", interface: "p.q", member: "Get", given };
        call.put(3, &mut bytes);
        let head = b"l\x01\x02\x01\x0e\0\0\0\x03\0\0\0\x4f\0\0\0";
        let fields =
            b"\x01\x01o\0\x02\0\0\0/a\0\0\0\0\0\0\x02\x01s\0\x03\0\0\0p.q\0\0\0\0\0\x03\x01s\0\x03\0\0\0Get\0\0\0\0\0\
                       \x06\x01s\0\x03\0\0\0x.y\0\0\0\0\0\x08\x01g\0\x02ss\0";
        let body = b"\x03\0\0\0b.c\0\x01\0\0\0D\0";
        let mut expected = [&head[..], fields].concat();
        expected[12] = u8::try_from(fields.len()).unwrap();
        expected.resize(expected.len().next_multiple_of(8), 0);
        expected.extend(body);
        assert_eq!(bytes, expected);
        assert_eq!(length(bytes.first_chunk().unwrap()), Some(bytes.len()));
    }

    #[test]
    fn a_list_tells_its_length_without_itself() {
        let mut writer = Writer::default();
        writer.list(&["ab", "c"]);
        assert_eq!(writer.0, b"\x0e\0\0\0\x02\0\0\0ab\0\0\x01\0\0\0c\0");
    }

    #[test]
    fn replies_of_either_order_of_bytes() {
        for big in [false, true] {
            let body = [&[1, b't', 0, 0, 0, 0, 0, 0][..], &if big { 5_u64.to_be_bytes() } else { 5_u64.to_le_bytes() }];
            let bytes = message(big, REPLY, 9, None, &body.concat());
            assert_eq!(length(bytes.first_chunk().unwrap()), Some(bytes.len()));
            let reply = Reply::parse(&bytes).unwrap();
            assert_eq!((reply.to, reply.error.as_deref(), reply.values().any_number()), (9, None, Some(5)));
            let refused = Reply::parse(&message(big, ERROR, 9, Some("x.AccessDenied"), b"")).unwrap();
            assert_eq!((refused.to, refused.error.as_deref()), (9, Some("x.AccessDenied")));
            // A signal answers nothing.
            assert_eq!(Reply::parse(&message(big, 4, 9, None, b"")).unwrap().to, 0);
        }
        assert_eq!((Reply::parse(b"HTTP/1.1 400"), length(b"HTTP/1.1 400 Bad")), (None, None));
    }

    proptest! {
        #[test]
        fn no_bytes_stop_it(bytes in proptest::collection::vec(any::<u8>(), 0..200), fields in 0_u8..64) {
            let _ = Reply::parse(&bytes);
            let mut near = vec![b'l', REPLY, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, fields, 0, 0, 0];
            near.extend(&bytes);
            if let Some(reply) = Reply::parse(&near) {
                let mut values = reply.values();
                let _ = (values.list(), values.text(), values.any_text(), values.any_number(), values.text());
            }
            let _ = near.first_chunk().map(length);
        }
    }
}
