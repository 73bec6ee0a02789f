//! What `arms.S` does, as functions.
#![allow(unsafe_code, reason = "assembler: it does what no Rust may say")]

use crate::attack::Width;

// SAFETY: to whoever calls them these are functions that may never come back, and nothing in Rust relies on what they
// could spoil if the machine let them: on one that keeps its rules each only ends the component.
unsafe extern "C" {
    safe fn koboshi_arms_read8(address: u32) -> u32;
    safe fn koboshi_arms_read16(address: u32) -> u32;
    safe fn koboshi_arms_read32(address: u32) -> u32;
    safe fn koboshi_arms_write8(address: u32, value: u32);
    safe fn koboshi_arms_write16(address: u32, value: u32);
    safe fn koboshi_arms_write32(address: u32, value: u32);
    safe fn koboshi_arms_jump(address: u32) -> u32;
    safe fn koboshi_arms_instruction(number: u32, operand: u32) -> u32;
    safe fn koboshi_arms_trap(number: u32, a: u32, b: u32, c: u32, d: u32) -> u32;
    safe fn koboshi_arms_machine_stack(step: u32);
    safe fn koboshi_arms_module_stack(step: u32);
}

/// What is written where nothing may be written.
const MARK: u32 = 0xBAD0_BAD0;

pub(crate) fn read(width: Width, address: u32) -> u32 {
    match width {
        Width::Byte => koboshi_arms_read8(address),
        Width::Half => koboshi_arms_read16(address),
        Width::Word => koboshi_arms_read32(address),
    }
}

pub(crate) fn write(width: Width, address: u32) {
    match width {
        Width::Byte => koboshi_arms_write8(address, MARK),
        Width::Half => koboshi_arms_write16(address, MARK),
        Width::Word => koboshi_arms_write32(address, MARK),
    }
}

pub(crate) fn jump(address: u32) -> u32 {
    koboshi_arms_jump(address)
}

pub(crate) fn instruction(number: u8, operand: u32) -> u32 {
    koboshi_arms_instruction(number.into(), operand)
}

pub(crate) fn trap(number: u8, [a, b, c, d]: [u32; 4]) -> u32 {
    koboshi_arms_trap(number.into(), a, b, c, d)
}

pub(crate) fn machine_stack(step: u32) {
    koboshi_arms_machine_stack(step);
}

pub(crate) fn module_stack(step: u32) {
    koboshi_arms_module_stack(step);
}
