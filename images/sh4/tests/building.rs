//! What is built starts as it has to, and is refused where it cannot work.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use koboshi_sh4::build::{Made, Plan, Start, build};
use koboshi_sh4::link::{Cpu, Optimise};
use koboshi_sh4::program::{Artifact, Program};
use koboshi_sh4::tools::{Gcc, Qemu, Rust, Trouble};

/// The board's serial interface and its switch.
const BOARD: &str = "#![no_std]
#![allow(dead_code, unused_imports, reason = \"each program uses some of this\")]
use core::sync::atomic::{AtomicU8, Ordering::Relaxed};
fn say(text: &str) {
    for byte in text.bytes() {
        unsafe {
            while (0xffe8_0010 as *const u16).read_volatile() & 1 << 5 == 0 {}
            (0xffe8_000c as *mut u8).write_volatile(byte);
        }
    }
}
fn off() -> ! {
    loop {
        unsafe { (0xa400_0030 as *mut u16).write_volatile(1) }
    }
}
#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! { off() }
";

/// A crate of its own, with C or assembler beside it.
struct Crate {
    folder: tempfile::TempDir,
    plan: Plan,
}

impl Crate {
    fn new(source: &str) -> Self {
        let folder = tempfile::tempdir().expect("a directory");
        let path = folder.path();
        let manifest =
            "[workspace]\n[package]\nname = \"tried\"\nedition = \"2024\"\n[lib]\ncrate-type = [\"cdylib\"]\n";
        std::fs::create_dir(path.join("src")).expect("a directory");
        std::fs::write(path.join("Cargo.toml"), manifest).expect("a file");
        std::fs::write(path.join("src/lib.rs"), format!("{BOARD}{source}")).expect("a file");
        let plan = Plan {
            program: Program {
                folder: path.to_path_buf(),
                package: None,
                artifact: Artifact::Library,
                features: Vec::new(),
                exports: Vec::new(),
                base: 0x8c90_0000,
                stack: 0x4000,
                target_folder: path.join("target"),
                optimise: Some(Optimise::Speed),
            },
            cpu: Cpu::Sh4,
            optimise: Optimise::Speed,
            code: 0x8c80_0000,
            data: None,
            start: called("main", 0x8cf0_0000),
            sources: Vec::new(),
            include: Vec::new(),
            folder: path.join("out"),
            name: "tried".to_owned(),
        };
        Crate { folder, plan }
    }

    /// With a file beside it.
    fn with(mut self, name: &str, text: &str) -> Self {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).expect("a file");
        self.plan.sources.push(path);
        self
    }

    fn starting(mut self, start: Start) -> Self {
        self.plan.start = start;
        self
    }

    fn built(&self) -> Result<Made, Trouble> {
        let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("sh4");
        build(&Rust::find()?, &Gcc::find(&cache)?, &cache, &self.plan)
    }

    fn refused(&self) -> Trouble {
        match self.built() {
            Err(trouble) => trouble,
            Ok(made) => panic!("it was built: {made:?}"),
        }
    }
}

fn called(function: &str, stack_top: u32) -> Start {
    Start::Called { function: function.to_owned(), stack_top }
}

fn own(symbol: &str) -> Start {
    Start::Own { symbol: symbol.to_owned() }
}

const NOTHING: &str = "#[unsafe(no_mangle)] pub extern \"C\" fn main() { off() }";

