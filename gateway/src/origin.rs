//! Whose page a request comes from.
//!
//! Browsers let any page send requests and open WebSockets to any host, and say in `Origin` which page it was. What
//! changes something, or could read a live stream, is answered only to our own pages. Programs send no `Origin`.

use http::header::ORIGIN;
use http::{HeaderMap, Method, StatusCode};

use crate::config::Config;
use crate::headers;
use crate::host::{LOOPBACK_HOSTS, Site};
use firefly_web::problem::Problem;

/// The origins of a gateway's own pages.
#[derive(Clone, Debug)]
pub(crate) struct Origins {
    app: Vec<String>,
    previews: String,
}

impl Origins {
    pub(crate) fn new(config: &Config) -> Self {
        let mut app = vec![config.origin_of(&config.host)];
        if config.is_local() {
            app.extend(LOOPBACK_HOSTS.map(|host| config.origin_of(host)));
        }
        Self {
            app,
            previews: config.origin_of(&config.preview_host()),
        }
    }

    /// Where the console is.
    pub(crate) fn app(&self) -> &str {
        &self.app[0]
    }

    /// The origins that may show our preview pages in a frame, as a source list of CSP. It knows no IPv6 addresses.
    pub(crate) fn frame_ancestors(&self) -> String {
        let mut sources = String::from("'self'");
        for origin in self.app.iter().filter(|origin| !origin.contains('[')) {
            sources.push(' ');
            sources.push_str(origin);
        }
        sources
    }

    /// Refuses a request that another site's page makes and that could do or tell something.
    pub(crate) fn check(
        &self,
        site: Site,
        method: &Method,
        headers: &HeaderMap,
    ) -> Result<(), Problem> {
        let changes = ![Method::GET, Method::HEAD, Method::OPTIONS].contains(method);
        if !changes && !headers::is_websocket(method, headers) {
            return Ok(());
        }
        let mut origins = headers.get_all(ORIGIN).iter();
        if origins.all(|origin| self.is_own(site, origin.as_bytes())) {
            return Ok(());
        }
        Err(Problem::new(
            StatusCode::FORBIDDEN,
            "origin-foreign",
            "a page of another site asked for this; only Firefly's own pages may",
        ))
    }

    fn is_own(&self, site: Site, origin: &[u8]) -> bool {
        let app = self.app.iter().any(|own| own.as_bytes() == origin);
        app || (site == Site::Previews && self.previews.as_bytes() == origin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(site: Site, method: Method, fields: &[(&'static str, &'static str)]) -> bool {
        let headers: HeaderMap = fields
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect();
        let config = Config::new("localhost", 2440);
        Origins::new(&config).check(site, &method, &headers).is_ok()
    }

    #[test]
    fn own_pages_and_programs_may_change_things() {
        assert!(allowed(Site::App, Method::POST, &[]));
        for own in [
            "http://localhost:2440",
            "http://127.0.0.1:2440",
            "http://[::1]:2440",
        ] {
            assert!(
                allowed(Site::App, Method::POST, &[("origin", own)]),
                "{own}"
            );
        }
    }

    #[test]
    fn pages_of_others_may_not() {
        for foreign in [
            "http://evil.example",
            "http://localhost",
            "http://localhost:8080",
            "https://localhost:2440",
            "http://project.localhost:2440",
            "null",
        ] {
            assert!(
                !allowed(Site::App, Method::POST, &[("origin", foreign)]),
                "{foreign}"
            );
            assert!(
                allowed(Site::App, Method::GET, &[("origin", foreign)]),
                "{foreign}"
            );
        }
    }

    #[test]
    fn sockets_are_for_own_pages_only() {
        let socket = |site, origin| {
            let fields = [
                ("connection", "Upgrade"),
                ("upgrade", "websocket"),
                ("origin", origin),
            ];
            allowed(site, Method::GET, &fields)
        };
        assert!(socket(Site::App, "http://localhost:2440"));
        assert!(!socket(Site::App, "http://project.localhost:2440"));
        assert!(socket(Site::Previews, "http://project.localhost:2440"));
        assert!(!socket(Site::Previews, "http://evil.example"));
    }

    #[test]
    fn the_usual_port_is_not_written() {
        let origins = Origins::new(&Config::new("firefly.example", 80));
        assert_eq!(origins.app(), "http://firefly.example");
        assert_eq!(origins.frame_ancestors(), "'self' http://firefly.example");
    }
}
