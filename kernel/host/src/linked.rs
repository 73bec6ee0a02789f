//! Components that are linked into this process, and those that are modules: an arena holds the future of either.
//!
//! Job: hold a component's future in a fixed arena, poll it, and forget it. A dead linked-in component's future is overwritten
//! and never dropped: no destructor of it may act after its death. That of a module is this crate's own and holds memory of
//! the host, and nothing that anybody could reach: it is dropped.
#![allow(unsafe_code, reason = "a future of a type that only the component knows lives in memory that is overwritten")]

use std::alloc::Layout;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::ptr::NonNull;
use std::sync::Arc;
use std::task::Poll;

use koboshi_runtime::describe::Description;
use koboshi_runtime::executor;
use koboshi_runtime::life::{Exit, Start};

use crate::module::{BadModule, Module, Turns};

/// Words of an arena are as aligned as any future of a component needs to be.
#[repr(align(64))]
#[derive(Clone, Copy)]
#[allow(dead_code, reason = "it is only room")]
struct Line([u8; 64]);

/// What memory holds that nobody has written.
const RESET: Line = Line([0xDD; 64]);

/// A component's code: its description, and how its future is made.
#[derive(Clone)]
pub struct Linked {
    description: &'static Description,
    layout: Layout,
    make: Arc<dyn Fn(*mut u8) + Send + Sync>,
    poll: unsafe fn(*mut u8) -> Poll<Exit>,
    /// What is done with a dead one's future before it is overwritten.
    forget: unsafe fn(*mut u8),
}

impl Linked {
    /// The component that `start` makes.
    ///
    /// Its future is overwritten at its death and never dropped. So it must not hold what somebody else points into and
    /// relies on a destructor to forget, such as the node of an intrusive list; what `no_std` components hold does not.
    ///
    /// # Panics
    /// If the future wants more than 64-byte alignment: a fault of the component's author.
    pub fn new<S, F>(description: &'static Description, start: S) -> Self
    where
        S: Fn(Start) -> F + Send + Sync + 'static,
        F: Future<Output = Exit> + 'static,
    {
        let layout = Layout::new::<F>();
        assert!(layout.align() <= align_of::<Line>(), "{}: aligned to more than a cache line", description.name);
        Linked {
            description,
            layout,
            make: Arc::new(move |arena| {
                let future = start(Start::now());
                // SAFETY: the arena was made for this layout, and is aligned for it (checked above).
                unsafe { arena.cast::<F>().write(future) };
            }),
            poll: |arena| {
                // SAFETY: `make` has written an `F` here, and only this function uses it.
                let future = unsafe { &mut *arena.cast::<F>() };
                // SAFETY: nobody moves it; it is overwritten where it lies.
                let future = unsafe { Pin::new_unchecked(future) };
                executor::turn(future)
            },
            forget: |_| {},
        }
    }

    /// The component whose code is this module, and which is described so.
    ///
    /// # Errors
    /// [`BadModule`]: no module can be a component with so many ports or lines.
    pub fn module(description: &'static Description, module: &Module) -> Result<Self, BadModule> {
        Module::fits(description)?;
        let module = module.clone();
        let linked = Linked::new(description, move |_| Turns::begin(&module, description));
        // SAFETY: whoever calls this says that `make` has written a `Turns` here, which nobody uses any more.
        Ok(Linked { forget: |arena| unsafe { arena.cast::<Turns>().drop_in_place() }, ..linked })
    }

    /// What the component says of itself.
    #[must_use]
    pub const fn description(&self) -> &'static Description {
        self.description
    }

    /// Bytes that the component keeps between two waits.
    #[must_use]
    pub const fn size(&self) -> usize {
        self.layout.size()
    }
}

/// The memory of a linked-in component.
///
/// It is known by one pointer from beginning to end: a future points into itself between its turns, so nobody may claim
/// its memory as his alone in the meantime.
pub(crate) struct Arena {
    linked: Linked,
    memory: NonNull<[MaybeUninit<Line>]>,
    holds: bool,
}

impl Arena {
    pub(crate) fn new(linked: Linked) -> Self {
        let lines = linked.layout.size().div_ceil(size_of::<Line>()).max(1);
        let memory = NonNull::from(Box::leak(vec![MaybeUninit::new(RESET); lines].into_boxed_slice()));
        Arena { linked, memory, holds: false }
    }

    /// What the component says of itself.
    pub(crate) const fn description(&self) -> &'static Description {
        self.linked.description
    }

    /// Whether this is its code.
    pub(crate) fn holds_code(&self, code: &Linked) -> bool {
        Arc::ptr_eq(&self.linked.make, &code.make)
    }

    const fn start(&self) -> *mut u8 {
        self.memory.as_ptr().cast()
    }

    /// Resets the memory and makes the future anew.
    pub(crate) fn load(&mut self) {
        self.clear();
        (self.linked.make)(self.start());
        self.holds = true;
    }

    /// Overwrites the future. One that is linked in is not dropped.
    pub(crate) fn clear(&mut self) {
        if std::mem::take(&mut self.holds) {
            let forget = self.linked.forget;
            // SAFETY: `holds` said that `load` has written the future that this function forgets, and it says so no longer.
            unsafe { forget(self.start()) };
        }
        // SAFETY: the memory is this arena's, and the future in it, which alone points into it, never runs again.
        unsafe { self.memory.as_mut() }.fill(MaybeUninit::new(RESET));
    }

    /// Polls the future; `None` if there is none.
    pub(crate) fn poll(&mut self) -> Option<Poll<Exit>> {
        if !self.holds {
            return None;
        }
        let poll = self.linked.poll;
        // SAFETY: `holds` says that `load` has written the future that this function polls.
        Some(unsafe { poll(self.start()) })
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        self.clear();
        // SAFETY: the pointer came from `Box::leak`, and a future that lies in the memory never runs again.
        drop(unsafe { Box::from_raw(self.memory.as_ptr()) });
    }
}
