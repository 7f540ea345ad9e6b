//! `[[webhook]]`: who may send.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::ConfiguredWebhook;
use super::mistake::Place;
use super::reader::Reader;
use super::section::Section;
use super::units::duration;
use super::value::{self, Value, boolean, one_of, secret, shown};
use crate::contract::{Brand, Token, Webhook, WebhookName, Webhooks, WebhooksError};
use crate::secret::Secret;

/// The longest id, in bytes: what the header can have.
const ID_MAX_LEN: usize = 256;
/// How long a silence can be that somebody is told of.
const SILENCE: RangeInclusive<Duration> = Duration::from_secs(60)..=Duration::from_secs(365 * 24 * 3600);

pub(super) fn read_all(reader: &mut Reader<'_>) -> Vec<ConfiguredWebhook> {
    let found: Vec<_> = reader.many("webhook", read).into_iter().flatten().collect();
    let (places, configured): (Vec<_>, Vec<_>) = found.into_iter().unzip();
    let list = configured.iter().map(|configured: &ConfiguredWebhook| configured.webhook.clone()).collect();
    for (index, error) in Webhooks::new(list).err().unwrap_or_default() {
        // That a webhook has no token was said while it was read.
        if !matches!(error, WebhooksError::NoToken(_)) {
            reader.report(places[index].clone(), String::new(), error.to_string());
        }
    }
    configured
}

fn read(section: &mut Section<'_, '_>) -> Option<(Place, ConfiguredWebhook)> {
    let env = section.env();
    let name = section.require("name", "\"product\"", value::name(WebhookName::parse));
    if let Some(name) = &name {
        section.call(name.as_str());
    }
    let tokens = section.list("tokens", "[\"env:LEIGA_TOKEN\"]", |value| token(secret(value, env)?));
    let ids = section.list("ids", "[\"77\"]", id);
    if ids.as_ref().is_some_and(Vec::is_empty) {
        section.blame(&["ids"], "is empty, and would take nothing; leave it out to take every id".to_owned());
    }
    let brands: Vec<_> = Brand::ALL.iter().map(|brand| (brand.slug(), *brand)).collect();
    let brand = section.take("brand", one_of("brand", &brands));
    let silence = section.take("silence", duration(SILENCE));
    let tokenless = section.take("tokenless", boolean).unwrap_or(false);
    let mut tokens = tokens.unwrap_or_default();
    if tokens.is_empty() && !tokenless {
        section
            .blame(&["tokens", "tokenless"], "there is no token; give it `tokens`, or `tokenless = true`".to_owned());
    }
    if section.is_faulty("ids") || section.is_faulty("brand") {
        // What tells it from others that have its tokens is not known, so it is not compared with them.
        tokens.clear();
    }
    let (secrets, tokens) = tokens.into_iter().unzip();
    let webhook = Webhook { name: name?, brand, ids: ids.unwrap_or_default(), tokens, tokenless };
    Some((section.place(), ConfiguredWebhook { webhook, tokens: secrets, silence }))
}

fn token(secret: Secret) -> Result<(Secret, Token), String> {
    match Token::parse(secret.expose()) {
        Some(token) => Ok((secret, token)),
        None => {
            Err("the token cannot stand in a header; it has to be visible ASCII, without spaces around it".to_owned())
        }
    }
}

