//! Where the kernel itself falls behind with packets: softnet queues and the table of followed connections.

use super::out::Out;
use super::root::Root;
use super::text::{hexadecimal, lines, whole, words};

pub(super) fn collect(root: &Root, out: &mut Out) {
    match root.read("/proc/net/softnet_stat").map(|text| softnet(&text)) {
        Ok(Some((drops, squeezes))) => {
            out.whole("softnet.drops", "", drops);
            out.whole("softnet.squeezes", "", squeezes);
        }
        Ok(None) => out.malformed("", "/proc/net/softnet_stat: not three hexadecimal columns"),
        Err(error) => out.unread("", "/proc/net/softnet_stat", &error),
    }
    let number = |name: &str| {
        let path = format!("/proc/sys/net/netfilter/{name}");
        root.read_at_most(&path, 64).map(|text| whole(text.trim_ascii())).map_err(|error| (path, error))
    };
    match (number("nf_conntrack_count"), number("nf_conntrack_max")) {
        (Ok(Some(count)), Ok(Some(most))) => {
            out.whole("conntrack.count", "", count);
            #[allow(clippy::cast_precision_loss, reason = "connections are far below 2^53")]
            if most > 0 {
                out.share("conntrack.used", "", count as f64 / most as f64);
            }
        }
        // Most hosts follow no connections.
        (Err((path, error)), _) | (_, Err((path, error))) => out.unread("conntrack", &path, &error),
        _ => out.malformed("conntrack", "/proc/sys/net/netfilter: not numbers"),
    }
}

/// The second and third column of each processor, summed.
fn softnet(text: &[u8]) -> Option<(u64, u64)> {
    let mut sums = (0_u64, 0_u64);
    for line in lines(text) {
        let mut words = words(line);
        let (drops, squeezes) = (hexadecimal(words.nth(1)?)?, hexadecimal(words.next()?)?);
        sums = (sums.0.saturating_add(drops), sums.1.saturating_add(squeezes));
    }
    Some(sums)
}

#[cfg(test)]
mod tests {
    use super::softnet;

    #[test]
    fn columns_are_hexadecimal_and_summed() {
        let text = b"0001a2b3 00000002 0000000a 0 0\n000000ff 00000001 00000001 0 0\n";
        assert_eq!((softnet(text), softnet(b"")), (Some((3, 11)), Some((0, 0))));
        for bad in [&b"1 2\n"[..], b"x y z\n", b"1 -2 3\n", b"\xff\n"] {
            assert_eq!(softnet(bad), None);
        }
        assert_eq!(softnet(b"1 ffffffffffffffff 1\n1 1 1\n"), Some((u64::MAX, 2)));
    }
}
