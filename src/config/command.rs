//! The keys that only a handler of kind `command` has.

use std::path::{Path, PathBuf};

use super::env::Env;
use super::section::Section;
use super::value::{Value, one_of, secret, shown};
use crate::handlers::command::{self, Config, ExitCodes, Meaning};
use crate::secret::Secret;

const COMMAND: &str = "[\"/opt/hooks/on-issue\", \"--flag\"]";
const FOLDER: &str = "\"/srv/hooks\"";
const EXIT_CODES: &str = "{ 65 = \"dead\", other = \"retry\" }";
/// What stands for all exit codes that are not named.
const OTHER: &str = "other";
const MEANINGS: &[(&str, Meaning)] = &[("done", Meaning::Done), ("retry", Meaning::Retry), ("dead", Meaning::Dead)];

pub(super) fn read(section: &mut Section<'_, '_>) -> Option<Config> {
    let env = section.env();
    let program = program(section);
    let mut folder = PathBuf::from("/");
    section.set("folder", &mut folder, self::folder);
    let variables = section.entries("env", "{ CRM_KEY = \"env:CRM_KEY\" }", |name, value| variable(name, value, env));
    let exit_codes = exit_codes(section);
    let (program, arguments) = program?;
    Some(Config { program, arguments, folder, env: variables?, exit_codes: exit_codes? })
}

/// Reads the file of the program, and its arguments.
fn program(section: &mut Section<'_, '_>) -> Option<(PathBuf, Vec<String>)> {
    if !section.has("command") {
        section.report(format!("`command` is missing; add for example command = {COMMAND}"));
    }
    let mut words = section.list("command", COMMAND, word)?.into_iter();
    let Some(first) = words.next() else {
        section.blame(&["command"], format!("is empty; write the program and its arguments, as in {COMMAND}"));
        return None;
    };
    match command::find(&first) {
        Ok(program) => Some((program, words.collect())),
        Err(error) => {
            section.blame(&["command"], format!("the program {} {error}", shown(&first)));
            None
        }
    }
}

fn word(value: Value<'_>) -> Result<String, String> {
    let text = value.text("\"--flag\"")?;
    if text.contains('\0') {
        return Err("there is a NUL in it, which no argument can have".to_owned());
    }
    Ok(text.to_owned())
}

/// Reads a folder, which has to be there.
fn folder(value: Value<'_>) -> Result<PathBuf, String> {
    let text = value.text(FOLDER)?;
    let found = std::path::absolute(Path::new(text)).ok().filter(|path| path.is_dir());
    found.ok_or_else(|| format!("the folder {} is not there; write for example {FOLDER}", shown(text)))
}

fn variable(name: &str, value: Value<'_>, env: &Env) -> Result<(String, Secret), String> {
    let shown = shown(name);
    command::is_settable(name).map_err(|error| format!("{shown} {error}"))?;
    let secret = secret(value, env).map_err(|message| format!("{shown}: {message}"))?;
    if secret.expose().contains('\0') {
        return Err(format!("{shown}: there is a NUL in the value, which no variable can have"));
    }
    Ok((name.to_owned(), secret))
}

fn exit_codes(section: &mut Section<'_, '_>) -> Option<ExitCodes> {
    let said = section.entries("exit_codes", EXIT_CODES, |code, value| {
        let code = exit_code(code)?;
        Ok((code, one_of("meaning", MEANINGS)(value)?))
    })?;
    let mut codes = ExitCodes::default();
    for (code, meaning) in said {
        match code {
            Some(code) => _ = codes.said.insert(code, meaning),
            None => codes.other = meaning,
        }
    }
    Some(codes)
}

