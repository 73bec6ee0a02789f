/* The kernel of the emulated R2D-PLUS board: runs one program in user mode behind the MMU, and turns whatever the program
 * does wrong into a number that it is told.
 *
 * It keeps: all of it, stack and data too, lies in P1, which needs no TLB, so it takes no exception itself. With BL = 1 an
 * exception would reset the machine. It calls nothing outside this file and start.S (board.ld sees to that), and uses no
 * floating point: the program's FPU registers stay where they are. It never follows a pointer of the program. */
#include "board.h"
#include "calls.h"

#define PTEH (*(volatile uint32_t *)0xff000000)
#define PTEL (*(volatile uint32_t *)0xff000004)
#define TEA (*(volatile uint32_t *)0xff00000c)
#define MMUCR (*(volatile uint32_t *)0xff000010)
#define TRA (*(volatile uint32_t *)0xff000020)
#define EXPEVT (*(volatile uint32_t *)0xff000024)
#define PTEA (*(volatile uint32_t *)0xff000034)
#define TSTR (*(volatile uint8_t *)0xffd80004)
#define TCOR0 (*(volatile uint32_t *)0xffd80008)
#define TCNT0 (*(volatile uint32_t *)0xffd8000c)
#define TCR0 (*(volatile uint16_t *)0xffd80010)
#define SCSCR (*(volatile uint16_t *)0xffe80008)
#define SCFTDR (*(volatile uint8_t *)0xffe8000c)
#define SCFSR (*(volatile uint16_t *)0xffe80010)
#define POWER_OFF (*(volatile uint16_t *)0xa4000030)

#define MISS_READ 0x040 /* values of EXPEVT */
#define MISS_WRITE 0x060
#define PROTECTION_READ 0x0a0
#define PROTECTION_WRITE 0x0c0
#define ADDRESS_READ 0x0e0
#define ADDRESS_WRITE 0x100
#define TRAPA 0x160
#define ILLEGAL 0x180
#define ILLEGAL_SLOT 0x1a0

#define USER_SR 0xf0u   /* user mode, FPU on, interrupts masked */
#define PAGE 0x10000u   /* a page of WebAssembly is a 64 KiB page of the SH-4 */
#define SECTION 0x100000u
#define RAM 0x0c000000u /* SDRAM, 64 MiB */
#define FRAMES 1024u    /* pages of it */
#define KERNEL_FRAME ((0x0c800000u - RAM) / PAGE)
#define P1(physical) ((uint32_t *)((physical) | 0x80000000u))
#define PHYSICAL(p1) ((uint32_t)(p1) & 0x1fffffffu)

/* PTEL: V, size, protection, C, D, SH. User pages are writable (PR = 11) or not (PR = 10). */
#define SECTION_READ (0x100u | 0x090 | 0x040 | 0x008 | 0x002)
#define SECTION_WRITE (0x100u | 0x090 | 0x060 | 0x008 | 0x004 | 0x002)
#define STACK_WRITE (0x100u | 0x080 | 0x060 | 0x008 | 0x004 | 0x002)
#define SPACE_WRITE (0x100u | 0x080 | 0x060 | 0x008 | 0x004)
#define DEVICE_READ (0x100u | 0x010 | 0x040 | 0x002)
#define TIMER_PAGE 0x1fd80000u /* TMU through area 7: the only name of a register that the TLB knows */

/* As start.S stores it. */
struct frame { uint32_t spc, ssr, pr, gbr, mach, macl, r[16]; };

struct space { uint32_t pages, maximum; };

/* start.S and board.ld, in P1: the kernel, and the program's memory. */
extern uint32_t board_vectors[], board_kernel_bss[], board_kernel_end[], board_image[], board_image_bss[], board_image_end[];
extern uint8_t board_user_data[], board_user_end[]; /* board.ld, as the program sees itself */
extern void board_resume(struct frame *) __attribute__((noreturn));

static struct space spaces[SPACES];
static uint16_t frame_of[SPACES][FRAMES]; /* which page of RAM is page n of a space */
static uint32_t made;           /* spaces */
static int selected;            /* -1: none */
static uint32_t free_frame = 2; /* QEMU's boot parameters are in page 1 of RAM */
static uint32_t frames_left;
static struct frame tried;      /* where board_try was called ... */
static int trying;              /* ... if it was */

