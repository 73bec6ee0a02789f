//! `gauge`: what is called for the sake of being counted.

use koboshi_interface_kit::interface;
use koboshi_interface_kit::wire::Bytes;

interface! {
    /// What is measured.
    service gauge;

    | operation | contract | request   | reply     | deadline | meaning                                                      |
    | --------- | -------- | --------- | --------- | -------- | ------------------------------------------------------------ |
    | nothing   | Pure     | ()        | ()        | 100 s    | "Nothing."                                                   |
    | block     | Pure     | Bytes<64> | Bytes<64> | 100 s    | "The same bytes."                                            |
    | arm       | Pure     | ()        | ()        | 100 s    | "An interrupt comes once the answer is given."               |
    | fall      | Pure     | ()        | ()        | 100 s    | "Kills the server, whose next incarnation answers." |
}
