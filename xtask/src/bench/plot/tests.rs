use std::collections::BTreeMap;

use super::super::figures::{Budgets, Peers};
use super::super::tests::row;
use super::*;

fn known() -> Known {
    let peers = Peers::from([("other <1>".into(), BTreeMap::from([("null".into(), 85)]))]);
    Known { budgets: Budgets::new(), peers }
}

#[test]
fn rows_with_a_peer_are_bars_and_families_are_lines() {
    let rows = [row("null", 50), row("call-0w", 200), row("call-8w", 220), row("chain-1", 215)];
    let svg = svg(&rows, &known()).expect("something to draw");
    assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"), "{svg}");
    assert!(svg.contains(">null</text>") && svg.contains(">85</text>"), "{svg}");
    assert!(svg.contains("other &lt;1&gt;"), "names are escaped");
    assert_eq!(svg.matches("<polyline").count(), 1, "one point is no line");
    assert_eq!(svg.matches("<circle").count(), 2);
    assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
}

#[test]
fn nothing_to_draw_is_no_picture() {
    assert!(svg(&[row("create-gate", 900)], &known()).is_none());
}

#[test]
fn a_number_in_a_name_may_have_a_unit() {
    assert_eq!(number("63"), Some(63.0));
    assert_eq!(number("4k"), Some(4096.0));
    assert_eq!(number("1g"), Some(1_073_741_824.0));
    for text in ["", "k", "x4", "4x", "-1", "same-4"] {
        assert_eq!(number(text), None, "{text}");
    }
}

#[test]
fn a_row_belongs_to_one_line() {
    let rows = [row("call-4w", 1), row("call-same-4w", 2), row("call-cap", 3)];
    let family = &FAMILIES[0];
    assert_eq!(points(&rows, family, &family.lines[0]), [(4.0, 1.0)]);
    assert_eq!(points(&rows, family, &family.lines[1]), [(4.0, 2.0)]);
    let each = &FAMILIES[3];
    assert_eq!(points(&[row("derive-100", 900)], each, &each.lines[0]), [(100.0, 9.0)]);
}
