//! The policy as a table, and as a rule over all addresses that are refused in all spellings they have.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, ToSocketAddrs};

use ipnet::{IpNet, Ipv4Net};
use proptest::prelude::*;
use proptest::sample::select;

use super::*;

/// Every IPv4 range that no project may reach.
const REFUSED: [&str; 15] = [
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "224.0.0.0/4",
    "240.0.0.0/4",
    "255.255.255.255/32",
    "169.254.169.254/32",
    "100.100.100.200/32",
];

fn rules(policy: Policy, allow: &[&str]) -> Rules {
    let allow = allow.iter().map(|text| text.parse().unwrap()).collect();
    Rules::new(policy, &["git.example.com".parse().unwrap()], allow)
}

/// What comes of asking for `target` when it resolves to `address`.
fn judged(rules: &Rules, target: &str, address: &str) -> &'static str {
    let target = Target::parse(target, None).unwrap();
    let judged = rules
        .judge(&target)
        .and_then(|()| rules.judge_address(&target, address.parse().unwrap(), false));
    judged.map_or_else(|refusal| refusal.reason(), |()| "reached")
}

#[test]
fn the_policies_are_as_their_table_says() {
    const PUBLIC: &str = "203.0.113.80";
    let table = [
        // target, address, open, registries-and-git, none
        (
            "registry.npmjs.org:443",
            PUBLIC,
            ["reached", "reached", "closed"],
        ),
        ("github.com:80", PUBLIC, ["reached", "reached", "closed"]),
        (
            "raw.githubusercontent.com:443",
            PUBLIC,
            ["reached", "reached", "closed"],
        ),
        (
            "git.example.com:443",
            PUBLIC,
            ["reached", "reached", "closed"],
        ),
        (
            "githubusercontent.com:443",
            PUBLIC,
            ["reached", "not-listed", "closed"],
        ),
        (
            "evilgithubusercontent.com:443",
            PUBLIC,
            ["reached", "not-listed", "closed"],
        ),
        (
            "github.com.evil.example:443",
            PUBLIC,
            ["reached", "not-listed", "closed"],
        ),
        (
            "example.com:443",
            PUBLIC,
            ["reached", "not-listed", "closed"],
        ),
        ("github.com:22", PUBLIC, ["port", "port", "closed"]),
        ("github.com:25", PUBLIC, ["port", "port", "closed"]),
        ("github.com:9418", PUBLIC, ["reached", "port", "closed"]),
        (
            "example.com:8080",
            PUBLIC,
            ["reached", "not-listed", "closed"],
        ),
        (
            "203.0.113.80:443",
            PUBLIC,
            ["reached", "not-listed", "closed"],
        ),
        (
            "github.com:443",
            "10.0.0.1",
            ["address", "address", "closed"],
        ),
        (
            "github.com:443",
            "::ffff:169.254.169.254",
            ["address", "address", "closed"],
        ),
        (
            "169.254.169.254:80",
            "169.254.169.254",
            ["address", "not-listed", "closed"],
        ),
        (
            "localhost:2440",
            "127.0.0.1",
            ["address", "not-listed", "closed"],
        ),
    ];
    for (target, address, wanted) in table {
        let policies = [Policy::Open, Policy::RegistriesAndGit, Policy::None];
        let got = policies.map(|policy| judged(&rules(policy, &[]), target, address));
        assert_eq!(got, wanted, "{target} at {address}");
    }
}

