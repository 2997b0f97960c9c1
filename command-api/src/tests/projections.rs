//! Who looks after projections.

use firefly_domain::SessionId;
use firefly_identity::Identity;

use super::*;

/// What can be asked of a projection.
const VERBS: [(&str, &str); 4] = [
    ("rebuild", r#"{"verify":false}"#),
    ("cancel", "{}"),
    ("retry", "{}"),
    (
        "skip",
        r#"{"event":"0193a6c8-7e1d-7c31-9d4b-3f5a2b1c0d9e","reason":"x"}"#,
    ),
];

#[tokio::test]
async fn only_the_user_of_this_host_looks_after_projections() {
    let mut api = Api::new().await;
    let before = api.head();
    // To the user of this host, it is a matter of the name.
    for (verb, body) in VERBS {
        let answer = api
            .send(&format!("projections/paintings/{verb}"), body, &[])
            .await;
        assert_eq!(
            (answer.status, &answer.body["code"]),
            (404, &json!("projection-not-found")),
            "{verb}"
        );
    }
    let tokens = Tokens::new(&Secret::load_or_create(&api._home.path().join("secret")).unwrap());
    let other = Identity {
        user: Segment::parse("bob").unwrap(),
        session: SessionId::from_uuid(Uuid::now_v7()),
    };
    api.token = tokens.issue(&other, chrono::Utc::now()).token;
    for (verb, body) in VERBS {
        let answer = api
            .send(&format!("projections/paintings/{verb}"), body, &[])
            .await;
        assert_eq!(
            (answer.status, &answer.body["code"]),
            (403, &json!("not-an-operator")),
            "{verb}"
        );
    }
    assert_eq!(api.head(), before);
}
