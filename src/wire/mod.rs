//! What travels between probe and collector: the task, the stats, their seal, and how pending files are framed.

pub mod frame;
pub mod seal;
pub mod task;
pub mod v1;