#[test]
fn what_is_allowed_is_reached_and_nothing_beside_it() {
    let table = [
        ("gitea.corp", "gitea.corp:3000", "10.0.0.5", "reached"),
        (
            "gitea.corp",
            "gitea.corp.evil.example:3000",
            "10.0.0.5",
            "not-listed",
        ),
        ("gitea.corp:3000", "gitea.corp:3000", "10.0.0.5", "reached"),
        (
            "gitea.corp:3000",
            "gitea.corp:3001",
            "10.0.0.5",
            "not-listed",
        ),
        ("*.corp", "gitea.corp:443", "10.0.0.5", "reached"),
        ("*.corp", "corp:443", "10.0.0.5", "not-listed"),
        ("10.0.0.5", "10.0.0.5:22", "10.0.0.5", "reached"),
        ("10.0.0.5", "10.0.0.6:22", "10.0.0.6", "not-listed"),
        ("10.0.0.0/24:80", "10.0.0.9:80", "10.0.0.9", "reached"),
        ("10.0.0.0/24:80", "10.0.0.9:81", "10.0.0.9", "not-listed"),
        // An address does not open names, but a name that is open may have it.
        ("10.0.0.0/24", "evil.example:80", "10.0.0.9", "not-listed"),
        ("10.0.0.0/24", "github.com:443", "10.0.0.9", "reached"),
        (
            "10.0.0.0/24",
            "github.com:443",
            "::ffff:10.0.0.9",
            "reached",
        ),
        ("[fd00::/8]:443", "[fd00::1]:443", "fd00::1", "reached"),
        ("fd00::/8", "[fd00::1]:443", "fd00::1", "reached"),
        ("[::1]:443", "[::1]:443", "::1", "reached"),
        ("[::1]:443", "[::1]:444", "::1", "not-listed"),
    ];
    for (allow, target, address, wanted) in table {
        let rules = rules(Policy::RegistriesAndGit, &[allow]);
        assert_eq!(
            judged(&rules, target, address),
            wanted,
            "{target} with {allow}"
        );
    }
    assert_eq!(
        judged(
            &rules(Policy::None, &["gitea.corp:3000"]),
            "gitea.corp:3000",
            "10.0.0.5"
        ),
        "reached"
    );
    assert_eq!(
        judged(
            &rules(Policy::None, &["gitea.corp:3000"]),
            "github.com:443",
            "203.0.113.1"
        ),
        "closed"
    );
}

#[test]
fn what_cannot_be_allowed_is_said() {
    for text in [
        "",
        "*",
        "*.",
        "*.1.2.3.4",
        "a/8",
        "10.0.0.0/33",
        "host:0",
        "host:x",
        "http://a",
        "[::1]:",
        "a b",
    ] {
        assert!(text.parse::<Allow>().is_err(), "{text}");
    }
    for text in [
        "a.test",
        "*.a.test:80",
        "10.0.0.0/8",
        "[fd00::/8]:443",
        "[::1]:80",
        "127.0.0.1:4873",
    ] {
        assert_eq!(text.parse::<Allow>().unwrap().to_string(), text);
    }
}

#[test]
fn the_own_host_is_not_reached_at_its_public_address() {
    let target = Target::parse("example.com:443", None).unwrap();
    let address: IpAddr = "203.0.113.7".parse().unwrap();
    let judged = |allow: &[&str]| rules(Policy::Open, allow).judge_address(&target, address, true);
    assert!(matches!(
        judged(&[]),
        Err(Refusal::Address {
            kind: Kind::OwnHost,
            ..
        })
    ));
    assert_eq!(judged(&["example.com"]), Ok(()));
    assert_eq!(judged(&["203.0.113.7:443"]), Ok(()));
}

#[test]
fn names_that_a_proxy_would_take_for_its_own_are_refused() {
    let rules = rules(Policy::Open, &["intranet:80"]);
    let judged = |target: &str| {
        rules
            .judge_unseen(&Target::parse(target, None).unwrap())
            .is_ok()
    };
    assert!(judged("example.com:443") && judged("intranet:80"));
    for target in [
        "intranet:443",
        "localhost:80",
        "a.localhost:80",
        "metadata.google.internal:80",
        "127.0.0.1:80",
        "0x7f.1:80",
        "[::1]:80",
    ] {
        assert!(!judged(target), "{target}");
    }
}

#[test]
fn documentation_and_ordinary_addresses_are_public() {
    let public = [
        "203.0.113.80",
        "192.0.2.2",
        "198.51.100.9",
        "8.8.8.8",
        "172.32.0.1",
        "100.128.0.1",
        "169.253.0.1",
        "223.255.255.255",
        "2001:db8::1",
        "2606:4700::1111",
        "::ffff:8.8.8.8",
        "64:ff9b::808:808",
        "2002:808:808::1",
    ];
    for address in public {
        assert_eq!(kind(address.parse().unwrap()), Kind::Public, "{address}");
    }
}

#[test]
fn refused_ipv6_addresses_are_of_the_kind_they_are() {
    let table = [
        ("::", Kind::Reserved),
        ("::1", Kind::Loopback),
        ("fe80::1", Kind::LinkLocal),
        ("febf::1", Kind::LinkLocal),
        ("fc00::1", Kind::Private),
        ("fdff::1", Kind::Private),
        ("fec0::1", Kind::Private),
        ("ff02::1", Kind::Multicast),
        ("64:ff9b:1::808:808", Kind::Private),
        ("2001:0:808:808::", Kind::Reserved),
        ("100::1", Kind::Reserved),
        ("4000::1", Kind::Reserved),
        ("fd00:ec2::254", Kind::Private),
    ];
    for (address, wanted) in table {
        assert_eq!(kind(address.parse().unwrap()), wanted, "{address}");
    }
}

