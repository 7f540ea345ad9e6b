//! Rows under a heading, as wide as the terminal at the most.
//!
//! What always holds: ids stay whole, because they are copied; and what goes to no terminal is not cut at all.

use std::io::IsTerminal;

use super::output;
use crate::handlers::log::visible;

/// What lies between two columns.
const GAP: &str = "  ";
/// The least that a column is cut to, in places on the screen.
const LEAST: usize = 8;
/// The length of an event's id.
const ID_LEN: usize = 36;

/// Prints rows under a heading, each column as wide as it has to be, or as it can be on the terminal.
pub(super) fn print(heading: &[&str], rows: &[Vec<String>]) {
    for line in lines(heading, rows, screen()) {
        output::line(line);
    }
}

/// How wide the terminal is; `None` where there is none.
pub(super) fn screen() -> Option<usize> {
    let stdout = std::io::stdout();
    let size = terminal_size::terminal_size_of(&stdout).filter(|_| stdout.is_terminal());
    size.map(|(width, _)| usize::from(width.0))
}

fn lines(heading: &[&str], rows: &[Vec<String>], screen: Option<usize>) -> Vec<String> {
    let mut cells: Vec<Vec<String>> = vec![heading.iter().map(|&text| text.to_owned()).collect()];
    cells.extend(rows.iter().map(|row| row.iter().map(|text| visible(text)).collect()));
    let column = |at: usize| cells.iter().filter_map(move |row| row.get(at));
    let mut widths: Vec<usize> =
        (0..heading.len()).map(|at| column(at).map(|text| places(text)).max().unwrap_or(0)).collect();
    let whole: Vec<bool> = (0..heading.len()).map(|at| at == 0 || column(at).any(|text| is_id(text))).collect();
    if let Some(screen) = screen {
        fit(&mut widths, &whole, screen);
    }
    let line = |row: &Vec<String>| {
        let cut = row.iter().zip(&widths).map(|(text, width)| {
            let text = cut(text, *width);
            format!("{text}{}", " ".repeat(width - places(&text)))
        });
        cut.collect::<Vec<_>>().join(GAP).trim_end().to_owned()
    };
    cells.iter().map(line).collect()
}

fn is_id(text: &str) -> bool {
    text.len() == ID_LEN && text.bytes().filter(|byte| *byte == b'-').count() == 4
}

/// Narrows columns from the last to the first until all fit, but for those that stay whole.
fn fit(widths: &mut [usize], whole: &[bool], screen: usize) {
    let mut over = (widths.iter().sum::<usize>() + GAP.len() * widths.len().saturating_sub(1)).saturating_sub(screen);
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
        let whole = lines(&["ID", "NAME", "WHY"], &rows, None);
        assert_eq!(whole[1], "1   a name that is long  a reason that is longer still");
        assert_eq!(whole[2], "22  b");
        for screen in [24, 30, 40, 60] {
            for line in lines(&["ID", "NAME", "WHY"], &rows, Some(screen)) {
                assert!(places(&line) <= screen, "{screen}: {line}");
            }
        }
        assert_eq!(lines(&["ID", "NAME", "WHY"], &rows, Some(33))[1], "1   a name that is long  a reaso…");
    }

    #[test]
    fn ids_stay_whole_however_narrow_the_terminal_is() {
        let rows = rows(&[&["1", ID, "a reason that is long"]]);
        assert_eq!(lines(&["ID", "EVENT", "WHY"], &rows, Some(10))[1], format!("1   {ID}  a reaso…"));
    }

    #[test]
    fn a_letter_that_takes_two_places_is_counted_as_two() {
        assert_eq!((places("修复登录"), places("login")), (8, 5));
        assert_eq!(cut("修复登录", 6), "修复…");
        assert_eq!(cut("修复", 4), "修复");
        let rows = rows(&[&["修", "x"], &["ab", "x"]]);
        assert_eq!(lines(&["A", "B"], &rows, None)[1..], ["修  x", "ab  x"]);
    }
}
