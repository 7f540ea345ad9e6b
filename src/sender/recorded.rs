//! Requests that came in, as files: the fixtures of one's own (`fixtures/README.md` has their form), each with a script
//! that sends it again.

use serde_json::{Value, json};

use super::redact::Redaction;
use crate::contract::Brand;

/// The fields of a brand's headers, in the vendor's spelling.
const FIELDS: &[&str] = &["Event", "WebHook-ID", "Type", "Ts", "ID", "Retry-Num", "Sign"];

/// A request that came in.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// Whose headers it carried.
    pub brand: Brand,
    /// The name of the event, as it stood in the header.
    pub event: String,
    /// Its headers less all credentials, in their order.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// What else is known of it, by name.
    pub recorded: Value,
}

impl Recorded {
    /// The same with people replaced, and without the headers that proxies add.
    #[must_use]
    pub fn redacted(self, redaction: &Redaction) -> Recorded {
        let headers = self.headers.iter().filter(|(name, _)| self.is_of_the_sender(name));
        let headers = headers.map(|(name, value)| (name.clone(), redaction.text(value))).collect();
        let mut recorded = self.recorded;
        recorded["redacted"] = json!("people are replaced; the body is not byte for byte what came");
        let body = redaction.body(self.brand, &self.body).unwrap_or_else(|| {
            recorded["redacted"] = json!("the body cannot be read, and is left out");
            Vec::new()
        });
        Recorded { headers, body, recorded, ..self }
    }

    /// What is known of it, in the form of a fixture's `meta.json`.
    #[must_use]
    pub fn meta(&self) -> String {
        let meta = json!({
            "brand": self.brand.slug(),
            "event": self.event,
            "body": { "origin": "recorded" },
            "headers": { "origin": "recorded", "values": self.spelled() },
            "recorded": self.recorded,
        });
        format!("{meta:#}\n")
    }

    /// A script for a shell that sends it again by curl. The token is not in it, and not among curl's arguments.
    #[must_use]
    pub fn script(&self) -> String {
        let mut script = format!(
            "#!/bin/sh\n\
             # Sends this event again. WORKHOOK_URL says where to, WORKHOOK_TOKEN is the webhook's token.\n\
             set -eu\n\
             : \"${{WORKHOOK_URL:?is not set, for example http://127.0.0.1:8080/webhook}}\"\n\
             : \"${{WORKHOOK_TOKEN:?is not set}}\"\n\
             cd \"$(dirname \"$0\")\"\n\
             printf '{}: %s\\n' \"$WORKHOOK_TOKEN\" |\n\
             \x20   curl --silent --show-error --globoff --max-time 10 --header @- \\\n",
            self.brand.header("Token")
        );
        for (name, value) in self.spelled().iter().filter(|(name, _)| self.is_of_the_sender(name)) {
            // An empty value is said by a semicolon.
            let header = if value.is_empty() { format!("{name};") } else { format!("{name}: {value}") };
            script.push_str(&format!("    --header {} \\\n", quoted(&header)));
        }
        script.push_str("    --data-binary @body.json --url \"$WORKHOOK_URL\"\n");
        script
    }

    /// The headers, the brand's in the vendor's spelling.
    fn spelled(&self) -> Vec<(String, String)> {
        let spell = |name: &str| {
            let fields = FIELDS.iter().map(|field| self.brand.header(field));
            fields.into_iter().find(|known| known.eq_ignore_ascii_case(name)).unwrap_or_else(|| name.to_owned())
        };
        self.headers.iter().map(|(name, value)| (spell(name), value.clone())).collect()
    }

    fn is_of_the_sender(&self, name: &str) -> bool {
        let name = name.to_ascii_lowercase();
        name.starts_with(self.brand.header_prefix()) || name == "content-type"
    }
}

/// A text as one word of a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_says_every_header_of_the_sender_and_never_a_word_of_it_to_the_shell() {
        let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let recorded = Recorded {
            brand: Brand::Leiga,
            event: "Issue.Update".to_owned(),
            headers: vec![
                header("x-leiga-event", "Issue.Update"),
                header("x-leiga-sign", "'; $(rm -rf /) `x` \\"),
                header("x-leiga-type", ""),
                header("host", "hooks.example"),
            ],
            body: b"{}".to_vec(),
            recorded: json!({}),
        };
        let script = recorded.script();
        assert!(script.contains(r"--header 'X-Leiga-Sign: '\''; $(rm -rf /) `x` \' \"), "{script}");
        assert!(script.contains("--header 'X-Leiga-Event: Issue.Update'") && script.contains("'X-Leiga-Type;'"));
        assert!(!script.contains("hooks.example"), "{script}");
        let meta: Value = serde_json::from_str(&recorded.meta()).unwrap();
        assert_eq!(meta["headers"]["values"][0], json!(["X-Leiga-Event", "Issue.Update"]));
        assert_eq!(meta["headers"]["values"][3], json!(["host", "hooks.example"]));
    }
}
