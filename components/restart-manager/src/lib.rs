//! The restart-manager component
#![no_std]
