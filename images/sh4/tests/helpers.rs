//! What GCC calls where an SH-4 has no instruction: it is all there, needs nothing, and is not made of the instructions that
//! it is in place of.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use koboshi_sh4::board::{Board, Run, run};
use koboshi_sh4::link::{Cpu, Options, Source, compile};
use koboshi_sh4::program::{Helpers, build_helpers, helper_symbols, helpers_module};
use koboshi_sh4::tools::{Gcc, Qemu, Rust};
use wasmparser::{ExternalKind, Operator, Parser, Payload};

/// The module, built once for all tests of this machine.
fn module() -> Vec<u8> {
    helpers_module(&Rust::find().unwrap(), &cache()).unwrap()
}

fn cache() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("sh4")
}

fn compiled(gcc: &Gcc, cpu: Cpu) -> Helpers {
    build_helpers(&Rust::find().unwrap(), gcc, cpu, &cache())
        .unwrap_or_else(|trouble| panic!("{}\n{}", trouble.what, trouble.remedy))
}

/// The helper that GCC may call for an instruction: with `-m4-nofpu`, for all floating-point numbers.
fn instead_of(operator: &Operator<'_>) -> Option<&'static str> {
    Some(match operator {
        Operator::I32Clz => "__clzsi2",
        Operator::I32Ctz => "__ctzsi2",
        Operator::I32Popcnt => "__popcountsi2",
        Operator::I64Clz => "__clzdi2",
        Operator::I64Ctz => "__ctzdi2",
        Operator::I64Popcnt => "__popcountdi2",
        Operator::I64DivS => "__divdi3",
        Operator::I64DivU => "__udivdi3",
        Operator::I64RemS => "__moddi3",
        Operator::I64RemU => "__umoddi3",
        Operator::F32ConvertI64S => "__floatdisf",
        Operator::F32ConvertI64U => "__floatundisf",
        Operator::F64ConvertI64S => "__floatdidf",
        Operator::F64ConvertI64U => "__floatundidf",
        Operator::I64TruncF32S | Operator::I64TruncSatF32S => "__fixsfdi",
        Operator::I64TruncF32U | Operator::I64TruncSatF32U => "__fixunssfdi",
        Operator::I64TruncF64S | Operator::I64TruncSatF64S => "__fixdfdi",
        Operator::I64TruncF64U | Operator::I64TruncSatF64U => "__fixunsdfdi",
        Operator::I32TruncF32U | Operator::I32TruncSatF32U => "__fixunssfsi",
        Operator::I32TruncF64U | Operator::I32TruncSatF64U => "__fixunsdfsi",
        Operator::I32TruncF32S | Operator::I32TruncSatF32S => "__fixsfsi",
        Operator::I32TruncF64S | Operator::I32TruncSatF64S => "__fixdfsi",
        Operator::F32ConvertI32U => "__floatunsisf",
        Operator::F64ConvertI32U => "__floatunsidf",
        Operator::F32ConvertI32S => "__floatsisf",
        Operator::F64ConvertI32S => "__floatsidf",
        Operator::F32DemoteF64 => "__truncdfsf2",
        Operator::F64PromoteF32 => "__extendsfdf2",
        Operator::F32Add => "__addsf3",
        Operator::F64Add => "__adddf3",
        Operator::F32Sub => "__subsf3",
        Operator::F64Sub => "__subdf3",
        Operator::F32Mul => "__mulsf3",
        Operator::F64Mul => "__muldf3",
        Operator::F32Div => "__divsf3",
        Operator::F64Div => "__divdf3",
        Operator::F32Eq => "__eqsf2",
        Operator::F64Eq => "__eqdf2",
        Operator::F32Ne => "__nesf2",
        Operator::F64Ne => "__nedf2",
        Operator::F32Lt => "__ltsf2",
        Operator::F64Lt => "__ltdf2",
        Operator::F32Le => "__lesf2",
        Operator::F64Le => "__ledf2",
        Operator::F32Gt => "__gtsf2",
        Operator::F64Gt => "__gtdf2",
        Operator::F32Ge => "__gesf2",
        Operator::F64Ge => "__gedf2",
        Operator::F32Sqrt => "sqrtf",
        Operator::F64Sqrt => "sqrt",
        Operator::F32Ceil => "koboshi_f32_ceil",
        Operator::F64Ceil => "koboshi_f64_ceil",
        Operator::F32Floor => "koboshi_f32_floor",
        Operator::F64Floor => "koboshi_f64_floor",
        Operator::F32Trunc => "koboshi_f32_trunc",
        Operator::F64Trunc => "koboshi_f64_trunc",
        Operator::F32Nearest => "koboshi_f32_nearest",
        Operator::F64Nearest => "koboshi_f64_nearest",
        _ => return None,
    })
}

/// Which functions each function may come to call, as indices.
struct Calls {
    exports: BTreeMap<String, u32>,
    calls: BTreeMap<u32, BTreeSet<u32>>,
}

fn calls(module: &[u8]) -> Calls {
    let mut exports = BTreeMap::new();
    for payload in Parser::new(0).parse_all(module) {
        if let Payload::ExportSection(section) = payload.unwrap() {
            let functions = section.into_iter().map(Result::unwrap).filter(|export| export.kind == ExternalKind::Func);
            exports.extend(functions.map(|export| (export.name.to_owned(), export.index)));
        }
    }
    let mut calls = BTreeMap::new();
    // There are no imports, which another test makes sure of: the first function that is defined is number 0.
    let mut number = 0;
    for payload in Parser::new(0).parse_all(module) {
        let Payload::CodeSectionEntry(body) = payload.unwrap() else { continue };
        let operators = body.get_operators_reader().unwrap().into_iter().map(Result::unwrap);
        let called = operators.filter_map(|operator| match operator {
            Operator::Call { function_index } => Some(function_index),
            other => instead_of(&other).map(|helper| exports[helper]),
        });
        calls.insert(number, called.collect());
        number += 1;
    }
    Calls { exports, calls }
}

#[test]
fn every_helper_is_there() {
    let exports = calls(&module()).exports;
    let missing: Vec<&str> = helper_symbols().filter(|symbol| !exports.contains_key(*symbol)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn helpers_need_nothing_and_have_no_memory() {
    let module = module();
    let names: BTreeMap<u32, String> = calls(&module).exports.into_iter().map(|(name, index)| (index, name)).collect();
    let mut number = 0;
    for payload in Parser::new(0).parse_all(&module) {
        match payload.unwrap() {
            Payload::ImportSection(section) => assert_eq!(section.count(), 0),
            Payload::DataSection(section) => {
                let bytes: usize = section.into_iter().map(|segment| segment.unwrap().data.len()).sum();
                assert_eq!(bytes, 0);
            }
            Payload::CodeSectionEntry(body) => {
                for operator in body.get_operators_reader().unwrap() {
                    let operator = operator.unwrap();
                    // It is the pointer to the module's own stack, of which there is none in the programs.
                    let uses_stack = matches!(operator, Operator::GlobalGet { .. } | Operator::GlobalSet { .. });
                    assert!(!uses_stack, "{:?} has a stack of its own", names.get(&number));
                    assert!(!matches!(operator, Operator::CallIndirect { .. }));
                }
                number += 1;
            }
            _ => {}
        }
    }
}

#[test]
fn no_helper_comes_to_call_itself() {
    let Calls { exports, calls } = calls(&module());
    for (name, start) in &exports {
        let mut seen = BTreeSet::new();
        let mut next: Vec<u32> = calls[start].iter().copied().collect();
        while let Some(function) = next.pop() {
            assert_ne!(function, *start, "{name} may call itself without end");
            if seen.insert(function) {
                next.extend(&calls[&function]);
            }
        }
    }
}

/// The same sources, for this machine. They follow the lints of their own crate, and not all of them is called here.
#[allow(dead_code, missing_docs, unreachable_pub, clippy::all)]
#[path = "../helpers/src/float.rs"]
mod float;
#[allow(dead_code, missing_docs, unreachable_pub, clippy::all)]
#[path = "../helpers/src/integer.rs"]
mod integer;
#[allow(dead_code, missing_docs, unreachable_pub, unsafe_code, clippy::all)]
#[path = "../helpers/src/memory.rs"]
mod memory;

/// Numbers that are special in some way, and many that are not, as bits of `u64`; their upper halves serve as single ones.
fn numbers() -> impl Iterator<Item = u64> {
    let doubles =
        [0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 2.5, 3.5, 1e15, 4503599627370495.5, 4503599627370496.0, 9e15, 1e300];
    let near = doubles
        .into_iter()
        .flat_map(|number: f64| [-2, -1, 0, 1, 2].map(|step| number.to_bits().wrapping_add_signed(step)));
    let singles = [0.0f32, 0.25, 0.5, 0.75, 1.0, 1.5, 2.5, 3.5, 8388607.5, 8388608.0, 1e7, 3e38];
    let near_singles = singles
        .into_iter()
        .flat_map(|number| [-2, -1, 0, 1, 2].map(|step| u64::from(number.to_bits().wrapping_add_signed(step)) << 32));
    let ends = [
        1,
        f64::MIN_POSITIVE.to_bits(),
        f64::MAX.to_bits(),
        f64::INFINITY.to_bits(),
        f64::NAN.to_bits(),
        0x7ff0_0000_0000_0001,
    ];
    let single_ends = [1, f32::MIN_POSITIVE.to_bits(), f32::MAX.to_bits(), f32::INFINITY.to_bits(), 0x7f80_0001]
        .map(|bits| u64::from(bits) << 32);
    // xorshift64
    let random = std::iter::successors(Some(88172645463325252_u64), |last| {
        let step = last ^ (last << 13);
        let step = step ^ (step >> 7);
        Some(step ^ (step << 17))
    });
    // Half of them with an exponent near that of 1, where rounding has something to do.
    let random = random
        .take(400_000)
        .map(|bits| if bits & 1 == 0 { bits } else { bits & 0x800f_ffff_ffff_ffff | (1010 + (bits >> 52) % 60) << 52 });
    let all = near.chain(near_singles).chain(ends).chain(single_ends);
    all.flat_map(|bits| [bits, bits | 1 << 63]).chain(random)
}

#[test]
fn doubles_are_rounded_as_the_standard_has_it() {
    type Operation = (&'static str, extern "C" fn(f64) -> f64, fn(f64) -> f64);
    let operations: [Operation; 5] = [
        ("ceil", float::koboshi_f64_ceil, f64::ceil),
        ("floor", float::koboshi_f64_floor, f64::floor),
        ("trunc", float::koboshi_f64_trunc, f64::trunc),
        ("nearest", float::koboshi_f64_nearest, f64::round_ties_even),
        ("sqrt", float::sqrt, f64::sqrt),
    ];
    for bits in numbers() {
        let number = f64::from_bits(bits);
        for (name, ours, right) in operations {
            let (ours, right) = (ours(number), right(number));
            assert!(
                same(ours.to_bits(), right.to_bits(), 52),
                "{name}({number:e}, {bits:#x}) is {right:e}, not {ours:e}"
            );
        }
    }
}

#[test]
fn singles_are_rounded_as_the_standard_has_it() {
    type Operation = (&'static str, extern "C" fn(f32) -> f32, fn(f32) -> f32);
    let operations: [Operation; 5] = [
        ("ceil", float::koboshi_f32_ceil, f32::ceil),
        ("floor", float::koboshi_f32_floor, f32::floor),
        ("trunc", float::koboshi_f32_trunc, f32::trunc),
        ("nearest", float::koboshi_f32_nearest, f32::round_ties_even),
        ("sqrt", float::sqrtf, f32::sqrt),
    ];
    for bits in numbers().map(|bits| (bits >> 32) as u32) {
        let number = f32::from_bits(bits);
        for (name, ours, right) in operations {
            let (ours, right) = (ours(number), right(number));
            let (one, other) = (ours.to_bits().into(), right.to_bits().into());
            assert!(same(one, other, 23), "{name}({number:e}, {bits:#x}) is {right:e}, not {ours:e}");
        }
    }
}

/// The same bits, or both a quiet NaN.
fn same(ours: u64, right: u64, fraction: u32) -> bool {
    let width = if fraction == 23 { 31 } else { 63 };
    let magnitude = |bits: u64| bits & !(1 << width);
    let infinity = (1 << width) - (1 << fraction);
    let quiet = ours & (1 << (fraction - 1)) != 0;
    ours == right || (magnitude(ours) > infinity && magnitude(right) > infinity && quiet)
}

#[test]
fn doubles_are_multiplied_and_divided_as_the_standard_has_it() {
    let numbers: Vec<f64> = numbers().map(f64::from_bits).collect();
    let special = numbers.len() - 400_000;
    let special_pairs =
        numbers[..special].iter().flat_map(|one| numbers[..special].iter().map(move |other| (one, other)));
    let pairs = numbers.iter().zip(numbers.iter().skip(1)).chain(numbers.iter().zip(numbers.iter().rev()));
    // Products and quotients near the ends, where the result is subnormal or infinite.
    let scaled: Vec<(f64, f64)> = numbers
        .iter()
        .map(|number| f64::from_bits(number.to_bits() & 0x000f_ffff_ffff_ffff | 0x0010_0000_0000_0000))
        .zip(
            numbers
                .iter()
                .rev()
                .map(|number| f64::from_bits(number.to_bits() & 0x003f_ffff_ffff_ffff | 0x3f80_0000_0000_0000)),
        )
        .collect();
    let scaled = scaled.iter().map(|(one, other)| (one, other));
    for (&one, &other) in special_pairs.chain(pairs).chain(scaled) {
        let (product, quotient) = (float::__muldf3(one, other), float::__divdf3(one, other));
        assert!(same(product.to_bits(), (one * other).to_bits(), 52), "{one:e} * {other:e} is not {product:e}");
        assert!(same(quotient.to_bits(), (one / other).to_bits(), 52), "{one:e} / {other:e} is not {quotient:e}");
    }
}

#[test]
fn integers_of_64_bits_are_divided() {
    let ends =
        [1, 2, 3, 9, 10, 0xffff, 0x1_0000, 0x1_0001, 0x7fff_ffff, 0x8000_0000, 0x8000_0001, 0xffff_ffff, 0x1_0000_0000];
    let more =
        [0x1_0000_0001, 0x8000_0000_0000_0000, 0xffff_ffff_0000_0000, 0x7fff_ffff_ffff_ffff, u64::MAX, u64::MAX - 1];
    let ends: Vec<u64> = ends.into_iter().chain(more).flat_map(|end: u64| [end, end - 1, end.wrapping_neg()]).collect();
    let random: Vec<u64> = numbers().map(|bits| bits >> (bits & 63)).collect();
    let pairs = ends.iter().flat_map(|one| ends.iter().map(move |other| (*one, *other)));
    let random = random.iter().zip(random.iter().skip(1)).map(|(one, other)| (*one, *other));
    for (one, other) in pairs.chain(random).filter(|(_, other)| *other != 0) {
        assert_eq!(integer::__udivdi3(one, other), one / other, "{one} / {other}");
        assert_eq!(integer::__umoddi3(one, other), one % other, "{one} % {other}");
        let (one, other) = (one.cast_signed(), other.cast_signed());
        assert_eq!(integer::__divdi3(one, other), one.wrapping_div(other), "{one} / {other}");
        assert_eq!(integer::__moddi3(one, other), one.wrapping_rem(other), "{one} % {other}");
    }
}

#[test]
fn bits_are_counted() {
    for number in numbers() {
        let low = number as u32;
        assert_eq!(integer::__popcountdi2(number), number.count_ones());
        assert_eq!(integer::__popcountsi2(low), low.count_ones());
        assert_eq!(integer::__paritydi2(number), number.count_ones() % 2);
        assert_eq!(integer::__paritysi2(low), low.count_ones() % 2);
    }
}

#[test]
#[allow(unsafe_code)]
fn memory_is_copied_whether_it_overlaps_or_not() {
    let mut seen = 0;
    for (from, to, count) in
        (0..24).flat_map(|from| (0..24).flat_map(move |to| (0..40).map(move |count| (from, to, count))))
    {
        let mut memory: Vec<u8> = (0..64).collect();
        let mut right = memory.clone();
        right.copy_within(from..from + count, to);
        let start = memory.as_mut_ptr();
        // SAFETY: 24 + 40 bytes are there.
        unsafe { memory::memmove(start.wrapping_add(to), start.wrapping_add(from), count) };
        assert_eq!(memory, right, "{count} bytes from {from} to {to}");
        if from + count <= to || to + count <= from {
            let mut memory: Vec<u8> = (0..64).collect();
            let start = memory.as_mut_ptr();
            // SAFETY: 24 + 40 bytes are there, and those two parts are apart.
            unsafe { memory::memcpy(start.wrapping_add(to), start.wrapping_add(from), count) };
            assert_eq!(memory, right, "{count} bytes from {from} to {to}");
            seen += 1;
        }
    }
    assert!(seen > 1000);
}

/// What the board computes, and how this machine computes the same.
type Operation = (&'static str, fn(u64, u64) -> u64);

const OPERATIONS: [Operation; 36] = [
    ("a / (b | 1)", |a, b| a / (b | 1)),
    ("a % (b | 1)", |a, b| a % (b | 1)),
    ("(int64_t)a / (int64_t)(b | 2)", |a, b| (a.cast_signed() / (b | 2).cast_signed()).cast_unsigned()),
    ("(int64_t)a % (int64_t)(b | 2)", |a, b| (a.cast_signed() % (b | 2).cast_signed()).cast_unsigned()),
    ("a / ((b >> 40) + 1)", |a, b| a / ((b >> 40) + 1)),
    ("a % ((b >> 40) + 1)", |a, b| a % ((b >> 40) + 1)),
    ("__ashldi3(a, b & 63)", |a, b| a << (b & 63)),
    ("__lshrdi3(a, b & 63)", |a, b| a >> (b & 63)),
    ("__ashrdi3(a, b & 63)", |a, b| (a.cast_signed() >> (b & 63)).cast_unsigned()),
    ("__builtin_clz((uint32_t)a | 1)", |a, _| (a as u32 | 1).leading_zeros().into()),
    ("__builtin_ctz((uint32_t)a | 0x80000000)", |a, _| (a as u32 | 1 << 31).trailing_zeros().into()),
    ("__builtin_popcount((uint32_t)a)", |a, _| (a as u32).count_ones().into()),
    ("__builtin_clzll(a | 1)", |a, _| (a | 1).leading_zeros().into()),
    ("__builtin_ctzll(a | 1ull << 63)", |a, _| (a | 1 << 63).trailing_zeros().into()),
    ("__builtin_popcountll(a)", |a, _| a.count_ones().into()),
    ("__builtin_bswap64(a)", |a, _| a.swap_bytes()),
    ("of_float((float)a)", |a, _| (a as f32).to_bits().into()),
    ("of_float((float)(int64_t)a)", |a, _| (a.cast_signed() as f32).to_bits().into()),
    ("of_double((double)a)", |a, _| (a as f64).to_bits()),
    ("of_double((double)(int64_t)a)", |a, _| (a.cast_signed() as f64).to_bits()),
    ("of_float((float)(uint32_t)a)", |a, _| (a as u32 as f32).to_bits().into()),
    ("of_double((double)(uint32_t)a)", |a, _| f64::from(a as u32).to_bits()),
    ("(uint64_t)((double)(a >> 12) * 0.5)", |a, _| ((a >> 12) as f64 * 0.5) as u64),
    ("(int64_t)((double)(int64_t)a * 0.125)", |a, _| ((a.cast_signed() as f64 * 0.125) as i64).cast_unsigned()),
    ("(uint64_t)((float)a * 0.5f)", |a, _| (a as f32 * 0.5) as u64),
    ("(int64_t)((float)(int64_t)a * 0.125f)", |a, _| ((a.cast_signed() as f32 * 0.125) as i64).cast_unsigned()),
    ("(uint32_t)((double)(uint32_t)a * 0.75)", |a, _| (f64::from(a as u32) * 0.75) as u64),
    ("(uint32_t)((float)(uint32_t)a * 0.75f)", |a, _| (a as u32 as f32 * 0.75) as u64),
    ("of_double(koboshi_f64_ceil((double)(int64_t)a / 3e14))", |a, _| (a.cast_signed() as f64 / 3e14).ceil().to_bits()),
    ("of_double(koboshi_f64_floor((double)(int64_t)a / 3e14))", |a, _| {
        (a.cast_signed() as f64 / 3e14).floor().to_bits()
    }),
    ("of_float(koboshi_f32_trunc((float)(int64_t)a / 3e14f))", |a, _| {
        (a.cast_signed() as f32 / 3e14).trunc().to_bits().into()
    }),
    ("of_float(koboshi_f32_nearest((float)(int64_t)a / 3e14f))", |a, _| {
        (a.cast_signed() as f32 / 3e14).round_ties_even().to_bits().into()
    }),
    ("of_double(__builtin_sqrt((double)a))", |a, _| (a as f64).sqrt().to_bits()),
    ("of_float(__builtin_sqrtf((float)a))", |a, _| (a as f32).sqrt().to_bits().into()),
    ("of_double((double)a / (double)b + (double)a * (double)b - (double)b)", |a, b| {
        let (a, b) = (a as f64, b as f64);
        (a / b + a * b - b).to_bits()
    }),
    ("of_float((float)a / (float)b + (float)a * (float)b - (float)b)", |a, b| {
        let (a, b) = (a as f32, b as f32);
        (a / b + a * b - b).to_bits().into()
    }),
];

/// Pairs of numbers for each operation.
const PAIRS: u32 = 2000;

fn digest(operation: fn(u64, u64) -> u64) -> u64 {
    let (mut state, mut digest) = (88172645463325252_u64, 0u64);
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for _ in 0..PAIRS {
        let (a, b) = (next(), next());
        digest = (digest ^ operation(a, b)).wrapping_mul(0x100_0000_01b3);
    }
    digest
}

#[test]
fn programs_on_the_board_compute_what_this_machine_computes() {
    let gcc = Gcc::find(&cache()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let board = Board::new(&gcc, folder.path()).unwrap();
    let beginning = format!(
        "#include \"board.h\"
        uint64_t __ashldi3(uint64_t, int); uint64_t __lshrdi3(uint64_t, int); int64_t __ashrdi3(int64_t, int);
        double koboshi_f64_ceil(double), koboshi_f64_floor(double);
        float koboshi_f32_trunc(float), koboshi_f32_nearest(float);
        static uint64_t of_double(double number) {{ union {{ double d; uint64_t u; }} bits = {{ number }}; return bits.u; }}
        static uint64_t of_float(float number) {{ union {{ float f; uint32_t u; }} bits = {{ number }}; return bits.u; }}
        static volatile uint64_t state;
        static uint64_t next(void) {{
            uint64_t s = state; s ^= s << 13; s ^= s >> 7; s ^= s << 17; state = s; return s;
        }}
        #define DIGEST(expression) do {{
            uint64_t digest = 0; state = 88172645463325252ull;
            for (int i = 0; i < {PAIRS}; i++) {{
                uint64_t a = next(), b = next(); (void)b; digest = (digest ^ (uint64_t)(expression)) * 0x100000001b3ull;
            }}
            board_print(\"%X\\n\", digest); }} while (0)
        uint32_t board_main(void) {{ "
    );
    // A macro of several lines, written as several lines.
    let (before, after) = beginning.split_once("#define").unwrap();
    let (definition, after) = after.split_once("while (0)").unwrap();
    let beginning = format!("{before}#define{} while (0){after}", definition.replace('\n', " \\\n"));
    let digests: String = OPERATIONS.iter().map(|(text, _)| format!("DIGEST({text});\n")).collect();
    let text = format!("{beginning}{digests} return 0; }}");
    // With an FPU, and with the helpers in its place.
    for cpu in [Cpu::Sh4, Cpu::Sh4NoFpu] {
        let object = folder.path().join(format!("program{}.o", cpu.option()));
        let options = Options { cpu, include: vec![board.include().to_path_buf()], ..Options::default() };
        compile(&gcc, Source::Text { name: "program.c", text: &text }, &object, &options).unwrap();
        let image = board.image("program", &[object, compiled(&gcc, cpu).object]);
        let image = image.unwrap_or_else(|trouble| panic!("{}", trouble.what));
        let output = run(Qemu::find().unwrap().path(), &image.raw, &Run::default()).unwrap();
        assert_eq!(output.code, 0, "{}", output.text);
        let found: Vec<&str> = output.text.lines().collect();
        assert_eq!(found.len(), OPERATIONS.len());
        for ((text, operation), found) in OPERATIONS.into_iter().zip(found) {
            assert_eq!(found, format!("{:016x}", digest(operation)), "{text} ({cpu:?})");
        }
    }
}
