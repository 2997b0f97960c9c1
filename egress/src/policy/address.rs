//! What an address leads to.
//!
//! Addresses that carry another one within them (IPv4 written as IPv6, translated, or tunnelled) are what that one is. The
//! ranges for documentation count as public: they lead nowhere on the internet, and networks made for tests use them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What an address leads to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// Somewhere in the internet.
    Public,
    /// The same machine.
    Loopback,
    /// A private network.
    Private,
    /// The same link; clouds tell machines their secrets at such addresses.
    LinkLocal,
    /// The network of a carrier.
    Shared,
    /// Many machines.
    Multicast,
    /// Nothing that may be connected to.
    Reserved,
    /// The host that Firefly runs on, at a public address.
    OwnHost,
}

impl Kind {
    /// What is said of it, behind "is".
    pub(crate) const fn description(self) -> &'static str {
        match self {
            Self::Public => "a public address",
            Self::Loopback => "a loopback address",
            Self::Private => "an address of a private network",
            Self::LinkLocal => "a link-local address",
            Self::Shared => "an address of a carrier's own network",
            Self::Multicast => "a multicast address",
            Self::Reserved => "a reserved address",
            Self::OwnHost => "an address of Firefly's own host",
        }
    }
}

/// What an address leads to; that it is the own host's, nobody can tell from it.
#[must_use]
pub fn kind(address: IpAddr) -> Kind {
    match address {
        IpAddr::V4(address) => kind_v4(address),
        IpAddr::V6(address) => match embedded(address) {
            Some(inner) => kind_v4(inner),
            None => kind_v6(address),
        },
    }
}

const fn kind_v4(address: Ipv4Addr) -> Kind {
    match address.octets() {
        [127, ..] => Kind::Loopback,
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => Kind::Private,
        // For measuring devices in laboratories; some VPNs use it for themselves.
        [198, 18..=19, ..] => Kind::Private,
        [169, 254, ..] => Kind::LinkLocal,
        [100, 64..=127, ..] => Kind::Shared,
        [224..=239, ..] => Kind::Multicast,
        // "This network", protocol assignments, 6to4 relays, and all from 240 to the broadcast address.
        [0, ..] | [192, 0, 0, _] | [192, 88, 99, _] | [240..=255, ..] => Kind::Reserved,
        _ => Kind::Public,
    }
}

const fn kind_v6(address: Ipv6Addr) -> Kind {
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 1] => Kind::Loopback,
        [0xfc00..=0xfdff, ..] => Kind::Private,
        // Link-local, and site-local as it once was.
        [0xfe80..=0xfebf, ..] => Kind::LinkLocal,
        [0xfec0..=0xfeff, ..] => Kind::Private,
        [0xff00..=0xffff, ..] => Kind::Multicast,
        // A translator of somebody's own network, which may lead into it.
        [0x64, 0xff9b, 1, ..] => Kind::Private,
        // Teredo tunnels; the discard prefix; segment routing.
        [0x2001, 0, ..] | [0x100, 0, 0, 0, ..] | [0x5f00, ..] => Kind::Reserved,
        // Nothing but 2000::/3 is given out for hosts.
        [0x2000..=0x3fff, ..] => Kind::Public,
        _ => Kind::Reserved,
    }
}

/// The IPv4 address within an IPv6 one.
const fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let (high, low) = match address.segments() {
        // Loopback and the unspecified address look like compatible ones.
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => return None,
        // Compatible, mapped, and translated (SIIT).
        [0, 0, 0, 0, 0, 0, high, low]
        | [0, 0, 0, 0, 0, 0xffff, high, low]
        | [0, 0, 0, 0, 0xffff, 0, high, low] => (high, low),
        // NAT64.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => (high, low),
        // 6to4.
        [0x2002, high, low, ..] => (high, low),
        _ => return None,
    };
    let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
    Some(Ipv4Addr::new(a, b, c, d))
}
