//! A running broker goes on with another configuration, as a whole or not at all: what is wrong with it is found
//! before anything changes. Connections stay, and so does what was made by the former configuration.

use std::sync::Arc;

use ringmq_rt::{Change as RuntimeChange, Listen};
use ringmq_shard::{Offer, Settings};

use crate::Broker;
use crate::StartError;
use crate::config::listener::{Address, ListenerOptions};
use crate::config::resolved::Resolved;
use crate::config::{Change, KEYS, Options};
use crate::doors;

/// What came of a reload.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReloadReport {
    /// Keys whose new value holds now.
    pub changed: Vec<&'static str>,
    /// Keys whose new value takes effect at the next start; until then the former one holds.
    pub at_next_start: Vec<&'static str>,
    /// Listeners that are new.
    pub opened: Vec<String>,
    /// Listeners that are gone; their connections stay.
    pub closed: Vec<String>,
}

/// Listeners of a broker and what becomes of them. Their numbers are those of the runtime, and are never used twice.
#[derive(Debug, Default)]
struct Plan {
    /// By number: what they are from now on, or nothing.
    listeners: Vec<Option<ListenerOptions>>,
    /// Numbers of those that are new.
    opened: Vec<usize>,
    /// Numbers of those that are gone.
    closed: Vec<usize>,
}

impl Broker {
    /// Goes on with `options`: users, permissions, certificates, keys, revocation lists, bounds and listeners, and all
    /// files are read anew. A listener is the same as before when its address is. Who is connected stays.
    ///
    /// # Errors
    /// [`StartError`] with everything that is wrong; then nothing has changed. A decider of the program's own stays in
    /// charge, whatever `options` say.
    pub fn reload(&mut self, options: Options) -> Result<ReloadReport, StartError> {
        let (options, mut report) = self.compare(options);
        let resolved = Resolved::new(options.clone())?;
        let plan = Plan::new(&self.listeners, resolved.listeners.clone());
        let listens = doors::listens(
            &plan.listeners.iter().flatten().cloned().collect::<Vec<_>>(),
            options.faults.as_ref(),
        )?;
        let mut settings = plan.settings((*resolved.settings).clone(), self.settings());
        settings.judged_anew = self.settings().judged_anew + u64::from(self.kicks(&options));
        let settings = Arc::new(settings);
        let change = plan.change(listens, Arc::clone(&settings));
        // Rules first: nobody comes in by a new listener without them.
        let prepared = match (&self.guard, resolved.guard) {
            (Some(guard), Some(mut rules)) => {
                let mut of_listeners = rules.listeners.into_iter();
                let by_number = plan.numbers_in_order(&resolved.listeners);
                rules.listeners = vec![None; plan.listeners.len()];
                for number in by_number {
                    rules.listeners[number] = of_listeners.next().flatten();
                }
                Some(guard.prepare(&rules)?)
            }
            _ => None,
        };
        let url = |&number| self.url_of(number, &self.listeners);
        report.closed = plan.closed.iter().filter_map(url).collect();
        let before = self.guard.as_ref().zip(prepared).map(|(guard, prepared)| guard.put(prepared));
        if let Err(error) = self.running_mut().change(change) {
            if let Some((guard, before)) = self.guard.as_ref().zip(before) {
                guard.put(before);
            }
            return Err(error.into());
        }
        report.opened =
            plan.opened.iter().filter_map(|&number| self.url_of(number, &plan.listeners)).collect();
        self.note_reload(options, plan.listeners, &settings);
        Ok(report)
    }

    /// Whether clients that would not be let in any more are disconnected. A decider of the program's own is not asked.
    fn kicks(&self, options: &Options) -> bool {
        self.guard.is_some() && options.reload_kicks_wanted()
    }

    /// The options with the former values of keys that cannot change, and which keys change.
    fn compare(&self, mut options: Options) -> (Options, ReloadReport) {
        let mut report = ReloadReport::default();
        options.decider.clone_from(&self.options().decider);
        options.hooks.clone_from(&self.options().hooks);
        options.faults.clone_from(&self.options().faults);
        for key in KEYS {
            let former = key.text(self.options());
            if key.text(&options) == former {
                continue;
            }
            match key.change {
                Change::Live => report.changed.push(key.name),
                Change::Restart => {
                    report.at_next_start.push(key.name);
                    (key.parse_into)(&mut options, &former);
                }
            }
        }
        if !options.has_roles_of(self.options()) {
            report.changed.push("role");
        }
        (options, report)
    }
}

