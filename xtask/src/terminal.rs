//! The person's terminal, while its keys belong to the guest.
//!
//! Must always give the terminal back as it was: at the end, on an error, and
//! when xtask is told to stop.

use std::io::{IsTerminal, stdin};
use std::sync::Mutex;

use anyhow::{Context, Result};
use rustix::termios::{
    InputModes, LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr,
};

/// How the terminal was, while it is changed.
static SAVED: Mutex<Option<Termios>> = Mutex::new(None);

/// While this lives, every key goes to the guest as it is.
pub struct Raw(());

impl Raw {
    /// Changes the terminal; nothing if the input is none.
    pub fn enter() -> Result<Option<Self>> {
        if !stdin().is_terminal() {
            return Ok(None);
        }
        let saved = tcgetattr(stdin()).context("cannot read the terminal's settings")?;
        let mut raw = saved.clone();
        raw.local_modes -=
            LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG | LocalModes::IEXTEN;
        raw.input_modes -=
            InputModes::ICRNL | InputModes::INLCR | InputModes::IXON | InputModes::ISTRIP;
        raw.special_codes[SpecialCodeIndex::VMIN] = 1;
        raw.special_codes[SpecialCodeIndex::VTIME] = 0;
        *SAVED.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(saved);
        tcsetattr(stdin(), OptionalActions::Now, &raw).context("cannot change the terminal")?;
        Ok(Some(Self(())))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        restore();
    }
}

/// Gives the terminal back, if it is changed.
pub fn restore() {
    let saved = SAVED.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
    if let Some(saved) = saved {
        // Nothing better can be done for a terminal that went away.
        let _ = tcsetattr(stdin(), OptionalActions::Now, &saved);
    }
}
