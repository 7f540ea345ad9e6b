//! The fixtures, built into the binary: one request for each brand and each known event.
//!
//! The files lie in `fixtures/`, whose README says where each comes from.

use std::sync::LazyLock;

use serde::Deserialize;
use thiserror::Error;

use crate::contract::{Brand, EventName};

/// How like a name must be to be suggested, from 0 to 1.
const NEAR: f64 = 0.8;

/// The most names that are suggested.
const NEAR_MAX: usize = 3;

/// A request of the sender, as the files have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fixture {
    /// Whose headers it carries.
    pub brand: Brand,
    /// The name of the event.
    pub event: EventName,
    /// The headers in the order of sending, in the vendor's spelling.
    pub headers: Vec<(String, String)>,
    /// The body, byte for byte.
    pub body: &'static [u8],
    /// Where the body comes from.
    pub origin: Origin,
}

/// Where the body of a fixture comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// An example that the vendor published.
    Vendor,
    /// Made for this project.
    Constructed,
}

/// There is no fixture of this name.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("there is no fixture of {name:?}; {}", suggestion(.near))]
pub struct NoFixture {
    /// The name that was asked for.
    pub name: String,
    /// The names that are most like it, the nearest first.
    pub near: Vec<String>,
}

struct BuiltIn {
    brand: Brand,
    meta: &'static str,
    body: &'static [u8],
    #[cfg_attr(not(test), expect(dead_code, reason = "the test of the folder reads it"))]
    path: &'static str,
}

macro_rules! built_in {
    ($($event:literal)+) => {
        const BUILT_IN: &[BuiltIn] = &[
            $(built_in!(Leiga "leiga" $event),)+
            $(built_in!(WorkZappy "workzappy" $event),)+
        ];
    };
    ($brand:ident $folder:literal $event:literal) => {
        BuiltIn {
            brand: Brand::$brand,
            meta: include_str!(concat!("../../fixtures/", $folder, "/", $event, ".meta.json")),
            body: include_bytes!(concat!("../../fixtures/", $folder, "/", $event, ".body.json")),
            path: concat!($folder, "/", $event),
        }
    };
}

built_in! {
    "Issue.Create" "Issue.Update" "Issue.Delete"
    "Comment.Create" "Comment.Update" "Comment.Delete"
    "Attachment.Create" "Attachment.Delete"
    "Subtask.Create" "Subtask.Update" "Subtask.Delete"
    "RelationIssue.Create" "RelationIssue.Delete"
    "Sprint.Create" "Sprint.Start" "Sprint.Complete" "Sprint.Delete"
    "LIA.Action"
    "Webhook.Test"
}

/// A test reads every one, so none is left out here.
static ALL: LazyLock<Vec<Fixture>> = LazyLock::new(|| BUILT_IN.iter().filter_map(Fixture::read).collect());

impl Fixture {
    /// Every fixture, brand by brand, in the order of the vendor's list.
    #[must_use]
    pub fn all() -> &'static [Fixture] {
        &ALL
    }

    /// The fixture of a brand for an event; an alias of the event will do.
    ///
    /// # Errors
    /// When there is none, with the names that are most like it.
    pub fn find(brand: Brand, name: &str) -> Result<&'static Fixture, NoFixture> {
        let event = EventName::parse(name).ok();
        Fixture::all()
            .iter()
            .find(|fixture| fixture.brand == brand && Some(&fixture.event) == event.as_ref())
            .ok_or_else(|| NoFixture { name: name.to_owned(), near: near(name) })
    }

    /// The fixtures of a brand in the order in which they happened, as their `Ts` headers tell it.
    #[must_use]
    pub fn story(brand: Brand) -> Vec<&'static Fixture> {
        let mut story: Vec<_> = Fixture::all().iter().filter(|fixture| fixture.brand == brand).collect();
        story.sort_by_key(|fixture| fixture.header("Ts").and_then(|ts| ts.parse::<i64>().ok()));
        story
    }

    /// The value of one of the brand's headers, for example of `WebHook-ID`.
    #[must_use]
    pub fn header(&self, field: &str) -> Option<&str> {
        let wanted = self.brand.header(field);
        self.headers.iter().find(|(name, _)| *name == wanted).map(|(_, value)| value.as_str())
    }

    fn read(file: &BuiltIn) -> Option<Fixture> {
        let meta: Meta = serde_json::from_str(file.meta).ok()?;
        Some(Fixture {
            brand: file.brand,
            event: EventName::parse(&meta.event).ok()?,
            headers: meta.headers.values,
            body: file.body,
            origin: meta.body.origin,
        })
    }
}

