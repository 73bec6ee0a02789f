//! Everything lies where it was said to lie; overlaps and untested machine code are refused.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use koboshi_sh4::link::{Cpu, Elf, Layout, Options, Source, compile, link, raw_image};
use koboshi_sh4::program::Extent;
use koboshi_sh4::tools::{Choice, Gcc, Trouble};
use koboshi_sh4::translate::Segment;

struct Bench {
    folder: tempfile::TempDir,
    gcc: Gcc,
}

impl Bench {
    fn new() -> Self {
        let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("sh4");
        Bench { folder: tempfile::tempdir().unwrap(), gcc: Gcc::find(&cache).unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn compiled(&self, text: &str) -> PathBuf {
        self.compiled_for(Cpu::Sh4, text)
    }

    fn compiled_for(&self, cpu: Cpu, text: &str) -> PathBuf {
        let options = Options { cpu, ..Options::default() };
        let source = Source::Text { name: "program.c", text };
        let compiled = compile(&self.gcc, source, &self.path("program.o"), &options).unwrap();
        assert_eq!(compiled.warnings, "");
        compiled.object
    }

    fn linked(&self, text: &str, segments: &[Segment], layout: &Layout) -> Result<Elf, Trouble> {
        link(&self.gcc, Cpu::Sh4, &[self.compiled(text)], segments, layout, &self.path("program.elf"))
    }
}

fn layout() -> Layout {
    Layout { code: 0x8c80_0000, data: 0x8c90_0000, memory: None, entry: Some("start".to_owned()) }
}

fn segment(name: &str, address: u32, bytes: &[u8]) -> Segment {
    Segment { name: Some(name.to_owned()), address, bytes: bytes.to_vec() }
}

const PROGRAM: &str = "
    const char hello[] = \"hello\"; int counter = 5; int nothing[4];
    void helper(void) { nothing[1] = hello[counter]; }
    __attribute__((section(\".text.first\"))) void start(void) { helper(); }";

#[test]
fn sections_lie_where_they_were_said_to() {
    let bench = Bench::new();
    let segments = [
        segment(".rodata", 0x8ca0_0000, b"constant"),
        segment(".data", 0x8ca0_1000, b"variable"),
        Segment { name: None, address: 0x8ca0_2004, bytes: vec![7; 3] },
    ];
    let memory =
        Extent { data: 0x8ca0_0000..0x8ca0_2800, guard: 0x8ca0_3000..0x8ca0_4000, stack: 0x8ca0_4000..0x8ca1_0000 };
    let elf = bench.linked(PROGRAM, &segments, &Layout { memory: Some(memory), ..layout() }).unwrap();
    assert_eq!(elf.entry, 0x8c80_0000, "what is in .text.first comes first");
    let place = |name: &str| {
        let section = elf.sections.iter().find(|section| section.name == name);
        section.map(|found| (found.address, found.size, found.writable, found.in_file)).unwrap()
    };
    assert_eq!(place(".text").0, 0x8c80_0000);
    assert!(!place(".rodata").2);
    assert_eq!(place(".data"), (0x8c90_0000, 4, true, true));
    assert_eq!(place(".bss"), (0x8c90_0008, 16, true, false));
    assert_eq!(place(".wasm.rodata.0"), (0x8ca0_0000, 8, false, true));
    assert_eq!(place(".wasm.data.1"), (0x8ca0_1000, 8, true, true));
    assert_eq!(place(".wasm.data.2"), (0x8ca0_2004, 3, true, true));
    assert_eq!(place(".wasm.zero"), (0x8ca0_2007, 0x7f9, true, false));
    assert_eq!(place(".wasm.stack"), (0x8ca0_4000, 0xc000, true, false));
    // Each of them in a program header of the same kind.
    for section in &elf.sections {
        let load = elf.loads.iter().find(|load| {
            load.address <= section.address && section.end() <= u64::from(load.address) + u64::from(load.in_memory)
        });
        assert_eq!(load.map(|load| load.writable), Some(section.writable), "{section:?} {:?}", elf.loads);
    }
}

#[test]
fn a_raw_image_is_the_memory_from_its_base() {
    let bench = Bench::new();
    let segments = [segment(".data", 0x8c90_2000, b"variable")];
    let elf = bench.linked(PROGRAM, &segments, &layout()).unwrap();
    let image = bench.path("program.bin");
    let size = raw_image(&bench.gcc, &elf, &image, 0x8c80_0000).unwrap();
    let bytes = std::fs::read(&image).unwrap();
    assert_eq!((size, bytes.len()), (0x10_2008, 0x10_2008));
    assert_eq!(&bytes[0x10_2000..], b"variable");
    assert_eq!(bytes[0x10_0000..0x10_0004], 5_u32.to_le_bytes());
    assert!(bytes[..4] != [0; 4]);

    let trouble = raw_image(&bench.gcc, &elf, &image, 0x8c00_0000).unwrap_err();
    assert!(
        trouble.what.starts_with("the image should begin at 0x8c000000, but the first section is .text (0x8c800000")
    );
    let far = [segment(".data", 0x1000, b"far")];
    let elf = bench.linked(PROGRAM, &far, &layout()).unwrap();
    let trouble = raw_image(&bench.gcc, &elf, &image, 0x1000).unwrap_err();
    assert!(trouble.what.starts_with("the image would have 23"), "{trouble}");
}

#[test]
fn two_things_on_one_address_are_refused() {
    let bench = Bench::new();
    let two = [segment(".rodata", 0x1000, &[1; 32]), segment(".data", 0x101f, &[2; 4])];
    let trouble = bench.linked(PROGRAM, &two, &layout()).unwrap_err();
    assert_eq!(
        trouble.what,
        ".wasm.rodata.0 (0x00001000 to 0x0000101f) lies on .wasm.data.1 (0x0000101f to 0x00001022)"
    );
    assert_eq!(trouble.remedy, "move what lies at 0x0000101f, or make the other smaller.");
    let on_code = [segment(".rodata", 0x8c80_0002, b"x")];
    let trouble = bench.linked(PROGRAM, &on_code, &layout()).unwrap_err();
    assert!(trouble.what.contains(".text") && trouble.what.contains(".wasm.rodata.0"), "{trouble}");
    let trouble = bench.linked(PROGRAM, &[], &Layout { data: 0x8c80_0004, ..layout() }).unwrap_err();
    assert!(trouble.what.contains(".text") && trouble.what.contains(".data"), "{trouble}");
    let touching = [segment(".rodata", 0x1000, &[1; 32]), segment(".data", 0x1020, &[2; 4])];
    bench.linked(PROGRAM, &touching, &layout()).unwrap();
}

#[test]
fn assembler_parts_of_libgcc_are_linked_and_c_parts_are_refused() {
    let bench = Bench::new();
    bench
        .linked("int start(int a, unsigned b) { return a / 7 + b / (unsigned)a + (a >> b); }", &[], &layout())
        .unwrap();
    let text = "unsigned long long start(unsigned long long a, long long b, double c) { return a / b + (unsigned long long)c; }";
    let trouble = bench.linked(text, &[], &layout()).unwrap_err();
    assert_eq!(
        trouble.what,
        "the program would need parts of libgcc that were compiled by an untested compiler: __fixunsdfdi (needed by \
         program.o), __udivdi3 (needed by program.o)"
    );
    assert!(trouble.remedy.contains("build_helpers"));
}

#[test]
fn what_is_not_defined_is_named_with_who_needs_it() {
    let bench = Bench::new();
    let trouble = bench
        .linked(
            "void g(void); __attribute__((noinline)) void f(void) { g(); } void start(void) { f(); g(); }",
            &[],
            &layout(),
        )
        .unwrap_err();
    assert!(
        trouble.what.ends_with("since this is not defined: g (needed by f in program.o, start in program.o)"),
        "{trouble}"
    );
}

#[test]
fn all_that_gcc_said_is_shown() {
    let bench = Bench::new();
    let source = Source::Text { name: "wrong.c", text: "int f(void) {\n return unknown;\n}" };
    let trouble = compile(&bench.gcc, source, &bench.path("wrong.o"), &Options::default()).unwrap_err();
    assert!(trouble.what.contains("wrong.c:2:9: error: 'unknown' undeclared"), "{trouble}");
    assert!(trouble.remedy.starts_with("this is a mistake of Koboshi"));
}

#[test]
fn the_call_graph_with_stack_use_is_beside_the_object() {
    let bench = Bench::new();
    let source = Source::Text { name: "calls.c", text: "void g(char *); void f(void) { char a[100]; g(a); g(a); }" };
    let compiled = compile(&bench.gcc, source, &bench.path("calls.o"), &Options::default()).unwrap();
    let graph = std::fs::read_to_string(compiled.calls.unwrap()).unwrap();
    assert!(
        graph.contains("edge: { sourcename: \"f\" targetname: \"g\"") && graph.contains("bytes (static)"),
        "{graph}"
    );
}

#[test]
fn every_cpu_can_be_compiled_and_linked_for() {
    let bench = Bench::new();
    for cpu in [Cpu::Sh4, Cpu::Sh4a, Cpu::Sh4NoFpu] {
        let object =
            bench.compiled_for(cpu, "int start(int a, unsigned b) { return a / 7 + b / (unsigned)a + (a >> b); }");
        link(&bench.gcc, cpu, &[object], &[], &layout(), &bench.path("program.elf")).unwrap();
    }
}

/// A GCC for bare machines puts an underscore before every C symbol, and has a libgcc that does.
#[test]
fn a_gcc_with_underscores_is_as_good_as_one_without() {
    let bench = Bench::new();
    let libgcc = std::process::Command::new(bench.gcc.path()).arg("-print-libgcc-file-name").output().unwrap();
    let libgcc = String::from_utf8(libgcc.stdout).unwrap();
    let mut objcopy = bench.gcc.binutil("objcopy");
    objcopy.arg("--prefix-symbols=_").arg(libgcc.trim()).arg(bench.path("libgcc.a"));
    assert!(objcopy.status().unwrap().success());
    let other = bench.path("sh-elf-gcc");
    let script = format!(
        "#!/bin/sh\ncase \"$*\" in\n*-print-libgcc-file-name*) echo {}; exit ;;\n*-fno-leading-underscore*) ;;\n\
         *) set -- -fleading-underscore \"$@\" ;;\nesac\nexec {} \"$@\"\n",
        bench.path("libgcc.a").display(),
        bench.gcc.path().display()
    );
    std::fs::write(&other, script).unwrap();
    std::fs::set_permissions(&other, std::fs::Permissions::from_mode(0o755)).unwrap();
    let choice = Choice { gcc: Some(other.into()), ..Choice::from_environment() };
    let other = Bench { gcc: Gcc::choose(&choice, bench.folder.path()).unwrap(), folder: tempfile::tempdir().unwrap() };
    let text = "int start(int a, unsigned b) { return a / 7 + b / (unsigned)a + (a >> b); }";
    other.linked(text, &[], &layout()).unwrap();
    let trouble =
        other.linked("long long start(long long a, long long b) { return a / b; }", &[], &layout()).unwrap_err();
    assert!(trouble.what.contains(": __divdi3 (needed by program.o)"), "{trouble}");
}
