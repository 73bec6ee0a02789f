//! The operators that only compute: their operands, their result, and the C that computes it.

use wasmparser::Operator;

use super::Type::{self, F32, F64, I32, I64};

/// A conversion, a comparison, arithmetic: operands, result, and C in which `$a` and `$b` stand for the operands, and `$t` for
/// the place of a trap.
type Numeric = (&'static [Type], Type, &'static str);

/// A load or store: what it moves in memory.
pub(super) struct Access {
    /// Bytes, as a power of two.
    pub(super) size: u8,
    /// The type on the stack.
    pub(super) kind: Type,
    /// For a load, C in which `$a` stands for what was read; for a store, C in which it stands for what is written.
    pub(super) code: &'static str,
    /// Read or written as a floating-point number.
    pub(super) float: bool,
    pub(super) store: bool,
}

const fn load(size: u8, kind: Type, code: &'static str) -> Access {
    Access { size, kind, code, float: matches!(kind, F32 | F64), store: false }
}

const fn store(size: u8, kind: Type) -> Access {
    Access { size, kind, code: "$a", float: matches!(kind, F32 | F64), store: true }
}

/// What a load or store moves, and its alignment hint and offset; `None` for all other operators.
pub(super) fn access(operator: &Operator<'_>) -> Option<(Access, wasmparser::MemArg)> {
    use Operator as O;
    const SIGNED_8: &str = "(uint32_t)(int32_t)(int8_t)$a";
    const SIGNED_16: &str = "(uint32_t)(int32_t)(int16_t)$a";
    Some(match *operator {
        O::I32Load { memarg } => (load(2, I32, "$a"), memarg),
        O::I64Load { memarg } => (load(3, I64, "$a"), memarg),
        O::F32Load { memarg } => (load(2, F32, "$a"), memarg),
        O::F64Load { memarg } => (load(3, F64, "$a"), memarg),
        O::I32Load8S { memarg } => (load(0, I32, SIGNED_8), memarg),
        O::I32Load8U { memarg } => (load(0, I32, "$a"), memarg),
        O::I32Load16S { memarg } => (load(1, I32, SIGNED_16), memarg),
        O::I32Load16U { memarg } => (load(1, I32, "$a"), memarg),
        O::I64Load8S { memarg } => (load(0, I64, "(uint64_t)(int64_t)(int8_t)$a"), memarg),
        O::I64Load8U { memarg } => (load(0, I64, "$a"), memarg),
        O::I64Load16S { memarg } => (load(1, I64, "(uint64_t)(int64_t)(int16_t)$a"), memarg),
        O::I64Load16U { memarg } => (load(1, I64, "$a"), memarg),
        O::I64Load32S { memarg } => (load(2, I64, "(uint64_t)(int64_t)(int32_t)$a"), memarg),
        O::I64Load32U { memarg } => (load(2, I64, "$a"), memarg),
        O::I32Store { memarg } => (store(2, I32), memarg),
        O::I64Store { memarg } => (store(3, I64), memarg),
        O::F32Store { memarg } => (store(2, F32), memarg),
        O::F64Store { memarg } => (store(3, F64), memarg),
        O::I32Store8 { memarg } => (store(0, I32), memarg),
        O::I32Store16 { memarg } => (store(1, I32), memarg),
        O::I64Store8 { memarg } => (store(0, I64), memarg),
        O::I64Store16 { memarg } => (store(1, I64), memarg),
        O::I64Store32 { memarg } => (store(2, I64), memarg),
        // All accesses are made in the order in which they stand here, and an aligned one is made at once.
        O::I32AtomicLoad { memarg } => (load(2, I32, "$a"), memarg),
        O::I64AtomicLoad { memarg } => (load(3, I64, "$a"), memarg),
        O::I32AtomicLoad8U { memarg } => (load(0, I32, "$a"), memarg),
        O::I32AtomicLoad16U { memarg } => (load(1, I32, "$a"), memarg),
        O::I64AtomicLoad8U { memarg } => (load(0, I64, "$a"), memarg),
        O::I64AtomicLoad16U { memarg } => (load(1, I64, "$a"), memarg),
        O::I64AtomicLoad32U { memarg } => (load(2, I64, "$a"), memarg),
        O::I32AtomicStore { memarg } => (store(2, I32), memarg),
        O::I64AtomicStore { memarg } => (store(3, I64), memarg),
        O::I32AtomicStore8 { memarg } => (store(0, I32), memarg),
        O::I32AtomicStore16 { memarg } => (store(1, I32), memarg),
        O::I64AtomicStore8 { memarg } => (store(0, I64), memarg),
        O::I64AtomicStore16 { memarg } => (store(1, I64), memarg),
        O::I64AtomicStore32 { memarg } => (store(2, I64), memarg),
        _ => return None,
    })
}

