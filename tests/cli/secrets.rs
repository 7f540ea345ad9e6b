//! Secrets: a run of everything with marked ones, failures included, and then a search through all that it left and
//! said (promise 8). A core would have them, as the memory does, so there is none.

use std::fmt::Write as _;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;

use serde_json::Value;

use crate::support::{Echo, Place, Service, get, json_lines, until};

/// A request with these headers and this body, and the status of its answer.
type Case<'c> = (&'c [(&'c str, &'c str)], &'c str, u16);

/// The beginning of every mark.
const MARK: &str = "marked-";

/// All that is configured as a secret, by where it stands.
const TOKEN: &str = "marked-token-by-variable";
const OLD_TOKEN: &str = "marked-token-by-file";
const PLAIN_TOKEN: &str = "marked-token-in-the-file";
const WRONG_TOKEN: &str = "marked-token-that-is-wrong";
const ADMIN: &str = "marked-credential-of-the-door";
const WRONG_ADMIN: &str = "marked-credential-that-is-wrong";
const HEADER: &str = "marked-header-by-variable";
const KEY: &str = "marked-header-by-file";
const PLAIN_KEY: &str = "marked-header-in-the-file";
const URL: &str = "marked-part-of-an-address";
const PROXY: &str = "marked-password-of-a-proxy";
const HOOK: &str = "marked-variable-of-a-program";
/// What the sender has in headers that carry credentials.
const COOKIE: &str = "marked-cookie-of-the-sender";

/// What is searched, and where it comes from.
#[derive(Default)]
struct Searched(Vec<(String, Vec<u8>)>);

impl Searched {
    fn add(&mut self, whence: impl Into<String>, text: impl Into<Vec<u8>>) {
        self.0.push((whence.into(), text.into()));
    }

    /// Every file below a folder, but for those that somebody else put there.
    fn add_files(&mut self, folder: &Path, left_out: &[&str]) {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let (path, name) = (entry.path(), entry.file_name().into_string().unwrap());
            match path.is_dir() {
                true => self.add_files(&path, left_out),
                false if left_out.contains(&name.as_str()) => {}
                false => self.add(path.display().to_string(), std::fs::read(&path).unwrap()),
            }
        }
    }

    /// Fails where a mark is in any of it; what stands around it is told.
    #[track_caller]
    fn assert_clean(&self, marks: &[&str]) {
        let mut found = String::new();
        for (whence, text) in &self.0 {
            for mark in marks {
                if let Some(at) = text.windows(mark.len()).position(|part| part == mark.as_bytes()) {
                    let around = &text[at.saturating_sub(200)..text.len().min(at + 100)];
                    let _ = writeln!(found, "{mark} is in {whence}: {}", String::from_utf8_lossy(around));
                }
            }
        }
        assert!(found.is_empty(), "{found}");
    }
}

/// The user and the password of the proxy, as they would stand in a header.
const PROXY_BASIC: &str = "dXNlcjptYXJrZWQtcGFzc3dvcmQtb2YtYS1wcm94eQ==";

fn config(good: &Echo, refuses: &Echo) -> String {
    let handler = |name: &str, to: &str, more: &str| {
        format!(
            "[[handler]]\nname = \"{name}\"\nkind = \"http\"\nurl = \"{to}/{URL}?key={URL}#{URL}\"\n\
             headers = {{ Authorization = \"env:HEADER\", X-Key = \"file:key\", X-Plain = \"{PLAIN_KEY}\" }}\n\
             retry = {{ attempts = 2, first = \"1ms\", max = \"1ms\" }}\nbreaker = {{ failures = 3 }}\n{more}\n"
        )
    };
    let traces = if cfg!(feature = "otlp") {
        format!("[traces]\nendpoint = \"http://{}\"\n", good.address)
    } else {
        String::new()
    };
    let certificate = "client_cert = \"file:client.pem\"\nclient_key = \"file:client.key\"\nca = \"file:client.pem\"";
    [
        format!("[ingest]\ndrain_delay = \"0s\"\nmax_body = \"64KiB\"\n[log]\nlevel = \"trace\"\n{traces}"),
        "[admin]\ntoken = \"env:ADMIN\"\n".to_owned(),
        format!("[[webhook]]\nname = \"product\"\ntokens = [\"env:TOKEN\", \"file:old\", \"{PLAIN_TOKEN}\"]\n"),
        "[[handler]]\nname = \"audit\"\nkind = \"log\"\n".to_owned(),
        handler("good", &format!("http://{}", good.address), ""),
        handler("refuses", &format!("http://{}", refuses.address), ""),
        handler("gone", "http://127.0.0.1:1", ""),
        handler("no-tls", &format!("https://{}", good.address), certificate),
        handler("by-proxy", "http://far.example", "proxy = \"env:PROXY\""),
        handler("by-proxy-tls", "https://far.example", "proxy = \"env:PROXY\""),
        "[[handler]]\nname = \"hook\"\nkind = \"command\"\ncommand = [\"sh\", \"-c\", \"env; env >&2; exit 1\"]\n\
         env = { HOOK_KEY = \"env:HOOK\" }\nretry = { attempts = 1 }\n"
            .to_owned(),
        // What a program of another handler's gets is seen by itself only.
        "[[handler]]\nname = \"dump\"\nkind = \"command\"\n\
         command = [\"sh\", \"-c\", \"env > dumped.txt; cat /proc/self/environ >> dumped.txt; cat >> dumped.txt\"]\nfolder = \".\"\n"
            .to_owned(),
    ]
    .concat()
}