impl Plan {
    fn new(now: &[Option<ListenerOptions>], mut wanted: Vec<ListenerOptions>) -> Self {
        let mut plan = Self::default();
        for (number, former) in now.iter().enumerate() {
            let same = |former: &ListenerOptions| wanted.iter().position(|listener| is_at(former, listener));
            let kept = former.as_ref().and_then(same).map(|at| wanted.remove(at));
            if former.is_some() && kept.is_none() {
                plan.closed.push(number);
            }
            plan.listeners.push(kept);
        }
        for listener in wanted {
            plan.opened.push(plan.listeners.len());
            plan.listeners.push(Some(listener));
        }
        plan
    }

    /// The numbers of listeners in the order in which they are configured.
    fn numbers_in_order(&self, wanted: &[ListenerOptions]) -> Vec<usize> {
        let mut taken = vec![false; self.listeners.len()];
        let number = |listener: &ListenerOptions| {
            let here = |at: &usize| !taken[*at] && self.listeners[*at].as_ref() == Some(listener);
            let number = (0..self.listeners.len()).find(here).expect("every listener has a number");
            taken[number] = true;
            number
        };
        wanted.iter().map(number).collect()
    }

    /// The new settings with the offers by number; who came by a listener that is gone keeps what it was offered.
    fn settings(&self, mut new: Settings, former: &Settings) -> Settings {
        let offer = |(number, listener): (usize, &Option<ListenerOptions>)| match listener {
            Some(listener) => listener.offer.clone(),
            None => former.offer_at(number as u16).clone(),
        };
        new.listeners = self.listeners.iter().enumerate().map(offer).collect::<Vec<Offer>>();
        new
    }

    fn change(&self, listens: Vec<Listen>, settings: Arc<Settings>) -> RuntimeChange {
        let numbers = self.listeners.iter().enumerate().filter(|(_, listener)| listener.is_some());
        let (mut doors, mut open) = (Vec::new(), Vec::new());
        for ((number, _), listen) in numbers.zip(listens) {
            if self.opened.contains(&number) {
                open.push(listen);
            } else {
                doors.push((number, listen.door, listen.handshake_timeout));
            }
        }
        RuntimeChange { settings: Some(settings), doors, close: self.closed.clone(), open }
    }
}

/// Whether a listener is where a former one was. Several may be at port 0, each with another number: then it is the
/// next one that clients use in the same way.
fn is_at(former: &ListenerOptions, listener: &ListenerOptions) -> bool {
    let is_free = matches!(former.address, Address::Tcp(address) if address.port() == 0);
    former.address == listener.address && (!is_free || former.scheme() == listener.scheme())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Addresses;

    fn listeners(addresses: &[&str]) -> Vec<ListenerOptions> {
        let options = Options::default().bind(addresses.join(",").parse::<Addresses>().unwrap());
        options.listeners().unwrap()
    }

    fn plan(now: &[Option<&str>], wanted: &[&str]) -> (Vec<Option<String>>, Vec<usize>, Vec<usize>) {
        let one = |address: &str| listeners(&[address]).remove(0);
        let now: Vec<_> = now.iter().map(|address| address.map(one)).collect();
        let plan = Plan::new(&now, listeners(wanted));
        let text = |listener: &Option<ListenerOptions>| {
            listener.as_ref().map(|listener| listener.address.to_string())
        };
        (plan.listeners.iter().map(text).collect(), plan.opened, plan.closed)
    }

    #[test]
    fn listeners_keep_their_numbers_and_numbers_are_not_used_twice() {
        let (a, b, c) = ("127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3");
        let text = |addresses: &[Option<&str>]| -> Vec<Option<String>> {
            addresses.iter().map(|address| address.map(str::to_owned)).collect()
        };
        assert_eq!(plan(&[Some(a), Some(b)], &[b, a]), (text(&[Some(a), Some(b)]), vec![], vec![]));
        assert_eq!(plan(&[Some(a), Some(b)], &[b, c]), (text(&[None, Some(b), Some(c)]), vec![2], vec![0]));
        assert_eq!(plan(&[None, Some(b)], &[a, b]), (text(&[None, Some(b), Some(a)]), vec![2], vec![]));
    }

    #[test]
    fn at_free_ports_a_listener_stays_of_its_kind() {
        let (tcp, ws) = ("tcp://127.0.0.1:0", "ws://127.0.0.1:0");
        let (listeners, opened, closed) = plan(&[Some(tcp), Some(ws)], &[ws]);
        assert!(listeners[0].is_none() && listeners[1].is_some());
        assert_eq!((opened, closed), (vec![], vec![0]));
    }
}
