//! How much of its two stacks a program needs at most: the machine's, of which GCC says what each function takes; and the
//! shadow stack, on which Rust keeps what has an address.
//!
//! The rules: a bound is a bound, or it is said why there is none. A call through the table is taken to reach every function
//! of the table that has the right type: one of another type would trap. What is of no module, C that is linked with it, has
//! no frame on the shadow stack, and counts there by whom it calls back. A call through a pointer in C is taken to reach
//! every function of every table; as it may reach any other function too, there is no bound then. Recursion has none either.

use std::collections::{HashMap, HashSet};

use crate::link::is_of_assembler;
use crate::tools::Trouble;
use crate::translate::Translated;

/// What a function of libgcc's assembler part pushes at most, in bytes: nine registers, in `__udivsi3_i4i`.
const ASSEMBLER_FRAME: u32 = 36;

/// What one stack needs, below one entry point.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Worst {
    /// Bytes at most, if each recursion comes around once only: see `recursion`.
    pub bytes: u32,
    /// The calls that need so much, the entry point first.
    pub path: Vec<String>,
    /// Functions that call each other in a circle, the shortest circle first: there is no bound.
    pub recursion: Vec<Vec<String>>,
    /// Functions that call through the table.
    pub indirect: Vec<String>,
    /// Functions of which it is not known what they take: that comes on top.
    pub unknown: Vec<String>,
    /// Functions of C that call through a pointer: whom, is not known.
    pub pointers: Vec<String>,
}

impl Worst {
    /// Is `bytes` a bound?
    #[must_use]
    pub fn is_bound(&self) -> bool {
        self.recursion.is_empty() && self.unknown.is_empty() && self.pointers.is_empty()
    }
}

/// What both stacks need, below one entry point.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Bounds {
    /// The entry point.
    pub entry: String,
    /// The machine's stack.
    pub machine: Worst,
    /// The shadow stack.
    pub shadow: Worst,
}

/// Who calls whom in a program, and what each takes of both stacks.
#[derive(Clone, Debug, Default)]
pub struct Calls {
    machine: Graph,
    shadow: Graph,
}

#[derive(Clone, Debug, Default)]
struct Graph {
    nodes: Vec<Node>,
    numbers: HashMap<String, usize>,
    /// What any function may take beside what is said of it: GCC does not tell of its calls of libgcc's assembler part,
    /// for a division or a shift. These call nothing further.
    hidden: u32,
}

#[derive(Clone, Debug, Default)]
struct Node {
    symbol: String,
    /// Nothing: nobody has said what it takes.
    bytes: Option<u32>,
    calls: Vec<usize>,
    /// Whom it may call through the table; empty if it does not.
    through_table: Vec<usize>,
    indirect: bool,
    /// Its calls are not only of the table of a module: it is C.
    anywhere: bool,
    /// How many objects have a function of this name.
    defined: usize,
    /// On the shadow stack: a module has it, and so its frame is known, or known to be unknown.
    of_module: bool,
}

/// What GCC calls whoever is called through a pointer.
const INDIRECT: &str = "__indirect_call";

impl Calls {
    /// Puts together what GCC has written beside the objects (`.ci`, one text each) and what the translator knows of the
    /// modules.
    ///
    /// # Errors
    /// A text is not what GCC writes, or a function's frame has no fixed size.
    pub fn new(texts: &[String], modules: &[&Translated]) -> Result<Self, Trouble> {
        let mut calls = Calls::default();
        for (alias, symbol) in modules.iter().flat_map(|module| &module.aliases) {
            for graph in [&mut calls.machine, &mut calls.shadow] {
                let node = graph.node(symbol);
                graph.numbers.insert(alias.clone(), node);
            }
        }
        for text in texts {
            calls.machine.take_text(text)?;
        }
        calls.machine.hidden = ASSEMBLER_FRAME;
        // What is imported and only called through the table, GCC does not name; nobody may know it.
        for module in modules {
            let imported = module.table.iter().filter_map(|(function, _)| module.frames.get(*function as usize));
            imported.filter(|frame| module.imported.iter().any(|import| import.symbol == frame.symbol)).for_each(
                |frame| {
                    calls.machine.node(&frame.symbol);
                },
            );
        }
        let owners = calls.machine.owners(modules);
        calls.machine.take_tables(modules, &owners);
        for module in modules {
            calls.shadow.take_module(module);
        }
        calls.shadow.take_others(&calls.machine, &owners);
        Ok(calls)
    }

