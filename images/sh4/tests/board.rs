//! The emulated board keeps what `board.h` promises.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use koboshi_sh4::board::{
    Board, Debugger, EXIT_FAULT, FAULT_ILLEGAL, FAULT_MEMORY, FAULT_MISALIGNED, FAULT_OTHER, FAULT_STACK, Image,
    Output, Run, run,
};
use koboshi_sh4::link::Cpu;
use koboshi_sh4::tools::{Gcc, Qemu, Trouble};

static BOARD: LazyLock<Board> = LazyLock::new(|| {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
    good(Gcc::find(&directory.join("gcc")).and_then(|gcc| Board::new(&gcc, &folder("board"))))
});

/// A directory that no other process has: a runner of tests may give each test one of its own, all at the same time.
fn folder(name: &str) -> PathBuf {
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("test").replace("::", "-");
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name).join(test)
}

/// Fails with what is wrong and what to do about it.
fn good<T>(result: Result<T, Trouble>) -> T {
    result.unwrap_or_else(|trouble| panic!("{}\n{}", trouble.what, trouble.remedy))
}

/// What begins every program here: one instruction to try each.
const BEGINNING: &str = r#"
#include "board.h"
#define INSTRUCTION(name, text) void name(void *); asm(".text\n .balign 4\n" #name ": " text "\n rts\n nop")
INSTRUCTION(nothing, "");
INSTRUCTION(read_byte, "mov.b @r4, r0");
INSTRUCTION(read_word, "mov.w @r4, r0");
INSTRUCTION(read_long, "mov.l @r4, r0");
INSTRUCTION(write_byte, "mov.b r4, @r4");
INSTRUCTION(write_long, "mov.l r4, @r4");
INSTRUCTION(jump, "jmp @r4\n nop");
/* What came of f(argument): the code, how far in f or at which address it happened, and the address that it used. */
static void tell(const char *name, void (*f)(void *), uint32_t argument) {
    uint32_t code = board_try(f, (void *)argument);
    if (code) board_print("%s %x: %x +%x %x\n", name, argument, code, board_fault.pc - (uint32_t)f, board_fault.address);
    else board_print("%s %x: fine\n", name, argument);
}
#define TELL(f, argument) tell(#f, f, argument)
"#;

/// The emulator.
fn qemu() -> PathBuf {
    good(Qemu::find()).path().to_path_buf()
}

fn image(name: &str, program: &str) -> Image {
    let object = good(BOARD.compile(&format!("{name}.c"), &format!("{BEGINNING}#line 1\n{program}")));
    good(BOARD.image(name, &[object]))
}

fn run_image(image: &Image, how: &Run) -> Result<Output, Trouble> {
    run(&qemu(), &image.raw, how)
}

/// What a program of this `board_main` writes, if it gives 0.
fn text_of(name: &str, program: &str) -> String {
    let output = good(run_image(&image(name, program), &Run::default()));
    assert_eq!(output.code, 0, "{}", output.text);
    output.text
}

/// Compares line by line, without the space at the beginning of the expected lines.
#[track_caller]
fn assert_lines(text: &str, expected: &str) {
    let expected: Vec<&str> = expected.trim().lines().map(str::trim).collect();
    assert_eq!(text.lines().collect::<Vec<_>>(), expected);
}

#[test]
fn a_program_writes_to_the_console_and_ends_with_a_code() {
    let program = r#"uint32_t board_main(void) {
        board_print("%s %d %d %u %x %X|", "text", -5, 2147483647, 4294967295u, 0xbeef, 0x123456789abcdefull);
        board_write("a\0b\n", 4);
        return 1234567890;
    }"#;
    let output = good(run_image(&image("console", program), &Run::default()));
    let text = "text -5 2147483647 4294967295 0000beef 0123456789abcdef|a\0b\n".to_owned();
    assert_eq!(output, Output { text, code: 1_234_567_890 });
}

#[test]
fn a_program_may_end_within_a_try() {
    let program = r#"static void end(void *code) { board_exit((uint32_t)code); }
    uint32_t board_main(void) { board_try(end, (void *)42); return 1; }"#;
    assert_eq!(good(run_image(&image("end", program), &Run::default())).code, 42);
}

