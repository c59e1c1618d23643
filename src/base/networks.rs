//! Lists of networks: who is trusted.

use std::net::{IpAddr, Ipv6Addr};

use serde::{Deserialize, Serialize};

/// Networks, and whether peers of unix sockets belong to them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Networks {
    /// Addresses, all as IPv6, and how many of their bits count.
    blocks: Vec<(u128, u32)>,
    unix: bool,
}

impl Networks {
    /// None at all.
    pub fn is_empty(&self) -> bool {
        self.blocks.is_empty() && !self.unix
    }

    /// Adds what `list` names: addresses, networks (`10.0.0.0/8`, `fd00::/8`) and `unix`, with commas between.
    pub fn add(&mut self, list: &str) -> Result<(), String> {
        for word in list.split([',', ' ']).filter(|word| !word.is_empty()) {
            if word == "unix" {
                self.unix = true;
                continue;
            }
            let block = block(word).ok_or_else(|| {
                format!("addresses, networks like 10.0.0.0/8, or unix, with commas between; {word} is none")
            })?;
            self.blocks.push(block);
        }
        Ok(())
    }

    /// Whether `address` belongs to them; `None` is the peer of a unix socket.
    pub fn contain(&self, address: Option<IpAddr>) -> bool {
        let Some(address) = address else { return self.unix };
        let address = bits(address);
        self.blocks.iter().any(|(network, mask)| (address ^ network).leading_zeros() >= *mask)
    }
}

fn block(word: &str) -> Option<(u128, u32)> {
    let (address, bits_max) = match word.split_once('/') {
        None => (word, None),
        Some((address, mask)) => (address, Some(mask)),
    };
    let address: IpAddr = address.parse().ok()?;
    let width = if address.is_ipv4() { 32 } else { 128 };
    let mask = match bits_max {
        None => width,
        Some(mask) if mask.bytes().all(|byte| byte.is_ascii_digit()) => mask.parse().ok()?,
        Some(_) => return None,
    };
    // An IPv4 network is one of the mapped addresses (RFC 4291 §2.5.5.2).
    (mask <= width).then(|| (bits(address), mask + 128 - width))
}

fn bits(address: IpAddr) -> u128 {
    let as_v6 = match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    };
    Ipv6Addr::to_bits(as_v6)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn networks(list: &str) -> Networks {
        let mut networks = Networks::default();
        networks.add(list).expect("a list");
        networks
    }

    #[test]
    fn addresses_belong_to_networks() {
        let list = networks("10.0.0.0/8, 192.168.1.7,fd00::/8, ::1");
        for (address, inside) in [
            ("10.0.0.0", true),
            ("10.255.255.255", true),
            ("11.0.0.0", false),
            ("192.168.1.7", true),
            ("192.168.1.6", false),
            ("::ffff:10.1.2.3", true),
            ("fdff::1", true),
            ("fe00::1", false),
            ("::1", true),
            ("127.0.0.1", false),
        ] {
            assert_eq!(list.contain(address.parse().ok()), inside, "{address}");
        }
        assert!(!list.contain(None));
        assert!(networks("unix").contain(None));
        assert!(networks("0.0.0.0/0").contain("1.2.3.4".parse().ok()));
        assert!(!networks("0.0.0.0/0").contain("::1".parse().ok()));
        assert!(networks("::/0").contain("1.2.3.4".parse().ok()));
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for list in ["10.0.0.0/33", "::/129", "10.0.0", "10.0.0.0/+8", "10.0.0.0/", "host", "1.2.3.4/x", "-"]
        {
            let mut networks = Networks::default();
            assert!(networks.add(list).is_err(), "{list}");
        }
        assert!(networks("").is_empty());
    }
}
