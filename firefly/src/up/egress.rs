//! The way out of containers, set up from the command line and from what Firefly's own environment says of its network.

use std::ffi::OsString;

use anyhow::Context;
use firefly_egress::{AcceptError, Config, Egress, Registry, UpstreamProxy, socket};
use reqwest::Url;
use tokio::net::UnixListener;
use tokio_util::sync::CancellationToken;

use super::data_dir::DataDir;
use super::runtime::ca_bundle;
use super::say::Say;
use crate::args::Up;

const MIB: u64 = 1024 * 1024;

/// Names npm's registry to npm, and where nothing else is said to Firefly.
const NPM_REGISTRY: &str = "npm_config_registry";

/// Either name of a variable of proxies; the first one that is set counts.
const PROXY: [&str; 2] = ["https_proxy", "HTTPS_PROXY"];
const NO_PROXY: [&str; 2] = ["no_proxy", "NO_PROXY"];

/// The way out with its socket, to which containers can connect from now on.
pub struct WayOut {
    egress: Egress,
    listener: UnixListener,
}

impl WayOut {
    /// Opens the package cache and the socket.
    pub async fn open(args: &Up, data_dir: &DataDir, say: &Say) -> anyhow::Result<Self> {
        let config = config(args, data_dir, say, |name| std::env::var_os(name))?;
        let egress = Egress::build(config).await?;
        let listener = socket::listen(&data_dir.egress_socket())?;
        Ok(Self { egress, listener })
    }

    /// Lets projects out until the shutdown.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), AcceptError> {
        self.egress.run(self.listener, shutdown).await
    }
}

fn config(
    args: &Up,
    data_dir: &DataDir,
    say: &Say,
    lookup: impl Fn(&str) -> Option<OsString>,
) -> anyhow::Result<Config> {
    let text = |names: &[&str]| {
        let found = names.iter().find_map(|name| lookup(name));
        found.and_then(|value| value.into_string().ok())
    };
    let options = &args.egress;
    let mut config = Config::new(options.policy, data_dir.packages());
    config.hosts.extend(git_host(&args.github_url));
    config.allow.clone_from(&options.allow);
    config.registry = match &options.npm_registry {
        Some(registry) => registry.clone(),
        None => registry(text(&[NPM_REGISTRY]), say),
    };
    config.further_roots = ca_bundle(args);
    config.cache_bytes = u64::from(options.package_cache_mib) * MIB;
    config.upstream_proxy = text(&PROXY)
        .filter(|proxy| !proxy.is_empty())
        .map(|proxy| upstream(&proxy, &text(&NO_PROXY).unwrap_or_default()))
        .transpose()?;
    Ok(config)
}

/// The host that owner/repo is cloned from. At another port than those of HTTP and HTTPS, or in a private network, it has to
/// be allowed besides.
fn git_host(github_url: &str) -> Option<firefly_egress::Pattern> {
    Url::parse(github_url).ok()?.host_str()?.parse().ok()
}

/// The registry that npm is told of, as far as it can be asked.
fn registry(told: Option<String>, say: &Say) -> Registry {
    let Some(told) = told else {
        return Registry::default();
    };
    told.parse().unwrap_or_else(|error| {
        say.warning(&format!(
            "{NPM_REGISTRY} is passed over, and containers get their packages from npm's own registry: {error}"
        ));
        Registry::default()
    })
}

/// The proxy that Firefly itself has to use; without a scheme it speaks HTTP.
fn upstream(proxy: &str, except: &str) -> anyhow::Result<UpstreamProxy> {
    let proxy = if proxy.contains("://") {
        proxy.to_owned()
    } else {
        format!("http://{proxy}")
    };
    UpstreamProxy::parse(&proxy, except)
        .context("HTTPS_PROXY cannot be used, so projects would reach nothing")
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use firefly_egress::Policy;

    use super::*;
    use crate::args::{Args, Command};

    fn configured(arguments: &[&str], environment: &[(&str, &str)]) -> anyhow::Result<Config> {
        let home = tempfile::tempdir().unwrap();
        let data_dir = DataDir::open(home.path()).unwrap();
        let arguments = ["firefly", "up"].iter().chain(arguments);
        let Command::Up(up) = Args::parse_from(arguments).command else {
            unreachable!("`up` was parsed")
        };
        let lookup = |name: &str| {
            let found = environment.iter().find(|(other, _)| *other == name);
            found.map(|(_, value)| OsString::from(*value))
        };
        config(&up, &data_dir, &Say::new(true), lookup)
    }

    #[test]
    fn without_options_registries_and_git_hosts_can_be_reached() {
        let config = configured(&[], &[]).unwrap();
        assert_eq!(config.policy, Policy::RegistriesAndGit);
        assert_eq!(config.registry.as_str(), firefly_egress::NPM_REGISTRY);
        assert!(config.allow.is_empty() && config.upstream_proxy.is_none());
        assert_eq!(config.cache_bytes, 4 << 30);
    }

    #[test]
    fn options_and_the_git_host_are_heeded() {
        let arguments = [
            "--egress=none",
            "--egress-allow=10.0.0.0/8,git.test:8443",
            "--egress-allow=*.corp.test",
            "--npm-registry=https://npm.test/all",
            "--github-url=https://github.corp.test",
            "--package-cache-mib=64",
        ];
        let config = configured(&arguments, &[(NPM_REGISTRY, "https://other.test")]).unwrap();
        assert_eq!(config.policy, Policy::None);
        let allowed: Vec<String> = config.allow.iter().map(ToString::to_string).collect();
        assert_eq!(allowed, ["10.0.0.0/8", "git.test:8443", "*.corp.test"]);
        assert_eq!(config.registry.as_str(), "https://npm.test/all/");
        let hosts: Vec<String> = config.hosts.iter().map(ToString::to_string).collect();
        assert_eq!(hosts, ["github.corp.test"]);
        assert_eq!(config.cache_bytes, 64 << 20);
    }

    #[test]
    fn the_environment_tells_of_a_registry_and_a_proxy() {
        let environment = [
            (NPM_REGISTRY, "https://npm.test/"),
            ("HTTPS_PROXY", "proxy.test:3128"),
        ];
        let config = configured(&[], &environment).unwrap();
        assert_eq!(config.registry.as_str(), "https://npm.test/");
        assert!(config.upstream_proxy.is_some());

        let with_password = [(NPM_REGISTRY, "https://user:secret@npm.test/")];
        let config = configured(&[], &with_password).unwrap();
        assert_eq!(config.registry.as_str(), firefly_egress::NPM_REGISTRY);

        let unusable = configured(&[], &[("https_proxy", "socks5://proxy.test")]);
        assert!(unusable.unwrap_err().to_string().contains("HTTPS_PROXY"));
    }
}