#[test]
fn an_access_without_memory_comes_back_as_a_fault() {
    let program = r#"uint32_t board_main(void) {
        TELL(read_long, 0);
        TELL(write_long, 0);
        board_select(board_space(2, 3));
        TELL(read_long, 0);
        TELL(write_long, 0x1fffc);
        TELL(write_byte, 0x1ffff);
        TELL(read_long, 0x20000);
        TELL(write_long, 0x20000);
        TELL(read_byte, SPACE_END - 1);
        TELL(read_byte, 0x4f000000);
        TELL(read_byte, STACK_TOP);
        TELL(read_byte, 0x7fffffff);
        return 0;
    }"#;
    let expected = "
        read_long 00000000: 00000080 +00000000 00000000
        write_long 00000000: 00000080 +00000000 00000000
        read_long 00000000: fine
        write_long 0001fffc: fine
        write_byte 0001ffff: fine
        read_long 00020000: 00000080 +00000000 00020000
        write_long 00020000: 00000080 +00000000 00020000
        read_byte 3fffffff: 00000080 +00000000 3fffffff
        read_byte 4f000000: 00000080 +00000000 4f000000
        read_byte 60000000: 00000080 +00000000 60000000
        read_byte 7fffffff: 00000080 +00000000 7fffffff";
    assert_eq!(FAULT_MEMORY, 0x80);
    assert_lines(&text_of("memory", program), expected);
}

#[test]
fn kernel_and_devices_are_out_of_reach() {
    let program = r#"uint32_t board_main(void) {
        TELL(read_long, 0x80000000);
        TELL(write_long, 0x8c800000);
        TELL(read_long, 0xac800000);
        TELL(read_long, 0xc0000000);
        TELL(read_long, 0xcc800000);
        TELL(write_long, 0xff000010);
        TELL(write_byte, 0xffe8000c);
        TELL(write_long, 0xffffffff);
        TELL(write_long, 0x68000008);
        return 0;
    }"#;
    let expected = "
        read_long 80000000: 00000080 +00000000 80000000
        write_long 8c800000: 00000080 +00000000 8c800000
        read_long ac800000: 00000080 +00000000 ac800000
        read_long c0000000: 00000080 +00000000 c0000000
        read_long cc800000: 00000080 +00000000 cc800000
        write_long ff000010: 00000080 +00000000 ff000010
        write_byte ffe8000c: 00000080 +00000000 ffe8000c
        write_long ffffffff: 00000080 +00000000 ffffffff
        write_long 68000008: 00000080 +00000000 68000008";
    assert_lines(&text_of("kernel", program), expected);
}

#[test]
fn the_programs_code_and_constants_cannot_be_written() {
    let program = r#"static const uint32_t constant = 5;
    static uint32_t variable = 6;
    uint32_t board_main(void) {
        uint32_t there[] = {(uint32_t)board_main, (uint32_t)&constant, (uint32_t)&variable};
        for (int n = 0; n < 3; n++) board_print("%x ", board_try(write_long, (void *)(there[n] & ~3)));
        return 0;
    }"#;
    assert_eq!(text_of("constants", program), "00000080 00000080 00000000 ");
}

#[test]
fn a_misaligned_access_is_a_fault() {
    let program = r#"uint32_t board_main(void) {
        board_select(board_space(1, 1));
        TELL(read_word, 0x102);
        TELL(read_word, 0x101);
        TELL(read_long, 0x102);
        TELL(write_long, 0x103);
        TELL(read_long, CODE_BASE + 2);
        TELL(read_byte, 0x103);
        return 0;
    }"#;
    let expected = "
        read_word 00000102: fine
        read_word 00000101: 00000081 +00000000 00000101
        read_long 00000102: 00000081 +00000000 00000102
        write_long 00000103: 00000081 +00000000 00000103
        read_long 40000002: 00000081 +00000000 40000002
        read_byte 00000103: fine";
    assert_eq!(FAULT_MISALIGNED, 0x81);
    assert_lines(&text_of("misaligned", program), expected);
}

