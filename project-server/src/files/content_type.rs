//! The content type of a file, by its extension.

use std::path::Path;

/// For refusals.
pub(super) const TEXT: &str = "text/plain; charset=utf-8";

/// For scripts, ours too.
pub(super) const JAVASCRIPT: &str = "text/javascript; charset=utf-8";

const JSON: &str = "application/json; charset=utf-8";

/// For pages.
pub(super) const HTML: &str = "text/html; charset=utf-8";

/// The value of the `Content-Type` header. Text is taken to be UTF-8, as editors have written it for long.
pub(super) fn of(path: &Path) -> String {
    let extension = path.extension().unwrap_or_default().to_ascii_lowercase();
    match extension.to_str().unwrap_or_default() {
        "html" | "htm" => HTML.to_owned(),
        "js" | "mjs" | "cjs" => JAVASCRIPT.to_owned(),
        // Montage's own: descriptions of components and model objects.
        "json" | "meta" | "mjson" | "map" => JSON.to_owned(),
        _ => guess(path),
    }
}

fn guess(path: &Path) -> String {
    let mime = mime_guess::from_path(path).first_or_octet_stream();
    let text = mime.type_() == "text" || mime.suffix().is_some_and(|suffix| suffix == "xml");
    if text {
        format!("{mime}; charset=utf-8")
    } else {
        mime.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_types_of_a_web_page_are_right() {
        for (name, expected) in [
            ("index.html", "text/html; charset=utf-8"),
            ("A.JS", "text/javascript; charset=utf-8"),
            ("a.mjs", "text/javascript; charset=utf-8"),
            ("a.css", "text/css; charset=utf-8"),
            ("a.json", "application/json; charset=utf-8"),
            ("main.reel/main.meta", "application/json; charset=utf-8"),
            ("a.mjson", "application/json; charset=utf-8"),
            ("a.svg", "image/svg+xml; charset=utf-8"),
            ("a.md", "text/markdown; charset=utf-8"),
            ("a.wasm", "application/wasm"),
            ("a.woff2", "font/woff2"),
            ("a.png", "image/png"),
            ("a.mp4", "video/mp4"),
            ("LICENSE", "application/octet-stream"),
        ] {
            assert_eq!(of(Path::new(name)), expected, "{name}");
        }
    }
}
