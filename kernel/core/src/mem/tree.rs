//! A balanced search tree as links inside of its nodes (an AA tree), for the
//! mappings of a task by address: every operation is logarithmic in their
//! number, whatever a program maps in whatever order.

/// No node.
const NONE: u32 = u32::MAX;

/// A node's place in a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TreeLinks {
    left: u32,
    right: u32,
    level: u8,
}

impl Default for TreeLinks {
    fn default() -> Self {
        Self { left: NONE, right: NONE, level: 1 }
    }
}

/// Where the nodes are kept.
pub trait TreeNodes {
    /// The links of a node that exists.
    fn links(&mut self, node: u32) -> &mut TreeLinks;
    /// What nodes are ordered by. No two nodes of a tree have the same key, and
    /// their order does not change while they are in it.
    fn key(&self, node: u32) -> u64;
}

/// The root of a tree.
#[derive(Debug, Clone, Copy)]
pub struct Tree(u32);

impl Default for Tree {
    fn default() -> Self {
        Self(NONE)
    }
}

impl Tree {
    /// Any node, to begin taking the tree apart with.
    #[must_use]
    pub fn any(&self) -> Option<u32> {
        (self.0 != NONE).then_some(self.0)
    }

    /// Puts a node in that is in no tree.
    pub fn insert(&mut self, nodes: &mut impl TreeNodes, node: u32) {
        *nodes.links(node) = TreeLinks::default();
        self.0 = insert(nodes, self.0, node);
    }

    /// Takes a node out that is in this tree.
    pub fn remove(&mut self, nodes: &mut impl TreeNodes, node: u32) {
        self.0 = remove(nodes, self.0, node);
    }

    /// The node with the greatest key below `limit`.
    pub fn last_below(&self, nodes: &mut impl TreeNodes, limit: u64) -> Option<u32> {
        let (mut at, mut found) = (self.0, None);
        while at != NONE {
            if nodes.key(at) < limit {
                found = Some(at);
                at = nodes.links(at).right;
            } else {
                at = nodes.links(at).left;
            }
        }
        found
    }

    /// The node with the smallest key that is at least `start`.
    pub fn first_from(&self, nodes: &mut impl TreeNodes, start: u64) -> Option<u32> {
        let (mut at, mut found) = (self.0, None);
        while at != NONE {
            if nodes.key(at) >= start {
                found = Some(at);
                at = nodes.links(at).left;
            } else {
                at = nodes.links(at).right;
            }
        }
        found
    }
}

fn level(nodes: &mut impl TreeNodes, node: u32) -> u8 {
    if node == NONE { 0 } else { nodes.links(node).level }
}

/// Turns a left child of the same level into the parent.
fn skew(nodes: &mut impl TreeNodes, root: u32) -> u32 {
    if root == NONE {
        return NONE;
    }
    let TreeLinks { left, level: own, .. } = *nodes.links(root);
    if level(nodes, left) != own {
        return root;
    }
    nodes.links(root).left = nodes.links(left).right;
    nodes.links(left).right = root;
    left
}

/// Raises the middle of three nodes of the same level.
fn split(nodes: &mut impl TreeNodes, root: u32) -> u32 {
    if root == NONE {
        return NONE;
    }
    let TreeLinks { right, level: own, .. } = *nodes.links(root);
    if right == NONE {
        return root;
    }
    let outer = nodes.links(right).right;
    if level(nodes, outer) != own {
        return root;
    }
    nodes.links(root).right = nodes.links(right).left;
    nodes.links(right).left = root;
    nodes.links(right).level += 1;
    right
}

/// The recursion is as deep as the tree is high: at most twice the logarithm
/// of its size.
fn insert(nodes: &mut impl TreeNodes, root: u32, node: u32) -> u32 {
    if root == NONE {
        return node;
    }
    let TreeLinks { left, right, .. } = *nodes.links(root);
    if nodes.key(node) < nodes.key(root) {
        nodes.links(root).left = insert(nodes, left, node);
    } else {
        nodes.links(root).right = insert(nodes, right, node);
    }
    let root = skew(nodes, root);
    split(nodes, root)
}