#[test]
fn a_recursion_without_end_meets_the_guard_of_the_stack() {
    let program = r#"static volatile uint32_t depth;
    static __attribute__((noinline)) uint32_t recurse(uint32_t n) {
        volatile char frame[200];
        depth++;
        frame[n % 200] = n;
        return recurse(n + 1) + frame[(n + 1) % 200];
    }
    static void start(void *argument) { recurse((uint32_t)argument); }
    static void leap(void *argument) { /* a frame larger than some page */
        volatile char frame[0x800000];
        frame[0] = (uint32_t)argument;
    }
    uint32_t board_main(void) {
        for (int n = 0; n < 3; n++) {
            depth = 0;
            uint32_t code = board_try(start, 0), low = board_fault.address;
            board_print("%x %s %s\n", code, low < STACK_TOP - 0x40000 && low > STACK_TOP - 0x40200 ? "at the guard" : "elsewhere",
                        depth > 1000 ? "deep" : "not deep");
        }
        board_print("%x\n", board_try(leap, 0));
        return 0;
    }"#;
    let expected = "
        00000082 at the guard deep
        00000082 at the guard deep
        00000082 at the guard deep
        00000082";
    assert_eq!(FAULT_STACK, 0x82);
    assert_lines(&text_of("stack", program), expected);
}

#[test]
fn an_illegal_instruction_is_a_fault() {
    let program = r#"INSTRUCTION(undefined, "nop\n .word 0xfffd");
    INSTRUCTION(privileged, "stc sr, r0");
    INSTRUCTION(sleeping, "sleep");
    INSTRUCTION(in_slot, "nop\n bra 1f\n .word 0xfffd\n1:");
    uint32_t board_main(void) {
        TELL(undefined, 0);
        TELL(privileged, 0);
        TELL(sleeping, 0);
        TELL(in_slot, 0);
        return 0;
    }"#;
    let expected = "
        undefined 00000000: 00000083 +00000002 00000000
        privileged 00000000: 00000083 +00000000 00000000
        sleeping 00000000: 00000083 +00000000 00000000
        in_slot 00000000: 00000083 +00000002 00000000";
    assert_eq!(FAULT_ILLEGAL, 0x83);
    assert_lines(&text_of("illegal", program), expected);
}

#[test]
fn an_instruction_of_sh4a_is_known_to_that_processor_alone() {
    // movua.l @r4, r0
    let program = r#"INSTRUCTION(misaligned, ".word 0x44a9");
    uint32_t board_main(void) {
        board_select(board_space(1, 1));
        TELL(misaligned, 0x101);
        return 0;
    }"#;
    let image = image("sh4a", program);
    let on = |cpu| good(run_image(&image, &Run { cpu, ..Run::default() })).text;
    assert_lines(&on(Cpu::Sh4), "misaligned 00000101: 00000083 +00000000 00000000");
    assert_lines(&on(Cpu::Sh4a), "misaligned 00000101: fine");
}

#[test]
fn a_jump_to_nowhere_is_a_fault_there() {
    let program = r#"uint32_t board_main(void) {
        uint32_t there[] = {0, 0x3ffffffe, 0x70000000, 0x8c800000, 0xac800000, 0xc0000000, 0xfffffffe};
        for (unsigned n = 0; n < sizeof there / 4; n++) {
            uint32_t code = board_try(jump, (void *)there[n]);
            board_print("%x %s\n", code, board_fault.pc == there[n] && board_fault.address == there[n] ? "there" : "elsewhere");
        }
        board_select(board_space(1, 1)); /* zeros are no instruction */
        board_print("%x %x\n", board_try(jump, 0), board_fault.pc);
        return 0;
    }"#;
    let expected = format!("{}00000083 00000000\n", "00000080 there\n".repeat(7));
    assert_eq!(text_of("jump", program), expected);
}

