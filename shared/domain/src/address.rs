//! Decides which IP addresses are public. All address blocks that the endpoint policy knows are listed here.
//!
//! For IPv4, the listed blocks are refused and every other address is public. For IPv6 the rule is the reverse, which is safer:
//! only global unicast addresses (`2000::/3`) are public, except for the special blocks among them, so an unknown block is
//! refused. Every IPv6 form that contains an IPv4 address is refused, even if that address is public: a receiver with an IPv4
//! address can publish it as such. Sources: the IANA special-purpose address registries (RFC 6890), RFC 4291, and the RFCs that
//! are named beside the blocks.

use ipnet::{Ipv4Net, Ipv6Net};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const fn v4(a: u8, b: u8, c: u8, d: u8, prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)
}

const fn v6(s: [u16; 8], prefix: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(s[0], s[1], s[2], s[3], s[4], s[5], s[6], s[7]), prefix)
}

/// The IPv4 blocks that are refused, each with the reason for the user.
const REFUSED_V4: [(Ipv4Net, &str); 16] = [
    (v4(0, 0, 0, 0, 8), "an unspecified address"),
    (v4(10, 0, 0, 0, 8), "a private address"),
    (v4(100, 64, 0, 0, 10), "a carrier-grade NAT address"),
    (v4(127, 0, 0, 0, 8), "a loopback address"),
    (v4(169, 254, 0, 0, 16), "a link-local address"), // includes the metadata services of cloud providers
    (v4(172, 16, 0, 0, 12), "a private address"),
    (v4(192, 0, 0, 0, 24), "a reserved address"), // IETF protocol assignments, RFC 6890
    (v4(192, 0, 2, 0, 24), "a documentation address"),
    (v4(192, 88, 99, 0, 24), "a 6to4 relay address"), // RFC 7526
    (v4(192, 168, 0, 0, 16), "a private address"),
    (v4(198, 18, 0, 0, 15), "a benchmarking address"), // RFC 2544
    (v4(198, 51, 100, 0, 24), "a documentation address"),
    (v4(203, 0, 113, 0, 24), "a documentation address"),
    (v4(224, 0, 0, 0, 4), "a multicast address"),
    (v4(255, 255, 255, 255, 32), "a broadcast address"), // before the block that contains it, for the better reason
    (v4(240, 0, 0, 0, 4), "a reserved address"),
];

/// Global unicast: no IPv6 address outside this block is public.
const GLOBAL_UNICAST: Ipv6Net = v6([0x2000, 0, 0, 0, 0, 0, 0, 0], 3);

