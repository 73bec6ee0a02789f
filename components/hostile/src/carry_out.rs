//! Going through the attacks.

use core::fmt::Write;
use core::future::pending;
use core::hint::spin_loop;

use heapless::String;
use koboshi_core::sync::Ordering;
use koboshi_interface_kit::Duration;
use koboshi_interfaces::control;
use koboshi_interfaces::{ComponentId, Incarnation};
use koboshi_runtime::platform::{koboshi_begin, koboshi_configuration, koboshi_port, koboshi_ring, koboshi_window};
use koboshi_runtime::{Exit, Kept, RequestPort, Start, log, now, sleep};

use crate::arms;
use crate::attack::{Arguments, Attack, Width};
use crate::hostile::{CONTROL, KEPT, Place};

/// Before each attack, so that the others have had their turns since the last one.
const PAUSE: Duration = Duration::from_micros(300);

/// Between two fillings of a half.
const FORGE_PAUSE: Duration = Duration::from_micros(100);

/// How often a half is filled.
const FORGERIES: u32 = 40;

/// How often it waits when it is to close its window.
const WAITS: u32 = 2_000;

/// The traps that wait, ring, and say that a window is closed.
const WAIT: u8 = 0;
const RING: u8 = 1;
const WINDOW_CLOSED: u8 = 11;

/// Where a component finds, in its page to read, that it is to close its window.
const END_WANTED: u32 = 12;

/// One incarnation: it goes on behind the attack that ended the one before.
pub async fn start(_: Start) -> Exit {
    let mut kept = Kept::<Place>::open(KEPT);
    let mut place = kept.load().unwrap_or_default();
    let Ok((arguments, mut rest)) = postcard::take_from_bytes::<Arguments>(koboshi_configuration()) else {
        return Exit::Unfit("the attacks are not described");
    };
    let mut number = 0;
    while let Ok((attack, behind)) = postcard::take_from_bytes::<Attack>(rest) {
        rest = behind;
        number += 1;
        if number <= place.next {
            continue;
        }
        sleep(PAUSE).await;
        place.next = number;
        kept.store(&place);
        say(format_args!("attack {}", number - 1));
        let found = carry_out(attack, &arguments).await;
        say(format_args!("goes on with {found:#x}"));
    }
    say(format_args!("no more attacks"));
    pending().await
}

fn say(text: core::fmt::Arguments<'_>) {
    let mut line = String::<60>::new();
    // A line that is too long is cut.
    let _ = line.write_fmt(text);
    log(&line);
}

async fn carry_out(attack: Attack, arguments: &Arguments) -> u32 {
    match attack {
        Attack::Read(width, address) => return arms::read(width, address),
        Attack::Write(width, address) => arms::write(width, address),
        Attack::Jump(address) => return arms::jump(address),
        Attack::Instruction(number, operand) => return arms::instruction(number, operand),
        Attack::Trap(number, at) => {
            return arms::trap(number, arguments.get(usize::from(at)).copied().unwrap_or_default());
        }
        Attack::MachineStack(step) => arms::machine_stack(step),
        Attack::ModuleStack(step) => arms::module_stack(step),
        Attack::Forge(port, seed) => forge(port, seed).await,
        Attack::Flood(thousands) => {
            for _ in 0..thousands * 10 {
                for _ in 0..100 {
                    arms::trap(RING, [u32::MAX; 4]);
                }
                sleep(Duration::from_micros(1)).await;
            }
        }
        Attack::Endless => endless(),
        Attack::EndlessInWindow => {
            koboshi_window(true);
            endless()
        }
        Attack::Reopens => loop {
            koboshi_window(true);
            arms::trap(WINDOW_CLOSED, [0; 4]);
        },
        Attack::WaitInWindow(page) => {
            koboshi_window(true);
            while arms::read(Width::Word, page + END_WANTED) == 0 {}
            for _ in 0..WAITS {
                // Until a time that has passed: it comes back at once.
                arms::trap(WAIT, [0, 1, 0, 0]);
            }
            koboshi_window(false);
        }
        Attack::ToldInWindow(own) => {
            if let Ok(mut control) = RequestPort::open::<control::Port>(CONTROL) {
                let run = Incarnation { component: ComponentId(own), epoch: koboshi_begin().0 };
                koboshi_window(true);
                control.send_message::<control::operation::restart>(&run, 0, now() + Duration::from_secs(1));
                arms::trap(RING, [1 << CONTROL, 0, 0, 0]);
                endless()
            }
        }
    }
    0
}

fn endless() -> ! {
    loop {
        spin_loop();
    }
}

/// Fills the component's own half of a port, positions and slots, with words of all kinds that may lead a reader astray.
async fn forge(port: u8, seed: u32) {
    let Some(memory) = koboshi_port(port) else { return };
    let mut state = seed | 1;
    for _ in 0..FORGERIES {
        for word in memory.own {
            // Marsaglia's xorshift, 13, 17, 5.
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            let (near, kind) = (state >> 8 & 0x1F, state & 7);
            let before = word.load(Ordering::Relaxed);
            let value = match kind {
                0 => state,
                1 => near,
                2 => near.wrapping_neg(),
                3 => before.wrapping_add(near),
                4 => before ^ 1 << near,
                5 => koboshi_begin().0.wrapping_add(near),
                _ => continue,
            };
            word.store(value, Ordering::Relaxed);
        }
        koboshi_ring(port);
        sleep(FORGE_PAUSE).await;
    }
}