#[test]
fn traps_of_translated_code_come_back_with_their_number() {
    let program = r#"
    INSTRUCTION(t40, "trapa #0x40"); INSTRUCTION(t41, "trapa #0x41"); INSTRUCTION(t42, "trapa #0x42");
    INSTRUCTION(t43, "trapa #0x43"); INSTRUCTION(t44, "trapa #0x44"); INSTRUCTION(t45, "trapa #0x45");
    INSTRUCTION(t46, "trapa #0x46"); INSTRUCTION(t47, "nop\n trapa #0x47"); INSTRUCTION(no_call, "trapa #0x3f");
    static void nested(void *argument) { board_try(nothing, argument); }
    static void no_space(void *argument) { board_select((int)argument); }
    uint32_t board_main(void) {
        TELL(t40, 0); TELL(t41, 0); TELL(t42, 0); TELL(t43, 0); TELL(t44, 0); TELL(t45, 0); TELL(t46, 0); TELL(t47, 0);
        TELL(no_call, 0);
        TELL(nothing, 0);
        board_print("%x %x\n", board_try(nested, 0), board_try(no_space, 0));
        return 0;
    }"#;
    let expected = "
        t40 00000000: 00000040 +00000000 00000000
        t41 00000000: 00000041 +00000000 00000000
        t42 00000000: 00000042 +00000000 00000000
        t43 00000000: 00000043 +00000000 00000000
        t44 00000000: 00000044 +00000000 00000000
        t45 00000000: 00000045 +00000000 00000000
        t46 00000000: 00000046 +00000000 00000000
        t47 00000000: 00000047 +00000002 00000000
        no_call 00000000: 00000084 +00000000 00000000
        nothing 00000000: fine
        00000084 00000084";
    assert_eq!(FAULT_OTHER, 0x84);
    assert_lines(&text_of("traps", program), expected);
}

#[test]
fn who_tries_keeps_its_registers() {
    let program = r#"
    INSTRUCTION(smash, "mov #-1, r0\n ldc r0, gbr\n lds r0, mach\n lds r0, macl\n lds r0, pr\n lds r0, fpul\n"
        "mov #0, r1\n lds r1, fpscr\n fldi1 fr12\n fldi1 fr13\n fldi1 fr14\n fldi1 fr15\n"
        "mov r0, r8\n mov r0, r9\n mov r0, r10\n mov r0, r11\n mov r0, r12\n mov r0, r13\n mov r0, r14\n mov r0, r15\n"
        "trapa #0x40");
    volatile uint32_t in[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    volatile double fin[2] = {1.5, 2.5};
    uint32_t board_main(void) {
        uint32_t a = in[0], b = in[1], c = in[2], d = in[3], e = in[4], f = in[5], g = in[6], h = in[7], gbr, fpscr;
        double x = fin[0], y = fin[1];
        asm volatile("ldc %0, gbr" ::"r"(0x1234));
        uint32_t code = board_try(smash, 0);
        asm volatile("stc gbr, %0\n sts fpscr, %1" : "=r"(gbr), "=r"(fpscr));
        board_print("%x %x %x %u %u\n", code, gbr, fpscr & ~0x3007c, (uint32_t)(x * 10), (uint32_t)(y * 10));
        board_print("%u %u %u %u %u %u %u %u\n", a, b, c, d, e, f, g, h);
        return 0;
    }"#;
    assert_lines(&text_of("registers", program), "00000040 00001234 00080000 15 25\n1 2 3 4 5 6 7 8");
}

#[test]
fn floating_point_keeps_subnormal_numbers_and_rounds_to_nearest() {
    let program = r#"volatile double small = 2.2250738585072014e-308, three = 3, zero = 0;
    static uint64_t bits(double x) { union { double x; uint64_t n; } u = {x}; return u.n; }
    uint32_t board_main(void) {
        board_print("%X %X %X\n", bits(small / 2), bits(1 / three), bits(1 / zero));
        return 0;
    }"#;
    assert_eq!(text_of("float", program), "0008000000000000 3fd5555555555555 7ff0000000000000\n");
}

#[test]
fn address_spaces_are_separate() {
    let program = r#"#define CELL(address) (*(volatile uint32_t *)(address))
    uint32_t board_main(void) {
        int one = board_space(2, 2), two = board_space(1, 1);
        board_print("%d %d\n", one, two);
        for (uint32_t round = 0; round < 3; round++) { /* the same addresses again and again: nothing of the other is left */
            board_select(one);
            board_print("%x %x ", CELL(0x100), CELL(0x11000));
            CELL(0x100) = 0x1000 + round;
            CELL(0x11000) = 0x2000 + round;
            board_select(two);
            board_print("%x %x\n", CELL(0x100), board_try(read_long, (void *)0x11000));
            CELL(0x100) = 0x3000 + round;
        }
        return 0;
    }"#;
    let expected = "
        0 1
        00000000 00000000 00000000 00000080
        00001000 00002000 00003000 00000080
        00001001 00002001 00003001 00000080";
    assert_lines(&text_of("spaces", program), expected);
}

#[test]
fn a_space_grows_with_zeros_up_to_its_maximum() {
    let program = r#"uint32_t board_main(void) {
        board_print("none: %d %d\n", koboshi_memory_size(), koboshi_memory_grow(0));
        board_select(board_space(0, 3));
        board_print("%d %x\n", koboshi_memory_size(), board_try(read_long, 0));
        board_print("%d ", koboshi_memory_grow(1));
        board_print("%d ", koboshi_memory_grow(0));
        board_print("%d ", koboshi_memory_grow(3));
        board_print("%d ", koboshi_memory_grow(-1));
        board_print("%d ", koboshi_memory_grow(2));
        board_print("%d ", koboshi_memory_grow(1));
        board_print("%d\n", koboshi_memory_size());
        uint32_t sum = 0;
        for (uint32_t *at = 0; at < (uint32_t *)0x30000; at++) sum |= *(volatile uint32_t *)at;
        board_print("%x %x\n", sum, board_try(read_long, (void *)0x30000));
        board_print("%d %d\n", board_space(2, 1), board_space(1, 65536));
        return 0;
    }"#;
    let expected = "
        none: 0 -1
        0 00000080
        0 1 -1 -1 1 -1 3
        00000000 00000080
        -1 1";
    assert_lines(&text_of("grow", program), expected);
}

