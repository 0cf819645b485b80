//! The derivation tree, as links inside of its nodes.
//!
//! Every change takes constant time, whatever the number of children: siblings
//! form a list whose two ends point back to the parent, so that the children of
//! a node that goes away can be spliced into its place without visiting them.
//! Revoking is then a loop of "remove the first child" that can stop anywhere.

use super::NodeId;

/// Marks a `previous` or `next` that leads to the parent.
const PARENT: u32 = 1 << 30;

/// A node's place in the tree. All zero: a root without children (slot 0 of
/// task 0 is never used, so 0 can mean "none").
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Links {
    first: u32,
    last: u32,
    previous: u32,
    next: u32,
}

impl Links {
    /// First child.
    #[must_use]
    pub fn first_child(&self) -> Option<NodeId> {
        (self.first != 0).then_some(NodeId(self.first))
    }

    /// Next child of the same parent.
    #[must_use]
    pub fn next_sibling(&self) -> Option<NodeId> {
        (self.next != 0 && self.next & PARENT == 0).then_some(NodeId(self.next))
    }

    /// Whether nothing was derived from the node, nor it from anything.
    #[must_use]
    pub fn is_alone(&self) -> bool {
        *self == Self::default()
    }
}

/// Where the links of nodes are kept.
pub trait Nodes {
    /// The links of a node that exists.
    fn links(&mut self, id: NodeId) -> &mut Links;
}

/// Makes `child`, which is in no tree, the first child of `parent`.
pub fn adopt(nodes: &mut impl Nodes, parent: NodeId, child: NodeId) {
    let first = nodes.links(parent).first;
    let next = if first == 0 { parent.0 | PARENT } else { first };
    *nodes.links(child) = Links { previous: parent.0 | PARENT, next, ..Links::default() };
    if first == 0 {
        nodes.links(parent).last = child.0;
    } else {
        nodes.links(NodeId(first)).previous = child.0;
    }
    nodes.links(parent).first = child.0;
}

/// As [`adopt`], for two nodes at hand. Returns the child that was the first one
/// until now, whose way back is still to be set ([`follow`]).
#[inline(always)]
pub fn adopt_first(
    (parent, above): (&mut Links, NodeId),
    (child, id): (&mut Links, NodeId),
) -> Option<NodeId> {
    let first = core::mem::replace(&mut parent.first, id.0);
    let next = if first == 0 { above.0 | PARENT } else { first };
    *child = Links { previous: above.0 | PARENT, next, ..Links::default() };
    if first == 0 {
        parent.last = id.0;
        return None;
    }
    Some(NodeId(first))
}

/// `node` comes behind its new sibling `first`.
pub fn follow(nodes: &mut impl Nodes, node: NodeId, first: NodeId) {
    nodes.links(node).previous = first.0;
}

/// Takes `node` out; its children take its place. Those of a root become roots
/// that are linked among themselves and lead to no parent.
pub fn remove(nodes: &mut impl Nodes, node: NodeId) {
    let links = core::mem::take(nodes.links(node));
    let (front, back) = if links.first == 0 {
        (links.next, links.previous)
    } else {
        nodes.links(NodeId(links.first)).previous = links.previous;
        nodes.links(NodeId(links.last)).next = links.next;
        (links.first, links.last)
    };
    set_after(nodes, links.previous, front);
    set_before(nodes, links.next, back);
}

/// Moves everything about `from` to `to`, which is in no tree.
pub fn replace(nodes: &mut impl Nodes, from: NodeId, to: NodeId) {
    let links = core::mem::take(nodes.links(from));
    *nodes.links(to) = links;
    if links.first != 0 {
        nodes.links(NodeId(links.first)).previous = to.0 | PARENT;
        nodes.links(NodeId(links.last)).next = to.0 | PARENT;
    }
    set_after(nodes, links.previous, to.0);
    set_before(nodes, links.next, to.0);
}

