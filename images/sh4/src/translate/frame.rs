//! How far a function goes below the shadow stack pointer that it was called with.
//!
//! The rule: values are followed from the pointer on, through variables and through all branches, so that the frame is seen
//! however a compiler writes it. Where the pointer is set to what was not followed, nobody knows.

use std::collections::{BTreeMap, BTreeSet};

use wasmparser::{FunctionBody, Operator};

/// What is known of a value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Value {
    /// Nothing.
    #[default]
    Any,
    Constant(u32),
    /// An address, so many bytes at most below the pointer that the function was called with.
    Below(u32),
}

impl Value {
    /// Lower by a number of bytes that may be negative.
    fn lowered(self, bytes: u32) -> Value {
        let Value::Below(below) = self else { return Value::Any };
        let below = i64::from(below) + i64::from(bytes.cast_signed());
        match u32::try_from(below) {
            Ok(below) if below <= i32::MAX.cast_unsigned() => Value::Below(below),
            _ => Value::Any,
        }
    }

    /// What `operator` makes of two values.
    pub(super) fn joined(operator: &Operator<'_>, a: Value, b: Value) -> Value {
        match (operator, a, b) {
            (Operator::I32Sub, a, Value::Constant(bytes)) => a.lowered(bytes),
            (Operator::I32Add, a, Value::Constant(bytes)) | (Operator::I32Add, Value::Constant(bytes), a) => {
                a.lowered(bytes.wrapping_neg())
            }
            // Alignment.
            (Operator::I32And, a, Value::Constant(mask)) if (!mask).wrapping_add(1).is_power_of_two() => {
                a.lowered(!mask)
            }
            _ => Value::Any,
        }
    }
}

/// What is known of variables: of those that are not there, nothing.
#[derive(Clone, Debug, Default)]
pub(super) struct Variables(BTreeMap<u32, Value>);

/// The shadow stack pointer itself, beside the local variables.
pub(super) const POINTER: u32 = u32::MAX;

impl Variables {
    /// At the beginning of a function.
    pub(super) fn first() -> Self {
        Variables(BTreeMap::from([(POINTER, Value::Below(0))]))
    }

    pub(super) fn get(&self, variable: u32) -> Value {
        self.0.get(&variable).copied().unwrap_or_default()
    }

    pub(super) fn set(&mut self, variable: u32, value: Value) {
        match value {
            Value::Any => self.0.remove(&variable),
            _ => self.0.insert(variable, value),
        };
    }

    /// What is taken along over a branch. (Constants are of use only where a frame is made, which is in a straight line.)
    pub(super) fn carried(&self) -> Self {
        let places = self.0.iter().filter(|(_, value)| matches!(value, Value::Below(_)));
        Variables(places.map(|(variable, value)| (*variable, *value)).collect())
    }

    /// At the beginning of a loop that assigns to these variables.
    pub(super) fn forget(&mut self, assigned: &BTreeSet<u32>) {
        *self = self.carried();
        self.0.retain(|variable, _| !assigned.contains(variable));
    }

    /// Where two ways meet: what is known on both.
    pub(super) fn meet(one: Option<Self>, other: Option<Self>) -> Option<Self> {
        match (one, other) {
            (Some(mut one), Some(other)) => {
                one.0.retain(|variable, value| other.get(*variable) == *value);
                Some(one)
            }
            (one, other) => one.or(other),
        }
    }
}

/// The variables that each loop of a function assigns to, in the order of the loops.
pub(super) fn loops(body: &FunctionBody<'_>, pointer: Option<u32>) -> wasmparser::Result<Vec<BTreeSet<u32>>> {
    let mut found: Vec<BTreeSet<u32>> = Vec::new();
    // Each block that is open, and which loop it is.
    let mut open: Vec<Option<usize>> = Vec::new();
    for operator in body.get_operators_reader()? {
        let assigned = match operator? {
            Operator::Block { .. } | Operator::If { .. } => {
                open.push(None);
                continue;
            }
            Operator::Loop { .. } => {
                open.push(Some(found.len()));
                found.push(BTreeSet::new());
                continue;
            }
            Operator::End => {
                open.pop();
                continue;
            }
            Operator::LocalSet { local_index } | Operator::LocalTee { local_index } => local_index,
            Operator::GlobalSet { global_index } if Some(global_index) == pointer => POINTER,
            _ => continue,
        };
        for number in open.iter().flatten() {
            found[*number].insert(assigned);
        }
    }
    Ok(found)
}
