//! The pure state machine of design/alerting.md.
