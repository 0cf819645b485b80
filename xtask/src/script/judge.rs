//! Compares what was seen with what a script wants.

use std::collections::BTreeMap;

use super::model::{Check, Pattern, Relation, Step, Wanted};

/// What the groups of patterns matched, by the groups' names.
pub type Values = BTreeMap<String, String>;

/// A check that does not hold.
#[derive(Debug, PartialEq, Eq)]
pub struct Failure {
    /// Its line in the script.
    pub line: usize,
    /// What was expected, and what there was instead.
    pub reason: String,
}

/// Compares the lines of a step's output with its checks. Notes what named
/// groups matched.
pub fn judge(step: &Step, lines: &[&str], values: &mut Values) -> Result<(), Failure> {
    let mut next = 0;
    for check in &step.checks {
        match &check.wanted {
            Wanted::Line(pattern) => {
                let found = lines[next..].iter().position(|line| matches(pattern, line, values));
                let Some(index) = found else {
                    return Err(fail(check, &format!("not seen{}", behind(lines, next))));
                };
                next += index + 1;
            }
            Wanted::Next(pattern) => {
                let line = lines.get(next).copied();
                if !line.is_some_and(|line| matches(pattern, line, values)) {
                    return Err(fail(check, &instead(line)));
                }
                next += 1;
            }
            Wanted::End if next < lines.len() => {
                let reason = format!("nothing more was expected, but `{}`", lines[next]);
                return Err(Failure { line: check.line, reason });
            }
            Wanted::End => {}
            Wanted::Never(pattern) => {
                if let Some(line) = lines.iter().find(|line| matches(pattern, line, values)) {
                    let reason = format!("must not be seen: `{}`, but `{line}`", &check.text[2..]);
                    return Err(Failure { line: check.line, reason });
                }
            }
            Wanted::Relation(left, relation, right) => {
                compare(left, *relation, right, values).map_err(|why| fail(check, &why))?;
            }
        }
    }
    Ok(())
}

fn fail(check: &Check, why: &str) -> Failure {
    Failure { line: check.line, reason: format!("expected `{}`, {why}", check.text) }
}

fn behind(lines: &[&str], next: usize) -> String {
    match next.checked_sub(1).and_then(|index| lines.get(index)) {
        Some(line) => format!(" behind `{line}`"),
        None => String::new(),
    }
}

fn instead(line: Option<&str>) -> String {
    line.map_or_else(
        || "but no more lines came".to_owned(),
        |line| format!("but there was `{line}`"),
    )
}

fn matches(pattern: &Pattern, line: &str, values: &mut Values) -> bool {
    let regex = match pattern {
        Pattern::Text(text) => return line.contains(text),
        Pattern::Regex(regex) => regex,
    };
    let Some(found) = regex.captures(line) else { return false };
    for name in regex.capture_names().flatten() {
        if let Some(value) = found.name(name) {
            values.insert(name.to_owned(), value.as_str().to_owned());
        }
    }
    true
}

fn compare(left: &str, relation: Relation, right: &str, values: &Values) -> Result<(), String> {
    let number = |name: &str| {
        let value = values.get(name).ok_or_else(|| format!("but nothing is called `{name}`"))?;
        value.parse::<f64>().map_err(|_| format!("but `{name}` is `{value}`, not a number"))
    };
    let (first, second) = (number(left)?, number(right)?);
    let holds = match relation {
        Relation::Less => first < second,
        Relation::Equal => first.total_cmp(&second).is_eq(),
    };
    if holds { Ok(()) } else { Err(format!("but {left} is {first} and {right} is {second}")) }
}

#[cfg(test)]
mod tests {
    use super::super::parse::parse;
    use super::*;

    /// Judges `output` by the checks of `script`, which has one step.
    fn judged(script: &str, output: &str) -> Result<(), String> {
        let script = parse(script).expect("a script");
        let lines: Vec<_> = output.lines().collect();
        judge(&script.steps[0], &lines, &mut Values::new())
            .map_err(|failure| format!("{}: {}", failure.line, failure.reason))
    }

    #[test]
    fn lines_come_in_order_and_others_may_be_between() {
        assert_eq!(judged("one\n~^thr.e$", "one\ntwo\nthree"), Ok(()));
        assert_eq!(
            judged("two\none", "one\ntwo"),
            Err("2: expected `one`, not seen behind `two`".into())
        );
        assert_eq!(
            judged("one\none", "one"),
            Err("2: expected `one`, not seen behind `one`".into())
        );
        assert_eq!(judged("x", ""), Err("1: expected `x`, not seen".into()));
    }

    #[test]
    fn all_lines_can_be_named() {
        assert_eq!(judged("= one\n= two\n=", "one\ntwo"), Ok(()));
        assert_eq!(
            judged("= two", "one\ntwo"),
            Err("1: expected `= two`, but there was `one`".into())
        );
        assert_eq!(
            judged("= one\n= two", "one"),
            Err("2: expected `= two`, but no more lines came".into())
        );
        assert_eq!(
            judged("one\n=", "one\ntwo"),
            Err("2: nothing more was expected, but `two`".into())
        );
    }

    #[test]
    fn what_must_not_be_seen_is_looked_for_everywhere() {
        assert_eq!(judged("two\n! panic", "one\ntwo"), Ok(()));
        assert_eq!(
            judged("two\n! ~^o", "one\ntwo"),
            Err("2: must not be seen: `~^o`, but `one`".into())
        );
    }

    #[test]
    fn values_are_compared_as_numbers() {
        let script = "~up (?<early>[0-9.]+)\n~up (?<late>[0-9.]+)\nwhere early < late";
        assert_eq!(judged(script, "up 9.5 s\nup 10.25 s"), Ok(()));
        assert!(judged(script, "up 9.5\nup 9.5").is_err_and(|text| text.contains("late is 9.5")));
        assert!(
            judged("where a = b", "").is_err_and(|text| text.contains("nothing is called `a`"))
        );
    }
}
