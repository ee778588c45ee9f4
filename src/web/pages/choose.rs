//! What the filter in the address chooses, and what the page says of it.

use serde::Serialize;

use super::parts::{Address, Field};
use crate::model::filter::Filter;
use crate::web::request::Request;

/// The filter of a page, for its form.
#[derive(Debug, Serialize)]
pub struct Choosing {
    /// The page without its query.
    path: String,
    /// As typed.
    pub filter: String,
    /// Why it is not understood, with marks under the place; empty where it is.
    pub wrong: String,
    /// The page without it.
    pub cleared: String,
    /// What else the form carries on.
    keep: Vec<Field>,
}

/// Reads the filter of a request; one that is not understood chooses nothing, and says why.
#[must_use]
pub fn read(request: &Request, address: &Address) -> (Option<Filter>, Choosing) {
    let typed = request.query.get("filter").unwrap_or_default();
    let (filter, wrong) = match Filter::parse(typed) {
        Ok(filter) => (Some(filter), String::new()),
        Err(error) => (None, error.to_string()),
    };
    let choosing = Choosing {
        path: request.path.clone(),
        filter: typed.to_owned(),
        wrong,
        cleared: address.with(&[("filter", ""), ("page", ""), ("before", "")]),
        keep: address.fields(&["filter", "page", "before"]),
    };
    (filter, choosing)
}
