//! Koboshi in one process: deterministic virtual time, or the real clock
