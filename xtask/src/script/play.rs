//! Plays a script: starts the machine, types, and waits for what must be seen.
//!
//! Must never wait without a bound, and must never take the echo of what it
//! types for an answer.

use std::time::{Duration, Instant};

use postern_abi::harness::PROMPT;

use super::judge::{Failure, Values, judge};
use super::model::{End, Script, Step};
use crate::prompt::Watch;
use crate::qemu::{Event, Guest, Machine, Outcome};
use crate::symbols::Symbols;

/// How long a boot, or the answer to a command, may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long lines are waited for that come behind the prompt.
const GRACE: Duration = Duration::from_secs(5);
/// Most bytes that a command may print.
const LONGEST: usize = 1 << 20;

/// A script that was played.
pub struct Played {
    /// What does not hold, if anything does not.
    pub result: Result<(), Failure>,
    /// Everything since the last command was typed.
    pub transcript: Vec<String>,
}

/// Plays `script` on `machine`.
pub fn play(script: &Script, machine: &Machine, symbols: &mut Symbols) -> anyhow::Result<Played> {
    let mut guest = Guest::start(machine)?;
    let mut watch = Watch::new();
    let mut values = Values::new();
    let mut played = Played { result: Ok(()), transcript: Vec::new() };
    let mut last = 0;
    let mut has_ended = false;
    for step in &script.steps {
        last = step.line;
        if has_ended {
            let reason = "the system has ended before this could be typed".into();
            played.result = Err(Failure { line: last, reason });
            return Ok(played);
        }
        if !step.keys.is_empty() {
            guest.type_in(&step.keys)?;
            watch.typed();
        }
        let mut seen = Seen { step, symbols, bytes: Vec::new(), has_ended };
        played.result = seen.until_done(&guest, &mut watch, &mut values);
        has_ended = seen.has_ended;
        played.transcript = seen.text().lines().map(str::to_owned).collect();
        if played.result.is_err() {
            return Ok(played);
        }
    }
    let wanted = &script.boot.end;
    let outcome = if has_ended { Some(guest.finish()?) } else { None };
    played.result =
        judge_end(outcome.as_ref(), wanted).map_err(|reason| Failure { line: last, reason });
    Ok(played)
}

/// Whether a system ended (or not: `None`) as a script wants.
fn judge_end(outcome: Option<&Outcome>, wanted: &End) -> Result<(), String> {
    match (outcome, wanted) {
        (None, End::Exit(wanted)) => Err(format!("expected that {wanted}, but it still runs")),
        (Some(outcome), End::Exit(wanted)) if outcome != wanted => {
            Err(format!("expected that {wanted}, but {outcome}"))
        }
        (Some(outcome), End::Running | End::Refused) => Err(outcome.to_string()),
        _ => Ok(()),
    }
}

/// What was seen since something was typed.
struct Seen<'a> {
    step: &'a Step,
    symbols: &'a mut Symbols,
    bytes: Vec<u8>,
    /// The system has ended.
    has_ended: bool,
}

impl Seen<'_> {
    /// Reads until the shell asks for the next command, or the system has
    /// ended, and everything expected was seen.
    fn until_done(
        &mut self,
        guest: &Guest,
        watch: &mut Watch,
        values: &mut Values,
    ) -> Result<(), Failure> {
        let mut deadline = Instant::now() + PATIENCE;
        let mut is_answered = false;
        loop {
            match guest.next(deadline) {
                Event::Output(bytes) => {
                    watch.feed(&bytes);
                    self.bytes.extend(bytes);
                }
                Event::End => self.has_ended = true,
                Event::Silence | Event::Quit | Event::InputEnd => {}
            }
            let is_late = Instant::now() >= deadline || self.bytes.len() > LONGEST;
            if self.has_ended || watch.is_waiting() {
                let text = self.text();
                let verdict = judge(self.step, &answer(&text, self.step), values);
                if verdict.is_ok() || self.has_ended || is_late {
                    return verdict;
                }
                if !is_answered {
                    is_answered = true;
                    deadline = Instant::now() + GRACE;
                }
            } else if is_late {
                let reason = format!("no prompt within {} s", PATIENCE.as_secs());
                return Err(Failure { line: self.step.line, reason });
            }
        }
    }

    /// What was seen, with names for addresses.
    fn text(&mut self) -> String {
        self.symbols.line(&String::from_utf8_lossy(&self.bytes).replace('\r', ""))
    }
}

/// The lines of an answer: neither the echo of the command nor the next prompt.
fn answer<'a>(text: &'a str, step: &Step) -> Vec<&'a str> {
    let is_typed = !step.keys.is_empty();
    let text = if is_typed { text.split_once('\n').map_or("", |parts| parts.1) } else { text };
    let mut lines: Vec<_> = text.lines().collect();
    if lines.last() == Some(&PROMPT) {
        lines.pop();
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_system_ends_as_the_script_says() {
        let died = End::Exit(Outcome::InitDied);
        assert!(judge_end(None, &End::Running).is_ok() && judge_end(None, &died).is_err());
        assert!(judge_end(Some(&Outcome::InitDied), &died).is_ok());
        assert!(judge_end(Some(&Outcome::Success), &died).is_err());
        assert!(judge_end(Some(&Outcome::Success), &End::Running).is_err());
    }

    #[test]
    fn neither_echo_nor_prompt_is_an_answer() {
        let typed = Step { keys: b"echo hi\r".to_vec(), ..Step::default() };
        assert_eq!(answer("echo hi\nhi\npostern> ", &typed), ["hi"]);
        assert_eq!(answer("echo hi", &typed), [""; 0]);
        assert_eq!(answer("\npostern> late", &typed), ["postern> late"]);
        assert_eq!(answer("Postern\npostern> ", &Step::default()), ["Postern"]);
    }
}
