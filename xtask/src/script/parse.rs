//! Reads a script.
//!
//! Must never skip a line that it does not understand: a check that is not
//! made looks like one that holds.

use anyhow::{Context, Result, bail, ensure};

use super::model::{Boot, Check, Crate, End, Pattern, Relation, Script, Step, Wanted};
use crate::qemu::Outcome;

/// The keys that have a name.
const KEYS: &[(&str, &[u8])] = &[
    ("up", b"\x1b[A"),
    ("down", b"\x1b[B"),
    ("right", b"\x1b[C"),
    ("left", b"\x1b[D"),
    ("home", b"\x1b[H"),
    ("end", b"\x1b[F"),
    ("delete", b"\x1b[3~"),
    ("backspace", b"\x7f"),
    ("escape", b"\x1b"),
    ("tab", b"\t"),
];

/// Reads the text of a script.
pub fn parse(text: &str) -> Result<Script> {
    let mut script = Script { steps: vec![Step::default()], ..Script::default() };
    for (index, line) in text.lines().enumerate() {
        let number = index + 1;
        take(&mut script, number, line).with_context(|| format!("line {number}: `{line}`"))?;
    }
    let is_empty = script.steps.iter().all(|step| step.checks.is_empty());
    ensure!(!is_empty || script.boot.end != End::Running, "it checks nothing");
    let refused = script.boot.end == End::Refused;
    ensure!(!refused || script.steps.len() == 1, "nobody can type into what does not boot");
    Ok(script)
}

fn take(script: &mut Script, number: usize, line: &str) -> Result<()> {
    if line.trim().is_empty() || line.starts_with('#') {
        return Ok(());
    }
    if let Some(option) = line.strip_prefix("boot: ") {
        ensure!(script.steps.len() == 1, "options of the boot come before what is typed");
        return set(&mut script.boot, option.trim());
    }
    for (prefix, enter) in [("> ", "\r"), (">> ", "")] {
        if let Some(typed) = line.strip_prefix(prefix) {
            let mut keys = keys(typed)?;
            keys.extend(enter.bytes());
            let text = typed.to_owned();
            script.steps.push(Step { line: number, text, keys, checks: Vec::new() });
            return Ok(());
        }
    }
    ensure!(!line.starts_with('>'), "behind `>` and `>>` comes a space");
    let wanted = wanted(line)?;
    let step = script.steps.last_mut().context("a script has a first step")?;
    step.checks.push(Check { line: number, text: line.to_owned(), wanted });
    Ok(())
}

fn set(boot: &mut Boot, option: &str) -> Result<()> {
    let (key, value) = option.split_once(' ').unwrap_or((option, ""));
    let has_value = !value.is_empty();
    match key {
        "app" if has_value => boot.app = Some(Crate::Ours(value.to_owned())),
        "manifest" if value == "cut" => boot.is_cut = true,
        "manifest" if has_value => boot.manifest = Some(value.to_owned()),
        "memory" if has_value => boot.memory = value.to_owned(),
        "cpu" if has_value => boot.cpu = value.to_owned(),
        "guests" if !has_value => boot.guests = true,
        "uefi" if !has_value => boot.uefi = true,
        "refused" if !has_value => boot.end = End::Refused,
        "exit" => {
            boot.end = End::Exit(match value {
                "success" => Outcome::Success,
                "failure" => Outcome::Failure,
                "init died" => Outcome::InitDied,
                "panic" => Outcome::Panic,
                _ => bail!("an exit is `success`, `failure`, `init died` or `panic`"),
            });
        }
        _ => bail!(
            "the options are `app NAME`, `manifest FILE`, `manifest cut`, `guests`, \
             `memory SIZE`, `cpu CPU`, `uefi`, `exit HOW` and `refused`"
        ),
    }
    Ok(())
}

