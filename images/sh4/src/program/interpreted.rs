//! A module as an interpreter without threads runs it.
//!
//! Atomic accesses keep their order in the compiler and become ordinary ones here: the interpreter changes no order, so
//! whoever looks at the memory at any moment sees what was stored by then. An interpreter that counts fuel may stop at each
//! loop. So an empty loop before each of these stores and before each imported function is a place where it can: a test
//! can end a component between any two of them.
//!
//! It must never: change what a module does.

use std::convert::Infallible;

use wasm_encoder::reencode::{Error, Reencode, utils};
use wasm_encoder::{BlockType, CodeSection, ImportSection, Instruction, Module};
use wasmparser::{FunctionBody, ImportSectionReader, Operator, Parser, TypeRef, Validator, WasmFeatures};

use crate::tools::Trouble;

/// The module as it is interpreted. What else is in it than code and memory is left out.
pub(super) fn of(wasm: &[u8]) -> Result<Vec<u8>, Trouble> {
    let mut rewriter = Rewriter { imported: 0 };
    let mut module = Module::new();
    rewriter.parse_core_module(&mut module, Parser::new(0), wasm).map_err(|error| {
        Trouble::new(format!("the module cannot be read: {error}"), "please report it, with the version of Rust.")
    })?;
    let module = module.finish();
    let features = WasmFeatures::default().difference(WasmFeatures::THREADS);
    Validator::new_with_features(features).validate_all(&module).map_err(|error| {
        Trouble::new(
            format!("the module does what an interpreter without threads cannot do: {error}"),
            "components share memory by words that one side stores and the other loads: do not use read-modify-write.",
        )
    })?;
    Ok(module)
}

struct Rewriter {
    /// Functions with lower numbers are imported.
    imported: u32,
}

/// An ordinary access that does the same as this atomic one, if there is one; anything else as it is.
fn ordinary(found: Operator<'_>) -> Operator<'_> {
    use Operator as O;
    match found {
        O::I32AtomicLoad { memarg } => O::I32Load { memarg },
        O::I64AtomicLoad { memarg } => O::I64Load { memarg },
        O::I32AtomicLoad8U { memarg } => O::I32Load8U { memarg },
        O::I32AtomicLoad16U { memarg } => O::I32Load16U { memarg },
        O::I64AtomicLoad8U { memarg } => O::I64Load8U { memarg },
        O::I64AtomicLoad16U { memarg } => O::I64Load16U { memarg },
        O::I64AtomicLoad32U { memarg } => O::I64Load32U { memarg },
        O::I32AtomicStore { memarg } => O::I32Store { memarg },
        O::I64AtomicStore { memarg } => O::I64Store { memarg },
        O::I32AtomicStore8 { memarg } => O::I32Store8 { memarg },
        O::I32AtomicStore16 { memarg } => O::I32Store16 { memarg },
        O::I64AtomicStore8 { memarg } => O::I64Store8 { memarg },
        O::I64AtomicStore16 { memarg } => O::I64Store16 { memarg },
        O::I64AtomicStore32 { memarg } => O::I64Store32 { memarg },
        O::AtomicFence { .. } => O::Nop,
        other => other,
    }
}

/// Whether an atomic access stores.
fn stores(found: &Operator<'_>) -> bool {
    use Operator as O;
    matches!(
        found,
        O::I32AtomicStore { .. }
            | O::I64AtomicStore { .. }
            | O::I32AtomicStore8 { .. }
            | O::I32AtomicStore16 { .. }
            | O::I64AtomicStore8 { .. }
            | O::I64AtomicStore16 { .. }
            | O::I64AtomicStore32 { .. }
    )
}

impl Reencode for Rewriter {
    type Error = Infallible;

    fn parse_import_section(
        &mut self,
        imports: &mut ImportSection,
        section: ImportSectionReader<'_>,
    ) -> Result<(), Error<Infallible>> {
        for import in section.clone().into_imports() {
            self.imported += u32::from(matches!(import?.ty, TypeRef::Func(_)));
        }
        utils::parse_import_section(self, imports, section)
    }

    fn parse_function_body(&mut self, code: &mut CodeSection, body: FunctionBody<'_>) -> Result<(), Error<Infallible>> {
        let mut function = self.new_function_with_parsed_locals(&body)?;
        for found in body.get_operators_reader()? {
            let found = found?;
            let is_import = matches!(found, Operator::Call { function_index } if function_index < self.imported);
            if is_import || stores(&found) {
                function.instruction(&Instruction::Loop(BlockType::Empty)).instruction(&Instruction::End);
            }
            function.instruction(&self.instruction(ordinary(found))?);
        }
        code.function(&function);
        Ok(())
    }

    /// They are about the code as it was.
    fn parse_custom_section(
        &mut self,
        _: &mut Module,
        _: wasmparser::CustomSectionReader<'_>,
    ) -> Result<(), Error<Infallible>> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(text: &str) -> Result<Vec<String>, Trouble> {
        let wasm = of(&wat::parse_str(text).expect("it is WebAssembly"))?;
        let bodies = Parser::new(0).parse_all(&wasm).filter_map(|part| match part.expect("it can be read") {
            wasmparser::Payload::CodeSectionEntry(body) => Some(body),
            _ => None,
        });
        let names = bodies.flat_map(|body| body.get_operators_reader().expect("it can be read")).map(|found| {
            let found = format!("{:?}", found.expect("it can be read"));
            found.split(' ').next().unwrap_or_default().to_owned()
        });
        Ok(names.collect())
    }

    #[test]
    fn atomic_accesses_become_ordinary_ones_and_each_store_is_a_place_to_stop_at() {
        let text = r#"(module (import "env" "f" (func $f)) (memory 1) (func
            (i32.atomic.store (i32.const 4) (i32.atomic.load (i32.const 8)))
            atomic.fence
            (i32.store (i32.const 12) (i32.const 1))
            call $f
            call 1))"#;
        let wanted = [
            "I32Const", "I32Const", "I32Load", "Loop", "End", "I32Store", "Nop", "I32Const", "I32Const", "I32Store",
            "Loop", "End", "Call", "Call", "End",
        ];
        assert_eq!(rewritten(text).expect("it can be done"), wanted);
    }

    #[test]
    fn read_modify_write_is_refused_and_says_so() {
        let text = "(module (memory 1) (func (drop (i32.atomic.rmw.add (i32.const 4) (i32.const 1)))))";
        let refused = rewritten(text).expect_err("it cannot be done");
        assert!(refused.what.contains("threads"), "{refused}");
    }
}