/// What a program says that begins in memory full of other things.
fn said_in_used_memory(made: &Made, folder: &Path) -> String {
    let rubbish: PathBuf = folder.join("rubbish");
    std::fs::write(&rubbish, vec![0xa5; 1 << 20]).expect("a file");
    let first = (0x8c80_0000 + made.image_size) & 0x1fff_ffff;
    let mut qemu = Command::new(Qemu::find().expect("koboshi doctor").path());
    qemu.args(["-M", "r2d", "-nic", "none", "-display", "none", "-monitor", "none", "-serial", "null"]);
    qemu.args(["-serial", "stdio", "-no-reboot", "-kernel"]).arg(&made.image);
    qemu.arg("-device").arg(format!("loader,file={},addr={first:#x},force-raw=on", rubbish.display()));
    let output = qemu.stdin(Stdio::null()).output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A program that says what it finds of its memory, and C for it.
const REMEMBERING: [&str; 2] = [
    "
static VARIABLE: AtomicU8 = AtomicU8::new(5);
static ZEROS: [AtomicU8; 90] = [const { AtomicU8::new(0) }; 90];
unsafe extern \"C\" { fn not_zero() -> u32; }
#[unsafe(no_mangle)]
pub extern \"C\" fn stack() {
    let bad = ZEROS.iter().filter(|zero| zero.load(Relaxed) != 0).count();
    let variable = VARIABLE.load(Relaxed);
    VARIABLE.store(6, Relaxed);
    ZEROS[1].store(1, Relaxed);
    say(if variable == 5 { \"variable \" } else { \"no variable \" });
    say(if bad == 0 { \"zeros \" } else { \"rubbish \" });
    say(if unsafe { not_zero() } == 0 { \"zeros of C\" } else { \"rubbish of C\" });
    off()
}",
    "static volatile unsigned char zeros[1001];
        unsigned not_zero(void) { unsigned bad = 0; for (int i = 0; i < 1001; i++) bad += zeros[i] != 0; return bad; }",
];
const REMEMBERED: &str = "variable zeros zeros of C";

/// The entry has the name of what the start had a label for.
#[test]
fn what_is_zero_at_the_start_is_so_in_memory_that_was_used_before() {
    let [source, c] = REMEMBERING;
    let tried = Crate::new(source).with("zeros.c", c).starting(called("stack", 0x8cf0_0000));
    let made = tried.built().unwrap_or_else(|trouble| panic!("{}\n{}", trouble.what, trouble.remedy));
    let section = |name: &str| {
        let found = made.elf.sections.iter().find(|section| section.name == name);
        found.unwrap_or_else(|| panic!("{name} of {:?}", made.elf.sections))
    };
    assert!(section(".wasm.zero").size >= 90, "{:?}", made.elf.sections);
    assert_eq!(section(".bss").size % 4, 0);
    assert_eq!(said_in_used_memory(&made, tried.folder.path()), REMEMBERED);
}

/// As docs/sh4.md says what it has to do.
#[test]
fn a_start_of_its_own_finds_what_it_has_to_set_up() {
    let [source, c] = REMEMBERING;
    let start = "    .section .text.first,\"ax\"\n    .globl begin
begin: mov.l stack, r15\n    mov.l shadow, r0\n    ldc r0, gbr\n    mov.l rounding, r0\n    lds r0, fpscr\n    mov #0, r0
    mov.l zero, r1\n    mov.l zero_end, r2
1:  cmp/hs r2, r1\n    bt 2f\n    mov.b r0, @r1\n    bra 1b\n    add #1, r1
2:  mov.l bss, r1\n    mov.l bss_end, r2
3:  cmp/hs r2, r1\n    bt 4f\n    mov.l r0, @r1\n    bra 3b\n    add #4, r1
4:  mov.l function, r0\n    jmp @r0\n    nop\n    .balign 4
stack: .long 0x8cf00000\nshadow: .long __stack_high\nrounding: .long 0x80000
zero: .long koboshi_zero\nzero_end: .long koboshi_zero_end\nbss: .long koboshi_bss\nbss_end: .long koboshi_bss_end
function: .long entry\n";
    let source = source.replace("fn stack()", "fn entry()");
    let tried = Crate::new(&source).with("zeros.c", c).with("start.S", start).starting(own("begin"));
    let made = tried.built().unwrap_or_else(|trouble| panic!("{}\n{}", trouble.what, trouble.remedy));
    assert_eq!(said_in_used_memory(&made, tried.folder.path()), REMEMBERED);
}

#[test]
fn a_start_of_its_own_has_to_be_where_the_image_begins() {
    let assembler =
        |section: &str| format!("    .section {section},\"ax\"\n    .globl begin\nbegin: bra begin\n    nop\n");
    let first = Crate::new(NOTHING).with("start.S", &assembler(".text.first")).starting(own("begin"));
    assert_eq!(first.built().expect("it begins there").elf.entry, 0x8c80_0000);
    let far = "    .section .text.first,\"ax\"\nother: rts\n    nop\n    .globl begin\nbegin: bra begin\n    nop\n";
    let trouble = Crate::new(NOTHING).with("start.S", far).starting(own("begin")).refused();
    assert_eq!(trouble.what, "the image begins at 0x8c800000, and the start symbol `begin` lies at 0x8c800004");
    assert!(trouble.remedy.contains("section .text.first"), "{trouble}");
    let trouble = Crate::new(NOTHING).with("start.S", &assembler(".text.first")).starting(own("nowhere")).refused();
    assert!(trouble.what.contains("not defined: nowhere (needed by the start)"), "{trouble}");
}

#[test]
fn a_machines_stack_on_the_program_is_refused() {
    let at = |stack_top| Crate::new(NOTHING).starting(called("main", stack_top));
    assert_eq!(at(0x8cf0_0002).refused().what, "the machine's stack cannot end at 0x8cf00002");
    for (stack_top, on) in
        [(0x8c80_0004, ".text "), (0x8c90_1000, "the page below the module's stack "), (0x8c90_4000, ".wasm.stack ")]
    {
        let trouble = at(stack_top).refused();
        assert!(trouble.what.starts_with(&format!("the machine's stack lies on {on}")), "{trouble}");
        assert!(trouble.remedy.contains("--stack-top"), "{trouble}");
    }
    at(0x8c90_0000).built().expect("right below the module");
}

#[test]
fn a_stack_of_the_module_that_is_too_small_is_refused() {
    let source = "#[unsafe(no_mangle)] pub extern \"C\" fn main() -> u8 {
        let n = core::hint::black_box(9); let large = core::hint::black_box([n as u8; 10_000]); large[n % 10_000] }";
    let mut tried = Crate::new(source);
    tried.plan.program.stack = 4096;
    let trouble = tried.refused();
    assert!(trouble.what.starts_with("the module's own stack has 8192 bytes, and `main` needs 100"), "{trouble}");
    assert_eq!(trouble.remedy, "make it larger: --shadow-stack 12288.");
    tried.plan.program.stack = 12288;
    tried.built().expect("it is enough");
}

/// The compiler makes one of two that are equal.
#[test]
fn two_exports_that_are_one_function_are_both_in_the_report() {
    let source = "#[unsafe(no_mangle)] pub extern \"C\" fn main() {}
        #[unsafe(no_mangle)] pub extern \"C\" fn one(n: u32) -> u32 { n * 3 + 7 }
        #[unsafe(no_mangle)] pub extern \"C\" fn other(n: u32) -> u32 { n * 3 + 7 }";
    let made = Crate::new(source).built().unwrap_or_else(|trouble| panic!("{}\n{}", trouble.what, trouble.remedy));
    let mut entries: Vec<&str> = made.bounds.iter().map(|bounds| bounds.entry.as_str()).collect();
    entries.sort_unstable();
    assert_eq!(entries, ["main", "one", "other"]);
}

#[test]
fn a_module_without_the_name_of_its_stack_pointer_is_refused() {
    let tried = Crate::new(NOTHING);
    std::fs::create_dir(tried.folder.path().join(".cargo")).expect("a directory");
    let flags = "[target.wasm32v1-none]\nrustflags = [\"-Clink-arg=--strip-all\"]\n";
    std::fs::write(tried.folder.path().join(".cargo/config.toml"), flags).expect("a file");
    let trouble = tried.refused();
    assert!(trouble.what.contains("`__stack_pointer`") && trouble.remedy.contains("--strip-all"), "{trouble}");
}

#[test]
fn what_is_no_source_is_refused_and_nothing_of_an_earlier_build_is_linked() {
    let source = "unsafe extern \"C\" { fn answer() -> u32; }
        #[unsafe(no_mangle)] pub extern \"C\" fn main() -> u32 { unsafe { answer() } }";
    let c = "static unsigned (*volatile through)(void); unsigned answer(void) { return through(); }";
    let mut tried = Crate::new(source).with("answer.c", c);
    let pointers = |made: &Made| made.bounds.iter().any(|bounds| !bounds.machine.pointers.is_empty());
    assert!(pointers(&tried.built().expect("C is a source")));
    let at = |name: &str| tried.folder.path().join(name);
    std::fs::copy(at("out/tried-source0.o"), at("answer.o")).expect("a file");
    std::fs::copy(at("answer.c"), at("answer.cpp")).expect("a file");
    let assembler = at("answer.S");
    std::fs::write(&assembler, "    .globl answer\nanswer: rts\n    mov #42, r0\n").expect("a file");
    let [object, cpp, nowhere] = ["answer.o", "answer.cpp", "nowhere.c"].map(at);
    for (other, why) in [(object, "neither C nor assembler"), (cpp, "neither C nor"), (nowhere, "there is no file")] {
        tried.plan.sources = vec![other];
        let trouble = tried.refused();
        assert!(trouble.what.contains(why) && trouble.remedy == "name a .c, .S or .s file.", "{trouble}");
    }
    tried.plan.sources = vec![assembler];
    let made = tried.built().expect("assembler is a source");
    let main = made.bounds.iter().find(|bounds| bounds.entry == "main").expect("it is exported");
    assert_eq!((main.machine.unknown.as_slice(), pointers(&made)), (&["answer".to_owned()][..], false));
}

#[test]
fn mistakes_of_the_sources_are_their_own() {
    let source = "unsafe extern \"C\" { fn answer() -> u32; }
        #[unsafe(no_mangle)] pub extern \"C\" fn main() -> u32 { unsafe { answer() } }";
    let trouble = Crate::new(source).with("answer.c", "int answer(void) { retrun 1; }").refused();
    assert!(trouble.what.contains("answer.c:1:") && trouble.remedy == "correct it.", "{trouble}");
    let trouble = Crate::new(source).refused();
    assert!(trouble.what.contains("not defined: answer") && trouble.remedy.contains("--source"), "{trouble}");
    let answer = "int answer(void) { return 1; }";
    let trouble = Crate::new(source).with("one.c", answer).with("other.c", answer).refused();
    assert!(trouble.what.contains("defined twice: answer (one.c:1 and other.c:1)"), "{trouble}");
    assert!(!trouble.remedy.contains("report"), "{trouble}");
}

#[test]
fn what_the_compilers_warn_of_is_told() {
    let source = "unsafe extern \"C\" { fn answer() -> u32; }
        #[unsafe(no_mangle)] pub extern \"C\" fn main() -> u32 { let unused = 1; unsafe { answer() } }";
    let c = "#include \"answer.h\"\nint answer(void) { return ANSWER; }\n#warning careful\n";
    let mut tried = Crate::new(source).with("answer.c", c);
    std::fs::create_dir(tried.folder.path().join("headers")).expect("a directory");
    std::fs::write(tried.folder.path().join("headers/answer.h"), "#define ANSWER 42\n").expect("a file");
    tried.plan.include = vec![tried.folder.path().join("headers")];
    let made = tried.built().unwrap_or_else(|trouble| panic!("{}\n{}", trouble.what, trouble.remedy));
    for warning in ["unused variable: `unused`", "#warning careful"] {
        assert!(made.warnings.contains(warning), "{}", made.warnings);
    }
    let quiet = Crate::new(NOTHING).built().expect("it is right");
    assert_eq!(quiet.warnings, "");
}

#[test]
fn a_static_of_rust_is_one_in_c_and_none_of_c_is_one_in_rust() {
    let source = "
#[unsafe(no_mangle)] static TABLE: [u32; 3] = [70, 80, 90];
#[unsafe(no_mangle)] static mut COUNT: u32 = 0;
unsafe extern \"C\" { fn sum() -> u32; }
#[unsafe(no_mangle)]
pub extern \"C\" fn main() {
    unsafe { COUNT = 2 };
    say(if unsafe { sum() } == 242 && unsafe { (&raw const COUNT).read_volatile() } == 3 { \"right\" } else { \"wrong\" });
    off()
}";
    let c = "extern const unsigned TABLE[3]; extern unsigned COUNT; extern char __data_end[];
        unsigned sum(void) {
            if ((char *)&COUNT >= __data_end || (char *)&COUNT < (char *)0x8c900000) return 0;
            return TABLE[0] + TABLE[1] + TABLE[2] + COUNT++;
        }";
    let tried = Crate::new(source).with("sum.c", c);
    let made = tried.built().unwrap_or_else(|trouble| panic!("{}\n{}", trouble.what, trouble.remedy));
    assert_eq!(said_in_used_memory(&made, tried.folder.path()), "right");

    let source = "unsafe extern \"C\" { static c_answer: u32; static c_table: [u32; 4]; static __data_end: u8; }
        #[unsafe(no_mangle)] pub extern \"C\" fn main() -> u32 {
            unsafe { c_answer + c_table[core::hint::black_box(1)] + (&raw const __data_end as u32) } }";
    let trouble = Crate::new(source).with("answer.c", "unsigned c_answer = 42, c_table[4];").refused();
    assert!(trouble.what.ends_with("this static is in no Rust: c_answer, c_table"), "{trouble}");
}

#[test]
fn zeros_are_in_no_file() {
    let source = "
static ZEROS: [AtomicU8; 100_000] = [const { AtomicU8::new(0) }; 100_000];
#[unsafe(no_mangle)] pub extern \"C\" fn main() {
    let zero = &ZEROS[core::hint::black_box(9)];
    zero.store(zero.load(Relaxed) + 1, Relaxed);
    off()
}";
    let made = Crate::new(source).built().unwrap_or_else(|trouble| panic!("{}\n{}", trouble.what, trouble.remedy));
    let zeros: Vec<_> = made.elf.sections.iter().filter(|section| section.size >= 100_000).collect();
    assert!(zeros.len() == 1 && zeros[0].name == ".wasm.zero" && !zeros[0].in_file, "{:?}", made.elf.sections);
}

#[test]
fn addresses_and_an_entry_that_cannot_work_are_refused() {
    let refused = |change: &dyn Fn(&mut Plan)| {
        let mut tried = Crate::new(&format!(
            "{NOTHING} #[unsafe(no_mangle)] pub extern \"C\" fn with(n: u32) {{ \
            say([\"one\", \"two\"][core::hint::black_box(n) as usize & 1]) }}"
        ));
        change(&mut tried.plan);
        tried.refused()
    };
    let says = |trouble: Trouble, what: &str, option: &str| {
        assert!(trouble.what.contains(what) && trouble.remedy.contains(option), "{}\n{}", trouble.what, trouble.remedy);
    };
    says(refused(&|plan| plan.code += 1), "no code can begin at 0x8c800001", "--code");
    says(refused(&|plan| plan.code = 0x8ca0_0000), "the image should begin at 0x8ca00000", "--base");
    says(refused(&|plan| plan.program.base += 0x100), "not a multiple of 0x1000", "--base");
    says(refused(&|plan| plan.program.stack = u32::MAX), "cannot have 4294967295 bytes", "--shadow-stack");
    says(refused(&|plan| plan.program.stack = 100_000_000), "the machine's stack lies on .wasm.stack", "--stack-top");
    says(refused(&|plan| plan.start = called("with", 0x8cf0_0000)), "the entry `with` has parameters", "--entry");
}