/// Configurations with a mistake beside or within a secret.
const MISTAKES: &[&str] = &[
    "[admin]\ntoken = \"marked-no-end",
    "[admin]\ntoken = marked-no-quotes",
    "[admin]\ntoken = [\"marked-in-a-list\"]",
    "[admin]\ntoken = \"marked-with\\nline\"",
    "[admin]\ntokn = \"marked-under-another-key\"",
    "[admin]\ntoken = \"marked-one\"\ntoken = \"marked-another\"",
    "[admin]\ntoken = \"marked-é\"",
    "[[webhook]]\nname = \"a\"\ntokens = \"marked-no-list\"",
    "[[webhook]]\nname = \"a\"\ntokens = [\"marked-é\"]",
    "[[webhook]]\nname = \"a\"\ntokens = [\"marked-shared\"]\n[[webhook]]\nname = \"b\"\ntokens = [\"marked-shared\"]",
    "[[webhook]]\nname = \"a\"\ntoken = \"marked-under-another-key\"",
    "[store]\nurl = \"postgres://user:marked-password@host/db\"",
    "[store]\nurl = \"marked-no-scheme\"",
    "[[handler]]\nname = \"a\"\nkind = \"http\"\nurl = \"https://user:marked-password@host/\"",
    "[[handler]]\nname = \"a\"\nkind = \"http\"\nurl = \"https://marked-user@host/\"",
    "[[handler]]\nname = \"a\"\nkind = \"http\"\nurl = \"host/marked-path\"",
    "[[handler]]\nname = \"a\"\nkind = \"http\"\nurl = \"http://host:marked-port/\"",
    "[[handler]]\nname = \"a\"\nkind = \"http\"\nurl = \"http://host/\"\nheaders = { A = \"marked\\nline\" }",
    "[[handler]]\nname = \"a\"\nkind = \"http\"\nurl = \"http://host/\"\nheaders = { A = [\"marked-list\"] }",
    "[[handler]]\nname = \"a\"\nkind = \"http\"\nurl = \"http://host/\"\nheaders = \"Authorization: marked-text\"",
    "[[handler]]\nname = \"a\"\nkind = \"http\"\nurl = \"http://host/\"\nproxy = \"socks5://user:marked-password@proxy\"",
    "[[handler]]\nname = \"a\"\nkind = \"http\"\nurl = \"http://host/\"\nproxy = \"http://user:marked-password@pro xy\"",
    "[[handler]]\nname = \"a\"\nkind = \"http\"\nurl = \"https://host/\"\nclient_cert = \"marked-no-pem\"\nclient_key = \"marked-no-key\"",
    "[[handler]]\nname = \"a\"\nkind = \"http\"\nurl = \"https://host/\"\nca = \"file:marked.pem\"",
    "[[handler]]\nname = \"a\"\nkind = \"command\"\ncommand = [\"true\"]\nenv = { A = \"marked\\u0000nul\" }",
    "[[handler]]\nname = \"a\"\nkind = \"command\"\ncommand = [\"true\"]\nenv = { WORKHOOK_A = \"marked-name\" }",
    "[[handler]]\nname = \"a\"\nkind = \"command\"\ncommand = \"true --key marked-argument\"",
];

/// The API's answers to all that can be asked without changing anything, and the metrics.
fn asked(service: &Service, searched: &mut Searched) {
    let credential = format!("Bearer {ADMIN}");
    let mut ask = |path: String| {
        let (status, text) = get(service.private, &path, &[("authorization", &credential)]).unwrap();
        searched.add(format!("{path}, {status}"), text.clone());
        serde_json::from_str::<Value>(&text).unwrap_or_default()
    };
    for path in ["health", "settings", "webhooks", "handlers", "replays", "openapi.json"] {
        ask(format!("/api/v1/{path}"));
    }
    for (list, more) in [("events", &["", "/body"][..]), ("deliveries", &[""]), ("rejected", &["", "/body"])] {
        let told = ask(format!("/api/v1/{list}?limit=200"));
        for one in told[list].as_array().unwrap() {
            let id = one["id"].as_str().map_or_else(|| one["id"].to_string(), str::to_owned);
            more.iter().for_each(|part| drop(ask(format!("/api/v1/{list}/{id}{part}"))));
        }
    }
    for path in ["/metrics", "/healthz", "/readyz", "/", "/api/v1/events/no-id", "/api/v1/events?marked=1"] {
        ask(path.replace("marked", "odd"));
    }
    let (status, text) = get(service.private, "/api/v1/events", &[("authorization", WRONG_ADMIN)]).unwrap();
    assert_eq!(status, 401);
    searched.add("the answer to a wrong credential", text);
}

