/* The user side of the emulated board: what board.h declares, in terms of calls.h. */
#include "board.h"
#include <stdarg.h>
#include <stddef.h>
#include "calls.h"

/* What GCC expects of FPSCR at the entry of a function: double precision, to nearest, subnormal numbers, no exceptions. */
#define FPSCR_OF_GCC 0x00080000u
/* The timer runs at 15 MHz, and `-icount shift=10` makes an instruction 1024 ns: 15.36 ticks. 2^35 divided by that: */
#define INSTRUCTIONS_OF_TICK 2236962133u
#define TCNT0 (*(volatile uint32_t *)(COUNT_PAGE + 0xc))

struct board_fault board_fault;

/* The kernel keeps all registers but r0. */
static inline __attribute__((always_inline)) uint32_t call(int number, uint32_t a, uint32_t b) {
    register uint32_t result asm("r0");
    register uint32_t r4 asm("r4") = a;
    register uint32_t r5 asm("r5") = b;
    asm volatile("trapa %1" : "=r"(result) : "i"(number), "r"(r4), "r"(r5) : "memory");
    return result;
}

/* The program begins here: board.ld puts it at CODE_BASE. */
void board_start(void) __attribute__((noreturn, section(".user.start")));
void board_start(void) {
    asm volatile("lds %0, fpscr" ::"r"(FPSCR_OF_GCC));
    board_exit(board_main());
}

int board_space(uint32_t pages, uint32_t maximum) { return call(CALL_SPACE, pages, maximum); }
void board_select(int space) { call(CALL_SELECT, space, 0); }
uint32_t koboshi_memory_grow(uint32_t pages) { return call(CALL_GROW, pages, 0); }
uint32_t koboshi_memory_size(void) { return call(CALL_SIZE, 0, 0); }

static void came_back(void) { call(CALL_TRY_END, 0, 0); }

/* The kernel goes on behind the trapa with all registers as they were, but r0 to r3 and those of the FPU. GCC saves the
 * latter where it has to, since the asm says so. */
uint32_t board_try(void (*f)(void *), void *argument) {
    register uint32_t code asm("r0");
    register uint32_t pc asm("r1");
    register uint32_t address asm("r2");
    register uint32_t expevt asm("r3");
    register uint32_t r4 asm("r4") = (uint32_t)f;
    register uint32_t r5 asm("r5") = (uint32_t)argument;
    register uint32_t r6 asm("r6") = (uint32_t)came_back;
    asm volatile("trapa %4"
                 : "=r"(code), "=r"(pc), "=r"(address), "=r"(expevt)
                 : "i"(CALL_TRY), "r"(r4), "r"(r5), "r"(r6)
                 : "memory", "fpul", "fr0", "fr1", "fr2", "fr3", "fr4", "fr5", "fr6", "fr7", "fr8", "fr9", "fr10", "fr11",
                   "fr12", "fr13", "fr14", "fr15");
    struct board_fault fault = {code, pc, address, expevt};
    asm volatile("lds %0, fpscr" ::"r"(FPSCR_OF_GCC));
    if (fault.code) board_fault = fault;
    return fault.code;
}

static void put(char c) { call(CALL_WRITE, (uint8_t)c, 0); }

void board_write(const char *bytes, uint32_t length) {
    while (length--) put(*bytes++);
}

static void put_hex(uint32_t value) {
    for (int shift = 28; shift >= 0; shift -= 4) put("0123456789abcdef"[value >> shift & 15]);
}

static void put_decimal(uint32_t value) {
    char digits[10];
    int n = 0;
    do digits[n++] = '0' + value % 10;
    while (value /= 10);
    while (n) put(digits[--n]);
}

void board_print(const char *format, ...) {
    va_list list;
    va_start(list, format);
    for (; *format; format++) {
        if (*format != '%') {
            put(*format);
            continue;
        }
        switch (*++format) {
        case 's':
            for (const char *text = va_arg(list, const char *); *text; text++) put(*text);
            break;
        case 'd': {
            int32_t value = va_arg(list, int32_t);
            if (value < 0) put('-');
            put_decimal(value < 0 ? -(uint32_t)value : (uint32_t)value);
            break;
        }
        case 'u': put_decimal(va_arg(list, uint32_t)); break;
        case 'x': put_hex(va_arg(list, uint32_t)); break;
        case 'X': {
            uint64_t value = va_arg(list, uint64_t);
            put_hex(value >> 32);
            put_hex(value);
            break;
        }
        default: board_exit(254); /* such a format there is not */
        }
    }
    va_end(list);
}

void board_exit(uint32_t code) {
    board_print("\nKOBOSHI-EXIT %u\n", code);
    call(CALL_OFF, 0, 0);
    __builtin_unreachable();
}

/* An instruction is some ticks more than 15, so the number of instructions between two readings comes out exactly, and
 * their sum has no error either. */
uint32_t board_count(void) {
    static uint32_t before, sum;
    uint32_t now = TCNT0, ticks = before - now; /* it counts down */
    before = now;
    sum += (uint32_t)(((uint64_t)ticks * INSTRUCTIONS_OF_TICK + (1ull << 34)) >> 35);
    return sum;
}

static __attribute__((noinline)) uint32_t count_around(void (*f)(void *), void *argument) {
    uint32_t start = board_count();
    f(argument);
    return board_count() - start;
}

uint32_t board_count_cost(void) {
    uint32_t first = board_count();
    return board_count() - first;
}

void board_nothing(void *);
asm(".section .text.board_nothing, \"ax\"\n .balign 4\nboard_nothing: rts\n nop\n .previous");

uint32_t board_measure(void (*f)(void *), void *argument) {
    uint32_t around = count_around(board_nothing, 0) - 2;
    return count_around(f, argument) - around;
}

/* GCC calls these by itself. */
void *memcpy(void *to, const void *from, size_t n) {
    for (size_t i = 0; i < n; i++) ((char *)to)[i] = ((const char *)from)[i];
    return to;
}
void *memmove(void *to, const void *from, size_t n) {
    if ((uintptr_t)to <= (uintptr_t)from) return memcpy(to, from, n);
    while (n--) ((char *)to)[n] = ((const char *)from)[n];
    return to;
}
void *memset(void *to, int byte, size_t n) {
    for (size_t i = 0; i < n; i++) ((char *)to)[i] = byte;
    return to;
}
int memcmp(const void *a, const void *b, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (((const uint8_t *)a)[i] != ((const uint8_t *)b)[i]) return ((const uint8_t *)a)[i] - ((const uint8_t *)b)[i];
    return 0;
}
