//! What happens to containers, and who is told; each of it is checked as it happens.

use super::*;

impl State {
    /// Somebody got the lease.
    pub fn leads(&mut self, life: Life) {
        self.note(format_args!("life {life} leads"));
        self.leader = Some(life);
    }

    pub(super) fn end(&self, life: Life) {
        if let Some(over) = self.lives.get(&life) {
            over.set();
        }
    }

    pub(super) fn any_life(&mut self) -> Option<Life> {
        self.lives.keys().copied().choose(&mut self.rng)
    }

    pub fn note(&mut self, what: impl Display) {
        let line = format!(
            "{:>9.3} {what}",
            clock::now().timestamp_millis() as f64 / 1_000.0
        );
        self.trace.push(line);
    }

    /// A rule does not hold.
    pub fn broken(&mut self, rule: impl Display) {
        let rule = rule.to_string();
        self.note(format_args!("BROKEN: {rule}"));
        self.broken.get_or_insert(rule);
    }

    pub(super) fn delay(&mut self) -> Duration {
        let longest = match self.rng.random_range(0..20) {
            0 => 14_000,
            1..4 => 2_000,
            _ => 60,
        };
        Duration::from_millis(self.rng.random_range(0..longest))
    }

    pub fn next(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    pub fn is_calm(&self) -> bool {
        self.calm
    }

    pub fn subscribe(&mut self) -> mpsc::UnboundedReceiver<RuntimeEvent> {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.subscribers.push(sender);
        receiver
    }

    /// Tells whoever listens; without calm some is lost and some comes twice.
    pub fn nudge(&mut self, event: &RuntimeEvent) {
        let times = match self.rng.random_range(0..10) {
            _ if self.calm => 1,
            0..2 => 0,
            2 => 2,
            _ => 1,
        };
        self.subscribers
            .retain(|subscriber| (0..times).all(|_| subscriber.send(event.clone()).is_ok()));
    }

    /// A container begins to run.
    pub fn run(&mut self, id: &ContainerId, key: &str) {
        let serves = self.containers[id].serves;
        if let Serves::Project(project) = serves {
            self.only_one(id, project);
        }
        self.note(format_args!("{id} runs for {serves:?}"));
        let container = self.containers.get_mut(id).unwrap();
        container.doing = Doing::Running;
        container.key = Some(key.to_owned());
        container.script.clear();
        container.over = Latch::default();
    }

    /// A container works for a project from here on, and no other one may.
    pub fn only_one(&mut self, id: &ContainerId, project: ProjectId) {
        let alive = |(other, it): (&ContainerId, &Container)| {
            other != id && it.is_of(project) && it.doing.is_alive()
        };
        if self.containers.iter().any(alive) {
            self.broken(format_args!(
                "a second container of project {project} runs: {id}"
            ));
        }
    }

    /// A container ends, for whatever reason.
    pub fn exit(&mut self, id: &ContainerId, exit_code: i64, oom: bool) {
        let Some(container) = self.containers.get_mut(id) else {
            return;
        };
        if !container.doing.is_alive() {
            return;
        }
        container.doing = Doing::Exited(Exit {
            exit_code: Some(exit_code),
            oom,
            finished_at: Some(clock::now()),
        });
        container.over.set();
        self.note(format_args!("{id} ends with {exit_code}"));
        self.nudge(&RuntimeEvent::Exited { id: id.clone() });
    }

    /// A container is removed.
    pub fn remove(&mut self, id: &ContainerId) {
        if let Some(container) = self.containers.remove(id) {
            container.over.set();
            self.note(format_args!("{id} is removed"));
            self.nudge(&RuntimeEvent::Exited { id: id.clone() });
        }
    }

    /// The reactor does something to a container: it must be its own.
    pub fn touch(&mut self, id: &ContainerId, what: &str) {
        if self.containers.get(id).is_some_and(|it| it.foreign) {
            self.broken(format_args!(
                "{id} is a stranger's, and the reactor would {what} it"
            ));
        }
    }
}
