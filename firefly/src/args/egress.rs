//! What projects in containers may reach.

use firefly_egress::{Allow, Policy, Registry};

#[derive(Clone, Debug, clap::Args)]
pub struct Egress {
    /// What projects in containers may reach: registries-and-git for the well-known package registries and git hosts, open for
    /// everything public, none for nothing.
    #[arg(
        id = "egress",
        long = "egress",
        env = "FIREFLY_EGRESS",
        value_name = "POLICY",
        default_value = Policy::RegistriesAndGit.as_str()
    )]
    pub policy: Policy,
    /// What they may reach besides, at private addresses too: a host, *.suffix, an address or a network, each with or without
    /// a port behind a colon. May be repeated; commas separate several.
    #[arg(
        id = "egress-allow",
        long = "egress-allow",
        env = "FIREFLY_EGRESS_ALLOW",
        value_name = "ENTRY",
        value_delimiter = ','
    )]
    pub allow: Vec<Allow>,
    /// The npm registry behind the package cache of containers; without it, the one that `npm_config_registry` names unless its
    /// URL holds credentials, else https://registry.npmjs.org/.
    #[arg(long, env = "FIREFLY_NPM_REGISTRY", value_name = "URL")]
    pub npm_registry: Option<Registry>,
    /// Room on the disk for the packages that containers share, in MiB, 64 or more; those that were not used for the longest time
    /// make room.
    #[arg(
        long,
        env = "FIREFLY_PACKAGE_CACHE_MIB",
        value_name = "MIB",
        default_value_t = 4_096,
        value_parser = clap::value_parser!(u32).range(64..)
    )]
    pub package_cache_mib: u32,
}
