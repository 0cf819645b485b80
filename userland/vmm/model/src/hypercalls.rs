//! The hypercalls that the machine serves: the four known ones.

use core::fmt::Write;

use postern_abi::clock::Clock;
use postern_hypercall::{Coredump, Error, Namespace, Outputs, number};

use crate::dump;
use crate::machine::{Host, Machine};

/// The only kind of dump.
const REGULAR: u64 = 1;

impl Machine {
    /// Serves the call with these values of `rax rdi rsi rdx rcx r8 r9`.
    ///
    /// # Errors
    /// What the guest gets with the carry flag set.
    pub fn hypercall(
        &mut self,
        host: &mut impl Host,
        registers: [u64; 7],
    ) -> Result<Outputs, Error> {
        let [rax, arguments @ ..] = registers;
        match Namespace::of(rax) {
            Namespace::Xnu(number::TRIGGER_DUMP) => self.trigger_dump(host, arguments[0]),
            Namespace::Xnu(number::SET_COREDUMP_DATA) => self.set_coredump_data(arguments),
            Namespace::Xnu(number::GET_MABS_OFFSET) => {
                let [ticks, nanoseconds, ..] = arguments;
                let mut outputs = Outputs::default();
                outputs.0[1] = host.time_at(ticks).wrapping_sub(nanoseconds);
                Ok(outputs)
            }
            Namespace::Xnu(number::GET_BOOT_SESSION) => {
                let mut bytes = [0; 56];
                bytes[..36].copy_from_slice(&self.session);
                Ok(Outputs::from_bytes(bytes))
            }
            Namespace::Xnu(_) | Namespace::Other(_) => Err(Error::InvalidCode),
        }
    }

    fn trigger_dump(&mut self, host: &mut impl Host, kind: u64) -> Result<Outputs, Error> {
        if kind != REGULAR {
            return Err(Error::InvalidParameter);
        }
        self.dumps += 1;
        let text = dump::text(self, host).map_err(|_refused| Error::IoFailed)?;
        host.report(&text);
        // By this name it is found in the console's output, and no other boot
        // has one of this name.
        let mut name = [0; 56];
        let mut tag = Tag { bytes: &mut name, used: 0 };
        let session = core::str::from_utf8(&self.session).unwrap_or("");
        // A name that is too long is cut.
        let _ = write!(tag, "dump-{}-of-{}/{session}", self.dumps, self.name);
        Ok(Outputs::from_bytes(name))
    }

    fn set_coredump_data(&mut self, arguments: [u64; 6]) -> Result<Outputs, Error> {
        let [text, map_start, map_end, cr3, buffers, buffers_size] = arguments;
        let fits = buffers.checked_add(buffers_size).is_some();
        if map_start > map_end || !fits {
            return Err(Error::InvalidParameter);
        }
        let data = Coredump { text, map_start, map_end, cr3, buffers, buffers_size };
        self.coredump = Some(data);
        Ok(Outputs::default())
    }
}

struct Tag<'a> {
    bytes: &'a mut [u8; 56],
    used: usize,
}

impl Write for Tag<'_> {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        for byte in text.bytes() {
            *self.bytes.get_mut(self.used).ok_or(core::fmt::Error)? = byte;
            self.used += 1;
        }
        Ok(())
    }
}

/// The UUID of the host's boot: made of the moment at which its clock began,
/// so that every program that asks gets the same one, and another one after
/// the next boot. It names; it is no secret.
#[must_use]
pub fn session(clock: Clock) -> [u8; 36] {
    let mut state = clock.start ^ clock.factor.rotate_left(32);
    // SplitMix64, twice: neighbouring moments look nothing like each other.
    let mut next = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = state;
        word = (word ^ word >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ word >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ word >> 31
    };
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&next().to_be_bytes());
    bytes[8..].copy_from_slice(&next().to_be_bytes());
    // Version 8 (made in a way of one's own), variant of RFC 9562.
    bytes[6] = bytes[6] & 0x0f | 0x80;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let mut text = [b'-'; 36];
    let mut places = (0..36).filter(|place| ![8, 13, 18, 23].contains(place));
    for byte in bytes {
        for digit in [byte >> 4, byte & 0xf] {
            if let Some(place) = places.next() {
                text[place] = b"0123456789ABCDEF"[usize::from(digit)];
            }
        }
    }
    text
}