#[test]
fn all_memory_can_be_used_and_no_page_of_it_twice() {
    // More pages than the TLB has entries, so each is replaced many times.
    let program = r#"uint32_t board_main(void) {
        uint32_t pages = 0, wrong = 0;
        for (int n = 0; n < SPACES; n++) board_select(board_space(1, 65536));
        int full = board_space(0, 0);
        while (koboshi_memory_grow(1) != -1u) pages++;
        for (uint32_t page = 0; page <= pages; page++)
            for (uint32_t at = page << 16; at < (page + 1) << 16; at += 0x3ffc) {
                wrong += *(volatile uint32_t *)at != 0;
                *(volatile uint32_t *)at = at + 1;
            }
        for (int n = 0; n < SPACES - 1; n++) {
            board_select(n);
            wrong += *(volatile uint32_t *)0 != 0;
            *(volatile uint32_t *)0 = n;
        }
        board_select(SPACES - 1);
        for (uint32_t page = 0; page <= pages; page++)
            for (uint32_t at = page << 16; at < (page + 1) << 16; at += 0x3ffc) wrong += *(volatile uint32_t *)at != at + 1;
        for (int n = 0; n < SPACES - 1; n++) {
            board_select(n);
            wrong += *(volatile uint32_t *)0 != (uint32_t)n;
        }
        board_print("%d %d %s\n", full, wrong, pages + SPACES > 960 ? "60 MiB" : "less");
        return 0;
    }"#;
    assert_eq!(text_of("all-memory", program), "-1 0 60 MiB\n");
}

#[test]
fn the_program_itself_stays_in_the_tlb_whatever_its_memory_needs() {
    // The access out of turn makes the TLB's next entry odd and even.
    let program = r#"uint32_t board_main(void) {
        board_select(board_space(200, 200));
        for (uint32_t round = 0; round < 100; round++) {
            for (uint32_t page = 0; page < 200; page++) {
                *(volatile uint32_t *)(page << 16) = page;
                if ((page * 7 + round) % 3 == 0) *(volatile uint32_t *)((page ^ 1) << 16);
            }
            board_count(); /* its timer is a page too */
        }
        board_print("fine\n");
        return 0;
    }"#;
    assert_eq!(text_of("tlb", program), "fine\n");
}

