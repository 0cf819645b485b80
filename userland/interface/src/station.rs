//! Where a server handles one message at a time: the words that came, the slots
//! for capabilities, the answer under way. A server thread has one, and each
//! context of a server's entry.

use postern_syscall::relay::Loan;
use postern_syscall::{Delivery, DeliveryKind, ErrorCode, Slot, Tag, Timeout, ipc, slots, utcb};

use crate::error::{Refusal, Status};
use crate::server::{Caller, Out, Reply, Request, Server, State, fill_status, send};
use crate::transport;
use crate::wire::{MAX_ITEMS, MAX_WORDS, Reader};

/// What a server thread, or a context of a server's entry, needs to handle
/// messages.
pub struct Station {
    /// The words of the request: the UTCB is overwritten by every call.
    incoming: [u64; MAX_WORDS],
    out: Out,
    /// What the kernel wrote about the capabilities of the request.
    given: [u64; MAX_ITEMS],
    windows: [Slot; MAX_ITEMS],
    window_count: usize,
    /// Whether callers cross into the server here.
    crossed: bool,
}

impl Station {
    pub(crate) fn new(windows: usize) -> Self {
        Self::with(windows, false)
    }

    /// That of a context. `windows`: see [`Server::windows`].
    #[must_use]
    pub fn of_context(windows: usize) -> Self {
        Self::with(windows, true)
    }

    fn with(windows: usize, crossed: bool) -> Self {
        let mut station = Self {
            incoming: [0; MAX_WORDS],
            out: Out::new(),
            given: [0; MAX_ITEMS],
            windows: [Slot::NULL; MAX_ITEMS],
            window_count: windows.min(MAX_ITEMS),
            crossed,
        };
        station.refill();
        station
    }

    /// Takes slots for the windows that have none.
    fn refill(&mut self) {
        for window in &mut self.windows[..self.window_count] {
            if *window == Slot::NULL {
                // Without one, capabilities do not arrive and their senders
                // are told so.
                *window = slots::allocate().unwrap_or(Slot::NULL);
            }
        }
    }

    /// Notes the capabilities that arrived; they belong to the request.
    #[cold]
    fn accept(&mut self, count: usize) {
        for (index, given) in self.given[..count].iter_mut().enumerate() {
            *given = transport::received(index);
        }
        self.windows[..count].fill(Slot::NULL);
        self.refill();
    }

    /// Handles what was delivered; whether there is an answer to be sent.
    #[inline(always)]
    pub(crate) fn handle(
        &mut self,
        server: &mut (impl Server + ?Sized),
        delivery: &Delivery,
    ) -> bool {
        if delivery.kind == DeliveryKind::Notification {
            server.signals(delivery.words[0]);
            return false;
        }
        let count = delivery.tag.words();
        self.incoming[..4].copy_from_slice(&delivery.words);
        for index in 4..count {
            self.incoming[index] = transport::word(index);
        }
        let given = delivery.tag.items().min(MAX_ITEMS);
        if given != 0 {
            self.accept(given);
        }
        let mut loan = delivery.tag.has_relay().then(Loan::begin);
        let request = Request {
            caller: Caller { label: delivery.label },
            protocol: delivery.tag.protocol(),
            reader: Reader::new(&self.incoming[..count], &self.given[..given]),
            out: &mut self.out,
            crossed: self.crossed,
            lent: loan.as_mut().map(Loan::lent),
        };
        match delivery.kind {
            DeliveryKind::Call => matches!(server.call(request), Reply(State::Now)),
            DeliveryKind::Message => {
                server.message(request);
                false
            }
            _ => false,
        }
    }

    /// The slots that are declared for capabilities of requests.
    #[must_use]
    pub fn windows(&self) -> &[Slot] {
        &self.windows[..self.window_count]
    }

    /// Handles what a caller crossed with; whether there is an answer for
    /// [`Station::leave`].
    pub fn arrive(&mut self, server: &mut (impl Server + ?Sized), delivery: &Delivery) -> bool {
        // Capabilities that the last caller got are gone, and their slots free.
        self.out.clear();
        self.handle(server, delivery)
    }

    /// Puts the answer where Return wants it. With capabilities it returns from
    /// here: what becomes of them has to be known.
    pub fn leave(&mut self, protocol: i64) -> (Tag, [u64; 4]) {
        if self.window_count != 0 {
            // A call in between has declared its own.
            utcb::set_windows(self.windows());
        }
        if !self.out.items().is_empty() {
            transport::ret(protocol, self.out.words(), self.out.items());
            self.out.clear();
            fill_status(&mut self.out, Status::Refused(Refusal::AnswerUndelivered));
        }
        let words = self.out.words();
        if words.len() > 4 {
            utcb::set_words(words);
        }
        (Tag::new(protocol, words.len()), transport::registers(words))
    }

    /// The answer that was written last.
    #[cfg(not(target_os = "none"))]
    pub(crate) fn answer(&self) -> (&[u64], &[Slot]) {
        (self.out.words(), self.out.items())
    }

    /// Sends the answer, if there is one, and waits for the next message.
    #[inline(always)]
    pub(crate) fn next(
        &mut self,
        answer: Option<i64>,
        patience: Timeout,
    ) -> Result<Delivery, ErrorCode> {
        if self.window_count != 0 {
            utcb::set_windows(&self.windows[..self.window_count]);
        }
        let Some(protocol) = answer else { return ipc::receive(patience) };
        if !self.out.items().is_empty() {
            // What happens to its capabilities has to be known before the next
            // wait. If the client is gone, that is its loss.
            let _ = send(&mut self.out, |words, items| transport::reply(protocol, words, items));
            return ipc::receive(patience);
        }
        let words = self.out.words();
        if words.len() > 4 {
            utcb::set_words(words);
        }
        // What lies in the first four words past the end of the message, the
        // kernel does not show.
        let [one, two, three, four, ..] = self.out.words;
        let tag = Tag::new(protocol, words.len());
        ipc::reply_receive(0, tag, [one, two, three, four], patience)
    }
}

impl core::fmt::Debug for Station {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Station").field("crossed", &self.crossed).finish_non_exhaustive()
    }
}
