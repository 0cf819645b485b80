//! Sizes and times for people.

use core::fmt;
use core::time::Duration;

use postern_runtime::protocol::supervisor::Next;

/// A size in bytes: `4.0 MiB`.
pub struct Size(pub u64);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, shift) = match self.0 {
            0..0x400 => return f.pad(&alloc::format!("{} B", self.0)),
            0x400..0x10_0000 => ("KiB", 10),
            0x10_0000..0x4000_0000 => ("MiB", 20),
            _ => ("GiB", 30),
        };
        let fraction = self.0 >> (shift - 10) & 0x3ff;
        let (whole, tenth) = (self.0 >> shift, fraction * 10 / 1024);
        f.pad(&alloc::format!("{whole}.{tenth} {unit}"))
    }
}

/// A time: `12.345 s`, or with minutes and more in front.
pub struct Time(pub Duration);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, millis) = (self.0.as_secs(), self.0.subsec_millis());
        let (days, hours) = (seconds / 86_400, seconds / 3600 % 24);
        let text = match seconds {
            0..60 => alloc::format!("{seconds}.{millis:03} s"),
            60..3600 => alloc::format!("{} min {} s", seconds / 60, seconds % 60),
            3600..86_400 => alloc::format!("{hours} h {} min", seconds / 60 % 60),
            _ => alloc::format!("{days} d {hours} h"),
        };
        f.pad(&text)
    }
}

/// What the supervisor does about a program that has ended, to be put behind
/// how it ended; nothing if it does nothing.
pub struct After(pub Next);

impl fmt::Display for After {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Next::Nothing => Ok(()),
            Next::Restart(time) => {
                write!(f, "; starts again at {}", Time(Duration::from_nanos(time)))
            }
            Next::GivenUp => f.write_str("; given up"),
        }
    }
}
