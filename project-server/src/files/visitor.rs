//! Whom the files are for: the gateway, asking for this very project.
//!
//! A container's address can be reached without the gateway. A page of a stranger's site, whose name is made to lead
//! here, would count as of our origin and could read everything; but its requests carry that name, and the gateway's
//! an address. And an address may pass from one container to the next before the gateway has heard of it.

use firefly_domain::control::PROJECT_HEADER;
use std::net::SocketAddr;

use axum::http::header::HOST;
use axum::http::{HeaderMap, HeaderName};
use firefly_domain::ProjectKey;

/// In which the gateway says whose files it wants.
const PROJECT: HeaderName = HeaderName::from_static(PROJECT_HEADER);

/// Whether a request names this server by its address, and no other project than `assigned`.
pub(super) fn is_expected(headers: &HeaderMap, assigned: Option<&ProjectKey>) -> bool {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    let by_address = host.is_some_and(|host| host.parse::<SocketAddr>().is_ok());
    let ours = headers.get(PROJECT).is_none_or(|wanted| {
        assigned.is_some_and(|assigned| wanted.as_bytes() == assigned.to_string().as_bytes())
    });
    by_address && ours
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expected(fields: &[(HeaderName, &'static str)], assigned: Option<&ProjectKey>) -> bool {
        let fields = fields.iter();
        let headers = fields
            .map(|(name, value)| (name.clone(), value.parse().unwrap()))
            .collect();
        is_expected(&headers, assigned)
    }

    #[test]
    fn only_an_address_leads_here() {
        for host in ["172.18.0.2:2441", "127.0.0.1:40001", "[::1]:2441"] {
            assert!(expected(&[(HOST, host)], None), "{host} was refused");
        }
        for host in [
            "evil.test",
            "evil.test:2441",
            "localhost:2441",
            "127.0.0.1.evil.test:2441",
            "",
        ] {
            assert!(!expected(&[(HOST, host)], None), "{host} was let in");
        }
        assert!(!expected(&[], None));
    }

    #[test]
    fn another_project_is_not_here() {
        let host = (HOST, "127.0.0.1:2441");
        let key = ProjectKey::new("alice", "montage", "app").unwrap();
        let ours = [host.clone(), (PROJECT, "alice/montage/app")];
        let other = [host, (PROJECT, "bob/montage/app")];
        assert!(expected(&ours, Some(&key)));
        assert!(!expected(&other, Some(&key)));
        assert!(!expected(&ours, None));
    }
}
