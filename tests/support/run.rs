//! Runs our programs.
