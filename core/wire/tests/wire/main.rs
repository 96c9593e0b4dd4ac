//! Tests of the codec, against the specification rather than against itself.

mod accepted;
mod anything;
mod delivery;
mod framing;
mod notation;
mod parts;
mod properties;
mod reasons;
mod refused;
mod roundtrip;
mod topics;
mod vector_file;
mod vectors;
