//! The ownership of segments, explored exhaustively.
//!
//! The rules are those of the kernel, the very functions
//! (`crate::relay::ledger`); what is a model here is whoever keeps the ledger:
//! three activations that call each other, answer, save and take up rights to
//! answer, give up, and die, with two segments that may be deleted at any
//! moment. Every state that can be reached is checked.

use std::hash::Hash;
use std::vec::Vec;

use stateright::{Checker, Model, Property};

use crate::relay::audit::Books;
use crate::relay::ledger::{self, Holdings, Ledger, Owner, Place};

type Activation = u8;
type Segment = u8;

/// A part of a segment: all of it, or a smaller part for each mask on a mask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Part {
    relay: Segment,
    level: u8,
}

/// A right to answer a call of `caller`; void when it does not wait any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Right {
    caller: Activation,
    void: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct State {
    held: Vec<Holdings<Activation, Part>>,
    alive: Vec<bool>,
    /// Waits for the answer to its call.
    calling: Vec<bool>,
    /// The implicit right to answer of each activation.
    rights: Vec<Option<Right>>,
    /// A saved one of each; void ones are empty slots.
    saved: Vec<Option<Activation>>,
    owners: Vec<Owner<Activation, u8>>,
    wanted: Vec<bool>,
    /// The one list, with one place.
    place: Option<Part>,
    /// References to each part: of masks and loans.
    kept: [[u8; LEVELS]; 2],
}

const LEVELS: usize = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Action {
    Activate(Activation, Segment),
    Release(Activation),
    Swap(Activation),
    Park(Activation),
    Mask(Activation),
    Unmask(Activation),
    Call(Activation, Activation, bool),
    Answer(Activation),
    Save(Activation),
    Take(Activation),
    AnswerSaved(Activation),
    DropSaved(Activation),
    GiveUp(Activation),
    Die(Activation),
    Delete(Segment),
}

impl Ledger for State {
    type Activation = Activation;
    type List = u8;
    type Relay = Segment;
    type Share = Part;

    fn relay(&self, share: Part) -> Option<Segment> {
        Some(share.relay)
    }

    fn holdings(&mut self, of: Activation) -> Option<&mut Holdings<Activation, Part>> {
        self.held.get_mut(usize::from(of))
    }

    fn place(&mut self, _: u8, index: usize) -> Option<&mut Option<Part>> {
        (index == 0).then_some(&mut self.place)
    }

    fn owner(&self, relay: Segment) -> Option<Owner<Activation, u8>> {
        self.owners.get(usize::from(relay)).copied()
    }

    fn set_owner(&mut self, relay: Segment, owner: Owner<Activation, u8>) {
        self.owners[usize::from(relay)] = owner;
        // As in the kernel: one that is deleted goes when it comes back.
        if !self.wanted[usize::from(relay)] && matches!(owner, Owner::Active(_) | Owner::Parked(..))
        {
            ledger::relay_gone(self, relay);
        }
    }

    fn keep(&mut self, share: Part) {
        self.kept[usize::from(share.relay)][usize::from(share.level)] += 1;
    }

    fn drop_share(&mut self, share: Part) {
        let count = &mut self.kept[usize::from(share.relay)][usize::from(share.level)];
        *count = count.checked_sub(1).expect("a share is dropped once");
    }

    fn changed(&mut self, _: Activation) {}
}

impl State {
    fn new(activations: usize) -> Self {
        Self {
            held: std::vec![Holdings::default(); activations],
            alive: std::vec![true; activations],
            calling: std::vec![false; activations],
            rights: std::vec![None; activations],
            saved: std::vec![None; activations],
            owners: std::vec![Owner::Idle; 2],
            wanted: std::vec![true; 2],
            place: None,
            kept: [[0; LEVELS]; 2],
        }
    }

    /// The implicit right to answer is used or lost.
    fn take_right(&mut self, holder: Activation) -> Option<Right> {
        let right = self.rights[usize::from(holder)].take()?;
        ledger::end_loan(self, holder, (!right.void).then_some(right.caller));
        Some(right)
    }

    /// A right that is not void goes without an answer.
    fn drop_right(&mut self, holder: Activation) {
        if let Some(right) = self.take_right(holder)
            && !right.void
        {
            self.calling[usize::from(right.caller)] = false;
        }
    }

