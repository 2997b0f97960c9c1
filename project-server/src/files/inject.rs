//! Puts the preview's script into a page that is navigated to, never into a template that a component fetches.

use axum::http::HeaderMap;
use std::path::Path;

/// The script element in front of ours, spelled as Montage projects spell it.
const MONTAGE_SCRIPT: [&[u8]; 2] = [
    b"src=\"node_modules/montage/montage.js\"",
    b"src='node_modules/montage/montage.js'",
];

/// Browsers say what a request is for; those that do not get the script in index pages.
pub(super) fn is_navigation(headers: &HeaderMap, path: &Path) -> bool {
    match headers.get("sec-fetch-dest") {
        Some(dest) => dest == "document" || dest == "iframe" || dest == "frame",
        None => path.file_name().is_some_and(|name| name == "index.html"),
    }
}

/// The page with `tag` behind Montage's own script, else at the end of the head, else at the end of the body, else at its
/// very end: HTML lets a page leave all of these out.
pub(super) fn insert(page: &[u8], tag: &str) -> Vec<u8> {
    let searched = without_comments(page);
    let after_montage = behind_montage(&searched).map(|place| (place, format!("\n{tag}")));
    let (place, text) = after_montage
        .or_else(|| Some((find(&searched, b"</head")?, format!("{tag}\n"))))
        .or_else(|| Some((find_last(&searched, b"</body")?, format!("{tag}\n"))))
        .unwrap_or_else(|| (page.len(), format!("\n{tag}\n")));
    let mut out = Vec::with_capacity(page.len() + text.len());
    out.extend_from_slice(&page[..place]);
    out.extend_from_slice(text.as_bytes());
    out.extend_from_slice(&page[place..]);
    out
}

/// A lower-case copy of the same length in which comments are blank, so that positions stay true.
fn without_comments(page: &[u8]) -> Vec<u8> {
    let mut copy = page.to_ascii_lowercase();
    let mut from = 0;
    while let Some(start) = find(&copy[from..], b"<!--").map(|at| from + at) {
        let end = find(&copy[start..], b"-->").map_or(copy.len(), |at| start + at + 3);
        copy[start..end].fill(b' ');
        from = end;
    }
    copy
}

/// The place behind the script element that loads Montage.
fn behind_montage(page: &[u8]) -> Option<usize> {
    let mut from = 0;
    while let Some(start) = find(&page[from..], b"<script").map(|at| from + at) {
        let open_end = start + find(&page[start..], b">")? + 1;
        let element = &page[start..open_end];
        if MONTAGE_SCRIPT
            .iter()
            .any(|source| find(element, source).is_some())
        {
            let close = open_end + find(&page[open_end..], b"</script")?;
            return Some(close + find(&page[close..], b">")? + 1);
        }
        from = open_end;
    }
    None
}

fn find(page: &[u8], what: &[u8]) -> Option<usize> {
    page.windows(what.len()).position(|window| window == what)
}

fn find_last(page: &[u8], what: &[u8]) -> Option<usize> {
    page.windows(what.len()).rposition(|window| window == what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tag_goes_to_the_first_place_that_a_page_has() {
        let montage = r#"<script src="node_modules/montage/montage.js" async></script>"#;
        for (page, expected) in [
            (
                format!("<head>{montage}</head>"),
                Some(format!("<head>{montage}\nT</head>")),
            ),
            (
                format!("<script src=a></script>{}", montage.to_uppercase()),
                Some(format!(
                    "<script src=a></script>{}\nT",
                    montage.to_uppercase()
                )),
            ),
            (
                format!("<!-- {montage} --><head></head>"),
                Some(format!("<!-- {montage} --><head>T\n</head>")),
            ),
            (
                r#"<script src="other/montage.js"></script></HEAD >"#.to_owned(),
                Some(format!(
                    r#"<script src="other/montage.js"></script>{}"#,
                    "T\n</HEAD >"
                )),
            ),
            (
                "<p>one</body>two</body>".to_owned(),
                Some("<p>one</body>twoT\n</body>".to_owned()),
            ),
            (
                "<!doctype html><p>x".to_owned(),
                Some("<!doctype html><p>x\nT\n".to_owned()),
            ),
            (
                "<!-- </head> --><p>x".to_owned(),
                Some("<!-- </head> --><p>x\nT\n".to_owned()),
            ),
            (String::new(), Some("\nT\n".to_owned())),
        ] {
            let found = String::from_utf8(insert(page.as_bytes(), "T")).unwrap();
            assert_eq!(Some(found), expected, "{page}");
        }
    }

    #[test]
    fn text_in_any_encoding_survives() {
        let page = b"<title>\xff\xfe</title></head>";
        assert_eq!(insert(page, "T"), b"<title>\xff\xfe</title>T\n</head>");
    }

    #[test]
    fn only_navigation_gets_the_script() {
        let with = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert("sec-fetch-dest", value.parse().unwrap());
            headers
        };
        let index = Path::new("index.html");
        let template = Path::new("ui/main.reel/main.html");
        assert!(is_navigation(&with("document"), template));
        assert!(is_navigation(&with("iframe"), index));
        assert!(!is_navigation(&with("empty"), index));
        assert!(is_navigation(&HeaderMap::new(), index));
        assert!(!is_navigation(&HeaderMap::new(), template));
    }
}