/// Requests of every kind, good and bad.
fn sent(service: &Service, searched: &mut Searched) {
    let mut send = |args: &[&str]| {
        let run = service.run(&[&["send", "Issue.Update"], args].concat());
        searched.add(format!("send {args:?}"), run.stdout + &run.stderr);
    };
    send(&["--all"]);
    for token in [OLD_TOKEN, PLAIN_TOKEN, WRONG_TOKEN] {
        send(&["--token", token]);
    }
    send(&["--token", TOKEN, "--brand", "workzappy", "--count", "3"]);
    for fault in ["duplicate", "cut"] {
        send(&["--fault", fault]);
    }
    let post = |headers: &[(&str, &str)], body: &str| {
        let own = [
            ("x-leiga-event", "Issue.Update"),
            ("cookie", COOKIE),
            ("authorization", COOKIE),
            ("proxy-authorization", COOKIE),
        ];
        crate::support::http::post(service.public, "/webhook", &[&own, headers].concat(), body).unwrap()
    };
    let large = "x".repeat(100_000);
    let cases: [Case<'_>; 7] = [
        (&[("x-leiga-token", TOKEN)], "{}", 200),
        (&[("x-leiga-token", TOKEN), ("x-leiga-event", "twice")], "{}", 400),
        (&[("x-leiga-token", TOKEN), ("x-leiga-retry-num", "x")], "[]", 400),
        (&[("x-leiga-token", TOKEN)], &large, 413),
        (&[("x-leiga-token", TOKEN), ("x-leiga-token", WRONG_TOKEN)], "{}", 401),
        (&[("x-workzappy-token", TOKEN)], "{}", 400),
        (&[("x-leiga-token", TOKEN), ("content-encoding", "gzip")], "{}", 415),
    ];
    for (headers, body, expected) in cases {
        let (status, answer) = post(headers, body);
        assert_eq!(status, expected, "{answer}");
        searched.add("an answer", answer);
    }
}

/// What every command that looks, or fails, prints.
fn printed(service: &Service, searched: &mut Searched) {
    let event = service.newest("Issue.Update");
    let commands: &[&[&str]] = &[
        &["check"],
        &["check", "--json"],
        &["check", "--settings"],
        &["check", "--settings", "--json"],
        &["health"],
        &["health", "--json"],
        &["events", "list", "--json"],
        &["events", "show", &event],
        &["events", "show", &event, "--json"],
        &["events", "list", "--admin-token", WRONG_ADMIN],
        &["events", "export", "--to", "exported"],
        &["events", "export", "--to", "redacted", "--redact"],
        &["deliveries", "list", "--json"],
        &["deliveries", "list", "--state", "dead"],
        &["handlers", "list", "--json"],
        &["handlers", "test", "refuses"],
        &["handlers", "test", "hook", "--json"],
        &["rejected", "list", "--json"],
        &["replay", "--all", "--dry-run"],
        &["send", "Issue.Update", "--url", "http://127.0.0.1:1/webhook", "--token", WRONG_TOKEN],
        &["events", "list", "--admin-url", "http://127.0.0.1:1", "--admin-token", WRONG_ADMIN],
    ];
    for command in commands {
        let run = service.run(command);
        searched.add(format!("{command:?}"), run.stdout + &run.stderr);
    }
}

/// A reload of each mistake, and at last of what was there before.
fn reloaded(service: &Service, good: &str) {
    for (n, mistake) in MISTAKES.iter().enumerate() {
        service.place.write("workhook.toml", mistake);
        service.tell("HUP");
        let wrong =
            |line: &Value| line["message"].as_str().is_some_and(|text| text.contains("read again and is wrong"));
        let count = |text: &str| json_lines(text).into_iter().filter(|line| wrong(line)).count();
        service.stderr.until(mistake, |text| (count(text) > n).then_some(()));
    }
    service.place.write("workhook.toml", good);
}

