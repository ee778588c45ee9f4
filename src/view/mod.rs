//! Views: rows of what is known, rendered as table, JSON or CSV.
