//! A component's description as packages have it: what one says of itself, and what an image expects of one.

use koboshi_interface_kit::Key;
use koboshi_package::{Kept, Port, Side, spell, spell_state};
use koboshi_runtime::describe::{self, Description};

/// A component's ports and its kept state, with their schemas as texts.
#[derive(Clone, Debug)]
pub struct Spelt {
    description: &'static Description,
    ports: Vec<String>,
    kept: Option<(Key, String)>,
}

impl Spelt {
    /// Of this component.
    #[must_use]
    pub fn of(description: &'static Description) -> Self {
        // Writing into a String cannot fail.
        let port = |port: &describe::PortDescription| {
            let mut text = String::new();
            let _ = spell(port.interface, &mut text);
            text
        };
        let kept = description.kept.map(|kept| {
            let mut text = String::new();
            let _ = spell_state(kept.schema, &mut text);
            (kept.key, text)
        });
        Spelt { description, ports: description.ports.iter().map(port).collect(), kept }
    }

    /// Its ports, in the order in which it opens them.
    #[must_use]
    pub fn ports(&self) -> Vec<Port<'_>> {
        let ports = self.description.ports.iter().zip(&self.ports);
        ports
            .map(|(port, schema)| Port {
                name: port.name,
                side: match port.side {
                    describe::Side::Offers => Side::Offers,
                    describe::Side::Uses => Side::Uses,
                },
                interface: port.interface.path,
                key: port.interface.key,
                schema,
            })
            .collect()
    }

    /// What it keeps.
    #[must_use]
    pub fn kept(&self) -> Option<Kept<'_>> {
        self.kept.as_ref().map(|(key, schema)| Kept { key: *key, schema })
    }
}
