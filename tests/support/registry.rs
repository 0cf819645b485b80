//! Which tests a subject has, and how one of them is run.

use postern_runtime::Env;
use postern_runtime::syscall::{Capability, Gate, Message, Timeout};

use crate::protocol::{FAIL, LIST, PASSED, SAID_WHY, SKIP, USAGE, push_text};
use crate::{Ctx, Verdict};

/// Seconds that a test may take if it does not say otherwise. A limit for
/// hanging, far above what any test needs.
pub const SECONDS: u64 = 20;

/// One test.
pub struct Test {
    /// Its name, unique among all subjects.
    pub name: &'static str,
    /// Seconds after which it counts as hanging.
    pub seconds: u64,
    /// The test.
    pub run: fn(&Ctx) -> Verdict,
}

/// Lists the tests of a module: names of functions, separated by commas; a
/// number behind one is the seconds that it may take.
#[macro_export]
macro_rules! tests {
    ($($name:ident $(= $seconds:literal)?),+ $(,)?) => {
        /// The tests of this module.
        pub const TESTS: &[$crate::Test] = &[$(
            $crate::Test {
                name: stringify!($name),
                seconds: {
                    #[allow(unused_assignments, unused_mut, reason = "only some tests set it")]
                    {
                        let mut seconds = $crate::registry::SECONDS;
                        $(seconds = $seconds;)?
                        seconds
                    }
                },
                run: $name,
            },
        )+];
    };
}

/// Makes a program of the tests in these modules.
#[macro_export]
macro_rules! subject {
    ($($module:ident),+ $(,)?) => {
        $crate::runtime::main!(postern_subject);

        fn postern_subject(env: $crate::runtime::Env) -> i32 {
            $crate::registry::run(env, &[$($module::TESTS),+])
        }
    };
}

/// Does what the runner asks for; the exit code.
#[must_use]
pub fn run(env: Env, groups: &[&[Test]]) -> i32 {
    let Ok(report) = env.capability::<Gate>("report") else { return USAGE as i32 };
    let mut arguments = env.arguments().skip(1);
    let code = match (arguments.next(), arguments.next()) {
        (Some("list"), None) => {
            groups.iter().copied().flatten().for_each(|test| list(report, test));
            PASSED
        }
        (Some("run"), Some(name)) => {
            match groups.iter().copied().flatten().find(|test| test.name == name) {
                Some(test) => run_test(env, report, test),
                None => USAGE,
            }
        }
        _ => USAGE,
    };
    code as i32
}

fn list(report: Gate, test: &Test) {
    let mut message = Message::with_words(LIST, &[test.seconds]);
    // A name that does not fit would be found missing by whoever looks for it.
    let _ = push_text(&mut message, test.name);
    let _ = message.send(report.slot(), Timeout::NEVER);
}

fn run_test(env: Env, report: Gate, test: &Test) -> u64 {
    let verdict = Ctx::new(env).and_then(|ctx| (test.run)(&ctx));
    let Err(failure) = verdict else { return PASSED };
    let mut message = Message::new(if failure.is_skip() { SKIP } else { FAIL });
    let _ = push_text(&mut message, failure.text());
    let _ = message.send(report.slot(), Timeout::NEVER);
    SAID_WHY
}