/// What a read-modify-write makes of memory, and where: C in which `$old` stands for what was there, `$a` for the (last) operand
/// and `$b` for the one before it. `None` for all other operators.
///
/// It is a load and a store: whatever a program shares has one writer.
pub(super) fn read_modify_write(operator: &Operator<'_>) -> Option<(Access, &'static str, wasmparser::MemArg)> {
    use Operator as O;
    let (code, memarg) = match *operator {
        O::I32AtomicRmwAdd { memarg }
        | O::I64AtomicRmwAdd { memarg }
        | O::I32AtomicRmw8AddU { memarg }
        | O::I32AtomicRmw16AddU { memarg }
        | O::I64AtomicRmw8AddU { memarg }
        | O::I64AtomicRmw16AddU { memarg }
        | O::I64AtomicRmw32AddU { memarg } => ("$old + $a", memarg),
        O::I32AtomicRmwSub { memarg }
        | O::I64AtomicRmwSub { memarg }
        | O::I32AtomicRmw8SubU { memarg }
        | O::I32AtomicRmw16SubU { memarg }
        | O::I64AtomicRmw8SubU { memarg }
        | O::I64AtomicRmw16SubU { memarg }
        | O::I64AtomicRmw32SubU { memarg } => ("$old - $a", memarg),
        O::I32AtomicRmwAnd { memarg }
        | O::I64AtomicRmwAnd { memarg }
        | O::I32AtomicRmw8AndU { memarg }
        | O::I32AtomicRmw16AndU { memarg }
        | O::I64AtomicRmw8AndU { memarg }
        | O::I64AtomicRmw16AndU { memarg }
        | O::I64AtomicRmw32AndU { memarg } => ("$old & $a", memarg),
        O::I32AtomicRmwOr { memarg }
        | O::I64AtomicRmwOr { memarg }
        | O::I32AtomicRmw8OrU { memarg }
        | O::I32AtomicRmw16OrU { memarg }
        | O::I64AtomicRmw8OrU { memarg }
        | O::I64AtomicRmw16OrU { memarg }
        | O::I64AtomicRmw32OrU { memarg } => ("$old | $a", memarg),
        O::I32AtomicRmwXor { memarg }
        | O::I64AtomicRmwXor { memarg }
        | O::I32AtomicRmw8XorU { memarg }
        | O::I32AtomicRmw16XorU { memarg }
        | O::I64AtomicRmw8XorU { memarg }
        | O::I64AtomicRmw16XorU { memarg }
        | O::I64AtomicRmw32XorU { memarg } => ("$old ^ $a", memarg),
        O::I32AtomicRmwXchg { memarg }
        | O::I64AtomicRmwXchg { memarg }
        | O::I32AtomicRmw8XchgU { memarg }
        | O::I32AtomicRmw16XchgU { memarg }
        | O::I64AtomicRmw8XchgU { memarg }
        | O::I64AtomicRmw16XchgU { memarg }
        | O::I64AtomicRmw32XchgU { memarg } => ("$a", memarg),
        O::I32AtomicRmwCmpxchg { memarg }
        | O::I64AtomicRmwCmpxchg { memarg }
        | O::I32AtomicRmw8CmpxchgU { memarg }
        | O::I32AtomicRmw16CmpxchgU { memarg }
        | O::I64AtomicRmw8CmpxchgU { memarg }
        | O::I64AtomicRmw16CmpxchgU { memarg }
        | O::I64AtomicRmw32CmpxchgU { memarg } => ("$old == $b ? $a : $old", memarg),
        _ => return None,
    };
    let name = super::function::name_of(operator);
    let kind = if name.starts_with("I32") { I32 } else { I64 };
    let narrow = [("Rmw8", 0), ("Rmw16", 1), ("Rmw32", 2)].into_iter().find(|(width, _)| name.contains(width));
    let size = narrow.map_or(if kind == I32 { 2 } else { 3 }, |(_, size)| size);
    Some((load(size, kind, "$a"), code, memarg))
}

