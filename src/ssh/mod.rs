//! SSH: sessions, host keys, shipping of the probe.
