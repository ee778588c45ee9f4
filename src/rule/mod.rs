//! Rules: what makes a reading a problem.
