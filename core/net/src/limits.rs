//! Every bound of a layer, with its reason.

/// Networks in one list: every connection is compared with each.
pub const NETWORKS_MAX: usize = 1024;
