//! How components can be knocked over, in the words of a person.

use koboshi_host::strike::How;
use koboshi_interface_kit::Kind;
use koboshi_runtime::Description;
use koboshi_runtime::describe::Side;

/// What some of them need.
pub(crate) const NEEDS: &str =
    "bad-message and drop-reply need one that serves requests, corrupt-state one that keeps state.";

/// The ways in which a component with this description can be knocked over.
pub(crate) fn ways(description: &Description) -> Vec<How> {
    let answers =
        description.ports.iter().any(|port| port.side == Side::Offers && port.interface.kind == Kind::Service);
    let possible = |how: &How| match how {
        How::BadMessage | How::DropReply => answers,
        How::CorruptState => description.kept.is_some(),
        How::Panic | How::Hang | How::Exit => true,
    };
    How::ALL.into_iter().filter(possible).collect()
}
