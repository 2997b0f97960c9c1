//! Whether a Firefly answers where one would listen, and whether one could.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpListener;

use super::check::Check;
use crate::args::Up;

const FIREFLY: &str = "firefly";
const PORT: &str = "port";
const METRICS_PORT: &str = "metrics port";

/// A Firefly of this host answers at once; `/readyz` waits a second for what is behind.
const ANSWER_DEADLINE: Duration = Duration::from_secs(5);

/// What answers at the address of a Firefly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answers {
    /// A Firefly, all of which is well.
    Well,
    /// A Firefly that names parts of it that are not.
    Unwell(String),
    /// Something else, or a Firefly that is about to start or to end.
    Otherwise,
    /// Nobody.
    Nobody,
}

/// An address that is to be listened on, and why that is not possible if it is not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    pub name: &'static str,
    pub address: SocketAddr,
    pub refused: Option<String>,
}

/// What was found.
pub struct Running {
    address: SocketAddr,
    pub answers: Answers,
    ports: Vec<Port>,
}

pub async fn look(up: &Up) -> Running {
    let mut ports = vec![port(PORT, up.listen).await];
    if let Some(address) = up.metrics_listen {
        ports.push(port(METRICS_PORT, address).await);
    }
    Running {
        address: up.listen,
        answers: ask(up).await,
        ports,
    }
}

impl Running {
    pub fn is_there(&self) -> bool {
        matches!(self.answers, Answers::Well | Answers::Unwell(_))
    }

    pub fn checks(&self) -> Vec<Check> {
        let ports = self.ports.iter();
        let ports = ports.map(|port| judge_port(port, self.is_there()));
        [judge(&self.answers, self.address)]
            .into_iter()
            .chain(ports)
            .collect()
    }
}

async fn port(name: &'static str, address: SocketAddr) -> Port {
    let refused = TcpListener::bind(address).await.err();
    Port {
        name,
        address,
        refused: refused.map(|error| error.to_string()),
    }
}

/// Asks the address itself, under the name that it answers to.
async fn ask(up: &Up) -> Answers {
    let client = reqwest::Client::builder()
        .timeout(ANSWER_DEADLINE)
        .no_proxy()
        .resolve(&up.host, up.listen)
        .build();
    let Ok(client) = client else {
        return Answers::Nobody;
    };
    let url = format!("http://{}:{}/readyz", up.host, up.listen.port());
    let Ok(answer) = client.get(url).send().await else {
        return Answers::Nobody;
    };
    let status = answer.status();
    let text = answer.text().await.unwrap_or_default();
    let is_ours = text.starts_with("[+]") || text.starts_with("[-]");
    match (is_ours, status.as_u16()) {
        (true, 200) => Answers::Well,
        (true, 503) => Answers::Unwell(unwell(&text)),
        _ => Answers::Otherwise,
    }
}

/// The parts of an answer of `/readyz` that are not well.
fn unwell(text: &str) -> String {
    let parts = text.lines().filter_map(|line| line.strip_prefix("[-] "));
    parts.collect::<Vec<_>>().join(", ")
}

fn judge(answers: &Answers, address: SocketAddr) -> Check {
    match answers {
        Answers::Well => Check::fine(FIREFLY, format!("one answers on {address}, and is well")),
        Answers::Unwell(parts) => Check::warning(
            FIREFLY,
            format!("one answers on {address}, and these parts of it are not well: {parts}"),
            "if that lasts, `firefly projections` says more, and so does its output",
        ),
        Answers::Otherwise => Check::warning(
            FIREFLY,
            format!("what answers on {address} is no Firefly, or one that is not up yet"),
            "if it is another program, stop it, or give Firefly another address with --listen",
        ),
        Answers::Nobody => Check::fine(FIREFLY, format!("none answers on {address}")),
    }
}

fn judge_port(port: &Port, is_running: bool) -> Check {
    let address = port.address;
    match &port.refused {
        None => Check::fine(port.name, format!("{address} is free")),
        Some(_) if is_running => Check::fine(port.name, format!("{address} is in use by Firefly")),
        Some(error) => Check::broken(
            port.name,
            format!("nobody can listen on {address}: {error}"),
            "stop what listens there (`ss -ltnp` names it), or choose another address",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::check::Verdict;
    use super::*;

    fn address() -> SocketAddr {
        "127.0.0.1:2440".parse().unwrap()
    }

    #[test]
    fn a_firefly_that_is_not_well_names_its_parts() {
        let parts = unwell("[+] live state\n[-] read models\n[-] projection x\n");
        let check = judge(&Answers::Unwell(parts), address());
        assert_eq!(check.verdict, Verdict::Warning);
        assert!(check.said.ends_with("not well: read models, projection x"));
        for answers in [Answers::Well, Answers::Nobody] {
            assert_eq!(judge(&answers, address()).verdict, Verdict::Fine);
        }
        let other = judge(&Answers::Otherwise, address());
        assert_eq!(other.verdict, Verdict::Warning);
    }

    #[test]
    fn a_port_is_taken_by_others_only_if_no_firefly_answers() {
        let port = |refused: Option<&str>| Port {
            name: PORT,
            address: address(),
            refused: refused.map(str::to_owned),
        };
        assert_eq!(judge_port(&port(None), false).verdict, Verdict::Fine);
        assert_eq!(
            judge_port(&port(Some("in use")), true).verdict,
            Verdict::Fine
        );
        assert_eq!(
            judge_port(&port(Some("in use")), false).verdict,
            Verdict::Broken
        );
    }

    #[tokio::test]
    async fn a_port_that_somebody_has_cannot_be_had() {
        let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = taken.local_addr().unwrap();
        assert!(port(PORT, address).await.refused.is_some());
        drop(taken);
        assert_eq!(port(PORT, address).await.refused, None);
    }
}
