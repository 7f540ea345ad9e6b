//! What a function that panics can say: no secret, since it is given none. The rest is in tests/cli/secrets.rs.

use workhook::contract::Brand;
use workhook::{Any, Context, Event, Registry};

use crate::support::{Post, TOKEN, TestApp};

/// What stands in headers that carry credentials.
const COOKIE: &str = "marked-cookie-of-the-sender";

#[tokio::test]
async fn a_function_that_panics_with_all_that_it_was_given_has_no_secret_to_tell() {
    let (told, mut said) = tokio::sync::mpsc::unbounded_channel();
    let register = move |registry: Registry| {
        registry.on_events("odd", &["*"], move |event: Event<Any>, cx: Context| {
            let told = told.clone();
            async move {
                let all = format!("{event:?} {cx:?} {}", String::from_utf8_lossy(event.stored.headers.as_bytes()));
                told.send(all.clone()).unwrap();
                panic!("{all}")
            }
        })
    };
    let config = "[[handler]]\nname = \"odd\"\nkind = \"rust\"\nretry = { attempts = 1 }";
    let app = TestApp::with(config).functions(register).start().await;
    let post = Post::new(Brand::Leiga, "Issue.Update").header("Cookie", COOKIE).header("Authorization", COOKIE);
    app.send(post.header("X-Odd", "a-header-that-is-kept")).await;
    app.settled().await;

    let all = said.recv().await.unwrap();
    assert!(all.contains("a-header-that-is-kept"), "it is given the headers: {all}");
    let events = app.events().await;
    let event = app.event(&events[0].id).await;
    assert!(event.handlers[0].history[0].message.starts_with("the handler ended in a panic: "), "{event:?}");
    let folder = app.database().parent().unwrap().to_owned();
    let mut texts = vec![all.into_bytes(), format!("{event:?}").into_bytes()];
    texts.extend(std::fs::read_dir(folder).unwrap().map(|entry| std::fs::read(entry.unwrap().path()).unwrap()));
    assert!(texts.len() > 3, "the store's files are among them");
    for text in texts {
        let text = String::from_utf8_lossy(&text);
        assert!(!text.contains(TOKEN) && !text.contains(COOKIE), "{text}");
    }
    app.stop().await;
}
