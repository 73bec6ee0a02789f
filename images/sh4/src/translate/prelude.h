/* What translated WebAssembly is written in. TRUST_NOTHING is 1 where alignment hints may lie and offsets may wrap.
 * Memory is volatile: which accesses are volatile or a device's is not known any more, and LLVM has already left out what may
 * be left out. So all of them stay in the module's order, the atomic ones with them. */
#include <stdint.h>

#define ALWAYS static inline __attribute__((always_inline, unused))

/* Nothing is moved across. The processor itself keeps the order. */
#define FENCE() __asm__ volatile("" ::: "memory")

/* One instruction, its number in `traps.h`. The text differs from place to place, so that GCC does not make one trap of two.
 * (Those of memory, where nothing is trusted, have one text: there are too many of them.) */
#define TRAP(number, place)                                                                                            \
    do {                                                                                                               \
        __asm__ volatile("trapa #%O0 ! " place ::"i"(number) : "memory");                                              \
        __builtin_unreachable();                                                                                       \
    } while (0)
/* The same within a function that is inlined: `place` and `more` are numbers that only this use of it has. */
#define TRAP_WITHIN(number, what)                                                                                      \
    do {                                                                                                               \
        __asm__ volatile("trapa #%O0 ! " what " %O1.%O2" ::"i"(number), "i"(place), "i"(more) : "memory");             \
        __builtin_unreachable();                                                                                       \
    } while (0)
#define WITHIN uint32_t place, uint32_t more
#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)

/* The shadow stack pointer lives in GBR: no general register is lost, it costs one instruction to read or write, and it
 * is saved with a context like any other register. A function that calls nobody may use up to 128 bytes below it without
 * moving it (LLVM's red zone): whoever interrupts it and runs code of the module begins as far below, or elsewhere. */
#define STACK_GET(x) __asm__ volatile("stc gbr, %0" : "=r"(x))
#define STACK_SET(x) __asm__ volatile("ldc %0, gbr" ::"r"(x) : "memory")

/* GCC is not to know that a frame is the stack pointer less some bytes: it would count its places from there, out of reach
 * of an instruction's displacement. */
#define OPAQUE(x) __asm__("" : "+r"(x))

typedef volatile uint8_t __attribute__((may_alias)) u8_at;
typedef volatile uint16_t __attribute__((may_alias)) u16_at;
typedef volatile uint32_t __attribute__((may_alias)) u32_at;
typedef volatile uint64_t __attribute__((may_alias, aligned(4))) u64_at;
typedef volatile float __attribute__((may_alias)) f32_at;
typedef volatile double __attribute__((may_alias, aligned(4))) f64_at;

ALWAYS uint32_t bits_of_f32(float x) { return (union { float f; uint32_t i; }){ .f = x }.i; }
ALWAYS float f32_of_bits(uint32_t x) { return (union { uint32_t i; float f; }){ .i = x }.f; }
ALWAYS uint64_t bits_of_f64(double x) { return (union { double f; uint64_t i; }){ .f = x }.i; }
ALWAYS double f64_of_bits(uint64_t x) { return (union { uint64_t i; double f; }){ .i = x }.f; }

/* No memory of a module that is not to be trusted comes this far. What lies here and above is the program's own, or not
 * caught: of a misaligned access that begins at the very end of all addresses, the last bytes would lie at their beginning. */
#define BEYOND 0x40000000u

/* Address and offset of an access. */
ALWAYS uint32_t at(uint32_t address, uint32_t offset) {
#if TRUST_NOTHING
    if (address + offset < address || address + offset >= BEYOND) TRAP(TRAP_MEMORY, "offset");
#endif
    return address + offset;
}

/* load<bits>_<hint>: the hint is the alignment in bytes. Where it is below the access's size, the access is made of pieces.
 * Stores begin with the last piece: one that begins in memory and ends behind it changes nothing. */
#if TRUST_NOTHING
#define IF_MISALIGNED(address, size, otherwise)                                                                        \
    if ((address) & ((size) - 1)) otherwise
#else
#define IF_MISALIGNED(address, size, otherwise)
#endif

