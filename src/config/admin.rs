//! `[admin]`: the private door.

use super::section::Section;
use super::value::{address, secret};
use crate::admin::Config;
use crate::contract::Token;
use crate::secret::Secret;

pub(super) fn read(section: &mut Section<'_, '_>) -> Config {
    let env = section.env();
    let mut config = Config::default();
    section.set("listen", &mut config.listen, address);
    config.token = section.take("token", |value| carried(secret(value, env)?));
    config
}

/// A credential that nobody could send would let nobody in.
fn carried(secret: Secret) -> Result<Secret, String> {
    let good = Token::parse(secret.expose()).is_some();
    good.then_some(secret)
        .ok_or_else(|| "it cannot stand in a header; it has to be visible ASCII, without spaces around it".to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::tests::{parse, wrong};

    #[test]
    fn everything_can_be_set() {
        let config = parse("[admin]\nlisten = \"127.0.0.1:9\"\ntoken = \"env:TOKEN\"").admin;
        assert_eq!(config.listen.port(), 9);
        assert_eq!(config.token.unwrap().expose(), "a-token");
    }

    #[test]
    fn a_wrong_value_is_said_and_a_secret_is_not() {
        let text = "[admin]\nlisten = \":8081\"\ntoken = 123456";
        assert_eq!(
            wrong(text),
            [
                "2:10: admin.listen: \":8081\" is not an IP address with a port; write for example \
                \"127.0.0.1:8080\", or \"0.0.0.0:8080\" for every interface",
                "3:9: admin.token: expected a text in quotes, as in \"env:NAME\" or \
                \"file:/run/secrets/name\", found a number"
            ]
        );
        assert_eq!(
            wrong("[admin]\ntoken = \"env:NOT_SET\""),
            ["2:9: admin.token: the environment variable NOT_SET is not set"]
        );
        assert_eq!(
            wrong("[admin]\ntoken = \"env:NOT\\u001bSET\""),
            ["2:9: admin.token: the environment variable NOT\\u{1b}SET is not set"]
        );
        assert_eq!(wrong("[admin]\ntoken = \"\""), ["2:9: admin.token: the secret is empty"]);
        for nobody_s in ["secret\\nline", "secret ", "s\u{e9}cret"] {
            assert_eq!(
                wrong(&format!("[admin]\ntoken = \"{nobody_s}\"")),
                ["2:9: admin.token: it cannot stand in a header; it has to be visible ASCII, without spaces around it"]
            );
        }
    }
}
