//! Collectors: each reads one subject of a host through a Root.
