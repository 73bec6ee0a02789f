//! The interface table: the one macro of the project.
//!
//! The rules: it knows no contract by name (types do the rest), it makes up no names, and a mistake in a table is
//! reported at its cell, or with the name of its row. It must never hold logic that could stand in a function.

/// Writes one interface, from a table that a person can read. One table to a module.
///
/// A service:
///
/// ```
/// # use koboshi_interface_kit as kit;
/// mod counter {
///     koboshi_interface_kit::interface! {
///         /// Counts.
///         service counter;
///
///         | operation | contract   | request | reply | deadline | meaning                 |
///         | --------- | ---------- | ------- | ----- | -------- | ----------------------- |
///         | value     | Pure       | ()      | u32   | 10 ms    | "How far it has come."  |
///         | add       | AtMostOnce | u32     | u32   | 10 ms    | "Adds, and says where." |
///     }
/// }
/// struct Counter(u32);
/// impl counter::Server for Counter {
///     async fn value(&mut self, _: ()) -> u32 {
///         self.0
///     }
///     async fn add(&mut self, by: u32) -> u32 {
///         self.0 = self.0.wrapping_add(by);
///         self.0
///     }
/// }
/// assert_eq!(counter::INTERFACE.operations[1].contract, kit::ContractKind::AtMostOnce);
/// ```
///
/// It yields `Port`, `operation` (one type for each row), `Server`, `serve`, `Client` and `INTERFACE`. The method of a
/// `Resumable<P>` operation gets a further argument, its `Progress<P>`. Deadlines are in `ns`, `us`, `ms` or `s`.
///
/// A stream:
///
/// ```
/// mod ticks {
///     koboshi_interface_kit::interface! {
///         /// A clock's ticks.
///         stream ticks: u32, "The number of the tick.";
///     }
/// }
/// assert_eq!(ticks::INTERFACE.payload, 5);
/// ```
///
/// It yields `Port` and `INTERFACE`.
#[macro_export]
macro_rules! interface {
    (
        $(#[doc = $doc:literal])+
        stream $stream:ident : $item:ty, $meaning:literal;
    ) => {
        $(#[doc = $doc])+
        #[doc = ""]
        #[doc = concat!("Its items, [`", stringify!($item), "`]: ", $meaning)]
        #[derive(Debug, Clone, Copy)]
        pub struct Port;

        const _: () = assert!(
            $crate::private::item::<Port>() <= $crate::MAX_MESSAGE,
            concat!("an item of `", stringify!($stream), "` can be larger than any message may be")
        );

        impl $crate::Stream for Port {
            type Item = $item;
            const NAME: &'static str = stringify!($stream);
            const PATH: &'static str = concat!(env!("CARGO_PKG_NAME"), "/", stringify!($stream));
            const KEY: $crate::Key =
                $crate::Ingredients::of_stream::<Self>($crate::private::item::<Self>()).key();
        }

        #[doc = concat!("`", stringify!($stream), "` as data.")]
        pub const INTERFACE: $crate::Interface = $crate::private::stream::<Port>($meaning);
    };
    (
        $(#[doc = $doc:literal])+
        service $service:ident;

        | operation | contract | request | reply | deadline | meaning |
        | $(-)+ | $(-)+ | $(-)+ | $(-)+ | $(-)+ | $(-)+ |
        $(
            | $operation:ident
            | $contract:ident $(<$progress:ty>)?
            | $request:ty
            | $reply:ty
            | $deadline:literal $unit:ident
            | $meaning:literal |
        )+
    ) => {
        $(#[doc = $doc])+
        #[derive(Debug, Clone, Copy)]
        pub struct Port;

        const PAYLOAD: usize = $crate::private::largest(&[$(
            $crate::private::request::<operation::$operation>(),
            $crate::private::reply::<operation::$operation>(),
        )+]);

        const ROWS: &[$crate::Row] = &[$($crate::Row::of::<operation::$operation>($meaning)),+];

        impl $crate::Service for Port {
            const NAME: &'static str = stringify!($service);
            const PATH: &'static str = concat!(env!("CARGO_PKG_NAME"), "/", stringify!($service));
            const KEY: $crate::Key = $crate::Key::of_service(Self::PATH, ROWS);
        }

        #[doc = concat!("`", stringify!($service), "` as data.")]
        pub const INTERFACE: $crate::Interface =
            $crate::private::service::<Port>(PAYLOAD, ROWS, concat!($($doc),+));

        #[doc = concat!("The operations of `", stringify!($service), "`, each as a type.")]
        #[allow(non_camel_case_types, reason = "an operation is called as in its table")]
        pub mod operation {
            $(
                #[doc = $meaning]
                pub struct $operation;
            )+

            /// Counts the rows.
            #[repr(u8)]
            pub(super) enum Index { $($operation),+ }
        }

        $(
            const _: () = assert!(
                $crate::private::request::<operation::$operation>() <= $crate::MAX_MESSAGE,
                concat!("a request of `", stringify!($operation), "` can be larger than any message may be")
            );
            const _: () = assert!(
                $crate::private::reply::<operation::$operation>() <= $crate::MAX_MESSAGE,
                concat!("a reply of `", stringify!($operation), "` can be larger than any message may be")
            );

            $(const _: () = $crate::private::is_a_step::<$progress>();)?

            impl $crate::Operation for operation::$operation {
                type Service = Port;
                type Request = $request;
                type Reply = $reply;
                type Contract = $crate::private::contract::$contract $(<$progress>)?;
                const NAME: &'static str = stringify!($operation);
                const INDEX: u8 = operation::Index::$operation as u8;
                const DEADLINE: $crate::Duration = $crate::private::unit::$unit($deadline);
                const KEY: $crate::Key = $crate::Ingredients::of_operation::<Self>(PAYLOAD).key();
            }
        )+

        #[doc = concat!("What whoever serves `", stringify!($service), "` writes.")]
        #[allow(async_fn_in_trait, reason = "components are single-threaded")]
        pub trait Server {
            $(
                #[doc = $meaning]
                #[doc = ""]
                #[doc = concat!("Contract: `", stringify!($contract $(<$progress>)?), "`.")]
                async fn $operation(
                    &mut self,
                    request: $request
                    $(, progress: $crate::Progress<$progress>)?
                ) -> $reply;
            )+
        }

        #[doc = concat!("Serves `", stringify!($service), "` for as long as the component runs.")]
        pub async fn serve<S: Server, E: $crate::ServerEnd>(mut server: S, mut end: E) -> ::core::convert::Infallible {
            loop {
                let taken = end.next().await;
                match E::operation(&taken) {
                    $(
                        index if index == <operation::$operation as $crate::Operation>::INDEX => {
                            match $crate::private::asked::<operation::$operation, E>(&end, &taken) {
                                Some(request) => {
                                    let reply = server.$operation(
                                        request
                                        $(, $crate::Progress::<$progress>::new(end.progress(&taken)))?
                                    ).await;
                                    $crate::private::answer::<operation::$operation, E>(&mut end, taken, &reply).await;
                                }
                                None => end.refuse(taken),
                            }
                        }
                    )+
                    _ => end.refuse(taken),
                }
            }
        }

        #[doc = concat!("Whether these bytes are a reply to this operation of `", stringify!($service), "`.")]
        #[must_use]
        pub fn readable(operation: u8, reply: &[u8]) -> bool {
            match operation {
                $(
                    index if index == <operation::$operation as $crate::Operation>::INDEX => {
                        $crate::decode::<$reply>(reply).is_some()
                    }
                )+
                _ => false,
            }
        }

        #[doc = concat!("Asks a server of `", stringify!($service), "`.")]
        #[derive(Debug)]
        pub struct Client<E> {
            end: E,
        }

        #[allow(dead_code, reason = "nobody has to call every operation")]
        impl<E: $crate::ClientEnd> Client<E> {
            /// Asks through `end`.
            pub const fn new(end: E) -> Self {
                Self { end }
            }

            /// The end that this asks through, for what is not a call.
            pub fn end(&mut self) -> &mut E {
                &mut self.end
            }

            /// The same, with `deadline` instead of the table's.
            pub fn within(&mut self, deadline: $crate::Duration) -> Client<$crate::Within<'_, E>> {
                Client::new($crate::Within::new(&mut self.end, deadline))
            }

            /// Waits on for the answer to a request that was late, for as long again.
            ///
            /// # Errors
            ///
            /// What `Failure` says; it may be late again.
            pub async fn wait<O: $crate::Operation<Service = Port>>(
                &mut self,
                ticket: $crate::Ticket<O>,
            ) -> ::core::result::Result<O::Reply, $crate::Failure<O>> {
                self.end.wait::<O>(ticket, O::DEADLINE).await
            }

            $(
                #[doc = $meaning]
                #[doc = ""]
                #[doc = concat!(
                    "Contract: `", stringify!($contract $(<$progress>)?),
                    "`. Waits for ", $deadline, " ", stringify!($unit), " at most."
                )]
                #[doc = ""]
                #[doc = "# Errors"]
                #[doc = ""]
                #[doc = "What `Failure` says."]
                pub async fn $operation(
                    &mut self,
                    request: $request,
                ) -> ::core::result::Result<$reply, $crate::Failure<operation::$operation>> {
                    let deadline = <operation::$operation as $crate::Operation>::DEADLINE;
                    self.end.call::<operation::$operation>(&request, deadline).await
                }
            )+
        }
    };
}

/// What the macro's output calls. Not for anybody else.
#[doc(hidden)]
pub mod private {
    use crate::ends::ServerEnd;
    use crate::port::{Operation, Service, Stream};
    use crate::progress::Step;
    use crate::row::{Interface, Kind, Row};
    use crate::{MaxSize, Schema};

    /// The contracts, under the names that a table uses.
    pub mod contract {
        pub use crate::contract::{AtMostOnce, Idempotent, Pure, Resumable};
    }

    /// The units of a deadline.
    pub mod unit {
        use crate::Duration;

        pub const fn ns(count: u64) -> Duration {
            Duration::from_nanos(count)
        }

        pub const fn us(count: u64) -> Duration {
            Duration::from_micros(count)
        }

        pub const fn ms(count: u64) -> Duration {
            Duration::from_millis(count)
        }

        pub const fn s(count: u64) -> Duration {
            Duration::from_secs(count)
        }
    }

    // The bounds of these are on the operation, not on its messages: a message that is none is reported once, in its cell.

    /// Points at the cell if `P` cannot be kept as progress.
    pub const fn is_a_step<P: Step>() {}

    /// The largest item of a stream, in bytes.
    pub const fn item<S: Stream>() -> usize {
        S::Item::POSTCARD_MAX_SIZE
    }

    /// The largest request of an operation, in bytes.
    pub const fn request<O: Operation>() -> usize {
        O::Request::POSTCARD_MAX_SIZE
    }

    /// The largest reply of an operation, in bytes.
    pub const fn reply<O: Operation>() -> usize {
        O::Reply::POSTCARD_MAX_SIZE
    }

    /// What is asked.
    pub fn asked<O: Operation, E: ServerEnd>(end: &E, taken: &E::Taken) -> Option<O::Request> {
        end.request::<O::Request>(taken)
    }

    /// Answers it.
    pub async fn answer<O: Operation, E: ServerEnd>(end: &mut E, taken: E::Taken, reply: &O::Reply) {
        end.answer::<O::Reply>(taken, reply).await;
    }

    pub const fn largest(sizes: &[usize]) -> usize {
        let mut largest = 0;
        let mut place = 0;
        while place < sizes.len() {
            if sizes[place] > largest {
                largest = sizes[place];
            }
            place += 1;
        }
        largest
    }

    pub const fn service<S: Service>(payload: usize, operations: &'static [Row], meaning: &'static str) -> Interface {
        assert!(operations.len() <= 32, "a mask of operations has 32 bits");
        Interface {
            path: S::PATH,
            kind: Kind::Service,
            key: S::KEY,
            payload,
            operations,
            item: None,
            meaning: meaning.trim_ascii(),
        }
    }

    pub const fn stream<S: Stream>(meaning: &'static str) -> Interface {
        Interface {
            path: S::PATH,
            kind: Kind::Stream,
            key: S::KEY,
            payload: item::<S>(),
            operations: &[],
            item: Some(<S::Item as Schema>::SCHEMA),
            meaning,
        }
    }
}