#[derive(Deserialize)]
struct Meta {
    event: String,
    body: BodyMeta,
    headers: HeadersMeta,
}

#[derive(Deserialize)]
struct BodyMeta {
    origin: Origin,
}

#[derive(Deserialize)]
struct HeadersMeta {
    values: Vec<(String, String)>,
}

fn near(name: &str) -> Vec<String> {
    let wanted = name.to_ascii_lowercase();
    let likeness = |known: &str| strsim::jaro_winkler(&wanted, known.to_ascii_lowercase().as_str());
    let mut near: Vec<(f64, String)> = EventName::known()
        .map(|known| (likeness(&known.to_string()), known.to_string()))
        .filter(|(likeness, _)| *likeness >= NEAR)
        .collect();
    near.sort_by(|(one, _), (other, _)| other.total_cmp(one));
    near.into_iter().take(NEAR_MAX).map(|(_, name)| name).collect()
}

fn suggestion(near: &[String]) -> String {
    if near.is_empty() {
        let all: Vec<_> = EventName::known().map(|name| name.to_string()).collect();
        return format!("there are {}", all.join(", "));
    }
    format!("near it: {}", near.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    /// How what is found differs from what is expected, a sentence each.
    fn differences(expected: &[String], found: &[String]) -> Vec<String> {
        let missing = expected.iter().filter(|name| !found.contains(name));
        let extra = found.iter().filter(|name| !expected.contains(name));
        missing
            .map(|name| format!("{name} is missing"))
            .chain(extra.map(|name| format!("{name} is not built in")))
            .collect()
    }

    #[test]
    fn the_folder_holds_exactly_the_files_that_are_built_in() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
        let names = |path: &Path| -> Vec<String> {
            let entries = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap());
            entries.map(|entry| entry.file_name().into_string().unwrap()).collect()
        };
        let folders = names(&root).into_iter().filter(|name| name != "README.md");
        let found: Vec<String> = folders
            .flat_map(|folder| {
                let files = names(&root.join(&folder)).into_iter();
                files.map(move |file| format!("{folder}/{file}"))
            })
            .collect();
        let expected: Vec<String> = BUILT_IN
            .iter()
            .flat_map(|file| ["body", "meta"].map(|kind| format!("{}.{kind}.json", file.path)))
            .collect();
        assert_eq!(differences(&expected, &found), [""; 0]);
    }

    #[test]
    fn a_missing_and_an_extra_file_are_told() {
        let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let told = differences(&list(&["a", "b"]), &list(&["b", "c"]));
        assert_eq!(told, ["a is missing", "c is not built in"]);
        assert_eq!(differences(&list(&["a"]), &list(&["a"])), [""; 0]);
    }

    #[test]
    fn every_brand_has_a_fixture_of_every_known_event() {
        assert_eq!(Fixture::all().len(), BUILT_IN.len());
        for &brand in Brand::ALL {
            for event in EventName::known() {
                let fixture = Fixture::find(brand, &event.to_string()).unwrap();
                assert_eq!((fixture.brand, &fixture.event), (brand, &event));
                assert_eq!(fixture.header("Event"), Some(event.to_string().as_str()));
                let body: serde_json::Value = serde_json::from_slice(fixture.body).unwrap();
                assert_eq!(body["type"], event.to_string());
                let from_vendor = ["Issue.Create", "Issue.Update"].contains(&event.to_string().as_str());
                assert_eq!(fixture.origin == Origin::Vendor, from_vendor, "{event}");
            }
        }
    }

    #[test]
    fn a_name_without_a_fixture_is_answered_with_near_ones() {
        let near = |name| Fixture::find(Brand::Leiga, name).unwrap_err().near;
        assert_eq!(near("Isue.Update")[0], "Issue.Update");
        assert_eq!(near("issue.update")[0], "Issue.Update");
        assert!(near("Issue").iter().all(|name| name.starts_with("Issue.")));
        assert_eq!(near("§"), [""; 0]);
        let text = Fixture::find(Brand::Leiga, "§").unwrap_err().to_string();
        assert!(text.contains("LIA.Action"), "{text}");
        assert_eq!(Fixture::find(Brand::Leiga, "Phase.Start").unwrap().event.object(), "Sprint");
    }

    #[test]
    fn the_story_is_in_the_order_of_its_times() {
        let story: Vec<_> = Fixture::story(Brand::WorkZappy).iter().map(|fixture| fixture.event.to_string()).collect();
        assert_eq!(story.len(), 19);
        assert_eq!(story[2..5], ["Webhook.Test", "Sprint.Create", "Sprint.Start"]);
        assert_eq!(story[18], "Sprint.Delete");
    }
}