    /// The symbols of all functions of which GCC has told.
    pub fn functions(&self) -> impl Iterator<Item = &str> {
        self.machine.nodes.iter().filter(|node| node.bytes.is_some()).map(|node| node.symbol.as_str())
    }

    /// What both stacks need at most, from a call of this function on.
    ///
    /// # Errors
    /// There is no such function.
    pub fn bounds(&self, entry: &str) -> Result<Bounds, Trouble> {
        let machine = self.machine.worst(entry).ok_or_else(|| {
            Trouble::new(
                format!("there is no function `{entry}` to reckon the stack of."),
                "name an entry point by its symbol, as `nm` shows it.",
            )
        })?;
        let nobody_knows = Worst {
            bytes: 0,
            path: vec![entry.to_owned()],
            recursion: Vec::new(),
            indirect: Vec::new(),
            unknown: vec![entry.to_owned()],
            pointers: Vec::new(),
        };
        // Both graphs have all functions, except for the parts that GCC has made of a module's.
        let shadow = self.shadow.worst(entry).or_else(|| self.shadow.worst(original(entry))).unwrap_or(nobody_knows);
        Ok(Bounds { entry: entry.to_owned(), machine, shadow })
    }
}

/// The functions that modules define, by their symbols: of which module, and which of its frames. Where another object has
/// a function of the same name too, none is here: it is not told apart, and counts as C.
type Owners<'a> = HashMap<&'a str, (&'a Translated, usize)>;

impl Graph {
    fn owners<'a>(&self, modules: &[&'a Translated]) -> Owners<'a> {
        let mut owners = HashMap::new();
        for module in modules {
            for (number, frame) in module.frames.iter().enumerate().skip(module.imported.len()) {
                let node = self.numbers.get(&frame.symbol).map(|node| &self.nodes[*node]);
                if node.is_none_or(|node| node.defined < 2) {
                    owners.insert(frame.symbol.as_str(), (*module, number));
                }
            }
        }
        owners
    }

    fn node(&mut self, symbol: &str) -> usize {
        if let Some(number) = self.numbers.get(symbol) {
            return *number;
        }
        self.nodes.push(Node { symbol: symbol.to_owned(), ..Node::default() });
        self.numbers.insert(symbol.to_owned(), self.nodes.len() - 1);
        self.nodes.len() - 1
    }

    fn take_module(&mut self, module: &Translated) {
        let numbers: Vec<usize> = module.frames.iter().map(|frame| self.node(&frame.symbol)).collect();
        // What is imported is C, or of another module.
        for (frame, number) in module.frames.iter().zip(&numbers).skip(module.imported.len()) {
            let through_table = module.table.iter().filter(|(_, kind)| frame.indirect.contains(kind));
            let through_table = through_table.map(|(function, _)| numbers[*function as usize]).collect();
            let node = &mut self.nodes[*number];
            node.bytes = frame.shadow;
            node.of_module = true;
            node.calls = frame.calls.iter().map(|callee| numbers[*callee as usize]).collect();
            node.through_table = through_table;
            node.indirect = !frame.indirect.is_empty();
        }
    }

    /// Puts what is of no module beside the modules, on the shadow stack: without a frame, with its calls.
    fn take_others(&mut self, machine: &Graph, owners: &Owners<'_>) {
        let every_table = machine.nodes.iter().find(|node| node.anywhere).map_or(&[][..], |node| &node.through_table);
        // GCC's parts of a module's function are no functions here.
        let symbol = |number: &usize| {
            let symbol = machine.nodes[*number].symbol.as_str();
            if owners.contains_key(original(symbol)) { original(symbol) } else { symbol }
        };
        for node in machine.nodes.iter().filter(|node| !owners.contains_key(original(&node.symbol))) {
            let number = self.node(&node.symbol);
            let calls: Vec<usize> = node.calls.iter().map(|callee| self.node(symbol(callee))).collect();
            let through_table: Vec<usize> = if node.anywhere {
                every_table.iter().map(|callee| self.node(symbol(callee))).collect()
            } else {
                Vec::new()
            };
            let known = node.bytes.is_some() || assembler_frame(&node.symbol).is_some();
            let own = &mut self.nodes[number];
            // One that a module has under this name too keeps its frame, known or not.
            if !own.of_module {
                own.bytes = known.then_some(0);
            }
            own.calls.extend(calls);
            own.through_table.extend(through_table);
            own.indirect |= node.indirect;
            own.anywhere = node.anywhere;
        }
    }

    /// Finds whom each function with an indirect call may reach.
    fn take_tables(&mut self, modules: &[&Translated], owners: &Owners<'_>) {
        let machine =
            |module: &Translated, function: u32| self.numbers.get(&module.frames[function as usize].symbol).copied();
        let mut reached = Vec::new();
        for (number, node) in self.nodes.iter().enumerate().filter(|(_, node)| node.indirect) {
            let owner = owners.get(original(&node.symbol));
            let through_table: Vec<usize> = match owner {
                Some((module, frame)) => {
                    let kinds = kinds_below(module, *frame);
                    let right = module.table.iter().filter(|(_, kind)| kinds.contains(kind));
                    right.filter_map(|(function, _)| machine(module, *function)).collect()
                }
                None => modules
                    .iter()
                    .flat_map(|module| module.table.iter().filter_map(|(function, _)| machine(module, *function)))
                    .collect(),
            };
            reached.push((number, through_table, owner.is_none()));
        }
        for (number, through_table, anywhere) in reached {
            self.nodes[number].through_table = through_table;
            self.nodes[number].anywhere = anywhere;
        }
    }

    /// Takes in a call graph in the form of GCC's option `-fcallgraph-info=su`: VCG, a node or an edge a line.
    fn take_text(&mut self, text: &str) -> Result<(), Trouble> {
        for line in text.lines() {
            if line.starts_with("node: ") {
                let (Some(title), Some(label)) = (field(line, "title"), field(line, "label")) else {
                    return Err(not_a_graph(line));
                };
                let number = self.node(symbol(title));
                let Some(size) = label.rsplit("\\n").find(|part| part.contains(" bytes (")) else { continue };
                let bytes = size.split(' ').next().and_then(|number| number.parse().ok());
                if !size.contains("(static)") {
                    return Err(Trouble::new(
                        format!("the stack frame of `{}` has no fixed size: {size}.", symbol(title)),
                        "leave out variable-length arrays and alloca in C; a Rust function never has such a frame.",
                    ));
                }
                // Two objects may each have a function of this name: whichever is called, the larger is enough.
                let node = &mut self.nodes[number];
                node.bytes = node.bytes.max(bytes);
                node.defined += 1;
            } else if line.starts_with("edge: ") {
                let (Some(from), Some(to)) = (field(line, "sourcename"), field(line, "targetname")) else {
                    return Err(not_a_graph(line));
                };
                let from = self.node(symbol(from));
                if to == INDIRECT {
                    self.nodes[from].indirect = true;
                } else {
                    let to = self.node(symbol(to));
                    if !self.nodes[from].calls.contains(&to) {
                        self.nodes[from].calls.push(to);
                    }
                }
            }
        }
        Ok(())
    }

    fn worst(&self, entry: &str) -> Option<Worst> {
        let root = *self.numbers.get(entry)?;
        let mut search = Search { graph: self, done: HashMap::new(), open: Vec::new(), recursion: Vec::new() };
        let bytes = search.visit(root);
        let mut path = Vec::new();
        let mut at = Some(root);
        while let Some(number) = at {
            path.push(self.nodes[number].symbol.clone());
            at = search.done.get(&number).and_then(|(_, next)| *next);
        }
        let reached = || search.done.keys().map(|number| &self.nodes[*number]);
        let mut indirect: Vec<String> =
            reached().filter(|node| node.indirect).map(|node| node.symbol.clone()).collect();
        let unknown = reached().filter(|node| node.bytes.is_none() && assembler_frame(&node.symbol).is_none());
        let mut unknown: Vec<String> = unknown.map(|node| node.symbol.clone()).collect();
        let mut pointers: Vec<String> =
            reached().filter(|node| node.anywhere).map(|node| node.symbol.clone()).collect();
        indirect.sort();
        unknown.sort();
        pointers.sort();
        search.recursion.sort_by_key(Vec::len);
        Some(Worst { bytes, path, recursion: search.recursion, indirect, unknown, pointers })
    }
}

