//! Which addresses are out in the world, and which are this machine, its network or nobody's.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// IPv4 networks that are not out in the world, by their first address and the length of their prefix: all of IANA's
/// registry of special addresses (RFC 6890 and what followed it).
const NOT_PUBLIC_V4: [(Ipv4Addr, u32); 17] = [
    // "This" network, RFC 791.
    (Ipv4Addr::UNSPECIFIED, 8),
    // Private networks, RFC 1918.
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    // Behind a provider's translation, RFC 6598.
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    // This machine, RFC 1122.
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    // This link, and the metadata of most clouds, RFC 3927.
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    // Protocol assignments, RFC 6890.
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    // Documentation, RFC 5737.
    (Ipv4Addr::new(192, 0, 2, 0), 24),
    (Ipv4Addr::new(198, 51, 100, 0), 24),
    (Ipv4Addr::new(203, 0, 113, 0), 24),
    // AS112, RFC 7534 and RFC 7535: answers to questions about private addresses.
    (Ipv4Addr::new(192, 31, 196, 0), 24),
    (Ipv4Addr::new(192, 175, 48, 0), 24),
    // Relays from IPv6, RFC 7526.
    (Ipv4Addr::new(192, 88, 99, 0), 24),
    // Benchmarks, RFC 2544.
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    // Multicast, RFC 1112.
    (Ipv4Addr::new(224, 0, 0, 0), 4),
    // Reserved, RFC 1112, and the broadcast address with it.
    (Ipv4Addr::new(240, 0, 0, 0), 4),
];

/// The only IPv6 addresses that are given out, RFC 3513; all else is not public: unspecified, this machine, mapped and
/// translated IPv4 addresses, unique local, link local, site local, multicast.
const GIVEN_OUT_V6: (Ipv6Addr, u32) = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);

/// What among those is not out in the world.
const NOT_PUBLIC_V6: [(Ipv6Addr, u32); 5] = [
    // Protocol assignments, Teredo, benchmarks and ORCHID among them, RFC 2928.
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23),
    // Documentation, RFC 3849 and RFC 9637.
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20),
    // 6to4, which has an IPv4 address in it, RFC 3056.
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16),
    // AS112, RFC 7535.
    (Ipv6Addr::new(0x2620, 0x4f, 0x8000, 0, 0, 0, 0, 0), 48),
];

/// Whether an address is out in the world: not this machine, no private network, nothing that is passed on to another
/// address, and nothing that nobody has.
pub(crate) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => !NOT_PUBLIC_V4.iter().any(|network| is_in_v4(address, *network)),
        IpAddr::V6(address) => {
            is_in_v6(address, GIVEN_OUT_V6) && !NOT_PUBLIC_V6.iter().any(|network| is_in_v6(address, *network))
        }
    }
}

fn is_in_v4(address: Ipv4Addr, (network, prefix): (Ipv4Addr, u32)) -> bool {
    let differs = address.to_bits() ^ network.to_bits();
    differs.leading_zeros() >= prefix
}

fn is_in_v6(address: Ipv6Addr, (network, prefix): (Ipv6Addr, u32)) -> bool {
    let differs = address.to_bits() ^ network.to_bits();
    differs.leading_zeros() >= prefix
}

#[cfg(test)]
mod tests {
    fn is_public(address: &str) -> bool {
        super::is_public(address.parse().unwrap())
    }

    #[test]
    fn t13_what_is_not_out_in_the_world_is_known_in_every_form() {
        for private in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.254",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:8.8.8.8",
            "::ffff:0:127.0.0.1",
            "64:ff9b::127.0.0.1",
            "64:ff9b::8.8.8.8",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:2::1",
            "2001:10::1",
            "2001:20::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "3fff::1",
            "5f00::1",
            "fc00::1",
            "fd12:3456::1",
            "fe80::1",
            "febf::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(!is_public(private), "{private}");
        }
        for public in [
            "1.1.1.1",
            "8.8.8.8",
            "9.255.255.255",
            "11.0.0.1",
            "100.63.255.255",
            "100.128.0.1",
            "126.255.255.255",
            "128.0.0.1",
            "172.15.255.255",
            "172.32.0.1",
            "192.0.1.1",
            "192.167.255.255",
            "198.17.255.255",
            "198.20.0.1",
            "223.255.255.255",
            "2606:4700::1111",
            "2a00:1450:4001::1",
            "2001:200::1",
            "2001:4860:4860::8888",
            "3ffe::1",
        ] {
            assert!(is_public(public), "{public}");
        }
    }
}