    /// An activation stops waiting for the answer to its call.
    fn give_up(&mut self, caller: Activation) {
        self.calling[usize::from(caller)] = false;
        ledger::lender_left(self, caller);
        for right in self.rights.iter_mut().flatten() {
            right.void |= right.caller == caller;
        }
        for saved in &mut self.saved {
            *saved = saved.filter(|it| *it != caller);
        }
    }

    fn call(&mut self, from: Activation, to: Activation, lends: bool) -> Option<()> {
        if lends {
            ledger::check_lend(&self.held[usize::from(from)]).ok()?;
        }
        self.drop_right(to);
        self.rights[usize::from(to)] = Some(Right { caller: from, void: false });
        self.calling[usize::from(from)] = true;
        if lends {
            ledger::lend(self, from, to);
        }
        Some(())
    }

    fn save(&mut self, holder: Activation) -> Option<()> {
        let right = self.rights[usize::from(holder)]?;
        let lender = (!right.void).then_some(right.caller);
        ledger::set_aside(self, holder, lender).ok()?;
        self.rights[usize::from(holder)] = None;
        self.saved[usize::from(holder)] = lender;
        Some(())
    }

    /// Carries out an action; `None` if it is refused.
    fn act(&mut self, action: Action) -> Option<()> {
        match action {
            Action::Activate(a, relay) => ledger::activate(self, a, Part { relay, level: 0 }).ok(),
            Action::Release(a) => ledger::release(self, a).ok(),
            Action::Swap(a) => ledger::swap(self, a, 0, 0).ok(),
            Action::Park(a) => ledger::park(self, a, 0, 0).ok(),
            Action::Unmask(a) => {
                ledger::unmask(self, a);
                Some(())
            }
            Action::Mask(a) => {
                let held = &self.held[usize::from(a)];
                let active = held.active.filter(|it| usize::from(it.level) + 1 < LEVELS)?;
                let mask = Part { level: active.level + 1, ..active };
                self.keep(mask);
                ledger::unmask(self, a);
                self.held[usize::from(a)].mask = Some(mask);
                Some(())
            }
            Action::Call(from, to, lends) => self.call(from, to, lends),
            Action::Answer(a) => {
                let right = self.rights[usize::from(a)]?;
                if !right.void {
                    ledger::check_return(&self.held[usize::from(a)]).ok()?;
                }
                self.drop_right(a);
                Some(())
            }
            Action::Save(a) => self.save(a),
            Action::Take(a) => {
                if self.rights[usize::from(a)].is_some_and(|right| !right.void) {
                    return None;
                }
                let caller = self.saved[usize::from(a)].take()?;
                self.drop_right(a);
                self.rights[usize::from(a)] = Some(Right { caller, void: false });
                ledger::take_up(self, a, caller);
                Some(())
            }
            // The caller gets what it lent either way.
            Action::AnswerSaved(a) | Action::DropSaved(a) => {
                let caller = self.saved[usize::from(a)].take()?;
                ledger::give_back(self, caller);
                self.calling[usize::from(caller)] = false;
                Some(())
            }
            Action::GiveUp(a) => {
                self.give_up(a);
                Some(())
            }
            Action::Die(a) => {
                self.give_up(a);
                self.drop_right(a);
                if let Some(caller) = self.saved[usize::from(a)].take() {
                    ledger::give_back(self, caller);
                    self.calling[usize::from(caller)] = false;
                }
                ledger::retire(self, a);
                self.alive[usize::from(a)] = false;
                Some(())
            }
            Action::Delete(relay) => {
                self.wanted[usize::from(relay)] = false;
                if !matches!(self.owner(relay), Some(Owner::Lent(_))) {
                    ledger::relay_gone(self, relay);
                }
                Some(())
            }
        }
    }