/// What an operator computes; `None` if it does something else.
pub(super) fn numeric(operator: &Operator<'_>) -> Option<Numeric> {
    use Operator as O;
    const I: &[Type] = &[I32];
    const II: &[Type] = &[I32, I32];
    const J: &[Type] = &[I64];
    const JJ: &[Type] = &[I64, I64];
    const F: &[Type] = &[F32];
    const FF: &[Type] = &[F32, F32];
    const D: &[Type] = &[F64];
    const DD: &[Type] = &[F64, F64];
    Some(match operator {
        O::I32Eqz => (I, I32, "$a == 0"),
        O::I32Eq => (II, I32, "$a == $b"),
        O::I32Ne => (II, I32, "$a != $b"),
        O::I32LtS => (II, I32, "(int32_t)$a < (int32_t)$b"),
        O::I32LtU => (II, I32, "$a < $b"),
        O::I32GtS => (II, I32, "(int32_t)$a > (int32_t)$b"),
        O::I32GtU => (II, I32, "$a > $b"),
        O::I32LeS => (II, I32, "(int32_t)$a <= (int32_t)$b"),
        O::I32LeU => (II, I32, "$a <= $b"),
        O::I32GeS => (II, I32, "(int32_t)$a >= (int32_t)$b"),
        O::I32GeU => (II, I32, "$a >= $b"),
        O::I64Eqz => (J, I32, "$a == 0"),
        O::I64Eq => (JJ, I32, "$a == $b"),
        O::I64Ne => (JJ, I32, "$a != $b"),
        O::I64LtS => (JJ, I32, "(int64_t)$a < (int64_t)$b"),
        O::I64LtU => (JJ, I32, "$a < $b"),
        O::I64GtS => (JJ, I32, "(int64_t)$a > (int64_t)$b"),
        O::I64GtU => (JJ, I32, "$a > $b"),
        O::I64LeS => (JJ, I32, "(int64_t)$a <= (int64_t)$b"),
        O::I64LeU => (JJ, I32, "$a <= $b"),
        O::I64GeS => (JJ, I32, "(int64_t)$a >= (int64_t)$b"),
        O::I64GeU => (JJ, I32, "$a >= $b"),
        O::F32Eq => (FF, I32, "$a == $b"),
        O::F32Ne => (FF, I32, "$a != $b"),
        O::F32Lt => (FF, I32, "$a < $b"),
        O::F32Gt => (FF, I32, "$a > $b"),
        O::F32Le => (FF, I32, "$a <= $b"),
        O::F32Ge => (FF, I32, "$a >= $b"),
        O::F64Eq => (DD, I32, "$a == $b"),
        O::F64Ne => (DD, I32, "$a != $b"),
        O::F64Lt => (DD, I32, "$a < $b"),
        O::F64Gt => (DD, I32, "$a > $b"),
        O::F64Le => (DD, I32, "$a <= $b"),
        O::F64Ge => (DD, I32, "$a >= $b"),

        // An SH-4 GCC has no instruction for these four: it calls a function, which does not expect 0.
        O::I32Clz => (I, I32, "$a ? (uint32_t)__builtin_clz($a) : 32"),
        O::I32Ctz => (I, I32, "$a ? (uint32_t)__builtin_ctz($a) : 32"),
        O::I64Clz => (J, I64, "$a ? (uint64_t)__builtin_clzll($a) : 64"),
        O::I64Ctz => (J, I64, "$a ? (uint64_t)__builtin_ctzll($a) : 64"),
        O::I32Popcnt => (I, I32, "(uint32_t)__builtin_popcount($a)"),
        O::I64Popcnt => (J, I64, "(uint64_t)__builtin_popcountll($a)"),

        O::I32Add => (II, I32, "$a + $b"),
        O::I32Sub => (II, I32, "$a - $b"),
        O::I32Mul => (II, I32, "$a * $b"),
        O::I32DivS => (II, I32, "div_s32($a, $b, $t)"),
        O::I32DivU => (II, I32, "div_u32($a, $b, $t)"),
        O::I32RemS => (II, I32, "rem_s32($a, $b, $t)"),
        O::I32RemU => (II, I32, "rem_u32($a, $b, $t)"),
        O::I32And => (II, I32, "$a & $b"),
        O::I32Or => (II, I32, "$a | $b"),
        O::I32Xor => (II, I32, "$a ^ $b"),
        O::I32Shl => (II, I32, "$a << ($b & 31)"),
        O::I32ShrS => (II, I32, "(uint32_t)((int32_t)$a >> ($b & 31))"),
        O::I32ShrU => (II, I32, "$a >> ($b & 31)"),
        O::I32Rotl => (II, I32, "$a << ($b & 31) | $a >> (-$b & 31)"),
        O::I32Rotr => (II, I32, "$a >> ($b & 31) | $a << (-$b & 31)"),
        O::I64Add => (JJ, I64, "$a + $b"),
        O::I64Sub => (JJ, I64, "$a - $b"),
        O::I64Mul => (JJ, I64, "$a * $b"),
        O::I64DivS => (JJ, I64, "div_s64($a, $b, $t)"),
        O::I64DivU => (JJ, I64, "div_u64($a, $b, $t)"),
        O::I64RemS => (JJ, I64, "rem_s64($a, $b, $t)"),
        O::I64RemU => (JJ, I64, "rem_u64($a, $b, $t)"),
        O::I64And => (JJ, I64, "$a & $b"),
        O::I64Or => (JJ, I64, "$a | $b"),
        O::I64Xor => (JJ, I64, "$a ^ $b"),
        O::I64Shl => (JJ, I64, "$a << ($b & 63)"),
        O::I64ShrS => (JJ, I64, "(uint64_t)((int64_t)$a >> ($b & 63))"),
        O::I64ShrU => (JJ, I64, "$a >> ($b & 63)"),
        O::I64Rotl => (JJ, I64, "$a << ($b & 63) | $a >> (-$b & 63)"),
        O::I64Rotr => (JJ, I64, "$a >> ($b & 63) | $a << (-$b & 63)"),

        O::F32Abs => (F, F32, "__builtin_fabsf($a)"),
        O::F32Neg => (F, F32, "-$a"),
        O::F32Ceil => (F, F32, "koboshi_f32_ceil($a)"),
        O::F32Floor => (F, F32, "koboshi_f32_floor($a)"),
        O::F32Trunc => (F, F32, "koboshi_f32_trunc($a)"),
        O::F32Nearest => (F, F32, "koboshi_f32_nearest($a)"),
        O::F32Sqrt => (F, F32, "__builtin_sqrtf($a)"),
        O::F32Add => (FF, F32, "$a + $b"),
        O::F32Sub => (FF, F32, "$a - $b"),
        O::F32Mul => (FF, F32, "$a * $b"),
        O::F32Div => (FF, F32, "$a / $b"),
        O::F32Min => (FF, F32, "min_f32($a, $b)"),
        O::F32Max => (FF, F32, "max_f32($a, $b)"),
        O::F32Copysign => (FF, F32, "copysign_f32($a, $b)"),
        O::F64Abs => (D, F64, "__builtin_fabs($a)"),
        O::F64Neg => (D, F64, "-$a"),
        O::F64Ceil => (D, F64, "koboshi_f64_ceil($a)"),
        O::F64Floor => (D, F64, "koboshi_f64_floor($a)"),
        O::F64Trunc => (D, F64, "koboshi_f64_trunc($a)"),
        O::F64Nearest => (D, F64, "koboshi_f64_nearest($a)"),
        O::F64Sqrt => (D, F64, "__builtin_sqrt($a)"),
        O::F64Add => (DD, F64, "$a + $b"),
        O::F64Sub => (DD, F64, "$a - $b"),
        O::F64Mul => (DD, F64, "$a * $b"),
        O::F64Div => (DD, F64, "$a / $b"),
        O::F64Min => (DD, F64, "min_f64($a, $b)"),
        O::F64Max => (DD, F64, "max_f64($a, $b)"),
        O::F64Copysign => (DD, F64, "copysign_f64($a, $b)"),

        O::I32WrapI64 => (J, I32, "(uint32_t)$a"),
        O::I64ExtendI32S => (I, I64, "(uint64_t)(int64_t)(int32_t)$a"),
        O::I64ExtendI32U => (I, I64, "(uint64_t)$a"),
        O::I32Extend8S => (I, I32, "(uint32_t)(int32_t)(int8_t)$a"),
        O::I32Extend16S => (I, I32, "(uint32_t)(int32_t)(int16_t)$a"),
        O::I64Extend8S => (J, I64, "(uint64_t)(int64_t)(int8_t)$a"),
        O::I64Extend16S => (J, I64, "(uint64_t)(int64_t)(int16_t)$a"),
        O::I64Extend32S => (J, I64, "(uint64_t)(int64_t)(int32_t)$a"),
        O::I32TruncF32S => (F, I32, "trunc_s32_f32($a, $t)"),
        O::I32TruncF32U => (F, I32, "trunc_u32_f32($a, $t)"),
        O::I32TruncF64S => (D, I32, "trunc_s32_f64($a, $t)"),
        O::I32TruncF64U => (D, I32, "trunc_u32_f64($a, $t)"),
        O::I64TruncF32S => (F, I64, "trunc_s64_f32($a, $t)"),
        O::I64TruncF32U => (F, I64, "trunc_u64_f32($a, $t)"),
        O::I64TruncF64S => (D, I64, "trunc_s64_f64($a, $t)"),
        O::I64TruncF64U => (D, I64, "trunc_u64_f64($a, $t)"),
        O::I32TruncSatF32S => (F, I32, "saturate_s32_f32($a)"),
        O::I32TruncSatF32U => (F, I32, "saturate_u32_f32($a)"),
        O::I32TruncSatF64S => (D, I32, "saturate_s32_f64($a)"),
        O::I32TruncSatF64U => (D, I32, "saturate_u32_f64($a)"),
        O::I64TruncSatF32S => (F, I64, "saturate_s64_f32($a)"),
        O::I64TruncSatF32U => (F, I64, "saturate_u64_f32($a)"),
        O::I64TruncSatF64S => (D, I64, "saturate_s64_f64($a)"),
        O::I64TruncSatF64U => (D, I64, "saturate_u64_f64($a)"),
        O::F32ConvertI32S => (I, F32, "(float)(int32_t)$a"),
        O::F32ConvertI32U => (I, F32, "f32_of_u32($a)"),
        O::F32ConvertI64S => (J, F32, "(float)(int64_t)$a"),
        O::F32ConvertI64U => (J, F32, "(float)$a"),
        O::F64ConvertI32S => (I, F64, "(double)(int32_t)$a"),
        O::F64ConvertI32U => (I, F64, "f64_of_u32($a)"),
        O::F64ConvertI64S => (J, F64, "(double)(int64_t)$a"),
        O::F64ConvertI64U => (J, F64, "(double)$a"),
        O::F32DemoteF64 => (D, F32, "(float)$a"),
        O::F64PromoteF32 => (F, F64, "(double)$a"),
        O::I32ReinterpretF32 => (F, I32, "bits_of_f32($a)"),
        O::I64ReinterpretF64 => (D, I64, "bits_of_f64($a)"),
        O::F32ReinterpretI32 => (I, F32, "f32_of_bits($a)"),
        O::F64ReinterpretI64 => (J, F64, "f64_of_bits($a)"),
        _ => return None,
    })
}
