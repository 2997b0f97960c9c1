//! What the members of a stand-in's cluster share, and who of them may do what.

#![expect(
    clippy::result_large_err,
    reason = "that is how large the library's status is"
)]

use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine;
use tokio::sync::watch;
use tonic::Status;
use tonic::metadata::MetadataMap;

use super::Behaviour;
use super::log::Log;
use super::messages::{ClusterInfo, EndPoint, Member, Uuid};

const FOLLOWER: i32 = 6;
const LEADER: i32 = 8;

/// What the connections of a stand-in share.
pub struct Shared {
    port: u16,
    pub behaviour: Behaviour,
    pub cluster: Arc<Cluster>,
}

/// What the members of a cluster share.
pub struct Cluster {
    log: Mutex<Log>,
    /// Counts what is written.
    pub written: watch::Sender<u64>,
    /// Counts how often subscriptions were ended.
    pub ended: watch::Sender<u64>,
    subscriptions: AtomicUsize,
    leader: AtomicU16,
    /// Calls that will get no answer.
    unanswered: AtomicUsize,
    /// Reads that another member than the leader answered.
    followed: AtomicUsize,
}

impl Shared {
    pub fn new(port: u16, behaviour: &Behaviour) -> Self {
        Self {
            port,
            behaviour: behaviour.clone(),
            cluster: Arc::new(Cluster {
                log: Mutex::new(Log::new()),
                written: watch::Sender::new(0),
                ended: watch::Sender::new(0),
                subscriptions: AtomicUsize::new(0),
                leader: AtomicU16::new(behaviour.cluster.first().copied().unwrap_or(port)),
                unanswered: AtomicUsize::new(0),
                followed: AtomicUsize::new(0),
            }),
        }
    }

    pub fn member(&self, port: u16) -> Self {
        Self {
            port,
            behaviour: self.behaviour.clone(),
            cluster: Arc::clone(&self.cluster),
        }
    }

    pub fn lead_by(&self, port: u16) {
        self.cluster.leader.store(port, Ordering::SeqCst);
    }

    pub fn end_subscriptions(&self) {
        self.cluster.ended.send_modify(|ended| *ended += 1);
    }

    pub fn leave_unanswered(&self, calls: usize) {
        self.cluster.unanswered.store(calls, Ordering::SeqCst);
    }

    /// Whether the call of now gets no answer.
    pub fn is_silent(&self) -> bool {
        let fewer = |calls: usize| calls.checked_sub(1);
        let unanswered = &self.cluster.unanswered;
        unanswered
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, fewer)
            .is_ok()
    }

    pub fn subscriptions(&self) -> usize {
        self.cluster.subscriptions.load(Ordering::SeqCst)
    }

    pub fn write_foreign(&self, stream: &str, event_type: &str, metadata: &str, data: &str) {
        self.log().write_foreign(stream, event_type, metadata, data);
        self.cluster.written.send_modify(|written| *written += 1);
    }

    pub fn log(&self) -> MutexGuard<'_, Log> {
        self.cluster
            .log
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub fn leader(&self) -> u16 {
        self.cluster.leader.load(Ordering::SeqCst)
    }

    /// Lets only those in who give the right name and password.
    pub fn authenticate(&self, metadata: &MetadataMap) -> Result<(), Status> {
        let Some((name, password)) = &self.behaviour.user else {
            return Ok(());
        };
        let pair = format!("{name}:{password}");
        let wanted = base64::engine::general_purpose::STANDARD.encode(pair);
        let given = metadata
            .get("authorization")
            .and_then(|given| given.to_str().ok());
        if given == Some(&format!("Basic {wanted}")) {
            Ok(())
        } else {
            Err(Status::unauthenticated("unknown user"))
        }
    }

    /// Refuses what a client wants from nobody but the leader, and names it.
    pub fn check_leader(&self, metadata: &MetadataMap) -> Result<(), Status> {
        let wanted = metadata.get("requires-leader");
        if wanted.is_some_and(|wanted| wanted == "true") {
            return self.check_is_leader();
        }
        if self.leader() != self.port {
            self.cluster.followed.fetch_add(1, Ordering::SeqCst);
        }
        Ok(())
    }

    pub fn reads_of_followers(&self) -> usize {
        self.cluster.followed.load(Ordering::SeqCst)
    }

    /// Writes are for the leader alone, whatever the client says.
    pub fn check_is_leader(&self) -> Result<(), Status> {
        let leader = self.leader();
        if leader == self.port {
            return Ok(());
        }
        let mut status = Status::not_found("leader info available");
        let metadata = status.metadata_mut();
        metadata.insert("exception", "not-leader".parse().expect("it is ASCII"));
        metadata.insert(
            "leader-endpoint-host",
            "127.0.0.1".parse().expect("it is ASCII"),
        );
        metadata.insert("leader-endpoint-port", leader.into());
        Err(status)
    }

    pub fn gossip(&self) -> ClusterInfo {
        let member = |port: &u16| Member {
            instance_id: Some(Uuid { value: None }),
            time_stamp: 0,
            state: if *port == self.leader() {
                LEADER
            } else {
                FOLLOWER
            },
            is_alive: true,
            http_end_point: Some(EndPoint {
                address: "127.0.0.1".to_owned(),
                port: u32::from(*port),
            }),
        };
        ClusterInfo {
            members: self.behaviour.cluster.iter().map(member).collect(),
        }
    }
}

/// One of the subscriptions that there are.
pub struct Counted(Arc<Cluster>);

impl Counted {
    pub fn new(cluster: Arc<Cluster>) -> Self {
        cluster.subscriptions.fetch_add(1, Ordering::SeqCst);
        Self(cluster)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.subscriptions.fetch_sub(1, Ordering::SeqCst);
    }
}