#[test]
fn a_fault_that_nothing_expects_is_told_and_ends_with_255() {
    let program = r#"uint32_t board_main(void) {
        board_print("before");
        write_long((void *)0x1230);
        return 0;
    }"#;
    let output = good(run_image(&image("unexpected", program), &Run::default()));
    assert_eq!(output.code, EXIT_FAULT);
    let first = "before\nboard: nothing tried, and code 00000080 at pc 400";
    assert!(output.text.starts_with(first), "{}", output.text);
    assert!(output.text.contains(", address 00001230, EXPEVT 00000060\nboard: pr "), "{}", output.text);
}

#[test]
fn an_endless_loop_is_ended_by_the_time_limit_and_leaves_no_emulator() {
    let program = r#"uint32_t board_main(void) {
        board_print("I loop\n");
        for (;;) {}
    }"#;
    let image = image("endless", program);
    let limit = Duration::from_millis(1500);
    let start = Instant::now();
    let trouble = run_image(&image, &Run { time_limit: limit, ..Run::default() }).expect_err("it does not end");
    assert!(start.elapsed() >= limit);
    assert!(trouble.what.contains("ran longer than 1.5s") && trouble.what.contains("I loop"), "{trouble}");
    assert_eq!(emulators_of(&image.raw), 0);
}

/// How many processes have this file in their command line.
fn emulators_of(raw: &Path) -> usize {
    let raw = raw.as_os_str().as_encoded_bytes();
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let lines = processes.filter_map(|process| std::fs::read(process.path().join("cmdline")).ok());
    lines.filter(|line| line.split(|byte| *byte == 0).any(|word| word == raw)).count()
}

#[test]
fn a_flood_of_output_is_ended() {
    let program = r#"uint32_t board_main(void) { for (;;) board_print("flood\n"); }"#;
    let how = Run { output_limit: 10_000, ..Run::default() };
    let trouble = run_image(&image("flood", program), &how).expect_err("it does not end");
    assert!(trouble.what.contains("wrote more than 10000 bytes"), "{trouble}");
}

#[test]
fn a_machine_that_was_reset_has_not_ended_well() {
    // Zeros are no instruction, and an exception with BL = 1 resets the machine. The emulator then gives status 0.
    let raw = Path::new(env!("CARGO_TARGET_TMPDIR")).join("zeros.raw");
    std::fs::write(&raw, [0; 64]).expect("a file");
    let trouble = run(&qemu(), &raw, &Run::default()).expect_err("a crash");
    assert!(trouble.what.contains("zeros.raw ended without saying so"), "{trouble}");
    assert!(trouble.remedy.contains("-d int"), "{}", trouble.remedy);
}

#[test]
fn a_missing_emulator_is_told_with_what_installs_it() {
    let trouble = run(Path::new("/nowhere/qemu"), Path::new("no.raw"), &Run::default()).expect_err("none");
    assert_eq!(trouble.remedy, "apt-get install qemu-system-misc");
    let trouble = run(&qemu(), Path::new("/nowhere/no.raw"), &Run::default()).expect_err("no image");
    assert!(trouble.what.contains("the emulator says at last:\nqemu-system-sh4: "), "{trouble}");
}

#[test]
fn counts_of_instructions_are_exact() {
    let program = r#"void turns(void *); /* 2 instructions before, 2 a turn, 2 behind */
    asm(".text\n .balign 4\nturns: tst r4, r4\n nop\n1: dt r4\n bf 1b\n rts\n nop");
    uint32_t board_main(void) {
        uint32_t wrong = 0;
        for (uint32_t n = 1; n < 3000; n++) wrong += board_measure(turns, (void *)n) != 2 * n + 4;
        for (uint32_t n = 3000; n < 1000000; n += n / 5) wrong += board_measure(turns, (void *)n) != 2 * n + 4;
        wrong += board_measure(turns, (void *)139000000) != 278000004; /* nearly all that the timer can tell apart */
        uint32_t start = board_count();
        for (int n = 0; n < 4; n++) { /* more than it can */
            turns((void *)100000000);
            board_count();
        }
        uint32_t sum = board_count() - start - 800000000;
        board_print("%u %u %u %u %s\n", wrong, board_measure(nothing, 0), board_measure(read_long, &wrong),
                    board_measure(write_long, &wrong), sum > 100 && sum < 300 ? "close" : "far");
        uint32_t cost = board_count_cost();
        board_print("%s %s\n", cost == board_count_cost() ? "same" : "other", cost > 5 && cost < 40 ? "cheap" : "dear");
        return 0;
    }"#;
    let image = image("counts", program);
    let how = Run { counted: true, ..Run::default() };
    let output = good(run_image(&image, &how));
    assert_lines(&output.text, "0 2 3 3 close\nsame cheap");
    assert_eq!(good(run_image(&image, &how)), output, "the same each time");
}

