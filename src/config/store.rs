//! `[store]`: where everything is kept.

use std::path::PathBuf;

use super::section::Section;
use super::value::{Value, shown};
use crate::store::Config;

const EXAMPLE: &str = "\"sqlite:workhook-data/workhook.db\"";

pub(super) fn read(section: &mut Section<'_, '_>) -> Config {
    let mut config = Config::default();
    let default = format!("sqlite:{}", config.path.display());
    section.set("url", &mut config.path, url);
    section.shown("url", default);
    config
}

/// Reads the address of a store. No message repeats more of it than its scheme: there may be a password in it.
fn url(value: Value<'_>) -> Result<PathBuf, String> {
    let text = value.text(EXAMPLE)?;
    let Some((scheme, path)) = text.split_once(':') else {
        return Err(format!("does not say what kind of store it is; write sqlite:PATH, as in {EXAMPLE}"));
    };
    match scheme {
        "sqlite" if path.starts_with("//") => {
            Err("two slashes can be meant in two ways; write \"sqlite:data/workhook.db\" \
            for a path from the working folder, \"sqlite:/data/workhook.db\" for one from the root"
                .to_owned())
        }
        "sqlite" if path.is_empty() || path.ends_with('/') || path.starts_with(':') || path.contains('\0') => {
            Err(format!("has to end in the name of a file; write for example {EXAMPLE}"))
        }
        "sqlite" => Ok(PathBuf::from(path)),
        "postgres" | "postgresql" => {
            Err(format!("PostgreSQL is not in this version; write sqlite:PATH, as in {EXAMPLE}"))
        }
        other => Err(format!("unknown kind of store {}; write sqlite:PATH, as in {EXAMPLE}", shown(other))),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::tests::{parse, wrong};

    #[test]
    fn a_store_is_a_file_of_sqlite() {
        let path = |url: &str| parse(&format!("[store]\nurl = {url:?}")).store.path;
        assert_eq!(path("sqlite:a/b.db"), Path::new("a/b.db"));
        assert_eq!(path("sqlite:/data/b.db"), Path::new("/data/b.db"));
    }

    #[test]
    fn another_store_is_refused_without_repeating_its_password() {
        let check = |url: &str, expected: &str| assert_eq!(wrong(&format!("[store]\nurl = {url:?}")), [expected]);
        check(
            "postgres://user:secret@host/db",
            "2:7: store.url: PostgreSQL is not in this version; write sqlite:PATH, as in \
                \"sqlite:workhook-data/workhook.db\"",
        );
        check(
            "mysql://user:secret@host/db",
            "2:7: store.url: unknown kind of store \"mysql\"; write sqlite:PATH, as in \
                \"sqlite:workhook-data/workhook.db\"",
        );
        check(
            "workhook.db",
            "2:7: store.url: does not say what kind of store it is; write sqlite:PATH, as in \
                \"sqlite:workhook-data/workhook.db\"",
        );
        check(
            "sqlite:",
            "2:7: store.url: has to end in the name of a file; write for example \
                \"sqlite:workhook-data/workhook.db\"",
        );
        check(
            "sqlite::memory:",
            "2:7: store.url: has to end in the name of a file; write for example \
                \"sqlite:workhook-data/workhook.db\"",
        );
        check(
            "sqlite:data/",
            "2:7: store.url: has to end in the name of a file; write for example \
                \"sqlite:workhook-data/workhook.db\"",
        );
        check(
            "sqlite://data/workhook.db",
            "2:7: store.url: two slashes can be meant in two ways; write \"sqlite:data/workhook.db\" for \
                a path from the working folder, \"sqlite:/data/workhook.db\" for one from the root",
        );
    }
}