/// A walk over all calls from one function.
struct Search<'a> {
    graph: &'a Graph,
    /// Bytes below and with a function, and whom it calls for that.
    done: HashMap<usize, (u32, Option<usize>)>,
    open: Vec<usize>,
    recursion: Vec<Vec<String>>,
}

impl Search<'_> {
    fn visit(&mut self, number: usize) -> u32 {
        if let Some((bytes, _)) = self.done.get(&number) {
            return *bytes;
        }
        if let Some(at) = self.open.iter().position(|open| *open == number) {
            let circle: Vec<String> =
                self.open[at..].iter().map(|number| self.graph.nodes[*number].symbol.clone()).collect();
            if !self.recursion.iter().any(|known| is_same_circle(known, &circle)) {
                self.recursion.push(circle);
            }
            return 0;
        }
        self.open.push(number);
        let graph = self.graph;
        let node = &graph.nodes[number];
        let of_assembler = assembler_frame(&node.symbol);
        let mut deepest = (if of_assembler.is_some() { 0 } else { graph.hidden }, None);
        for callee in node.calls.iter().chain(&node.through_table) {
            let below = self.visit(*callee);
            // A circle goes no deeper here: the path must not come around either.
            if below > deepest.0 && !self.open.contains(callee) {
                deepest = (below, Some(*callee));
            }
        }
        self.open.pop();
        let own = node.bytes.or(of_assembler).unwrap_or(0);
        self.done.insert(number, (own + deepest.0, deepest.1));
        own + deepest.0
    }
}

