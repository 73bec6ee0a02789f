//! The README tells the truth: its code stands in the files that it names.

use std::path::Path;

#[test]
fn code_in_the_readme_stands_in_the_file_that_it_names() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
    let mut blocks = 0;
    for block in readme.split("```rust,").skip(1) {
        let (name, rest) = block.split_once('\n').unwrap();
        let code = rest.split("```").next().unwrap();
        let file = std::fs::read_to_string(root.join(name)).unwrap();
        assert!(file.contains(code), "{name} has no such lines:\n{code}");
        blocks += 1;
    }
    assert_eq!(blocks, 5, "a block that names no file is not checked");
}