    /// Every invariant; panics with what is broken.
    fn check(&self) {
        let numbered = self.held.iter().cloned().zip(0..).map(|(held, a)| (a, held));
        let parked = self.place.map(|part| (0, 0, part));
        let books = Books {
            activations: numbered.collect(),
            parked: parked.into_iter().collect(),
            relays: self.owners.iter().copied().zip(0..).map(|(owner, r)| (r, owner)).collect(),
        };
        books.audit(|part| part.relay);
        let mut kept = [[0; LEVELS]; 2];
        for (held, right) in self.held.iter().zip(&self.rights) {
            assert!(held.loan.is_none() || right.is_some(), "a loan without a right to answer");
            let carried = held.lent.filter(|lent| lent.to.is_none()).map(|lent| lent.given);
            for part in [held.mask, held.loan.map(|loan| loan.share), carried].into_iter().flatten()
            {
                kept[usize::from(part.relay)][usize::from(part.level)] += 1;
            }
            if let (Some(mask), Some(active)) = (held.mask, held.active) {
                assert!(mask.relay == active.relay && mask.level > active.level, "it widens");
            }
        }
        assert_eq!(self.kept, kept, "references to parts");
        for (a, calling) in (0..).zip(&self.calling) {
            let implicit = self.rights.iter().flatten().any(|it| it.caller == a && !it.void);
            let answerable = implicit || self.saved.contains(&Some(a));
            assert!(!calling || answerable, "nobody can answer {a}");
            let lent = self.held[usize::from(a)].lent.is_some();
            assert!(*calling || !lent, "{a} has lent something and waits for nothing");
        }
        for (relay, wanted) in self.wanted.iter().enumerate() {
            let gone = matches!(self.owners[relay], Owner::Idle | Owner::Lent(_));
            assert!(*wanted || gone, "a deleted segment is somebody's again");
        }
    }
}

/// Three activations, or two, with two segments.
struct World {
    activations: u8,
    segments: u8,
}

impl Model for World {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let mut state = State::new(self.activations.into());
        (self.segments..2).for_each(|relay| state.wanted[usize::from(relay)] = false);
        std::vec![state]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for a in 0..self.activations {
            let index = usize::from(a);
            if !state.alive[index] {
                continue;
            }
            actions.push(Action::Die(a));
            if state.calling[index] {
                actions.push(Action::GiveUp(a));
                continue;
            }
            let wanted = (0..2).filter(|relay| state.wanted[usize::from(*relay)]);
            actions.extend(wanted.map(|relay| Action::Activate(a, relay)));
            actions.extend([
                Action::Release(a),
                Action::Swap(a),
                Action::Park(a),
                Action::Mask(a),
                Action::Unmask(a),
                Action::Answer(a),
                Action::Take(a),
                Action::AnswerSaved(a),
                Action::DropSaved(a),
            ]);
            if state.saved[index].is_none() {
                actions.push(Action::Save(a));
            }
            // Whoever does not wait for an answer may be about to receive.
            let others = (0..self.activations).filter(|to| {
                *to != a && state.alive[usize::from(*to)] && !state.calling[usize::from(*to)]
            });
            actions.extend(others.flat_map(|to| [true, false].map(|it| Action::Call(a, to, it))));
        }
        for relay in 0..2 {
            if state.wanted[usize::from(relay)] {
                actions.push(Action::Delete(relay));
            }
        }
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let mut next = state.clone();
        next.act(action)?;
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        // The last ones say that the model gets somewhere.
        let all = [
            Property::<Self>::always("the invariants hold", |_, state| {
                state.check();
                true
            }),
            Property::<Self>::sometimes("a loan is set aside", |_, state| {
                state.held.iter().any(|held| held.place() == Some(Place::Aside))
            }),
            Property::<Self>::sometimes("a saved right carries a loan", |_, state| {
                let lent = state.held.iter().filter_map(|held| held.lent);
                lent.into_iter().any(|lent| lent.to.is_none())
            }),
            Property::<Self>::sometimes("the lender has given up", |_, state| {
                state.owners.contains(&Owner::Lent(None))
            }),
            Property::<Self>::sometimes("a deleted segment is still lent", |_, state| {
                let lent = |owner: &Owner<_, _>| matches!(owner, Owner::Lent(_));
                state.owners.iter().zip(&state.wanted).any(|(owner, wanted)| lent(owner) && !wanted)
            }),
        ];
        all.into()
    }
}

fn explore(world: World) {
    let checker = world.checker().threads(2).spawn_dfs().join();
    std::println!("{} states", checker.unique_state_count());
    checker.assert_properties();
}

#[test]
fn two_activations_and_two_segments() {
    explore(World { activations: 2, segments: 2 });
}

#[test]
fn three_activations_and_one_segment() {
    explore(World { activations: 3, segments: 1 });
}