fn remove(nodes: &mut impl TreeNodes, root: u32, node: u32) -> u32 {
    if root == NONE {
        return NONE;
    }
    let links = *nodes.links(root);
    let root = if root != node {
        if nodes.key(node) < nodes.key(root) {
            nodes.links(root).left = remove(nodes, links.left, node);
        } else {
            nodes.links(root).right = remove(nodes, links.right, node);
        }
        root
    } else if links.left == NONE && links.right == NONE {
        return NONE;
    } else if links.left == NONE {
        // Its successor takes its place.
        let mut heir = links.right;
        while nodes.links(heir).left != NONE {
            heir = nodes.links(heir).left;
        }
        let right = remove(nodes, links.right, heir);
        *nodes.links(heir) = TreeLinks { right, ..links };
        heir
    } else {
        let mut heir = links.left;
        while nodes.links(heir).right != NONE {
            heir = nodes.links(heir).right;
        }
        let left = remove(nodes, links.left, heir);
        *nodes.links(heir) = TreeLinks { left, ..links };
        heir
    };
    rebalance(nodes, root)
}

fn rebalance(nodes: &mut impl TreeNodes, root: u32) -> u32 {
    let TreeLinks { left, right, level: own } = *nodes.links(root);
    let should = level(nodes, left).min(level(nodes, right)) + 1;
    if should < own {
        nodes.links(root).level = should;
        if should < level(nodes, right) {
            nodes.links(right).level = should;
        }
    }
    let root = skew(nodes, root);
    let mut right = nodes.links(root).right;
    right = skew(nodes, right);
    nodes.links(root).right = right;
    if right != NONE {
        let outer = nodes.links(right).right;
        nodes.links(right).right = skew(nodes, outer);
    }
    let root = split(nodes, root);
    let right = nodes.links(root).right;
    nodes.links(root).right = split(nodes, right);
    root
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;
    use std::collections::btree_map::Entry;
    use std::vec::Vec;

    struct Plain(Vec<(TreeLinks, u64)>);

    impl TreeNodes for Plain {
        fn links(&mut self, node: u32) -> &mut TreeLinks {
            &mut self.0[node as usize].0
        }

        fn key(&self, node: u32) -> u64 {
            self.0[node as usize].1
        }
    }

    fn height(nodes: &mut Plain, root: u32) -> u32 {
        if root == NONE {
            return 0;
        }
        let TreeLinks { left, right, .. } = *nodes.links(root);
        1 + height(nodes, left).max(height(nodes, right))
    }

    proptest! {
        #[test]
        fn agrees_with_a_sorted_map(work in prop::collection::vec((0u32..64, any::<u16>()), 1..300)) {
            let mut nodes = Plain(std::vec![(TreeLinks::default(), 0); 64]);
            let mut tree = Tree::default();
            let mut model: BTreeMap<u64, u32> = BTreeMap::new();
            for (node, key) in work {
                let key = u64::from(key);
                let present = model.iter().find(|entry| *entry.1 == node).map(|entry| *entry.0);
                if let Some(old) = present {
                    tree.remove(&mut nodes, node);
                    model.remove(&old);
                } else if let Entry::Vacant(place) = model.entry(key) {
                    place.insert(node);
                    nodes.0[node as usize].1 = key;
                    tree.insert(&mut nodes, node);
                }
                prop_assert_eq!(tree.any().is_none(), model.is_empty());
                for limit in [0, key, key + 1, u64::MAX] {
                    let below = model.range(..limit).next_back().map(|entry| *entry.1);
                    prop_assert_eq!(tree.last_below(&mut nodes, limit), below);
                    let from = model.range(limit..).next().map(|entry| *entry.1);
                    prop_assert_eq!(tree.first_from(&mut nodes, limit), from);
                }
                let bound = 2 * (model.len() as u32 + 1).ilog2() + 1;
                prop_assert!(height(&mut nodes, tree.0) <= bound);
            }
        }
    }
}
