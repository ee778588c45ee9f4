//! Channels: how people are told.
