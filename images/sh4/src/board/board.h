/* What a program on the emulated board is given: address spaces, traps that come back, a console, a count of instructions.
 *
 * Programs run in user mode, as components do. Code and constants of the image lie at CODE_BASE and up, and cannot be
 * written; C data from the next MiB on; the stack at STACK_TOP and down, with a guard below. Everything below SPACE_END
 * belongs to the selected address space: a number of pages of 64 KiB from address 0, and nothing behind them. At the start
 * none is selected.
 *
 * An access anywhere else is a fault, but in 0xE0000000 to 0xE3FFFFFF: these are the store queues, where QEMU lets anyone
 * read and write, without effect. */
#ifndef KOBOSHI_BOARD_H
#define KOBOSHI_BOARD_H
#include <stdint.h>
#include "traps.h"

#define SPACE_END 0x40000000u  /* translated modules live below */
#define CODE_BASE 0x40000000u  /* this image: 1 MiB pages, code and data; at most 15 MiB, and 32 with .bss */
#define STACK_TOP 0x60000000u  /* 256 KiB, then nothing */
#define SPACES 200             /* address spaces in one image */

/* Beyond the TRAP_... of translated code: what the machine itself notices. */
#define FAULT_MEMORY 0x80      /* no memory there, or not for the user, or not to be written; any address from P1 up */
#define FAULT_MISALIGNED 0x81  /* an address below P1 that is not a multiple of the access's size */
#define FAULT_STACK 0x82       /* the guard below the stack */
#define FAULT_ILLEGAL 0x83     /* an illegal instruction */
#define FAULT_OTHER 0x84       /* any other exception, and a call of the kernel that it refuses; see board_fault */

/* The last trap or fault that board_try came back from: the instruction (of a delay slot, the branch), and the address
 * that it used, 0 if none. After a jump to nowhere both are where it went. */
struct board_fault { uint32_t code, pc, address, expevt; };
extern struct board_fault board_fault;

/* Makes an address space of `pages` pages of zeros that may grow to `maximum`; gives its number, or -1 if there is no room.
 * It is not selected. */
int board_space(uint32_t pages, uint32_t maximum);
/* From now on addresses below SPACE_END are those of this space. FAULT_OTHER if there is no such space. */
void board_select(int space);

/* Calls f(argument). 0 if it came back by itself, else the TRAP_... or FAULT_... that ended it. May not be nested:
 * FAULT_OTHER. A fault outside any board_try is told on the console, and the machine ends with code 255. */
uint32_t board_try(void (*f)(void *), void *argument);

/* Writes to the console (the SCIF). */
void board_write(const char *bytes, uint32_t length);
void board_print(const char *format, ...); /* %s %d %u %x (8 digits), %X (uint64_t, 16 digits), nothing else: code 254 */
/* Ends the machine. The host sees it as a good end only if this was called. */
void board_exit(uint32_t code) __attribute__((noreturn));

/* Instructions since some moment, modulo 2^32; only under -icount shift=10. Exact if no more than 279 million (2^32 ticks
 * of the timer) lie between two calls. The kernel's are counted too: some 115 when memory of a space is used that the TLB
 * does not have (64 KiB at a time; it keeps some 26 or more). Use it once before you measure. */
uint32_t board_count(void);
/* The difference of two calls with nothing between; the compiler may put an instruction or two there. */
uint32_t board_count_cost(void);
/* Instructions of f(argument), from its first one to the one behind its `rts`, and of all that it calls. */
uint32_t board_measure(void (*f)(void *), void *argument);

/* What a program defines. Its return value goes to board_exit. */
uint32_t board_main(void);

/* For translated modules: of the selected space. */
uint32_t koboshi_memory_grow(uint32_t pages);
uint32_t koboshi_memory_size(void);
#endif
