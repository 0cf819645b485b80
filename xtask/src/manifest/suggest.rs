//! "Did you mean ...?"

/// The candidate that is most like `word`, if one is like it.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (word.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// What to say about `word`: the nearest candidate, and all there are.
pub fn help<'a>(
    word: &str,
    what: &str,
    candidates: impl IntoIterator<Item = &'a str> + Clone,
) -> String {
    let all: Vec<_> = candidates.clone().into_iter().map(|name| format!("`{name}`")).collect();
    let all = if all.is_empty() { "none".to_owned() } else { all.join(", ") };
    match nearest(word, candidates) {
        Some(candidate) => format!("did you mean `{candidate}`? {what}: {all}"),
        None => format!("{what}: {all}"),
    }
}

/// How many letters have to be added, left out, changed or swapped with their
/// neighbour.
fn distance(one: &str, other: &str) -> usize {
    let (one, other): (Vec<_>, Vec<_>) = (one.chars().collect(), other.chars().collect());
    let mut rows = vec![vec![0; other.len() + 1]; one.len() + 1];
    for i in 0..=one.len() {
        for j in 0..=other.len() {
            rows[i][j] = if i == 0 || j == 0 {
                i + j
            } else {
                let change = usize::from(one[i - 1] != other[j - 1]);
                let mut best = (rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
                best = best.min(rows[i - 1][j - 1] + change);
                let is_swap =
                    i > 1 && j > 1 && one[i - 1] == other[j - 2] && one[i - 2] == other[j - 1];
                if is_swap { best.min(rows[i - 2][j - 2] + 1) } else { best }
            };
        }
    }
    rows[one.len()][other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_those_of_a_typist() {
        for (one, other, expected) in [
            ("", "", 0),
            ("gate", "gate", 0),
            ("gats", "gate", 1),
            ("gaet", "gate", 1),
            ("gat", "gate", 1),
            ("quota", "", 5),
            ("console", "shell", 6),
        ] {
            assert_eq!(distance(one, other), expected, "{one} {other}");
        }
    }

    #[test]
    fn only_what_is_alike_is_suggested() {
        let known = ["console", "shell", "names"];
        assert_eq!(nearest("consol", known), Some("console"));
        assert_eq!(nearest("nmaes", known), Some("names"));
        assert_eq!(nearest("printer", known), None);
        assert_eq!(nearest("x", known), None);
        assert_eq!(
            help("shel", "known", known),
            "did you mean `shell`? known: `console`, `shell`, `names`"
        );
        assert_eq!(help("x", "known", []), "known: none");
    }
}
