/* Calls every program of the crate with every seed, writes what it wrote, and measures its use of both stacks.
 *
 * What stands before this text: the segments of the module, its programs, the seeds; STACK_SIZE; MEMORY_PAGES, DATA_LOW,
 * DATA_HIGH, SHADOW_LOW and SHADOW_HIGH of its memory. */
#define PATTERN 0xa5c3965au

static char text[8 << 20];
static uint32_t length;

/* What the programs write to. It is kept, for the use of the stacks below it is to be the programs' own. */
void field_write(uint32_t bytes, uint32_t count) {
    while (count--) {
        char c = *(const char *)bytes++;
        if (length < sizeof text) text[length++] = c;
    }
}

/* What filled_call leaves: the machine's stack pointer at the entry of the function, and the deepest word that changed. */
uint32_t field_entry, field_deepest;

/* Fills the stack below itself, down to `low`, with `pattern`, and calls f(seed). */
uint64_t filled_call(uint32_t seed, void *f, uint32_t low, uint32_t pattern);
asm(".text\n .balign 4\n .global filled_call\n"
    "filled_call:\n mov.l r8, @-r15\n mov.l r9, @-r15\n sts.l pr, @-r15\n mov r6, r8\n mov r7, r9\n mov r15, r0\n"
    "1: mov.l r9, @-r0\n cmp/hi r8, r0\n bt 1b\n"
    " jsr @r5\n nop\n"
    "2: mov.l @r8+, r3\n cmp/eq r9, r3\n bt 2b\n"
    " add #-4, r8\n mov.l 3f, r3\n mov.l r8, @r3\n mov.l 4f, r3\n mov.l r15, @r3\n"
    " lds.l @r15+, pr\n mov.l @r15+, r9\n rts\n mov.l @r15+, r8\n"
    " .balign 4\n3: .long field_deepest\n4: .long field_entry");

struct call { const struct program *program; uint32_t seed, pattern; uint64_t result; };

static void run(void *argument) {
    struct call *call = argument;
    call->result = filled_call(call->seed, call->program->function, STACK_TOP - STACK_SIZE, call->pattern);
}

static uint32_t stack_pointer(void) {
    uint32_t value;
    asm volatile("stc gbr, %0" : "=r"(value));
    return value;
}

static void one(const struct program *program, uint32_t seed) {
    /* Another pattern each time: one of them is not what a program leaves there. */
    struct call call = {program, seed, PATTERN * (2 * seed + 1), 0};
    for (uint32_t at = SHADOW_LOW; at < SHADOW_HIGH; at += 4) *(volatile uint32_t *)at = call.pattern;
    length = 0;
    board_print("== %s %u\n", program->name, seed);
    uint32_t code = board_try(run, &call);
    board_write(text, length);
    if (code) {
        board_print("== trap %x %x %x\n", code, board_fault.pc, board_fault.address);
        return;
    }
    if (program->silent) board_print("%X\n", call.result);
    if (stack_pointer() != SHADOW_HIGH) board_print("the stack pointer has become %x\n", stack_pointer());
    asm volatile("ldc %0, gbr" ::"r"(SHADOW_HIGH));
    uint32_t at = SHADOW_LOW;
    while (at < SHADOW_HIGH && *(volatile uint32_t *)at == call.pattern) at += 4;
    board_print("== end %u %u\n", field_entry - field_deepest, SHADOW_HIGH - at);
}

uint32_t board_main(void) {
    board_select(board_space(MEMORY_PAGES, MEMORY_PAGES));
    asm volatile("ldc %0, gbr" ::"r"(SHADOW_HIGH));
    for (uint32_t s = 0; s < sizeof seeds / sizeof *seeds; s++) {
        for (uint32_t p = 0; p < sizeof programs / sizeof *programs; p++) {
            /* Programs have variables: each begins with a new memory. */
            for (uint32_t at = DATA_LOW; at < DATA_HIGH; at++) *(volatile uint8_t *)at = 0;
            for (uint32_t n = 0; n < sizeof segments / sizeof *segments; n++)
                for (uint32_t at = 0; at < segments[n].size; at++)
                    ((volatile uint8_t *)segments[n].address)[at] = segments[n].bytes[at];
            one(&programs[p], seeds[s]);
        }
    }
    return 0;
}