static void put(char c) {
    while (!(SCFSR & 0x20)) {} /* QEMU: TDFE comes back when it is read, not by itself */
    SCFTDR = c;
}

static void say(const char *text) {
    while (*text) put(*text++);
}

static void say_hex(const char *name, uint32_t value) {
    say(name);
    for (int shift = 28; shift >= 0; shift -= 4) put("0123456789abcdef"[value >> shift & 15]);
}

static void off(void) __attribute__((noreturn));
static void off(void) {
    POWER_OFF = 1;
    for (;;) {} /* QEMU may run on for some instructions */
}

static void zero(uint32_t *from, uint32_t *to) {
    while (from < to) *(volatile uint32_t *)from++ = 0; /* volatile: else GCC calls a helper */
}

static void copy(struct frame *to, struct frame *from) {
    for (uint32_t n = 0; n < sizeof *to / 4; n++) ((volatile uint32_t *)to)[n] = ((uint32_t *)from)[n];
}

static uint32_t image_end_frame(void) { return (PHYSICAL(board_image_end) - RAM + PAGE - 1) / PAGE; }

/* The next page of RAM, zeroed: first those below the kernel, then those behind the program. */
static uint32_t take_frame(void) {
    if (free_frame == KERNEL_FRAME) free_frame = image_end_frame();
    uint32_t *memory = P1(RAM + free_frame * PAGE);
    zero(memory, memory + PAGE / 4);
    frames_left--;
    return free_frame++;
}

/* Into the entry that MMUCR.URC names. `ldtlb` only: QEMU's array of TLB data loses the page's size. */
static void load(uint32_t address, uint32_t entry) {
    PTEH = (address & ~0x3ffu) | (PTEH & 0xff);
    PTEL = entry;
    asm volatile("ldtlb" ::: "memory");
}

/* The pages of program, stack and timer are in the TLB for good, so that only memory of a space ever costs a refill. */
static void load_for_good(uint32_t *next, uint32_t address, uint32_t entry) {
    --*next;
    MMUCR = *next << 10 | 1; /* URC, AT */
    load(address, entry);
}

static void map_program(void) {
    uint32_t next = 64;
    PTEH = 0;
    PTEA = 0;
    MMUCR = 4 | 1; /* TI with AT: QEMU keeps stale translations else */
    for (uint32_t at = CODE_BASE; at < (uint32_t)board_user_end; at += SECTION) {
        uint32_t rights = at < (uint32_t)board_user_data ? SECTION_READ : SECTION_WRITE;
        load_for_good(&next, at, (PHYSICAL(board_image) + at - CODE_BASE) | rights);
    }
    for (uint32_t at = STACK_TOP - STACK_SIZE; at < STACK_TOP; at += PAGE)
        load_for_good(&next, at, (RAM + take_frame() * PAGE) | STACK_WRITE);
    load_for_good(&next, COUNT_PAGE, TIMER_PAGE | DEVICE_READ);
    MMUCR = (next - 1) << 18 | 1; /* URB; QEMU replaces the entry URB itself too, hence - 1 */
}

static int refill(uint32_t address) {
    uint32_t page = address / PAGE;
    if (selected < 0 || address >= SPACE_END || page >= spaces[selected].pages) return 0;
    load(page * PAGE, (RAM + frame_of[selected][page] * PAGE) | SPACE_WRITE);
    return 1;
}

static uint32_t grow(uint32_t number, uint32_t pages) {
    struct space *space = &spaces[number];
    uint32_t before = space->pages;
    if (pages > space->maximum - before || pages > frames_left) return -1;
    while (pages--) frame_of[number][space->pages++] = take_frame();
    return before;
}

static uint32_t make_space(uint32_t pages, uint32_t maximum) {
    if (made == SPACES || pages > maximum) return -1;
    spaces[made].pages = 0;
    spaces[made].maximum = maximum < SPACE_END / PAGE ? maximum : SPACE_END / PAGE;
    return grow(made, pages) == 0 ? made++ : -1u;
}

/* One ASID a space. QEMU forgets all its translations when the ASID changes, and it must: it forgets too few when a 64 KiB
 * entry is replaced. */