/// Do both go the same way around, wherever they begin?
fn is_same_circle(one: &[String], other: &[String]) -> bool {
    let around = |from: usize| other[from..].iter().chain(&other[..from]);
    one.len() == other.len() && (0..other.len()).any(|from| around(from).eq(one))
}

/// The types that a function calls through the table, itself or in what it calls, directly or through the table: GCC may
/// have put that into it, for it looks a constant place of the table up. (This is more than need be, and costs nothing: what
/// is called below a function counts for it anyway.)
fn kinds_below(module: &Translated, number: usize) -> HashSet<u32> {
    let mut seen = HashSet::from([number]);
    let mut next = vec![number];
    let mut kinds = HashSet::new();
    while let Some(frame) = next.pop().map(|number| &module.frames[number]) {
        kinds.extend(&frame.indirect);
        let in_table = module.table.iter().filter(|(_, kind)| frame.indirect.contains(kind));
        let called = frame.calls.iter().chain(in_table.map(|(function, _)| function));
        next.extend(called.map(|callee| *callee as usize).filter(|callee| seen.insert(*callee)));
    }
    kinds
}

/// The symbol of which GCC has made this one: `f.part.0` is a part of `f`.
fn original(symbol: &str) -> &str {
    const MADE: [&str; 4] = [".part.", ".isra.", ".constprop.", ".cold"];
    let ends = MADE.iter().filter_map(|made| symbol.find(made));
    ends.min().map_or(symbol, |end| &symbol[..end])
}

/// What a function of libgcc's assembler part takes; `None` for any other.
fn assembler_frame(symbol: &str) -> Option<u32> {
    is_of_assembler(symbol).then_some(ASSEMBLER_FRAME)
}

/// The symbol in a node's title: `*symbol`, or `unit.c:*symbol` if it is not seen from outside.
fn symbol(title: &str) -> &str {
    title.rsplit(':').next().unwrap_or(title).trim_start_matches('*')
}

/// A field of a line, as in `title: "text"`.
fn field<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = line.split_once(&format!("{name}: \""))?;
    Some(rest.split_once('"')?.0)
}