/// What comes after `previous` (a sibling, or the parent's front) is `value`.
fn set_after(nodes: &mut impl Nodes, previous: u32, value: u32) {
    if previous & PARENT != 0 {
        // A value that is the parent's mark itself: no child is left.
        nodes.links(NodeId(previous & !PARENT)).first = if value & PARENT != 0 { 0 } else { value };
    } else if previous != 0 {
        nodes.links(NodeId(previous)).next = value;
    }
}

/// What comes before `next` (a sibling, or the parent's back) is `value`.
fn set_before(nodes: &mut impl Nodes, next: u32, value: u32) {
    if next & PARENT != 0 {
        nodes.links(NodeId(next & !PARENT)).last = if value & PARENT != 0 { 0 } else { value };
    } else if next != 0 {
        nodes.links(NodeId(next)).previous = value;
    }
}

#[cfg(test)]
mod tests {
    use super::super::SlotId;
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    const SIZE: u32 = 24;

    struct Plain(Vec<Links>);

    impl Nodes for Plain {
        fn links(&mut self, id: NodeId) -> &mut Links {
            &mut self.0[id.0 as usize]
        }
    }

    fn node(number: u32) -> NodeId {
        NodeId::slot(SlotId::new(0, number))
    }

    /// All nodes below `at`, by walking children lists forwards; checks that
    /// the way back agrees.
    fn below(nodes: &mut Plain, at: NodeId, found: &mut Vec<u32>) {
        let mut child = nodes.links(at).first;
        let mut before = at.0 | PARENT;
        while child != 0 && child & PARENT == 0 {
            assert_eq!(nodes.links(NodeId(child)).previous, before);
            found.push(child);
            below(nodes, NodeId(child), found);
            before = child;
            child = nodes.links(NodeId(child)).next;
        }
        if nodes.links(at).first != 0 {
            assert_eq!(child, at.0 | PARENT, "the list ends at its parent");
            assert_eq!(nodes.links(at).last, before);
        }
    }

    proptest! {
        /// The tree against a plain list of parents.
        #[test]
        fn agrees_with_a_model(work in prop::collection::vec((1..SIZE, 1..SIZE, 0u8..3), 1..120)) {
            let mut nodes = Plain(std::vec![Links::default(); SIZE as usize]);
            let mut parent: Vec<Option<u32>> = std::vec![None; SIZE as usize];
            let mut live = std::vec![false; SIZE as usize];
            for (a, b, kind) in work {
                match kind {
                    0 if !live[a as usize] && live[b as usize] && a != b => {
                        adopt(&mut nodes, node(b), node(a));
                        parent[a as usize] = Some(b);
                        live[a as usize] = true;
                    }
                    // A new root, if the place is free and unlinked.
                    0 if !live[a as usize] => live[a as usize] = true,
                    1 if live[a as usize] => {
                        remove(&mut nodes, node(a));
                        live[a as usize] = false;
                        let up = parent[a as usize].take();
                        for other in parent.iter_mut().filter(|p| **p == Some(a)) { *other = up; }
                    }
                    2 if live[a as usize] && !live[b as usize] => {
                        replace(&mut nodes, node(a), node(b));
                        live.swap(a as usize, b as usize);
                        parent[b as usize] = parent[a as usize].take();
                        for other in parent.iter_mut().filter(|p| **p == Some(a)) { *other = Some(b); }
                    }
                    _ => {}
                }
                for root in 1..SIZE {
                    if !live[root as usize] { continue; }
                    let mut found = Vec::new();
                    below(&mut nodes, node(root), &mut found);
                    found.sort_unstable();
                    let expected: Vec<u32> = (1..SIZE).filter(|n| {
                        let mut up = parent[*n as usize];
                        while let Some(p) = up { if p == root { return true; } up = parent[p as usize]; }
                        false
                    }).collect();
                    prop_assert_eq!(found, expected);
                }
            }
        }
    }
}
