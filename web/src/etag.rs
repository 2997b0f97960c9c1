//! Entity tags: a project as a client knows it is the revision of its stream.

/// The tag of a revision, as it stands in `ETag`.
pub fn of(revision: u64) -> String {
    format!("\"rev-{revision}\"")
}

/// The revision that a tag of ours names.
pub fn revision(etag: &str) -> Option<u64> {
    etag.trim()
        .strip_prefix("\"rev-")?
        .strip_suffix('"')?
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_names_its_revision_and_no_other_text_does() {
        assert_eq!(of(3), "\"rev-3\"");
        assert_eq!(revision(&of(u64::MAX)), Some(u64::MAX));
        assert_eq!(revision(" \"rev-3\" "), Some(3));
        for other in [
            "",
            "rev-3",
            "\"3\"",
            "W/\"rev-3\"",
            "\"rev--1\"",
            "*",
            "\"rev-1\", \"rev-2\"",
        ] {
            assert_eq!(revision(other), None, "{other}");
        }
    }
}
