//! What was meant by a name that is not one.

/// What would be right: the nearest of the names that there are, else all of them.
pub(super) fn instead_of(given: &str, names: &[impl AsRef<str>]) -> String {
    match nearest(given, names) {
        Some(name) => format!("did you mean `{name}`?"),
        None => format!("known are {}", listed(names)),
    }
}

/// The nearest of the names, where one is near enough to have been meant.
pub(super) fn nearest<'n>(given: &str, names: &'n [impl AsRef<str>]) -> Option<&'n str> {
    // Case and the kind of dash are what is mistaken most, and never all that tells two names apart.
    let plain = |text: &str| text.to_lowercase().replace('-', "_");
    let given = plain(given);
    // A distance is worked out in a square of the two lengths, and nothing this long is a slip of the finger.
    if given.len() > 100 {
        return None;
    }
    let distance = |name: &'n str| (strsim::damerau_levenshtein(&given, &plain(name)), name);
    let near = |&(distance, name): &(usize, &str)| distance <= (name.len() / 3).max(1);
    names
        .iter()
        .map(|name| distance(name.as_ref()))
        .filter(near)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// The names as `a`, `b` and `c`.
pub(super) fn listed(names: &[impl AsRef<str>]) -> String {
    joined(names, "and")
}

/// The names as `a`, `b` or `c`.
pub(super) fn alternatives(names: &[impl AsRef<str>]) -> String {
    joined(names, "or")
}

fn joined(names: &[impl AsRef<str>], word: &str) -> String {
    let quoted: Vec<_> = names.iter().map(|name| format!("`{}`", name.as_ref())).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} {word} {last}", others.join(", ")),
        None => "none".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(given: &str, expected: Option<&str>) {
        assert_eq!(nearest(given, &["concurrency", "events", "url", "max_body", "http", "log"]), expected, "{given:?}");
    }

    #[test]
    fn the_nearest_name_is_suggested_and_none_that_is_far_off() {
        check("concurency", Some("concurrency"));
        check("Concurrency", Some("concurrency"));
        check("max-body", Some("max_body"));
        check("event", Some("events"));
        check("uri", Some("url"));
        check("htpp", Some("http"));
        check("retention", None);
        check("", None);
        check(&"x".repeat(1 << 20), None);
    }

    #[test]
    fn without_a_near_one_all_names_are_listed() {
        assert_eq!(instead_of("lgo", &["log", "http"]), "did you mean `log`?");
        assert_eq!(instead_of("chat", &["log", "http", "rust"]), "known are `log`, `http` and `rust`");
        assert_eq!(listed(&["log"]), "`log`");
    }
}