ALWAYS uint32_t load8_1(uint32_t a) { return *(u8_at *)a; }
ALWAYS void store8_1(uint32_t a, uint32_t x) { *(u8_at *)a = (uint8_t)x; }

ALWAYS uint32_t load16_1(uint32_t a) {
    uint32_t low = load8_1(a);
    return low | load8_1(a + 1) << 8;
}
ALWAYS void store16_1(uint32_t a, uint32_t x) {
    store8_1(a + 1, x >> 8);
    store8_1(a, x);
}
ALWAYS uint32_t load16_2(uint32_t a) {
    IF_MISALIGNED(a, 2, return load16_1(a));
    return *(u16_at *)a;
}
ALWAYS void store16_2(uint32_t a, uint32_t x) {
    IF_MISALIGNED(a, 2, { store16_1(a, x); return; });
    *(u16_at *)a = (uint16_t)x;
}

ALWAYS uint32_t load32_1(uint32_t a) {
#ifdef __SH4A__
    uint32_t x;
    __asm__ volatile("movua.l @%1, %0" : "=z"(x) : "r"(a) : "memory");
    return x;
#else
    uint32_t low = load16_1(a);
    return low | load16_1(a + 2) << 16;
#endif
}
ALWAYS void store32_1(uint32_t a, uint32_t x) {
    store16_1(a + 2, x >> 16);
    store16_1(a, x);
}
ALWAYS uint32_t load32_2(uint32_t a) {
    IF_MISALIGNED(a, 2, return load32_1(a));
    uint32_t low = load16_2(a);
    return low | load16_2(a + 2) << 16;
}
ALWAYS void store32_2(uint32_t a, uint32_t x) {
    IF_MISALIGNED(a, 2, { store32_1(a, x); return; });
    store16_2(a + 2, x >> 16);
    store16_2(a, x);
}
ALWAYS uint32_t load32_4(uint32_t a) {
    IF_MISALIGNED(a, 4, return load32_1(a));
    return *(u32_at *)a;
}
ALWAYS void store32_4(uint32_t a, uint32_t x) {
    IF_MISALIGNED(a, 4, { store32_1(a, x); return; });
    *(u32_at *)a = x;
}

#define IN_HALVES(hint)                                                                                                \
    ALWAYS uint64_t load64_##hint(uint32_t a) {                                                                        \
        uint64_t low = load32_##hint(a);                                                                               \
        return low | (uint64_t)load32_##hint(a + 4) << 32;                                                             \
    }                                                                                                                  \
    ALWAYS void store64_##hint(uint32_t a, uint64_t x) {                                                               \
        store32_##hint(a + 4, (uint32_t)(x >> 32));                                                                    \
        store32_##hint(a, (uint32_t)x);                                                                                \
    }
IN_HALVES(1)
IN_HALVES(2)
IN_HALVES(4)
/* An SH-4 moves 64 bits in two halves, which need no more than an alignment of 4. */
#define load64_8 load64_4
#define store64_8 store64_4

#define AS_INTEGER(hint)                                                                                               \
    ALWAYS float loadf32_##hint(uint32_t a) { return f32_of_bits(load32_##hint(a)); }                                  \
    ALWAYS void storef32_##hint(uint32_t a, float x) { store32_##hint(a, bits_of_f32(x)); }                            \
    ALWAYS double loadf64_##hint(uint32_t a) { return f64_of_bits(load64_##hint(a)); }                                 \
    ALWAYS void storef64_##hint(uint32_t a, double x) { store64_##hint(a, bits_of_f64(x)); }
AS_INTEGER(1)
AS_INTEGER(2)
ALWAYS float loadf32_4(uint32_t a) {
    IF_MISALIGNED(a, 4, return loadf32_1(a));
    return *(f32_at *)a;
}
ALWAYS void storef32_4(uint32_t a, float x) {
    IF_MISALIGNED(a, 4, { storef32_1(a, x); return; });
    *(f32_at *)a = x;
}
ALWAYS double loadf64_4(uint32_t a) {
    IF_MISALIGNED(a, 4, return loadf64_1(a));
    return *(f64_at *)a;
}
ALWAYS void storef64_4(uint32_t a, double x) {
#if TRUST_NOTHING
    store64_4(a, bits_of_f64(x));
#else
    *(f64_at *)a = x;
#endif
}
#define loadf64_8 loadf64_4
#define storef64_8 storef64_4

