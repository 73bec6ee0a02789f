//! An image with more of something than can be named is refused by name, before anything is made.

use koboshi_core::ComponentId;
use koboshi_core::kernel::Rights;
use koboshi_host::image::{Connection, Costs, Image, ImageComponent, PortEnd, WhenGone};
use koboshi_host::linked::Linked;
use koboshi_host::machine::{ImageError, Machine, Options};
use koboshi_interfaces::serial;
use koboshi_runtime::Description;

const FOUR_LINES: Description =
    Description { name: "lines", ports: &[], devices: &[], interrupts: &["a", "b", "c", "d"], kept: None };

const FIVE_LINES: Description = Description { interrupts: &["a", "b", "c", "d", "e"], ..FOUR_LINES };

fn image(descriptions: impl IntoIterator<Item = &'static Description>, connections: usize) -> Image {
    let component = |description| ImageComponent {
        swappable: None,
        name: "some".to_owned(),
        linked: Linked::new(description, |_| std::future::pending()),
        vcpu: 0,
        respond_within: 1_000_000,
        recover_within: None,
        configuration: vec![],
        rights: Rights::default(),
    };
    let end = PortEnd { component: ComponentId(0), port: 0 };
    let connection = Connection {
        interface: &serial::INTERFACE,
        near: end,
        far: end,
        slots: 8,
        routed: false,
        when_gone: WhenGone::default(),
    };
    Image {
        components: descriptions.into_iter().map(component).collect(),
        connections: vec![connection; connections],
        devices: vec![],
        manager: None,
        costs: Costs::default(),
    }
}

fn refused(image: &Image) -> Option<ImageError> {
    Machine::new(image, Options::default()).err()
}

#[test]
fn sixty_four_components_and_256_lines_fit_and_one_more_of_either_does_not() {
    assert_eq!(refused(&image([&FOUR_LINES; 64], 0)), None);
    assert_eq!(refused(&image([&FOUR_LINES; 65], 0)), Some(ImageError::Components { found: 65 }));
    let mut one_more = [&FOUR_LINES; 64];
    one_more[7] = &FIVE_LINES;
    let error = refused(&image(one_more, 0)).unwrap();
    assert_eq!(error, ImageError::Lines { found: 257 });
    assert_eq!(error.to_string(), "257 interrupt lines; an image holds at most 256");
}

#[test]
fn a_port_more_than_can_be_named_is_refused_before_its_ends_are_looked_at() {
    let error = refused(&image([&FOUR_LINES], 65_536)).unwrap();
    assert_eq!(error, ImageError::Ports { found: 65_536 });
    assert_eq!(error.to_string(), "65536 connections; an image holds at most 65535");
    let error = refused(&image([&FOUR_LINES], 65_535)).unwrap();
    assert!(matches!(error, ImageError::Connection { number: 0, .. }), "as many can be named: {error}");
}
