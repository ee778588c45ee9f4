//! The dashboard, and what programs read: a request and a [`source::Source`] in, a response out. No socket, no store, no
//! clock; everything here is tested without them.
//!
//! The way of a request through [`site::Site::answer`]: `request` bounds and reads it, `door` finds who asks, `route` finds
//! what is asked and whether they may, a handler of `pages`, `api`, `metrics` or `act` answers from the source, and
//! `response` adds what every response carries (security headers, ETag, gzip).

pub mod act;
pub mod api;
pub mod assets;
pub mod door;
#[cfg(test)]
mod fake;
pub mod metrics;
pub mod pages;
pub mod percent;
pub mod request;
pub mod response;
pub mod route;
pub mod site;
pub mod source;
