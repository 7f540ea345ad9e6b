//! Rows under a heading, as wide as the terminal at the most.
//!
//! What always holds: ids stay whole, because they are copied; and what goes to no terminal is not cut at all.

use std::io::IsTerminal;

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

use super::output;
use crate::handlers::log::visible;

/// What lies between two columns.
const GAP: &str = "  ";
/// The least that a column is cut to, in places on the screen.
const LEAST: usize = 8;
/// The least in which the last column says anything.
const READABLE: usize = 40;
/// What stands before what is below a row.
const INDENT: &str = "    ";
/// From here on there is room for whole times, in places on the screen.
const ROOMY: usize = 140;
/// The length of an event's id.
const ID_LEN: usize = 36;

/// What becomes of columns where the terminal is too narrow for all.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Narrow<'n> {
    /// These are not cut.
    pub(super) whole: &'n [&'n str],
    /// These are left out, from the first on.
    pub(super) spare: &'n [&'n str],
}

/// Prints rows under a heading, each column as wide as it has to be, or as it can be on the terminal.
pub(super) fn print(heading: &[&str], rows: &[Vec<String>]) {
    print_narrow(heading, Narrow::default(), rows);
}

/// The same, where some columns matter more than others.
pub(super) fn print_narrow(heading: &[&str], narrow: Narrow<'_>, rows: &[Vec<String>]) {
    for line in lines(heading, narrow, rows, screen()) {
        output::line(line);
    }
}

/// A time in a table: whole, or in few words where the terminal is narrow.
pub(super) fn time(time: Timestamp) -> String {
    if screen().is_none_or(|screen| screen >= ROOMY) {
        return output::time(time);
    }
    short(&time.to_zoned(TimeZone::system()), &Zoned::now())
}

/// The time of today, with the day on another, and with the year in another.
fn short(time: &Zoned, now: &Zoned) -> String {
    let form = match time.date() {
        date if date == now.date() => "%H:%M:%S",
        date if date.year() == now.date().year() => "%m-%d %H:%M:%S",
        _ => "%Y-%m-%d %H:%M",
    };
    time.strftime(form).to_string()
}

/// How wide the terminal is; `None` where there is none.
pub(super) fn screen() -> Option<usize> {
    let stdout = std::io::stdout();
    let size = terminal_size::terminal_size_of(&stdout).filter(|_| stdout.is_terminal());
    size.map(|(width, _)| usize::from(width.0))
}

fn lines(heading: &[&str], narrow: Narrow<'_>, rows: &[Vec<String>], screen: Option<usize>) -> Vec<String> {
    let mut cells: Vec<Vec<String>> = vec![heading.iter().map(|&text| text.to_owned()).collect()];
    cells.extend(rows.iter().map(|row| row.iter().map(|text| visible(text)).collect()));
    let mut spare = narrow.spare.iter();
    while screen.is_some_and(|screen| width(&widths(&cells)) > screen) {
        let Some(name) = spare.next() else { break };
        if let Some(at) = cells[0].iter().position(|text| text == name) {
            cells.iter_mut().for_each(|row| drop(row.remove(at)));
        }
    }
    let mut widths = widths(&cells);
    if let Some(screen) = screen {
        let is_whole = |at: usize| at == 0 || narrow.whole.contains(&&*cells[0][at]) || column(&cells, at).any(is_id);
        let whole: Vec<bool> = (0..widths.len()).map(is_whole).collect();
        fit(&mut widths, &whole, screen);
    }
    cells.iter().enumerate().flat_map(|(at, row)| row_lines(row, &widths, screen.filter(|_| at > 0))).collect()
}

/// A row as a line, or as two: a last column in which there is no room to say anything comes below.
fn row_lines(row: &[String], widths: &[usize], screen: Option<usize>) -> Vec<String> {
    let (Some(last), Some(&room)) = (row.last(), widths.last()) else { return Vec::new() };
    let below = screen.filter(|_| places(last) > room && room < READABLE);
    let beside = &row[..row.len() - usize::from(below.is_some())];
    let cells = beside.iter().zip(widths).map(|(text, width)| {
        let text = cut(text, *width);
        format!("{text}{}", " ".repeat(width - places(&text)))
    });
    let line = cells.collect::<Vec<_>>().join(GAP).trim_end().to_owned();
    let below = below.map(|screen| format!("{INDENT}{}", cut(last, screen.saturating_sub(INDENT.len()))));
    std::iter::once(line).chain(below).collect()
}

fn column(cells: &[Vec<String>], at: usize) -> impl Iterator<Item = &str> {
    cells.iter().filter_map(move |row| row.get(at).map(String::as_str))
}

/// How wide each column has to be.
fn widths(cells: &[Vec<String>]) -> Vec<usize> {
    (0..cells[0].len()).map(|at| column(cells, at).map(places).max().unwrap_or(0)).collect()
}

/// How wide all of them are together.
fn width(widths: &[usize]) -> usize {
    widths.iter().sum::<usize>() + GAP.len() * widths.len().saturating_sub(1)
}

fn is_id(text: &str) -> bool {
    text.len() == ID_LEN && text.bytes().filter(|byte| *byte == b'-').count() == 4
}

