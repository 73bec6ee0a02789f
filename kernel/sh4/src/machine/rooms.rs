//! Rooms: where the programs of a component are that others may take the place of.
//!
//! Job: fill the free room with what its loader gives, and let a component begin from the one that the core names.
//!
//! Rules kept here:
//! - Nobody writes a room that is in use, or that a swap may go back to. The kernel copies, piece by piece; no component has a
//!   room mapped to write.
//! - What stands in a room is an allegation, like all that comes from a component. It can harm whoever runs it, and nobody else:
//!   where it begins is an address in user mode, and its variables are looked up in the room and in its own memory.
//!
//! It must never: judge a program. Whoever may load has done that.

use koboshi_core::ComponentId;
use koboshi_core::kernel::SwapPhase;
use koboshi_core::sync::{AtomicU32, Ordering};
use koboshi_sh4_abi::{answer, room, state_in_words};

use super::Machine;
use crate::memory;
use crate::plan::{Plan, Region, Reset, Rights, Rooms};
use crate::registers as register;

unsafe extern "C" {
    // Both are in `start.S`.
    safe fn koboshi_write_back(address: u32, lines: u32);
    safe fn koboshi_forget_code();
}

/// Bytes of a cache line.
const LINE: u32 = 32;

/// Fills the first rooms with the image's own programs: the machine begins, and whatever was there was another life's.
pub(super) fn fill(plan: &Plan) {
    for rooms in plan.components.iter().filter_map(|component| component.rooms) {
        let (from, words) = rooms.own;
        let copied = words.saturating_sub(room::TABLE);
        let bytes = copied.wrapping_mul(4);
        let end = rooms.at[0].wrapping_add(rooms.size);
        memory::reset(&Reset { to: rooms.at[0], from, copied: room::TABLE, zeroed: 0 });
        let to = end.wrapping_sub(bytes);
        memory::reset(&Reset { to, from: from.wrapping_add(4 * room::TABLE), copied, zeroed: 0 });
        write_back(to, bytes);
    }
    koboshi_forget_code();
}

fn write_back(address: u32, bytes: u32) {
    let first = address & !(LINE - 1);
    let end = address.wrapping_add(bytes).wrapping_add(LINE - 1) & !(LINE - 1);
    if first != end {
        koboshi_write_back(memory::p1(first), end.wrapping_sub(first) / LINE);
    }
}

impl Machine {
    /// What a component may reach.
    pub(super) fn regions(&self, id: ComponentId) -> &'static [Region] {
        let Some(component) = self.component(id) else { return &[] };
        match component.rooms {
            Some(rooms) if self.in_second & id.bit() != 0 => rooms.regions,
            _ => component.regions,
        }
    }

    /// Makes a component's variables begin anew from the room that it is to run from, and that room the one that it sees; gives its
    /// first instruction. `None`: what stands there is no program.
    pub(super) fn load_from_room(&mut self, id: ComponentId, rooms: &'static Rooms) -> Option<u32> {
        let second = self.kernel.place(id) != 0;
        if second != (self.in_second & id.bit() != 0) {
            self.in_second ^= id.bit();
            // What the processor remembers of this component is of the other room.
            register::MMUCR.write(register::MMUCR_ON);
            koboshi_forget_code();
        }
        let regions = self.regions(id);
        if let (Some(context), Some(first)) = (self.context(id), regions.first()) {
            context.regions = first;
        }
        let at = rooms.at[usize::from(second)];
        let [entry, initial, copied, zeroed] = [room::ENTRY, room::INITIAL, room::COPIED, room::ZEROED]
            .map(|word| memory::word(at.wrapping_add(4 * word)).load(Ordering::Relaxed));
        let words = copied.checked_add(zeroed).filter(|words| *words <= rooms.size / 4);
        words?;
        let in_room = Region::at(room::SEEN_END.wrapping_sub(rooms.size), rooms.size, at, Rights::Read);
        let from = in_room.memory(initial, copied.wrapping_mul(4)).filter(|from| from.is_multiple_of(4));
        let from = if copied == 0 { Some(at) } else { from };
        memory::reset(&Reset { to: rooms.variables, from: from?, copied, zeroed });
        Some(entry)
    }

    /// Whether a component may put something into the free room of another one: an answer of [`answer`] if not.
    fn free_room(&self, id: ComponentId, target: u32) -> Result<(ComponentId, &'static Rooms, u32), u32> {
        let target = u8::try_from(target).map(ComponentId).map_err(|_| answer::UNKNOWN)?;
        let rooms = self.component(target).ok_or(answer::UNKNOWN)?.rooms;
        let may = self.kernel.component(id).is_some_and(|component| component.rights.load & target.bit() != 0);
        let rooms = rooms.filter(|_| may).ok_or(answer::RIGHT)?;
        let used = self.kernel.place(target);
        let in_use = u8::from(self.in_second & target.bit() != 0);
        if self.kernel.swap_phase(target) != SwapPhase::None || in_use != used {
            let state = self.kernel.standing(target).map_or(0, |(state, _)| state_in_words(state));
            return Err(answer::STATE | state);
        }
        let at = if used == 0 { rooms.at[1] } else { rooms.at[0] };
        Ok((target, rooms, at))
    }

    /// A component puts bytes into the free room of another one: so many of the `count` from `from` on, at `offset`.
    pub(super) fn put(&mut self, id: ComponentId, target: u32, offset: u32, from: u32, count: u32) -> u32 {
        let (target, rooms, at) = match self.free_room(id, target) {
            Ok(found) => found,
            Err(refused) => return refused,
        };
        let end = offset.checked_add(count).filter(|end| *end <= rooms.size);
        if end.is_none() || !offset.is_multiple_of(4) || !count.is_multiple_of(4) || count > room::MOST {
            return answer::RIGHT;
        }
        let Some(bytes) = memory::shown(self.regions(id), from, count, count) else { return answer::RIGHT };
        self.kernel.forget_before(target);
        let to = at.wrapping_add(offset);
        let words: &[AtomicU32] = memory::words(to, count / 4);
        for (word, bytes) in words.iter().zip(bytes.as_chunks::<4>().0) {
            word.store(u32::from_le_bytes(*bytes), Ordering::Relaxed);
        }
        write_back(to, count);
        answer::DONE
    }
}
