//! The lock that keeps runs apart.