/// The IPv6 blocks that are refused. Those outside [`GLOBAL_UNICAST`] are listed only to give the user a better reason.
const REFUSED_V6: [(Ipv6Net, &str); 19] = [
    (v6([0, 0, 0, 0, 0, 0, 0, 0], 128), "an unspecified address"),
    (v6([0, 0, 0, 0, 0, 0, 0, 1], 128), "a loopback address"),
    (v6([0, 0, 0, 0, 0, 0, 0, 0], 96), "an IPv4-compatible address"),
    (v6([0, 0, 0, 0, 0, 0xffff, 0, 0], 96), "an IPv4-mapped address"),
    (v6([0, 0, 0, 0, 0xffff, 0, 0, 0], 96), "an IPv4-translated address"), // RFC 2765
    (v6([0x64, 0xff9b, 0, 0, 0, 0, 0, 0], 96), "a NAT64 address"),         // RFC 6052
    (v6([0x64, 0xff9b, 1, 0, 0, 0, 0, 0], 48), "a NAT64 address"),         // RFC 8215
    (v6([0x100, 0, 0, 0, 0, 0, 0, 0], 64), "a discard-only address"),      // RFC 6666
    (v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 32), "a Teredo address"),           // RFC 4380
    (v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 23), "a reserved address"), // RFC 2928; includes ORCHID, 2001:10::/28 and 2001:20::/28
    (v6([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32), "a documentation address"), // RFC 3849
    (v6([0x2002, 0, 0, 0, 0, 0, 0, 0], 16), "a 6to4 address"),     // RFC 3056
    (v6([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20), "a documentation address"), // RFC 9637
    (v6([0x5f00, 0, 0, 0, 0, 0, 0, 0], 16), "a segment-routing address"), // RFC 9602
    (v6([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7), "a private address"),   // includes AWS's fd00:ec2::254
    (v6([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10), "a link-local address"),
    (v6([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10), "a site-local address"),
    (v6([0xff00, 0, 0, 0, 0, 0, 0, 0], 8), "a multicast address"),
    (v6([0x4000, 0, 0, 0, 0, 0, 0, 0], 2), "a reserved address"),
];

/// Returns why `ip` is refused, as a noun phrase ("a loopback address"), or `None` if it is public.
pub(crate) fn refusal(ip: IpAddr) -> Option<&'static str> {
    match ip {
        IpAddr::V4(ip) => REFUSED_V4.iter().find(|(block, _)| block.contains(&ip)).map(|(_, why)| *why),
        IpAddr::V6(ip) => refusal_v6(ip),
    }
}

fn refusal_v6(ip: Ipv6Addr) -> Option<&'static str> {
    if let Some((_, why)) = REFUSED_V6.iter().find(|(block, _)| block.contains(&ip)) {
        return Some(why);
    }
    if !GLOBAL_UNICAST.contains(&ip) {
        return Some("not a global unicast address");
    }
    // ISATAP (RFC 5214): any prefix, then 0000:5efe or 0200:5efe, then an IPv4 address.
    let [_, _, _, _, fifth, sixth, _, _] = ip.segments();
    (matches!(fifth, 0x0000 | 0x0200) && sixth == 0x5efe).then_some("an ISATAP address")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> Option<&'static str> {
        refusal(text.parse().expect("an address"))
    }

    #[test]
    fn addresses_beside_the_special_blocks_are_public() {
        for text in [
            "1.1.1.1",
            "8.8.8.8",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "169.253.255.255",
            "169.255.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.0",
            "192.0.3.0",
            "192.88.98.255",
            "192.88.100.0",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "198.51.99.255",
            "198.51.101.0",
            "203.0.112.255",
            "203.0.114.0",
            "223.255.255.255",
            "2001:200::1",
            "2001:4860:4860::8888",
            "2001:db7:ffff::1",
            "2001:db9::1",
            "2003::1",
            "2606:4700:4700::1111",
            "2a00:1450:4009:81f::200e",
            "3ffe:ffff::1",
            "3fff:1000::1",
            "2600::5eff:1.2.3.4",
            "2600::100:5efe:1.2.3.4",
        ] {
            assert_eq!(refused(text), None, "{text}");
        }
    }

    #[test]
    fn special_ipv4_blocks_are_refused_from_first_to_last_address() {
        for (text, why) in [
            ("0.0.0.0", "unspecified"),
            ("0.255.255.255", "unspecified"),
            ("10.0.0.0", "private"),
            ("10.255.255.255", "private"),
            ("100.64.0.0", "carrier-grade NAT"),
            ("100.100.100.200", "carrier-grade NAT"),
            ("100.127.255.255", "carrier-grade NAT"),
            ("127.0.0.1", "loopback"),
            ("127.0.1.3", "loopback"),
            ("127.255.255.255", "loopback"),
            ("169.254.0.0", "link-local"),
            ("169.254.169.253", "link-local"),
            ("169.254.169.254", "link-local"),
            ("169.254.170.2", "link-local"),
            ("169.254.255.255", "link-local"),
            ("172.16.0.0", "private"),
            ("172.31.255.255", "private"),
            ("192.0.0.0", "reserved"),
            ("192.0.0.192", "reserved"),
            ("192.0.0.255", "reserved"),
            ("192.0.2.0", "documentation"),
            ("192.0.2.255", "documentation"),
            ("192.88.99.1", "6to4 relay"),
            ("192.168.0.0", "private"),
            ("192.168.255.255", "private"),
            ("198.18.0.0", "benchmarking"),
            ("198.19.255.255", "benchmarking"),
            ("198.51.100.7", "documentation"),
            ("203.0.113.7", "documentation"),
            ("224.0.0.1", "multicast"),
            ("239.255.255.255", "multicast"),
            ("240.0.0.1", "reserved"),
            ("255.255.255.254", "reserved"),
            ("255.255.255.255", "broadcast"),
        ] {
            let found = refused(text);
            assert!(found.is_some_and(|found| found.contains(why)), "{text}: {found:?}");
        }
    }

    #[test]
    fn special_ipv6_addresses_are_refused() {
        for (text, why) in [
            ("::", "unspecified"),
            ("::1", "loopback"),
            ("::2", "IPv4-compatible"),
            ("::127.0.0.1", "IPv4-compatible"),
            ("::8.8.8.8", "IPv4-compatible"),
            ("::ffff:127.0.0.1", "IPv4-mapped"),
            ("::ffff:8.8.8.8", "IPv4-mapped"),
            ("::ffff:169.254.169.254", "IPv4-mapped"),
            ("::ffff:0:7f00:1", "IPv4-translated"),
            ("::ffff:0:8.8.8.8", "IPv4-translated"),
            ("::5efe:7f00:1", "not a global unicast"),
            ("::200:5efe:7f00:1", "not a global unicast"),
            ("fe80::5efe:7f00:1", "link-local"),
            ("2600:1f18::5efe:7f00:1", "ISATAP"),
            ("2600:1f18:1:2:200:5efe:a9fe:a9fe", "ISATAP"),
            ("2600:1f18:1:2:0:5efe:808:808", "ISATAP"),
            ("64:ff9b::127.0.0.1", "NAT64"),
            ("64:ff9b::808:808", "NAT64"),
            ("64:ff9b:1::10.0.0.1", "NAT64"),
            ("64:ff9b:1:ffff:ffff:ffff:ffff:ffff", "NAT64"),
            ("64:ff9b:2::1", "not a global unicast"),
            ("100::1", "discard"),
            ("100:0:0:1::1", "not a global unicast"),
            ("1fff:ffff::1", "not a global unicast"),
            ("2001::1", "Teredo"),
            ("2001:0:4136:e378:8000:63bf:3fff:fdd2", "Teredo"),
            ("2001:1::1", "reserved"),
            ("2001:2::1", "reserved"),
            ("2001:10::1", "reserved"),
            ("2001:20::1", "reserved"),
            ("2001:1ff:ffff::1", "reserved"),
            ("2001:db8::1", "documentation"),
            ("2002:7f00:1::", "6to4"),
            ("2002:808:808::1", "6to4"),
            ("3fff::1", "documentation"),
            ("3fff:fff::1", "documentation"),
            ("4000::1", "reserved"),
            ("5f00::1", "segment-routing"),
            ("8000::1", "not a global unicast"),
            ("fc00::1", "private"),
            ("fd00:ec2::254", "private"),
            ("fd20:ce::254", "private"),
            ("fe80::1", "link-local"),
            ("fe80::a9fe:a9fe", "link-local"),
            ("febf::1", "link-local"),
            ("fec0::1", "site-local"),
            ("feff::1", "site-local"),
            ("ff02::1", "multicast"),
            ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "multicast"),
        ] {
            let found = refused(text);
            assert!(found.is_some_and(|found| found.contains(why)), "{text}: {found:?}");
        }
    }

    proptest::proptest! {
        /// An IPv4 address is refused in every IPv6 form, whether or not it is public itself.
        #[test]
        fn no_ipv6_form_of_an_ipv4_address_is_public(bits: u32, prefix: u64) {
            let (high, low) = ((bits >> 16) as u16, bits as u16);
            let v4_bits = u128::from(bits);
            for form in [
                v4_bits,
                (0xffff << 32) | v4_bits,
                (0xffff << 48) | v4_bits,
                (0x0064_ff9b << 96) | v4_bits,
                (0x0064_ff9b_0001 << 80) | v4_bits,
                (0x2002 << 112) | (v4_bits << 80) | u128::from(prefix),
                (u128::from(prefix) << 64) | (0x5efe << 32) | v4_bits,
                (u128::from(prefix) << 64) | (0x0200_5efe << 32) | v4_bits,
            ] {
                let address = Ipv6Addr::from_bits(form);
                proptest::prop_assert!(refusal(IpAddr::V6(address)).is_some(), "{address} ({high:x}:{low:x})");
            }
        }
    }
}