/// An exit code; `None` for all others.
fn exit_code(text: &str) -> Result<Option<u8>, String> {
    if text == OTHER {
        return Ok(None);
    }
    match text.parse() {
        Ok(0) => Err("0 always means done; take it out".to_owned()),
        // In another spelling it could be there twice.
        Ok(code) if text == u8::to_string(&code) => Ok(Some(code)),
        _ => Err(format!("{} is not an exit code; write 1 to 255 or {OTHER}, as in {EXIT_CODES}", shown(text))),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::KindConfig;
    use super::super::tests::{parse, wrong};
    use super::*;

    fn parsed(keys: &str) -> Config {
        let handlers = parse(&format!("[[handler]]\nname = \"a\"\nkind = \"command\"\n{keys}")).handlers;
        let KindConfig::Command(config) = handlers[0].kind.clone() else { panic!("{handlers:?}") };
        config
    }

    #[track_caller]
    fn check(keys: &str, expected: &[&str]) {
        assert_eq!(wrong(&format!("[[handler]]\nname = \"a\"\nkind = \"command\"\n{keys}")), expected, "{keys}");
    }

    #[test]
    fn everything_can_be_set_and_variables_are_not_shown() {
        let text = r#"
            command = ["sh", "-c", "cat > /dev/null"]
            folder = "/tmp"
            env = { CRM_KEY = "env:TOKEN", HOME = "/root" }
            exit_codes = { 3 = "done", 65 = "dead", 75 = "dead", other = "dead" }
        "#;
        let config = parsed(text);
        assert!(config.program.is_absolute() && config.program.ends_with("sh"), "{config:?}");
        assert_eq!(config.arguments, ["-c", "cat > /dev/null"]);
        assert_eq!(config.folder, Path::new("/tmp"));
        let env: Vec<_> = config.env.iter().map(|(name, value)| (name.as_str(), value.expose())).collect();
        assert_eq!(env, [("CRM_KEY", "a-token"), ("HOME", "/root")]);
        let said = BTreeMap::from([(3, Meaning::Done), (65, Meaning::Dead), (75, Meaning::Dead)]);
        assert_eq!(config.exit_codes, ExitCodes { said, other: Meaning::Dead });
        assert!(!format!("{config:?}").contains("a-token"));
    }

    #[test]
    fn a_command_alone_is_enough() {
        let config = parsed("command = [\"/bin/sh\"]");
        assert_eq!((config.program.as_path(), config.folder.as_path()), (Path::new("/bin/sh"), Path::new("/")));
        assert!(config.arguments.is_empty() && config.env.is_empty());
        assert_eq!(config.exit_codes, ExitCodes::default());
        assert_eq!(parsed("command = [\"sh\"]\nfolder = \"src\"").folder, std::env::current_dir().unwrap().join("src"));
    }

    #[test]
    fn a_command_that_cannot_be_started_is_said() {
        check(
            "",
            &["1:1: handler.a: `command` is missing; add for example command = [\"/opt/hooks/on-issue\", \"--flag\"]"],
        );
        check(
            "command = \"/bin/sh -c true\"",
            &["4:11: handler.a.command: expected a list, as in [\"/opt/hooks/on-issue\", \"--flag\"], found a text"],
        );
        check(
            "command = []",
            &["4:11: handler.a.command: is empty; write the program and its arguments, as in \
                [\"/opt/hooks/on-issue\", \"--flag\"]"],
        );
        check(
            "command = [\"sh\", 5, \"a\\u0000b\"]",
            &[
                "4:18: handler.a.command: expected a text in quotes, as in \"--flag\", found a number",
                "4:21: handler.a.command: there is a NUL in it, which no argument can have",
            ],
        );
        check("command = [\"/no/such\"]", &["4:11: handler.a.command: the program \"/no/such\" is not there"]);
        check("command = [\"/bin\"]", &["4:11: handler.a.command: the program \"/bin\" is not a file"]);
        check(
            "command = [\"./hook\"]",
            &["4:11: handler.a.command: the program \"./hook\" is neither an absolute path nor a name; write for \
                example \"/opt/hooks/on-issue\" or \"python3\""],
        );
        check(
            "command = [\"no-such-program\"]",
            &["4:11: handler.a.command: the program \"no-such-program\" is in none of \
                /usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin; write an absolute path"],
        );
        check(
            "command = [\"sh\"]\nurl = \"http://localhost/\"",
            &["5:1: handler.a: unknown key `url`; known for kind `command` are `name`, `kind`, `events`, `ordered`, \
                `concurrency`, `timeout`, `retry`, `breaker`, `rate`, `command`, `folder`, `env` and `exit_codes`"],
        );
    }

    #[test]
    fn what_is_wrong_beside_the_command_is_said_and_no_value_is() {
        let check = |keys: &str, expected: &[&str]| check(&format!("command = [\"sh\"]\n{keys}"), expected);
        check(
            "folder = \"/no/such\"",
            &["5:10: handler.a.folder: the folder \"/no/such\" is not there; write for example \"/srv/hooks\""],
        );
        check(
            "env = { \"A B\" = \"secret\" }",
            &["5:9: handler.a.env: \"A B\" is not the name of a variable; use A-Z a-z 0-9 and _, and do not begin \
                with a digit"],
        );
        check(
            "env = { WORKHOOK_EVENT = \"secret\" }",
            &["5:9: handler.a.env: \"WORKHOOK_EVENT\" cannot be set, since each delivery has its own; take it out"],
        );
        check(
            "env = { A = \"env:NOT_SET\", B = 123456, C = \"secret\\u0000\" }",
            &[
                "5:9: handler.a.env: \"A\": the environment variable NOT_SET is not set",
                "5:28: handler.a.env: \"B\": expected a text in quotes, as in \"env:NAME\" or \
                    \"file:/run/secrets/name\", found a number",
                "5:40: handler.a.env: \"C\": there is a NUL in the value, which no variable can have",
            ],
        );
        let not_a_code = |code: &str| {
            format!(
                "\"{code}\" is not an exit code; write 1 to 255 or other, as in {{ 65 = \"dead\", other = \"retry\" }}"
            )
        };
        for code in ["256", "-1", "065", "others"] {
            check(
                &format!("exit_codes = {{ {code} = \"dead\" }}"),
                &[&format!("5:16: handler.a.exit_codes: {}", not_a_code(code))],
            );
        }
        check("exit_codes = { 0 = \"dead\" }", &["5:16: handler.a.exit_codes: 0 always means done; take it out"]);
        check(
            "exit_codes = { 1 = \"ded\" }",
            &["5:16: handler.a.exit_codes: unknown meaning \"ded\"; did you mean `dead`?"],
        );
        check(
            "exit_codes = [65]",
            &["5:14: handler.a.exit_codes: expected a table, as in { 65 = \"dead\", other = \"retry\" }, found a list"],
        );
    }
}