fn wanted(line: &str) -> Result<Wanted> {
    if line == "=" {
        return Ok(Wanted::End);
    }
    if let Some(text) = line.strip_prefix("= ") {
        return Ok(Wanted::Next(pattern(text)?));
    }
    if let Some(text) = line.strip_prefix("! ") {
        return Ok(Wanted::Never(pattern(text)?));
    }
    if let Some(text) = line.strip_prefix("where ") {
        let words: Vec<_> = text.split_whitespace().collect();
        let [left, relation, right] = words[..] else { bail!("such as `where early < late`") };
        let relation = match relation {
            "<" => Relation::Less,
            "=" => Relation::Equal,
            _ => bail!("the relations are `<` and `=`"),
        };
        return Ok(Wanted::Relation(left.to_owned(), relation, right.to_owned()));
    }
    Ok(Wanted::Line(pattern(line)?))
}

fn pattern(text: &str) -> Result<Pattern> {
    Ok(match text.strip_prefix('~') {
        Some(regex) => Pattern::Regex(regex_lite::Regex::new(regex)?),
        None => Pattern::Text(text.to_owned()),
    })
}

/// The bytes of what is typed: `<NAME>` is a key, `<ctrl-X>` a control
/// character, `<KEY*N>` a key or character N times.
fn keys(text: &str) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('<') {
        bytes.extend(before.bytes());
        let (name, after) = behind.split_once('>').context("a key without `>`")?;
        let (name, count) = name.split_once('*').unwrap_or((name, "1"));
        bytes.extend(key(name)?.repeat(count.parse().context("a key's count is a number")?));
        rest = after;
    }
    bytes.extend(rest.bytes());
    Ok(bytes)
}

fn key(name: &str) -> Result<Vec<u8>> {
    if let Some(found) = KEYS.iter().find(|key| key.0 == name) {
        return Ok(found.1.to_vec());
    }
    match name.strip_prefix("ctrl-").unwrap_or_default().as_bytes() {
        [letter @ (b'a'..=b'z' | b'\\' | b']')] => Ok(vec![letter & 0x1f]),
        _ if name.chars().count() == 1 => Ok(name.into()),
        _ => bail!("there is no key `{name}`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_boot_options_and_steps() {
        let text = "# about it\nboot: memory 64M\nboot: exit failure\nPostern\n\n\
                    > shutdown 7\ngood bye\n! ~pan+ic\n=\n>> x<ctrl-c>\n= y\n";
        let script = parse(text).expect("a script");
        assert_eq!(script.boot.memory, "64M");
        assert_eq!(script.boot.end, End::Exit(Outcome::Failure));
        let [start, typed, keys] = &script.steps[..] else { panic!("{script:?}") };
        assert_eq!(start.checks[0].wanted, Wanted::Line(Pattern::Text("Postern".into())));
        assert_eq!(
            (typed.line, &*typed.text, &*typed.keys),
            (6, "shutdown 7", &b"shutdown 7\r"[..])
        );
        assert!(matches!(&typed.checks[1].wanted, Wanted::Never(Pattern::Regex(_))));
        assert_eq!(typed.checks[2].wanted, Wanted::End);
        assert_eq!(keys.keys, b"x\x03");
        assert_eq!(keys.checks[0].wanted, Wanted::Next(Pattern::Text("y".into())));
    }

    #[test]
    fn keys_have_names() {
        assert_eq!(keys("a<left>b<ctrl-u><backspace>").expect("keys"), b"a\x1b[Db\x15\x7f");
        assert_eq!(keys("<x*3><up*2>").expect("keys"), b"xxx\x1b[A\x1b[A");
        assert!(keys("<nokey>").is_err() && keys("<up").is_err() && keys("<x*y>").is_err());
    }

    #[test]
    fn what_is_not_understood_is_refused_with_its_line() {
        let message = |text: &str| format!("{:#}", parse(text).expect_err(text));
        assert!(
            message("x\nboot: color red").starts_with("line 2: `boot: color red`: the options")
        );
        assert!(message("where a > b").contains("the relations"));
        assert!(message("~(").starts_with("line 1"));
        assert!(message("> ps\nboot: uefi").contains("before what is typed"));
        assert!(message("boot: exit well").contains("an exit is"));
        assert!(message("x\n>ps").contains("comes a space"));
        assert!(message("> ps").contains("checks nothing"));
        assert!(message("boot: refused\n> ps\nx").contains("nobody can type"));
    }
}