/* Division: C leaves open what WebAssembly traps on. */
#define DIVISION(bits, least)                                                                                          \
    ALWAYS uint##bits##_t div_u##bits(uint##bits##_t a, uint##bits##_t b, WITHIN) {                                    \
        if (b == 0) TRAP_WITHIN(TRAP_DIVIDE_BY_ZERO, "div_u");                                                         \
        return a / b;                                                                                                  \
    }                                                                                                                  \
    ALWAYS uint##bits##_t rem_u##bits(uint##bits##_t a, uint##bits##_t b, WITHIN) {                                    \
        if (b == 0) TRAP_WITHIN(TRAP_DIVIDE_BY_ZERO, "rem_u");                                                         \
        return a % b;                                                                                                  \
    }                                                                                                                  \
    ALWAYS uint##bits##_t div_s##bits(uint##bits##_t a, uint##bits##_t b, WITHIN) {                                    \
        if (b == 0) TRAP_WITHIN(TRAP_DIVIDE_BY_ZERO, "div_s");                                                         \
        if (b == (uint##bits##_t)-1 && a == (least)) TRAP_WITHIN(TRAP_INTEGER_OVERFLOW, "div_s");                      \
        return (uint##bits##_t)((int##bits##_t)a / (int##bits##_t)b);                                                  \
    }                                                                                                                  \
    ALWAYS uint##bits##_t rem_s##bits(uint##bits##_t a, uint##bits##_t b, WITHIN) {                                    \
        if (b == 0) TRAP_WITHIN(TRAP_DIVIDE_BY_ZERO, "rem_s");                                                         \
        if (b == (uint##bits##_t)-1) return 0;                                                                         \
        return (uint##bits##_t)((int##bits##_t)a % (int##bits##_t)b);                                                  \
    }
DIVISION(32, 0x80000000u)
DIVISION(64, 0x8000000000000000ull)

/* Floating point. The FPU's quiet NaN is not IEEE 754-2008's; which NaN a result is, is left to it. */
ALWAYS float copysign_f32(float x, float sign) {
    return f32_of_bits((bits_of_f32(x) & 0x7fffffffu) | (bits_of_f32(sign) & 0x80000000u));
}
ALWAYS double copysign_f64(double x, double sign) {
    return f64_of_bits((bits_of_f64(x) & ~(1ull << 63)) | (bits_of_f64(sign) & 1ull << 63));
}
/* The lesser of -0 and 0 is -0, and any NaN makes a NaN. */
#define LEAST(name, type, bits, join, order)                                                                           \
    ALWAYS type name(type a, type b) {                                                                                 \
        if (a != a || b != b) return a + b;                                                                            \
        if (a == b) return bits##_of_bits(bits_of_##bits(a) join bits_of_##bits(b));                                   \
        return a order b ? a : b;                                                                                      \
    }
LEAST(min_f32, float, f32, |, <)
LEAST(max_f32, float, f32, &, >)
LEAST(min_f64, double, f64, |, <)
LEAST(max_f64, double, f64, &, >)

/* Rounding to an integer: no instruction does it. Written in Rust, with the other helpers. */
float koboshi_f32_ceil(float), koboshi_f32_floor(float), koboshi_f32_trunc(float), koboshi_f32_nearest(float);
double koboshi_f64_ceil(double), koboshi_f64_floor(double), koboshi_f64_trunc(double), koboshi_f64_nearest(double);

/* Unsigned integers, without a function of GCC's library. Each stays with numbers of one size: changing between float and
 * double costs the FPU a change of its mode. */
ALWAYS double f64_of_u32(uint32_t x) { return (double)(int32_t)(x ^ 0x80000000u) + 2147483648.0; }
ALWAYS float f32_of_u32(uint32_t x) {
    /* Halved, with the lost bit kept in the last one, it is rounded as the whole would be. */
    return (int32_t)x >= 0 ? (float)(int32_t)x : 2.0f * (float)(int32_t)(x >> 1 | (x & 1));
}
#define U32_OF(name, type)                                                                                             \
    ALWAYS uint32_t name(type x) {                                                                                     \
        const type half = 2147483648.0f;                                                                               \
        return x < half ? (uint32_t)(int32_t)x : (uint32_t)(int32_t)(x - half) ^ 0x80000000u;                          \
    }
U32_OF(u32_of_f32, float)
U32_OF(u32_of_f64, double)

/* Conversions to integers: `low` and `high` are the bounds within which the number without its fraction fits. */
#define CONVERSION(name, from, to, low, high, convert, least, most)                                                    \
    ALWAYS to trunc_##name(from x, WITHIN) {                                                                           \
        if (!(x low && x < high)) {                                                                                    \
            if (x != x) TRAP_WITHIN(TRAP_BAD_CONVERSION, "trunc_" #name);                                              \
            TRAP_WITHIN(TRAP_INTEGER_OVERFLOW, "trunc_" #name);                                                        \
        }                                                                                                              \
        return convert;                                                                                                \
    }                                                                                                                  \
    ALWAYS to saturate_##name(from x) {                                                                                \
        if (x != x) return 0;                                                                                          \
        if (!(x low)) return least;                                                                                    \
        if (!(x < high)) return most;                                                                                  \
        return convert;                                                                                                \
    }
/* The greatest float below -2^31 is further away than 1. */
CONVERSION(s32_f32, float, uint32_t, >= -2147483648.0f, 2147483648.0f, (uint32_t)(int32_t)x, 0x80000000u, 0x7fffffffu)
CONVERSION(s32_f64, double, uint32_t, > -2147483649.0, 2147483648.0, (uint32_t)(int32_t)x, 0x80000000u, 0x7fffffffu)
CONVERSION(u32_f32, float, uint32_t, > -1.0f, 4294967296.0f, u32_of_f32(x), 0, 0xffffffffu)
CONVERSION(u32_f64, double, uint32_t, > -1.0, 4294967296.0, u32_of_f64(x), 0, 0xffffffffu)
#define LEAST_S64 0x8000000000000000ull
#define MOST_S64 0x7fffffffffffffffull
#define MOST_U64 0xffffffffffffffffull
CONVERSION(s64_f32, float, uint64_t, >= -0x1p63f, 0x1p63f, (uint64_t)(int64_t)x, LEAST_S64, MOST_S64)
CONVERSION(s64_f64, double, uint64_t, >= -0x1p63, 0x1p63, (uint64_t)(int64_t)x, LEAST_S64, MOST_S64)
CONVERSION(u64_f32, float, uint64_t, > -1.0f, 0x1p64f, (uint64_t)x, 0, MOST_U64)
CONVERSION(u64_f64, double, uint64_t, > -1.0, 0x1p64, (uint64_t)x, 0, MOST_U64)

/* Memory's size, in pages of 64 KiB: for whoever gives it. */
uint32_t koboshi_memory_size(void);
uint32_t koboshi_memory_grow(uint32_t pages);

/* Bulk memory: nothing is changed unless all can be. The memory begins at address 0. */
ALWAYS void bounds(uint32_t a, uint32_t length) {
#if TRUST_NOTHING
    if ((uint64_t)a + length > (uint64_t)koboshi_memory_size() << 16) TRAP(TRAP_MEMORY, "bulk");
#endif
}
static __attribute__((unused)) void memory_copy(uint32_t to, uint32_t from, uint32_t length) {
    bounds(to, length);
    bounds(from, length);
    if (to <= from) {
        for (uint32_t i = 0; i < length; i++) store8_1(to + i, load8_1(from + i));
    } else {
        for (uint32_t i = length; i-- > 0;) store8_1(to + i, load8_1(from + i));
    }
}
static __attribute__((unused)) void memory_fill(uint32_t to, uint32_t value, uint32_t length) {
    bounds(to, length);
    for (uint32_t i = 0; i < length; i++) store8_1(to + i, value);
}
