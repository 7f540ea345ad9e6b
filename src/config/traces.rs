//! `[traces]`: where what was done is told, in builds that can.

use super::section::Section;
use super::value::{Value, shown};
use crate::telemetry::traces::TracesConfig;

pub(super) fn read(section: &mut Section<'_, '_>) -> TracesConfig {
    TracesConfig { endpoint: section.take("endpoint", endpoint) }
}

fn endpoint(value: Value<'_>) -> Result<String, String> {
    let text = value.text("\"http://collector:4318\"")?;
    if !cfg!(feature = "otlp") {
        return Err("this build has no traces; build with --features otlp".to_owned());
    }
    match reqwest::Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.query().is_none() && url.fragment().is_none() => {
            Ok(text.to_owned())
        }
        _ => Err(format!("{} is not an address; write for example \"http://collector:4318\"", shown(text))),
    }
}

#[cfg(test)]
mod tests {
    #[cfg(feature = "otlp")]
    use super::super::tests::parse;
    use super::super::tests::wrong;

    #[cfg(not(feature = "otlp"))]
    #[test]
    fn a_build_without_traces_says_how_to_have_them() {
        assert_eq!(
            wrong("[traces]\nendpoint = \"http://collector:4318\""),
            ["2:12: traces.endpoint: this build has no traces; build with --features otlp"]
        );
    }

    #[cfg(feature = "otlp")]
    #[test]
    fn everything_can_be_set() {
        let traces = parse("[traces]\nendpoint = \"http://collector:4318\"").traces;
        assert_eq!(traces.endpoint.as_deref(), Some("http://collector:4318"));
    }

    #[cfg(feature = "otlp")]
    #[test]
    fn a_wrong_value_is_said_with_what_would_be_right() {
        for text in ["collector:4318", "grpc://collector:4317", "http://collector:4318/?a=b"] {
            let expected = format!(
                "2:12: traces.endpoint: \"{text}\" is not an address; write for example \"http://collector:4318\""
            );
            assert_eq!(wrong(&format!("[traces]\nendpoint = \"{text}\"")), [expected]);
        }
    }

    #[test]
    fn another_key_is_a_mistake() {
        assert_eq!(wrong("[traces]\nend = 1").len(), 1);
    }
}