fn id(value: Value<'_>) -> Result<String, String> {
    let text = value.text("\"77\"")?;
    let fits = (1..=ID_MAX_LEN).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    let wrong = || format!("{} cannot be an id; it is 1 to {ID_MAX_LEN} of visible ASCII", shown(text));
    fits.then(|| text.to_owned()).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{parse, wrong};
    use super::*;

    #[test]
    fn everything_can_be_set_and_tokens_are_kept_for_sending() {
        let text = r#"
            [[webhook]]
            name = "product"
            tokens = ["env:TOKEN", "old"]
            ids = ["77", "78"]
            brand = "workzappy"
            silence = "12h"

            [[webhook]]
            name = "open"
            tokenless = true
        "#;
        let webhooks = parse(text).webhooks;
        let [product, open] = webhooks.as_slice() else { panic!("{webhooks:?}") };
        assert_eq!(product.webhook.name.as_str(), "product");
        assert_eq!((product.silence, open.silence), (Some(Duration::from_secs(12 * 3600)), None));
        assert_eq!(product.webhook.ids, ["77", "78"]);
        assert_eq!(product.webhook.brand, Some(Brand::WorkZappy));
        assert_eq!(product.webhook.tokens, [Token::parse("a-token").unwrap(), Token::parse("old").unwrap()]);
        assert_eq!(product.tokens.iter().map(Secret::expose).collect::<Vec<_>>(), ["a-token", "old"]);
        assert!(open.webhook.tokenless && open.tokens.is_empty());
    }

    #[track_caller]
    fn check(keys: &str, expected: &[&str]) {
        assert_eq!(wrong(&format!("[[webhook]]\n{keys}")), expected);
    }

    #[test]
    fn a_wrong_value_is_said_with_what_would_be_right() {
        check(
            "",
            &[
                r#"1:1: webhook: `name` is missing; add for example name = "product""#,
                "1:1: webhook: there is no token; give it `tokens`, or `tokenless = true`",
            ],
        );
        check(
            "name = \"Product\"\ntokens = [\"t\"]",
            &["2:8: webhook.name: \"Product\" cannot be a name; use 1 to 63 of a-z 0-9 - _, and begin with \
                a letter or a digit"],
        );
        check("name = \"a\"", &["1:1: webhook.a: there is no token; give it `tokens`, or `tokenless = true`"]);
        check(
            "name = \"a\"\ntokens = []",
            &["3:10: webhook.a.tokens: there is no token; give it `tokens`, or `tokenless = true`"],
        );
        check(
            "name = \"a\"\ntokens = \"secret\"",
            &[r#"3:10: webhook.a.tokens: expected a list, as in ["env:LEIGA_TOKEN"], found a text"#],
        );
        check(
            "name = \"a\"\ntokens = [\"env:NOT_SET\", \"file:/no/such\", \" secret\", \"\", 5]",
            &[
                "3:11: webhook.a.tokens: the environment variable NOT_SET is not set",
                "3:26: webhook.a.tokens: the file /no/such cannot be read: No such file or directory (os \
                error 2)",
                "3:43: webhook.a.tokens: the token cannot stand in a header; it has to be visible ASCII, \
                without spaces around it",
                "3:54: webhook.a.tokens: the secret is empty",
                "3:58: webhook.a.tokens: expected a text in quotes, as in \"env:NAME\" or \
                \"file:/run/secrets/name\", found a number",
            ],
        );
        check(
            "name = \"a\"\ntokens = [\"t\"]\nids = []",
            &["4:7: webhook.a.ids: is empty, and would take nothing; leave it out to take every id"],
        );
        check(
            "name = \"a\"\ntokens = [\"t\"]\nids = [77, \"\"]",
            &[
                r#"4:8: webhook.a.ids: expected a text in quotes, as in "77", found a number"#,
                r#"4:12: webhook.a.ids: "" cannot be an id; it is 1 to 256 of visible ASCII"#,
            ],
        );
        check(
            "name = \"a\"\ntokens = [\"t\"]\nbrand = \"Leiga\"",
            &[r#"4:9: webhook.a.brand: unknown brand "Leiga"; did you mean `leiga`?"#],
        );
        check(
            "name = \"a\"\ntokenless = \"yes\"",
            &["3:13: webhook.a.tokenless: expected true or false, without quotes, found a text"],
        );
        check(
            "name = \"a\"\ntoken = \"t\"\ntokenless = true",
            &["3:1: webhook.a: unknown key `token`; did you mean `tokens`?"],
        );
    }

    #[test]
    fn what_is_wrong_between_webhooks_is_said_at_the_later_one() {
        let text = "
            [[webhook]]
            name = \"a\"
            tokens = [\"t\"]
            [[webhook]]
            name = \"b\"
            tokens = [\"t\"]
            [[webhook]]
            name = \"a\"
            tokens = [\"u\"]";
        assert_eq!(
            wrong(text),
            [
                "5:13: webhooks \"a\" and \"b\" share a token; give each its own, or tell them apart by `ids` \
                or `brand`",
                r#"8:13: two webhooks are named "a""#
            ]
        );
    }

    #[test]
    fn a_mistake_in_what_tells_webhooks_apart_is_not_said_as_a_shared_token() {
        let text = "
            [[webhook]]
            name = \"a\"
            tokens = [\"t\"]
            ids = [\"77\", 78]
            [[webhook]]
            name = \"b\"
            tokens = [\"t\"]
            ids = [\"79\"]";
        assert_eq!(wrong(text), [r#"5:26: webhook.a.ids: expected a text in quotes, as in "77", found a number"#]);
    }

    #[test]
    fn a_list_of_tables_has_its_own_form() {
        assert_eq!(
            wrong("[webhook]\nname = \"a\"\ntokens = [\"t\"]\nbrnd = 1"),
            [
                "1:1: `webhook` is a list of tables; write [[webhook]] before each",
                "4:1: webhook.a: unknown key `brnd`; did you mean `brand`?"
            ]
        );
        assert_eq!(wrong("webhook = 5"), ["1:11: `webhook` is a list of tables; write [[webhook]] before each"]);
        assert_eq!(wrong("webhook = [\"a\"]"), ["1:12: `webhook` is a list of tables; write [[webhook]] before each"]);
        assert_eq!(parse("webhook = [{ name = \"a\", tokens = [\"t\"] }]").webhooks.len(), 1);
    }
}
