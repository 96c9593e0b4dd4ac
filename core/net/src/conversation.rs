//! For tests: two ends with layers, and bytes between them in pieces of any length.

use std::io::IoSlice;

use crate::{Broken, Introduction, Layer, Layers};

/// One end as a runtime would drive it.
pub(crate) struct End {
    pub(crate) layers: Layers,
    pub(crate) heard: Vec<u8>,
    pub(crate) to_say: Vec<u8>,
    pub(crate) introduction: Option<Introduction>,
    pub(crate) broken: Option<Broken>,
    /// All that was put on the wire.
    pub(crate) wire: Vec<u8>,
}

impl End {
    pub(crate) fn new(layers: Layers) -> Self {
        Self {
            layers,
            heard: Vec::new(),
            to_say: Vec::new(),
            introduction: None,
            broken: None,
            wire: Vec::new(),
        }
    }

    pub(crate) fn say(&mut self, bytes: &[u8]) {
        self.to_say.extend_from_slice(bytes);
    }

    /// Takes bytes from the wire.
    pub(crate) fn receive(&mut self, bytes: &[u8]) {
        let mut bytes = bytes.to_vec();
        let heard = &mut self.heard;
        let mut opened = self.layers.open(&mut bytes, &mut |piece| {
            assert!(!piece.is_empty());
            heard.extend_from_slice(piece);
        });
        if self.introduction.is_none() {
            assert!(self.heard.is_empty() || matches!(self.layers, Layers::Plain));
            self.introduction = self.layers.introduction();
            if self.introduction.is_some() {
                assert!(self.layers.is_established());
                let heard = &mut self.heard;
                opened = self.layers.open(&mut [], &mut |piece| heard.extend_from_slice(piece));
            }
        }
        if let Err(broken) = opened {
            assert_eq!(*self.broken.get_or_insert(broken), broken, "the reason changed");
        }
    }

    /// What the socket takes of what is to be sent, at most `room` bytes.
    pub(crate) fn send(&mut self, room: usize) -> Vec<u8> {
        // Several slices, and an empty one.
        let (first, rest) = self.to_say.split_at(self.to_say.len() / 3);
        let slices = [IoSlice::new(first), IoSlice::new(&[]), IoSlice::new(rest)];
        let has_own_output = self.layers.has_own_output();
        let sealed = self.layers.seal(&slices);
        let bytes: Vec<u8> = sealed.pieces().flatten().copied().take(room).collect();
        assert_eq!(sealed.pieces().map(<[u8]>::len).sum::<usize>(), sealed.len());
        assert!(!has_own_output || !sealed.is_empty(), "own output was announced and there is none");
        if !bytes.is_empty() {
            let done = self.layers.sent(bytes.len());
            self.to_say.drain(..done);
        }
        self.wire.extend_from_slice(&bytes);
        bytes
    }
}

/// Lets both ends send, in pieces of these lengths in turn, until neither has anything more.
pub(crate) fn converse(one: &mut End, other: &mut End, lengths: &[usize]) {
    let mut lengths = lengths.iter().copied().cycle();
    loop {
        let mut is_quiet = true;
        for (from, to) in [(0, 1), (1, 0)] {
            let ends = [&mut *one, &mut *other];
            let bytes = ends[from].send(lengths.next().unwrap());
            is_quiet &= bytes.is_empty();
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                let (piece, behind) = rest.split_at(lengths.next().unwrap().min(rest.len()));
                rest = behind;
                ends[to].receive(piece);
            }
        }
        if is_quiet {
            return;
        }
    }
}
