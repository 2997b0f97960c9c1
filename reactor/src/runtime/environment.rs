//! Which variables of Firefly's own environment a project's programs get to see: very few.
//!
//! Firefly's environment may hold secrets, and the programs of a project are strangers' code. The address of a proxy
//! or a registry may carry a password, and then stays out as a whole. Containers get nothing of it.

use std::ffi::OsString;
use std::path::Path;

/// Where packages and repositories are reached from this host.
const OF_THE_NETWORK: &[&str] = &[
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "npm_config_registry",
];

/// What a program needs to run on this host at all.
const OF_THE_HOST: &[&str] = &[
    "PATH",
    "HOME",
    "LANG",
    "TMPDIR",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "GIT_SSL_CAINFO",
    "GIT_SSL_CAPATH",
    NODE_CERTIFICATES,
    "RUST_LOG",
];

/// Names the file of certificates that node trusts besides its own.
pub const NODE_CERTIFICATES: &str = "NODE_EXTRA_CA_CERTS";

/// The usual certificates, in the image and on most hosts. Programs that are told of a bundle look nowhere else unless
/// they are told to.
pub(super) const CA_DIRECTORY: &str = "/etc/ssl/certs";

/// What makes node, git and the project-server trust a bundle besides the certificates in a directory.
pub(super) fn certificates<T: Copy>(bundle: T, directory: T) -> [(&'static str, T); 5] {
    [
        (NODE_CERTIFICATES, bundle),
        ("SSL_CERT_FILE", bundle),
        ("GIT_SSL_CAINFO", bundle),
        ("SSL_CERT_DIR", directory),
        ("GIT_SSL_CAPATH", directory),
    ]
}

/// The variables for a child process, of those that `lookup` knows; and those for a bundle of certificates, if any.
pub fn of_processes(
    lookup: impl Fn(&str) -> Option<OsString>,
    ca_bundle: Option<&Path>,
) -> Vec<(String, OsString)> {
    let mut variables = select(OF_THE_HOST, &lookup);
    if let Some(bundle) = ca_bundle {
        let named = certificates(bundle, Path::new(CA_DIRECTORY));
        variables.retain(|(name, _)| named.iter().all(|(other, _)| other != name));
        variables.extend(named.map(|(name, path)| (name.to_owned(), path.into())));
    }
    variables.extend(of_the_network(lookup));
    variables
}

fn of_the_network(lookup: impl Fn(&str) -> Option<OsString>) -> Vec<(String, OsString)> {
    let mut variables = select(OF_THE_NETWORK, &lookup);
    variables.retain(|(name, address)| {
        let carries_user = address.as_encoded_bytes().contains(&b'@');
        if carries_user {
            tracing::warn!(
                variable = name,
                "projects do not get this variable, since its address carries a user or a password"
            );
        }
        !carries_user
    });
    variables
}

fn select(names: &[&str], lookup: impl Fn(&str) -> Option<OsString>) -> Vec<(String, OsString)> {
    names
        .iter()
        .filter_map(|name| lookup(name).map(|value| ((*name).to_owned(), value)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An environment in which every variable is set to its own name.
    fn everything(name: &str) -> Option<OsString> {
        Some(OsString::from(name))
    }

    fn names(variables: Vec<(String, OsString)>) -> Vec<String> {
        variables.into_iter().map(|(name, _)| name).collect()
    }

    #[test]
    fn child_processes_learn_what_a_program_needs_and_no_secret() {
        assert_eq!(
            names(of_processes(everything, None)),
            [
                "PATH",
                "HOME",
                "LANG",
                "TMPDIR",
                "SSL_CERT_FILE",
                "SSL_CERT_DIR",
                "GIT_SSL_CAINFO",
                "GIT_SSL_CAPATH",
                "NODE_EXTRA_CA_CERTS",
                "RUST_LOG",
                "HTTP_PROXY",
                "HTTPS_PROXY",
                "NO_PROXY",
                "http_proxy",
                "https_proxy",
                "no_proxy",
                "npm_config_registry",
            ]
        );
    }

    #[test]
    fn child_processes_trust_a_bundle_as_containers_do() {
        let bundle = Path::new("/ca.pem");
        let variables = of_processes(everything, Some(bundle));
        for (name, path) in certificates(bundle, Path::new(CA_DIRECTORY)) {
            let given: Vec<_> = variables.iter().filter(|(it, _)| it == name).collect();
            assert_eq!(given, [&(name.to_owned(), path.into())]);
        }
        assert_eq!(variables.len(), of_processes(everything, None).len());
    }

    #[test]
    fn a_token_is_not_even_looked_at() {
        let lookup = |name: &str| {
            assert_ne!(name, "GITHUB_TOKEN");
            everything(name)
        };
        let variables = of_processes(lookup, None);
        assert!(!names(variables).contains(&"GITHUB_TOKEN".to_owned()));
    }

    #[test]
    fn an_address_with_a_password_stays_out() {
        let lookup = |name: &str| match name {
            "HTTPS_PROXY" => Some("http://user:secret@proxy:3128".into()),
            "http_proxy" => Some("user:secret@proxy:3128".into()),
            "no_proxy" => Some("localhost,.internal".into()),
            "npm_config_registry" => Some("https://npm.internal/".into()),
            _ => None,
        };
        let expected = ["no_proxy", "npm_config_registry"];
        assert_eq!(names(of_processes(lookup, None)), expected);
    }
}
