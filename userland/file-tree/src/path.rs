//! What a path is.

use postern_protocol::files::{Error, MAX_NAME, MAX_PATH};

/// Whether `path` can be the path of something: `/`, or names each with a `/`
/// before it. `.` and `..` are no names.
pub fn check(path: &str) -> Result<(), Error> {
    let Some(names) = path.strip_prefix('/') else { return Err(Error::BadPath) };
    let is_name = |name: &str| {
        (1..=MAX_NAME).contains(&name.len())
            && !matches!(name, "." | "..")
            && !name.chars().any(char::is_control)
    };
    if path.len() <= MAX_PATH && (names.is_empty() || names.split('/').all(is_name)) {
        Ok(())
    } else {
        Err(Error::BadPath)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;

    #[test]
    fn paths_and_what_looks_like_one() {
        for path in ["/", "/a", "/a/b.c", "/ä/-", "/...", &format!("/{}", "x".repeat(31))] {
            assert_eq!(check(path), Ok(()), "{path}");
        }
        let long = "/x".repeat(61);
        for path in ["", "a", "//", "/a/", "/a//b", "/./a", "/a/..", "/a\n", "/a\0", &long] {
            assert_eq!(check(path), Err(Error::BadPath), "{path:?}");
        }
        assert_eq!(check(&format!("/{}", "x".repeat(32))), Err(Error::BadPath));
    }
}
