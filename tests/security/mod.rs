//! Every known mistake of this field as a test of its own, with its variants, through every way in that it can reach.

mod headers;
mod paths;
mod policy;
mod provider;
mod redirects;
mod sessions;
mod wire;
mod world;
