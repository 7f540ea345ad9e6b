//! `[log]`: what is said while it runs.

use tracing_subscriber::EnvFilter;

use super::section::Section;
use super::suggest;
use super::value::{Value, one_of, shown};
use crate::telemetry::{LogConfig, LogFormat};

const FORMATS: &[(&str, LogFormat)] =
    &[("auto", LogFormat::Auto), ("text", LogFormat::Text), ("json", LogFormat::Json)];
const LEVELS: &[&str] = &["off", "error", "warn", "info", "debug", "trace"];

pub(super) fn read(section: &mut Section<'_, '_>) -> LogConfig {
    let mut log = LogConfig::default();
    section.set("format", &mut log.format, one_of("format", FORMATS));
    section.shown("format", "auto".to_owned());
    section.set("level", &mut log.level, level);
    log
}

fn level(value: Value<'_>) -> Result<String, String> {
    let text = value.text("\"info\"")?;
    for directive in text.split(',') {
        // The filter takes a word that is no level for the name of a module, and then logs nothing but that.
        if !directive.contains(['=', '[']) && !LEVELS.contains(&directive) {
            return Err(format!("unknown level {}; {}", shown(directive), suggest::instead_of(directive, LEVELS)));
        }
    }
    match EnvFilter::builder().parse(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => Err(format!("{} is not a filter; write for example \"warn,workhook=debug\"", shown(text))),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{parse, wrong};
    use super::*;

    #[test]
    fn everything_can_be_set() {
        let log = |text: &str| parse(&format!("[log]\n{text}")).log;
        assert_eq!(log("").format, LogFormat::Auto);
        assert_eq!(log("format = \"json\"").format, LogFormat::Json);
        for level in ["off", "debug", "warn,workhook=debug", "info,workhook::ingest=trace"] {
            assert_eq!(log(&format!("level = {level:?}")).level, level);
        }
    }

    #[test]
    fn a_wrong_value_is_said_with_what_would_be_right() {
        let check = |text: &str, expected: &str| assert_eq!(wrong(&format!("[log]\n{text}")), [expected]);
        check("format = \"jsno\"", r#"2:10: log.format: unknown format "jsno"; did you mean `json`?"#);
        check("format = true", r#"2:10: log.format: expected a text in quotes, as in "auto", found true or false"#);
        check("level = \"inof\"", r#"2:9: log.level: unknown level "inof"; did you mean `info`?"#);
        check(
            "level = \"warn,workhook=loud\"",
            r#"2:9: log.level: "warn,workhook=loud" is not a filter; write for example "warn,workhook=debug""#,
        );
        check(
            "level = \"\"",
            r#"2:9: log.level: unknown level ""; known are `off`, `error`, `warn`, `info`, `debug` and `trace`"#,
        );
    }
}