#[test]
fn policies_are_read_as_they_are_written() {
    for policy in [Policy::Open, Policy::RegistriesAndGit, Policy::None] {
        assert_eq!(policy.as_str().parse(), Ok(policy));
    }
    assert!("Open".parse::<Policy>().is_err());
}

fn refused_v4() -> impl Strategy<Value = Ipv4Addr> {
    (select(&REFUSED[..]), any::<u32>()).prop_map(|(range, within)| {
        let range: Ipv4Net = range.parse().unwrap();
        let hosts = u32::from(range.hostmask());
        Ipv4Addr::from(u32::from(range.network()) | (within & hosts))
    })
}

/// The spellings that resolvers, or browsers, know for an IPv4 address.
fn spellings_v4(address: Ipv4Addr) -> Vec<String> {
    let [a, b, c, d] = address.octets();
    let number = u32::from(address);
    let low = number & 0xffff;
    let tens = if a < 10 {
        String::new()
    } else {
        (a / 10).to_string()
    };
    vec![
        format!("{address}"),
        format!("{address}."),
        format!("{number}"),
        format!("{number:#x}"),
        format!("0{number:o}"),
        format!("{a:#x}.{b:#x}.{c:#x}.{d:#x}"),
        format!("0{a:o}.0{b:o}.0{c:o}.0{d:o}"),
        format!("0000{a:o}.{b}.{c:#x}.{d}"),
        format!("{a}.{}", number & 0x00ff_ffff),
        format!("{a}.{b}.{low}"),
        format!("{a:#x}.{b}.{low:#x}"),
        format!("{tens}%3{}.{b}.{c}.{d}", a % 10),
    ]
}

fn spellings_v6(address: Ipv4Addr) -> Vec<String> {
    let [a, b, c, d] = address.octets();
    let (high, low) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
    vec![
        format!("[::ffff:{address}]"),
        format!("[::ffff:{high:x}:{low:x}]"),
        format!("[0:0:0:0:0:FFFF:{high:04X}:{low:04X}]"),
        format!("[::{address}]"),
        format!("[::ffff:0:{address}]"),
        format!("[64:ff9b::{address}]"),
        format!("[2002:{high:x}:{low:x}::1]"),
    ]
}

proptest! {
    #[test]
    fn refused_addresses_are_refused_in_every_spelling(address in refused_v4()) {
        let rules = rules(Policy::Open, &[]);
        for spelling in spellings_v4(address).iter().chain(&spellings_v6(address)) {
            let host = Host::parse(spelling).unwrap();
            prop_assert!(matches!(host, Host::Address(_)), "{spelling} is read as a name");
            let target = Target { host, port: 443 };
            prop_assert!(rules.judge(&target).is_err(), "{spelling} is let through");
        }
    }

    #[test]
    fn what_the_system_resolves_a_spelling_to_is_refused(address in refused_v4()) {
        let rules = rules(Policy::Open, &[]);
        let target = Target::parse("example.com:443", None).unwrap();
        // With a dot behind it or a `%` within, it is a name, which somebody else would be asked for.
        for spelling in spellings_v4(address).iter().filter(|spelling| !spelling.contains('%') && !spelling.ends_with('.')) {
            // Spellings that the system does not know lead nowhere.
            for resolved in (spelling.as_str(), 443).to_socket_addrs().into_iter().flatten() {
                prop_assert!(rules.judge_address(&target, resolved.ip(), false).is_err(), "{spelling} is let through");
            }
        }
    }

    #[test]
    fn no_ipv6_address_hides_what_it_is(bits in any::<u128>(), range in select(&["fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8", "64:ff9b:1::/48", "2001::/32"][..])) {
        let range: IpNet = range.parse().unwrap();
        let IpNet::V6(range) = range else { unreachable!("they are IPv6") };
        let address = Ipv6Addr::from(u128::from(range.network()) | (bits & u128::from(range.hostmask())));
        prop_assert_ne!(kind(address.into()), Kind::Public);
        let target = Target { host: Host::parse(&format!("[{address}]")).unwrap(), port: 443 };
        prop_assert!(rules(Policy::Open, &[]).judge(&target).is_err());
    }
}
