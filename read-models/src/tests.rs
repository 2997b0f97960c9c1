//! The tables do the same on both databases.