fn not_a_graph(line: &str) -> Trouble {
    Trouble::new(
        format!("this line of a call graph is not as GCC writes it: {line}"),
        "compile anew with -fcallgraph-info=su, by a GCC of version 10 or later.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::translate::{Frame, Function};

    const TEXT: &str = r#"graph: { title: "a.c"
node: { title: "*main" label: "f_main\na.c:1:1\n8 bytes (static)" }
node: { title: "a.c:*small" label: "f_small\na.c:2:1\n4 bytes (static)" }
node: { title: "a.c:*large" label: "f_large\na.c:3:1\n100 bytes (static)" }
node: { title: "__indirect_call" label: "Indirect Call Placeholder" shape : ellipse }
node: { title: "__udivsi3_i4i" label: "__udivsi3_i4i\n<built-in>" shape : ellipse }
edge: { sourcename: "*main" targetname: "a.c:*small" label: "a.c:9:1" }
edge: { sourcename: "*main" targetname: "a.c:*large" }
edge: { sourcename: "a.c:*small" targetname: "__udivsi3_i4i" }
}
"#;

    fn frame(symbol: &str, shadow: u32, calls: &[u32], indirect: &[u32]) -> Frame {
        Frame { symbol: symbol.to_owned(), shadow: Some(shadow), calls: calls.to_vec(), indirect: indirect.to_vec() }
    }

    fn bounds(text: &str, frames: &[Frame], table: &[(u32, u32)]) -> Bounds {
        let module = Translated { frames: frames.to_vec(), table: table.to_vec(), ..Translated::default() };
        let calls = Calls::new(&[text.to_owned()], &[&module]).expect("a graph");
        calls.bounds("main").expect("it is there")
    }

    #[test]
    fn the_deepest_path_counts_on_each_stack() {
        let frames = [frame("main", 16, &[1, 2], &[]), frame("small", 64, &[], &[]), frame("large", 0, &[], &[])];
        let found = bounds(TEXT, &frames, &[]);
        assert_eq!(
            (found.machine.bytes, found.machine.path),
            (108 + ASSEMBLER_FRAME, vec!["main".to_owned(), "large".to_owned()])
        );
        assert_eq!((found.shadow.bytes, found.shadow.path), (80, vec!["main".to_owned(), "small".to_owned()]));
    }

    #[test]
    fn recursion_has_no_bound_and_is_named() {
        let text = TEXT.replace("}\n}\n", "}\nedge: { sourcename: \"a.c:*large\" targetname: \"*main\" }\n}\n");
        let found = bounds(&text, &[], &[]).machine;
        assert!(!found.is_bound());
        assert_eq!(found.recursion, [["main", "large"]]);
    }

    #[test]
    fn a_circle_is_one_wherever_it_begins() {
        let circle = |names: [&str; 3]| names.map(str::to_owned);
        assert!(is_same_circle(&circle(["a", "b", "c"]), &circle(["c", "a", "b"])));
        assert!(!is_same_circle(&circle(["a", "b", "c"]), &circle(["c", "b", "a"])), "the other way around");
        assert!(!is_same_circle(&circle(["a", "b", "c"]), &circle(["a", "b", "c"])[..2]));
    }

    #[test]
    fn a_call_through_the_table_reaches_what_is_in_the_table() {
        let text =
            TEXT.replace("}\n}\n", "}\nedge: { sourcename: \"a.c:*small\" targetname: \"__indirect_call\" }\n}\n");
        let text = text.replace("edge: { sourcename: \"*main\" targetname: \"a.c:*large\" }\n", "");
        let frames = [frame("main", 0, &[1], &[]), frame("small", 8, &[], &[7]), frame("large", 32, &[], &[])];
        let found = bounds(&text, &frames, &[(2, 7)]);
        assert_eq!((found.machine.bytes, found.machine.indirect), (112 + ASSEMBLER_FRAME, vec!["small".to_owned()]));
        assert_eq!(found.shadow.bytes, 40);
        let found = bounds(&text, &frames, &[(2, 6)]);
        assert_eq!(found.shadow.bytes, 8, "a function of another type is not called");
        assert_eq!(found.machine.bytes, 12 + ASSEMBLER_FRAME, "nor on the machine's stack");
    }

    #[test]
    fn what_gcc_put_into_a_function_or_took_out_of_it_counts_there() {
        // `small` stands in `main` and in a part of it; the module's `main` has no indirect call of its own.
        let indirect =
            |from: &str| format!("}}\n}}\nedge: {{ sourcename: \"{from}\" targetname: \"__indirect_call\" }}\n}}\n");
        let text = TEXT.replace("edge: { sourcename: \"*main\" targetname: \"a.c:*large\" }\n", "");
        let frames = [frame("main", 0, &[1], &[]), frame("small", 8, &[], &[7]), frame("large", 32, &[], &[])];
        let inside = text.replace("}\n}\n", &indirect("*main"));
        assert_eq!(bounds(&inside, &frames, &[(2, 7)]).machine.bytes, 108 + ASSEMBLER_FRAME);
        let part = text.replace("*main\" targetname", "*main.part.0\" targetname").replace(
            "node: { title: \"*main\"",
            "edge: { sourcename: \"*main\" targetname: \"*main.part.0\" }\n\
             node: { title: \"*main.part.0\" label: \"f_main\\na.c:1:1\\n4 bytes (static)\" }\nnode: { title: \"*main\"",
        );
        let part = part.replace("}\n}\n", &indirect("*main.part.0"));
        let found = bounds(&part, &frames, &[(2, 7)]).machine;
        assert_eq!(
            (found.bytes, found.path),
            (112 + ASSEMBLER_FRAME, vec!["main".into(), "main.part.0".into(), "large".into()])
        );
        assert_eq!(original("_ZN4corE.llvm.12.isra.0.part.3"), "_ZN4corE.llvm.12");
    }

    #[test]
    fn of_two_functions_of_one_name_the_larger_counts() {
        let other = "node: { title: \"b.c:*large\" label: \"large\\nb.c:1:1\\n4 bytes (static)\" }\n".to_owned();
        for texts in [[TEXT.to_owned(), other.clone()], [other, TEXT.to_owned()]] {
            let found = Calls::new(&texts, &[]).expect("two graphs").bounds("main").expect("it is there");
            assert_eq!(found.machine.bytes, 108 + ASSEMBLER_FRAME);
        }
    }

    #[test]
    fn what_gcc_found_in_the_constant_table_and_put_into_a_function_counts_there() {
        // `main` calls `small` by a constant place of the table, and `small` calls another type: all that stands in `main`.
        let text = TEXT
            .replace("edge: { sourcename: \"*main\" targetname: \"a.c:*large\" }\n", "")
            .replace("}\n}\n", "}\n}\nedge: { sourcename: \"*main\" targetname: \"__indirect_call\" }\n}\n");
        let frames = [frame("main", 0, &[], &[5]), frame("small", 8, &[], &[7]), frame("large", 32, &[], &[])];
        assert_eq!(bounds(&text, &frames, &[(1, 5), (2, 7)]).machine.bytes, 108 + ASSEMBLER_FRAME);
    }

    #[test]
    fn a_function_with_two_names_is_one_under_each() {
        let aliases = vec![("also".to_owned(), "main".to_owned())];
        let module = Translated { aliases, frames: vec![frame("main", 16, &[], &[])], ..Translated::default() };
        let calls = Calls::new(&[TEXT.to_owned()], &[&module]).expect("a graph");
        let [one, other] = ["main", "also"].map(|name| calls.bounds(name).expect("it is there"));
        assert_eq!((one.machine, one.shadow), (other.machine, other.shadow));
    }

    #[test]
    fn what_nobody_knows_is_named() {
        let text = TEXT.replace("__udivsi3_i4i", "strange");
        let found = bounds(&text, &[], &[]).machine;
        assert_eq!(found.unknown, ["strange"]);
        assert!(!found.is_bound());
    }

    #[test]
    fn a_frame_that_the_translator_does_not_understand_is_no_bound() {
        let moved = Frame { shadow: None, ..frame("small", 0, &[], &[]) };
        let found = bounds(TEXT, &[frame("main", 16, &[1], &[]), moved], &[]).shadow;
        assert_eq!((found.bytes, found.unknown.clone(), found.is_bound()), (16, vec!["small".to_owned()], false));
    }

    /// A module that imports its first function.
    fn importing(frames: &[Frame], table: &[(u32, u32)]) -> Translated {
        let function = Function {
            name: "env.outside".to_owned(),
            symbol: "outside".to_owned(),
            parameters: Vec::new(),
            results: Vec::new(),
        };
        let outside = Frame { shadow: None, ..frame("outside", 0, &[], &[]) };
        let frames = [&[outside], frames].concat();
        Translated { frames, table: table.to_vec(), imported: vec![function], ..Translated::default() }
    }

    /// C that calls a function of its own, which calls `back`; and code of the module.
    const OUTSIDE: &str = r#"node: { title: "*outside" label: "outside\nc.c:1:1\n8 bytes (static)" }
node: { title: "c.c:*inner" label: "inner\nc.c:2:1\n4 bytes (static)" }
edge: { sourcename: "*outside" targetname: "c.c:*inner" }
edge: { sourcename: "c.c:*inner" targetname: "*back" }
node: { title: "*main" label: "f_main\na.c:1:1\n8 bytes (static)" }
node: { title: "*back" label: "f_back\na.c:1:1\n12 bytes (static)" }
edge: { sourcename: "*main" targetname: "*outside" }
"#;

    #[test]
    fn c_that_calls_back_into_the_module_counts_on_the_shadow_stack() {
        let module = importing(&[frame("main", 16, &[0], &[]), frame("back", 64, &[], &[])], &[]);
        let found =
            Calls::new(&[OUTSIDE.to_owned()], &[&module]).expect("a graph").bounds("main").expect("it is there");
        assert_eq!((found.shadow.bytes, found.shadow.is_bound()), (80, true));
        assert_eq!(found.shadow.path, ["main", "outside", "inner", "back"]);
        assert_eq!(found.machine.bytes, 8 + 8 + 4 + 12 + ASSEMBLER_FRAME);
        // Nobody knows whom assembler calls.
        let none =
            OUTSIDE.replace("*outside\" label: \"outside\\nc.c:1:1\\n8 bytes (static)\"", "*outside\" label: \"x\"");
        let none = none.replace("edge: { sourcename: \"*outside\" targetname: \"c.c:*inner\" }\n", "");
        let found = Calls::new(&[none], &[&module]).expect("a graph").bounds("main").expect("it is there");
        assert_eq!((found.shadow.unknown, found.machine.unknown), (vec!["outside".into()], vec!["outside".into()]));
    }

    #[test]
    fn c_that_calls_through_a_pointer_may_reach_the_table_and_more() {
        let text = OUTSIDE.replace("targetname: \"*back\"", "targetname: \"__indirect_call\"");
        let module = importing(&[frame("main", 16, &[0], &[]), frame("back", 64, &[], &[])], &[(2, 5)]);
        let found = Calls::new(&[text], &[&module]).expect("a graph").bounds("main").expect("it is there");
        assert_eq!((found.machine.bytes, found.shadow.bytes), (32 + ASSEMBLER_FRAME, 80), "at least");
        for worst in [found.machine, found.shadow] {
            assert_eq!((worst.is_bound(), worst.pointers), (false, vec!["inner".to_owned()]));
        }
    }

    #[test]
    fn a_function_of_c_that_is_called_as_one_of_the_module_counts_beside_it() {
        let text = OUTSIDE.replace("inner", "leaf");
        let leaf = "node: { title: \"a.c:*leaf\" label: \"f_leaf\\na.c:1:1\\n4 bytes (static)\" }\n".to_owned();
        let frames = [frame("main", 16, &[0, 3], &[]), frame("back", 64, &[], &[]), frame("leaf", 32, &[], &[])];
        let found = Calls::new(&[text, leaf], &[&importing(&frames, &[])]).expect("two graphs").bounds("main");
        assert_eq!(found.expect("it is there").shadow.bytes, 16 + 32 + 64);
    }

    #[test]
    fn what_is_imported_and_only_in_the_table_is_called_through_it() {
        let text = "node: { title: \"*main\" label: \"f_main\\na.c:1:1\\n8 bytes (static)\" }
edge: { sourcename: \"*main\" targetname: \"__indirect_call\" }
";
        let module = importing(&[frame("main", 16, &[], &[5])], &[(0, 5)]);
        let found = Calls::new(&[text.to_owned()], &[&module]).expect("a graph").bounds("main").expect("it is there");
        assert_eq!((found.machine.unknown, found.shadow.unknown), (vec!["outside".into()], vec!["outside".into()]));
    }

    #[test]
    fn a_frame_without_a_fixed_size_is_refused() {
        let text = TEXT.replace("100 bytes (static)", "100 bytes (dynamic)");
        let error = Calls::new(&[text], &[]).expect_err("it has no bound");
        assert!(error.what.contains("`large`"), "{error}");
    }
}