static int select(uint32_t number) {
    if (number >= made) return 0;
    selected = number;
    PTEH = number + 1;
    return 1;
}

static int call(struct frame *frame, uint32_t number) {
    uint32_t *r = frame->r;
    switch (number) {
    case CALL_WRITE: put(r[4]); return 1;
    case CALL_OFF: off();
    case CALL_TRY:
        if (trying) return 0;
        trying = 1;
        copy(&tried, frame);
        frame->spc = r[4];
        frame->pr = r[6];
        r[4] = r[5];
        return 1;
    case CALL_TRY_END:
        if (!trying) return 0;
        trying = 0;
        copy(frame, &tried);
        r[0] = 0;
        return 1;
    case CALL_SPACE: r[0] = make_space(r[4], r[5]); return 1;
    case CALL_SELECT: return select(r[4]);
    case CALL_GROW: r[0] = selected < 0 ? -1u : grow(selected, r[4]); return 1;
    case CALL_SIZE: r[0] = selected < 0 ? 0 : spaces[selected].pages; return 1;
    default: return 0;
    }
}

static uint32_t fault_of(uint32_t event, uint32_t address) {
    switch (event) {
    case MISS_READ: /* QEMU: also P3 */
    case MISS_WRITE: return address >= STACK_GUARD && address < STACK_TOP - STACK_SIZE ? FAULT_STACK : FAULT_MEMORY;
    case PROTECTION_READ:
    case PROTECTION_WRITE: return FAULT_MEMORY;
    case ADDRESS_READ:
    case ADDRESS_WRITE: return address >= 0x80000000u ? FAULT_MEMORY : FAULT_MISALIGNED;
    case ILLEGAL:
    case ILLEGAL_SLOT: return FAULT_ILLEGAL;
    default: return FAULT_OTHER;
    }
}

static void fatal(struct frame *frame, uint32_t code, uint32_t address, uint32_t event) __attribute__((noreturn));
static void fatal(struct frame *frame, uint32_t code, uint32_t address, uint32_t event) {
    say_hex("\nboard: nothing tried, and code ", code);
    say_hex(" at pc ", frame->spc);
    say_hex(", address ", address);
    say_hex(", EXPEVT ", event);
    say_hex("\nboard: pr ", frame->pr);
    say_hex(", gbr ", frame->gbr);
    say(", r0 to r15:");
    for (int n = 0; n < 16; n++) say_hex(n == 8 ? "\nboard: " : " ", frame->r[n]);
    say("\nKOBOSHI-EXIT 255\n");
    off();
}

void board_trap(struct frame *frame) {
    uint32_t event = EXPEVT, address = TEA, code;
    if ((event == MISS_READ || event == MISS_WRITE) && refill(address)) return;
    if (event == TRAPA) {
        code = TRA >> 2;
        if (code < 0x40) {
            if (call(frame, code)) return;
            code = FAULT_OTHER;
        }
        frame->spc -= 2; /* to the trapa itself */
    } else {
        code = fault_of(event, address);
    }
    if (event < MISS_READ || event > ADDRESS_WRITE) address = 0;
    if (!trying) fatal(frame, code, address, event);
    trying = 0;
    uint32_t pc = frame->spc;
    copy(frame, &tried);
    frame->r[0] = code;
    frame->r[1] = pc;
    frame->r[2] = address;
    frame->r[3] = event;
}

void board_boot(void) __attribute__((noreturn));
void board_boot(void) {
    static struct frame first;
    zero(board_kernel_bss, board_kernel_end);
    zero(board_image_bss, board_image_end);
    asm volatile("ldc %0, vbr" ::"r"(board_vectors));
    SCSCR = 0x20; /* TE */
    TCR0 = 0;     /* 15 MHz. QEMU: before TSTR, or the timer has no period */
    TCOR0 = TCNT0 = 0xffffffff;
    TSTR = 1;
    frames_left = KERNEL_FRAME - free_frame + FRAMES - image_end_frame();
    selected = -1;
    map_program();
    first.spc = CODE_BASE;
    first.ssr = USER_SR;
    first.r[15] = STACK_TOP;
    board_resume(&first);
}