/// Narrows columns from the last to the first until all fit, but for those that stay whole.
fn fit(widths: &mut [usize], whole: &[bool], screen: usize) {
    let mut over = width(widths).saturating_sub(screen);
    for (width, whole) in widths.iter_mut().zip(whole).rev() {
        if !whole {
            let less = over.min(width.saturating_sub(LEAST));
            *width -= less;
            over -= less;
        }
    }
}

/// As much of a text as there is room for.
pub(super) fn cut(text: &str, max: usize) -> String {
    if places(text) <= max {
        return text.to_owned();
    }
    let mut used = 1;
    let fits = |character: &char| {
        used += place(*character);
        used <= max
    };
    let kept: String = text.chars().take_while(fits).collect();
    format!("{kept}…")
}

/// How many places a text takes on the screen.
fn places(text: &str) -> usize {
    text.chars().map(place).sum()
}

/// Letters of East Asian scripts, and pictures, take two places.
fn place(character: char) -> usize {
    let wide = matches!(character, '\u{1100}'..='\u{115f}' | '\u{2e80}'..='\u{a4cf}' | '\u{ac00}'..='\u{d7a3}'
        | '\u{f900}'..='\u{faff}' | '\u{fe30}'..='\u{fe6f}' | '\u{ff00}'..='\u{ff60}' | '\u{ffe0}'..='\u{ffe6}'
        | '\u{1f300}'..='\u{1faff}' | '\u{20000}'..='\u{3fffd}');
    if wide { 2 } else { 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0190b7c2-0000-7000-8000-000000000000";

    fn rows(rows: &[&[&str]]) -> Vec<Vec<String>> {
        rows.iter().map(|row| row.iter().map(|&text| text.to_owned()).collect()).collect()
    }

    #[test]
    fn a_table_is_as_wide_as_it_has_to_be_and_no_wider_than_the_terminal() {
        let rows = rows(&[&["1", "a name that is long", "a reason that is longer still"], &["22", "b", ""]]);
        let whole = lines(&["ID", "NAME", "WHY"], Narrow::default(), &rows, None);
        assert_eq!(whole[1], "1   a name that is long  a reason that is longer still");
        assert_eq!(whole[2], "22  b");
        for screen in [24, 30, 40, 60] {
            for line in lines(&["ID", "NAME", "WHY"], Narrow::default(), &rows, Some(screen)) {
                assert!(places(&line) <= screen, "{screen}: {line}");
            }
        }
        assert_eq!(
            lines(&["ID", "NAME", "WHY"], Narrow::default(), &rows, Some(33))[1..],
            ["1   a name that is long", "    a reason that is longer still", "22  b"]
        );
        let long = vec![vec!["1".to_owned(), "x".repeat(80)]];
        let cut = lines(&["ID", "WHY"], Narrow::default(), &long, Some(50));
        assert_eq!(cut[1..], [format!("1   {}…", "x".repeat(45))]);
    }

    #[test]
    fn ids_stay_whole_however_narrow_the_terminal_is() {
        let rows = rows(&[&["1", ID, "a reason that is long"]]);
        assert_eq!(
            lines(&["ID", "EVENT", "WHY"], Narrow::default(), &rows, Some(10))[1..],
            [format!("1   {ID}"), "    a rea…".to_owned()]
        );
    }

    #[test]
    fn on_a_narrow_terminal_columns_are_left_out_and_a_name_stays_whole() {
        let rows = rows(&[&[ID, "21:50:26", "Workhook.DeadLetter", "workhook", "not routed", "Handler crm"]]);
        let heading = ["ID", "RECEIVED", "EVENT", "BRAND", "HANDLED", "ABOUT"];
        let narrow = Narrow { whole: &["EVENT", "HANDLED"], spare: &["BRAND"] };
        let shown = lines(&heading, narrow, &rows, Some(80));
        assert_eq!(
            shown[1..],
            [format!("{ID}  21:50:26  Workhook.DeadLetter  not routed"), "    Handler crm".to_owned()]
        );
        assert!(!shown[0].contains("BRAND"), "{}", shown[0]);
        let shown = lines(&heading, narrow, &rows, Some(110));
        assert_eq!(shown[1..], [format!("{ID}  21:50:26  Workhook.DeadLetter  workhook  not routed  Handler crm")]);
    }

    #[test]
    fn a_time_says_no_more_than_it_has_to() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap().to_zoned(TimeZone::UTC);
        let check = |time: &str, expected: &str| assert_eq!(short(&at(time), &at("2026-11-21T22:00:00Z")), expected);
        check("2026-11-21T21:50:26Z", "21:50:26");
        check("2026-11-20T21:50:26Z", "11-20 21:50:26");
        check("2025-11-21T21:50:26Z", "2025-11-21 21:50");
    }

    #[test]
    fn a_letter_that_takes_two_places_is_counted_as_two() {
        assert_eq!((places("修复登录"), places("login")), (8, 5));
        assert_eq!(cut("修复登录", 6), "修复…");
        assert_eq!(cut("修复", 4), "修复");
        let rows = rows(&[&["修", "x"], &["ab", "x"]]);
        assert_eq!(lines(&["A", "B"], Narrow::default(), &rows, None)[1..], ["修  x", "ab  x"]);
    }
}
