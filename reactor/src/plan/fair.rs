//! Who comes first when more is to be started than can be at once: one user's many projects do not delay another's one.

use std::collections::BTreeMap;

use firefly_domain::Segment;

use super::Action;

/// Starts of one user at a time. The rest of the places is for others.
pub const STARTS_PER_USER_MAX: usize = 4;

/// Brings actions into the order in which they are begun, and leaves out starts of users who have enough under way.
///
/// What ends or reports something comes first, since it makes room; then users take turns, each with what was asked for
/// first; what nobody asked for comes last.
pub fn in_turn(actions: Vec<Action>, under_way: &BTreeMap<Segment, usize>) -> Vec<Action> {
    let mut starts: BTreeMap<Segment, Vec<Action>> = BTreeMap::new();
    let (mut first, mut last) = (Vec::new(), Vec::new());
    for action in actions {
        match &action {
            Action::Start { opening, .. } => {
                let user = opening.key.user.clone();
                starts.entry(user).or_default().push(action);
            }
            Action::Prepare(_) => last.push(action),
            _ => first.push(action),
        }
    }
    let mut turns = Vec::new();
    for (user, mut starts) in starts {
        starts.sort_by_key(|start| start.opening().map(|opening| opening.since));
        let begun = under_way.get(&user).copied().unwrap_or_default();
        let room = STARTS_PER_USER_MAX.saturating_sub(begun);
        turns.extend(starts.into_iter().take(room).enumerate().map(|(turn, start)| (begun + turn, start)));
    }
    turns.sort_by_key(|(turn, start)| (*turn, start.opening().map(|opening| opening.since)));
    first.extend(turns.into_iter().map(|(_, start)| start));
    first.extend(last);
    first
}
