//! The subscriptions of one session. Most sessions have a few, and for these a sorted list takes a tenth of the
//! memory of a tree's first node; those with many get a tree, so that no change costs more with their number.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::Subscription;

/// Subscriptions in the list; one more, and they move to a tree.
const LISTED_MAX: usize = 8;

/// Subscriptions by whole filter, `$share/…/` included, in filter order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscriptions(Form);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Form {
    /// In filter order; at most [`LISTED_MAX`].
    List(Vec<(Box<str>, Subscription)>),
    /// Stays one until nothing is left, so that a session at the bound does not go back and forth.
    Tree(BTreeMap<Box<str>, Subscription>),
}

impl Subscriptions {
    /// None; takes no memory.
    #[must_use]
    pub const fn new() -> Self {
        Self(Form::List(Vec::new()))
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        match &self.0 {
            Form::List(list) => list.len(),
            Form::Tree(tree) => tree.len(),
        }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The subscription with this filter.
    #[must_use]
    pub fn get(&self, filter: &str) -> Option<&Subscription> {
        match &self.0 {
            Form::List(list) => place(list, filter).ok().map(|place| &list[place].1),
            Form::Tree(tree) => tree.get(filter),
        }
    }

    /// Whether there is a subscription with this filter.
    #[must_use]
    pub fn contains_key(&self, filter: &str) -> bool {
        self.get(filter).is_some()
    }

    /// Adds a subscription, or replaces the one with this filter and gives it back.
    pub fn insert(&mut self, filter: Box<str>, subscription: Subscription) -> Option<Subscription> {
        match &mut self.0 {
            Form::Tree(tree) => tree.insert(filter, subscription),
            Form::List(list) => match place(list, &filter) {
                Ok(place) => Some(core::mem::replace(&mut list[place].1, subscription)),
                Err(place) if list.len() < LISTED_MAX => {
                    list.reserve_exact(1);
                    list.insert(place, (filter, subscription));
                    None
                }
                Err(_) => {
                    let mut tree: BTreeMap<_, _> = core::mem::take(list).into_iter().collect();
                    tree.insert(filter, subscription);
                    self.0 = Form::Tree(tree);
                    None
                }
            },
        }
    }

    /// Takes the subscription with this filter out.
    pub fn remove(&mut self, filter: &str) -> Option<Subscription> {
        match &mut self.0 {
            Form::List(list) => {
                let place = place(list, filter).ok()?;
                Some(list.remove(place).1)
            }
            Form::Tree(tree) => {
                let subscription = tree.remove(filter);
                if tree.is_empty() {
                    *self = Self::new();
                }
                subscription
            }
        }
    }

    /// The filters in their order.
    pub fn keys(&self) -> impl Iterator<Item = &Box<str>> {
        self.iter().map(|(filter, _)| filter)
    }

    /// Filters and subscriptions in the order of the filters.
    pub fn iter(&self) -> impl Iterator<Item = (&Box<str>, &Subscription)> {
        let (list, tree) = match &self.0 {
            Form::List(list) => (Some(list), None),
            Form::Tree(tree) => (None, Some(tree)),
        };
        let listed = list.into_iter().flatten().map(|(filter, subscription)| (filter, subscription));
        listed.chain(tree.into_iter().flatten())
    }
}

impl Default for Subscriptions {
    fn default() -> Self {
        Self::new()
    }
}

fn place(list: &[(Box<str>, Subscription)], filter: &str) -> Result<usize, usize> {
    list.binary_search_by(|(other, _)| (**other).cmp(filter))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use ringmq_wire::SubscriptionOptions;

    #[test]
    fn behaves_like_a_map_below_and_above_the_bound_of_the_list() {
        let mut subscriptions = Subscriptions::new();
        let mut model: BTreeMap<Box<str>, Subscription> = BTreeMap::new();
        let (mut seed, mut longest) = (7_u32, 0);
        for step in 0..20_000_u32 {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            // The range of filters swells and shrinks, so that the bound is crossed both ways again and again.
            let filter: Box<str> = format!("f/{}", (seed >> 8) % (1 + step / 40 % 24)).into();
            if seed >> 31 == 0 {
                let subscription = Subscription { options: SubscriptionOptions::default(), id: step };
                let before = model.insert(filter.clone(), subscription);
                assert_eq!(subscriptions.insert(filter, subscription), before);
            } else {
                assert_eq!(subscriptions.get(&filter), model.get(&filter));
                assert_eq!(subscriptions.remove(&filter), model.remove(&filter));
                assert!(!subscriptions.contains_key(&filter));
            }
            longest = longest.max(model.len());
            assert_eq!((subscriptions.len(), subscriptions.is_empty()), (model.len(), model.is_empty()));
            assert!(subscriptions.iter().eq(model.iter()));
            assert!(subscriptions.keys().eq(model.keys()));
        }
        assert!(longest > LISTED_MAX, "the test crosses the bound");
    }
}
