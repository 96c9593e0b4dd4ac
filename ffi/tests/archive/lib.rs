//! The static library as an example: cargo builds the library of one crate only together with those of all that are chosen,
//! and an example by its name. What is built with a sanitizer wants this one alone.

extern crate ringmq_ffi as _;