#[test]
fn a_counted_run_is_the_same_each_time() {
    let program = r#"uint32_t board_main(void) {
        board_select(board_space(100, 100));
        for (uint32_t round = 0; round < 3; round++) {
            for (uint32_t page = 0; page < 100; page++) *(volatile uint32_t *)(page << 16) = page;
            board_try(read_long, (void *)2);
            board_print("%u\n", board_count());
        }
        return 0;
    }"#;
    let image = image("same", program);
    let how = Run { counted: true, ..Run::default() };
    assert_eq!(good(run_image(&image, &how)), good(run_image(&image, &how)));
}

#[test]
fn only_assembler_of_libgcc_is_linked() {
    let division = |kind: &str| {
        let name = format!("divide-{kind}");
        let program = format!(
            "#include \"board.h\"\nvolatile {kind} a = 1000000007, b = -3;\n\
             uint32_t board_main(void) {{ board_print(\"%d\", (uint32_t)(a / b)); return 0; }}\n"
        );
        BOARD.compile(&format!("{name}.c"), &program).and_then(|object| BOARD.image(&name, &[object]))
    };
    assert_eq!(good(run_image(&good(division("int32_t")), &Run::default())).text, "-333333335");
    assert_eq!(good(run_image(&good(division("uint32_t")), &Run::default())).text, "0");
    let trouble = division("int64_t").expect_err("a C part of libgcc");
    assert!(trouble.what.contains("__divdi3"), "{trouble}");
}

#[test]
fn what_is_missing_is_named() {
    let object = good(BOARD.compile("missing.c", "int other(void); int board_main(void) { return other(); }"));
    let trouble = BOARD.image("missing", &[object]).expect_err("there is no `other`");
    assert!(trouble.what.contains("other (needed by board_main in missing.o"), "{trouble}");
}

#[test]
fn a_large_program_has_all_its_code_and_data() {
    let program = r#"const uint8_t constants[3 << 20] = {[0] = 1, [(3 << 20) - 1] = 2};
    uint8_t variables[2 << 20] = {[0] = 3, [(2 << 20) - 1] = 4};
    uint8_t zeros[5 << 20];
    uint32_t board_main(void) {
        volatile const uint8_t *c = constants, *v = variables;
        volatile uint8_t *z = zeros;
        z[0]++, z[(5 << 20) - 1]++;
        board_print("%u%u%u%u%u%u\n", c[0], c[(3 << 20) - 1], v[0], v[(2 << 20) - 1], z[0], z[(5 << 20) - 1]);
        return 0;
    }"#;
    assert_eq!(text_of("large", program), "123411\n");
}

#[test]
fn a_debugger_can_be_waited_for() {
    let image = image("debugged", r#"uint32_t board_main(void) { board_print("on"); return 0; }"#);
    let directory = tempfile::tempdir().expect("a directory");
    let path: PathBuf = directory.path().join("gdb, with a comma");
    let how = Run { debugger: Some(Debugger::Socket(path.clone())), ..Run::default() };
    let machine = std::thread::spawn(move || run_image(&image, &how));
    let deadline = Instant::now() + Duration::from_secs(20);
    let mut debugger = loop {
        match std::os::unix::net::UnixStream::connect(&path) {
            Ok(stream) => break stream,
            Err(error) => assert!(Instant::now() < deadline, "{error}"),
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    let mut answer = [0];
    // Of gdb's protocol: why does it stand still?
    debugger.write_all(b"$?#3f").and_then(|()| debugger.read_exact(&mut answer)).expect("an answer");
    assert_eq!(&answer, b"+");
    assert!(!machine.is_finished(), "it waits");
    debugger.write_all(b"+$c#63").expect("it goes on");
    assert_eq!(good(machine.join().expect("a result")).text, "on");
}