fn place(config: &str) -> (Place, String) {
    let place = Place::with(config);
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = made.signing_key.serialize_pem();
    for (name, text) in [
        ("old", OLD_TOKEN),
        ("key", KEY),
        ("client.pem", &made.cert.pem()),
        ("client.key", &key),
        ("marked.pem", "marked-in-it"),
    ] {
        place.write(name, text);
    }
    let proxy = format!("http://user:{PROXY}@127.0.0.1:1");
    let place = place.set("TOKEN", TOKEN).set("ADMIN", ADMIN).set("HEADER", &format!("Bearer {HEADER}"));
    let place = place.set("PROXY", &proxy).set("HOOK", HOOK).set("RUST_BACKTRACE", "full");
    (place, key.lines().nth(1).unwrap().to_owned())
}

#[test]
fn after_a_run_of_everything_no_secret_is_in_anything_that_it_left_or_said() {
    // Both answer with all that they were sent, credentials included.
    let (good, refuses) = (Echo::start(Some(200)), Echo::start(Some(422)));
    let config = config(&good, &refuses);
    let (place, key) = place(&config);
    let service = place.serve(&[]);
    let mut searched = Searched::default();
    sent(&service, &mut searched);
    until("everything was tried and is waited for", || {
        let (_, text) = get(service.private, "/api/v1/health", &[("authorization", &format!("Bearer {ADMIN}"))])?;
        let health: Value = serde_json::from_str(&text).ok()?;
        (health["unplanned"] == 0).then_some(())
    });
    for handler in ["good", "refuses", "gone", "no-tls", "by-proxy", "by-proxy-tls", "hook", "dump"] {
        until(&format!("{handler} was asked"), || {
            let path = format!("/api/v1/deliveries?limit=200&handler={handler}");
            let (_, text) = get(service.private, &path, &[("authorization", &format!("Bearer {ADMIN}"))])?;
            let told: Value = serde_json::from_str(&text).ok()?;
            told["deliveries"].as_array()?.iter().any(|told| told["attempts"] != 0).then_some(())
        });
    }
    printed(&service, &mut searched);
    asked(&service, &mut searched);
    reloaded(&service, &config);

    // What is looked for did go that way.
    let traces = good.received().into_iter().filter(|request| request.starts_with("POST /v1/traces"));
    traces.for_each(|request| searched.add("a trace", request));
    let received = good.received().concat();
    assert!([HEADER, KEY, PLAIN_KEY, URL].iter().all(|mark| received.contains(mark)), "{received}");
    assert!(
        !received.contains("marked-token") && !received.contains(COOKIE),
        "a handler is told a secret of another's"
    );
    let folder = service.place.path("");
    let dumped = service.place.read("dumped.txt");
    assert!(dumped.contains("WORKHOOK_EVENT=") && !dumped.contains(MARK), "{dumped}");
    let hook: Value = service.run(&["deliveries", "list", "--json", "--handler", "hook", "--limit", "1"]).json();
    assert!(hook["deliveries"][0]["id"].is_i64(), "{hook}");

    let own = ["workhook.toml", "old", "key", "client.pem", "client.key", "marked.pem"];
    searched.add_files(&folder, &own);
    assert!(searched.0.iter().any(|(whence, _)| whence.ends_with("workhook.db")));
    let ended = service.stop("TERM");
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(ended.stderr.contains("\"level\":\"TRACE\""), "{}", ended.stderr);
    searched.add("standard output", ended.stdout);
    searched.add("the log", ended.stderr);
    searched.assert_clean(&[MARK, PROXY_BASIC, &key]);
}

#[test]
fn a_crash_leaves_no_core_which_would_have_every_secret_in_it() {
    let place = Place::new();
    let crash = place.command("sh", &["-c", "ulimit -c unlimited && kill -ABRT $$"]).status().unwrap();
    assert!(crash.core_dumped(), "this machine writes no cores, so that none can be missed: {crash}");
    let ended = Place::new().serve(&[]).crashed();
    assert_eq!((ended.signal(), ended.core_dumped()), (Some(6), false), "{ended}");
}

#[test]
fn no_mistake_in_a_configuration_is_said_with_the_secret_beside_it() {
    let (place, _) = place("");
    let mut searched = Searched::default();
    for mistake in MISTAKES {
        place.write("workhook.toml", mistake);
        for args in [&["check", "--json"][..], &["serve"]] {
            let run = place.run(args);
            assert_ne!(run.code, Some(0), "{mistake}: {args:?}");
            searched.add(format!("{args:?} of {mistake}"), run.stdout + &run.stderr);
        }
    }
    searched.assert_clean(&[MARK]);
}

#[test]
fn a_secret_is_found_where_there_is_one() {
    let mut searched = Searched::default();
    searched.add("a line", format!("before {TOKEN} behind"));
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| searched.assert_clean(&[MARK]))).is_err());
    searched.assert_clean(&["another"]);
}
