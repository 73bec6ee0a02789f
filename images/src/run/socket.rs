//! The socket of a run: takes questions from the commands, and gives them back answers.
//!
//! Rules: whoever connects has a bounded time to ask one question of a bounded length, and a bounded time to take each
//! answer; one that is gone is noticed, also while nobody has anything to say to it. What is no question is answered with what would be one; it never reaches the image. The image is asked between
//! two of its turns, by a queue: no client can make it wait.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, TrySendError, channel, sync_channel};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use super::protocol::{Answer, Ask, MOST_QUESTION};

/// Clients at a time.
const MOST_CLIENTS: usize = 64;

/// How long a client may take to ask.
const TO_ASK: Duration = Duration::from_secs(5);

/// How long a client may take to take one answer.
const TO_TAKE: Duration = Duration::from_secs(5);

/// How often a client that gets nothing is looked after: is it still there?
const LOOK: Duration = Duration::from_millis(250);

/// Answers on their way to one client. One that follows and is slower than this gets the rest later.
const ON_THE_WAY: usize = 256;

/// A question, and where its answers go.
pub(crate) struct Question {
    pub(crate) ask: Ask,
    pub(crate) answers: Answers,
}

/// Where the answers to one question go. They are over when this is dropped.
pub(crate) struct Answers {
    to_client: SyncSender<Answer>,
    /// Held by whoever serves the client.
    client: Weak<()>,
}

/// What became of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Given {
    /// It is on its way.
    Sent,
    /// The client takes more slowly than it is told: later.
    Later,
    /// There is nobody any more.
    Gone,
}

impl Answers {
    /// Whether somebody waits for them.
    pub(crate) fn are_wanted(&self) -> bool {
        self.client.strong_count() > 0
    }

    /// Gives one, without waiting.
    pub(crate) fn give(&self, answer: Answer) -> Given {
        match self.to_client.try_send(answer) {
            Ok(()) => Given::Sent,
            Err(TrySendError::Full(_)) => Given::Later,
            Err(TrySendError::Disconnected(_)) => Given::Gone,
        }
    }
}

/// The listening socket.
pub(crate) struct Server {
    questions: Receiver<Question>,
    clients: Arc<AtomicUsize>,
}

impl Server {
    /// Listens at `path`, which must be free.
    ///
    /// # Errors
    /// As the system says.
    pub(crate) fn listen(path: &Path) -> std::io::Result<Self> {
        let listener = UnixListener::bind(path)?;
        let (to_image, questions) = channel();
        let clients = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&clients);
        // It ends with the process.
        std::thread::spawn(move || accept(&listener, &to_image, &counter));
        Ok(Server { questions, clients })
    }

    /// The questions that wait; the image's turn comes in between, however many there are.
    pub(crate) fn waiting(&self) -> Vec<Question> {
        self.questions.try_iter().take(MOST_CLIENTS).collect()
    }

    /// Waits for clients to take what was answered, until then; who has asked meanwhile is told that it is too late.
    pub(crate) fn finish(self, until: Instant) {
        for question in self.questions.try_iter() {
            question.answers.give(ending());
        }
        drop(self.questions);
        while self.clients.load(Ordering::Acquire) > 0 && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

fn accept(listener: &UnixListener, to_image: &Sender<Question>, clients: &Arc<AtomicUsize>) {
    for stream in listener.incoming() {
        let Ok(stream) = stream else {
            // Too many open files, or the like: it may be better later.
            std::thread::sleep(LOOK);
            continue;
        };
        if clients.fetch_add(1, Ordering::AcqRel) >= MOST_CLIENTS {
            let remedy = "end a `koboshi log --follow` or the like, and ask again.";
            let _ =
                stream.set_write_timeout(Some(LOOK)).and_then(|()| tell(&stream, &error("too many clients", remedy)));
            clients.fetch_sub(1, Ordering::AcqRel);
            continue;
        }
        let (to_image, clients) = (to_image.clone(), Arc::clone(clients));
        std::thread::spawn(move || {
            // A client that is gone is told nothing.
            let _ = serve(&stream, &to_image);
            clients.fetch_sub(1, Ordering::AcqRel);
        });
    }
}

fn error(what: &str, remedy: &str) -> Answer {
    Answer::Error { what: what.to_owned(), remedy: remedy.to_owned(), later: false }
}

fn ending() -> Answer {
    error("the run is ending", "start it again with `koboshi run`.")
}

fn tell(mut stream: &UnixStream, answer: &Answer) -> std::io::Result<()> {
    let mut line = serde_json::to_vec(answer)?;
    line.push(b'\n');
    stream.write_all(&line)
}

fn serve(stream: &UnixStream, to_image: &Sender<Question>) -> std::io::Result<()> {
    stream.set_write_timeout(Some(TO_TAKE))?;
    let ask = match question(stream) {
        Ok(ask) => ask,
        Err(wrong) => return tell(stream, &wrong),
    };
    let (to_client, from_image) = sync_channel(ON_THE_WAY);
    let here = Arc::new(());
    let answers = Answers { to_client, client: Arc::downgrade(&here) };
    if to_image.send(Question { ask, answers }).is_err() {
        return tell(stream, &ending());
    }
    loop {
        match from_image.recv_timeout(LOOK) {
            Ok(answer) => tell(stream, &answer)?,
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
            // Nothing is written, which fails once the client is gone. One that only says no more, as at the end of a
            // pipe, still listens.
            Err(RecvTimeoutError::Timeout) => drop((&mut &*stream).write(&[])?),
        }
    }
}

/// Reads one question.
fn question(stream: &UnixStream) -> Result<Ask, Answer> {
    const REMEDY: &str = "ask with one line of JSON, such as {\"ask\":\"ps\"}, or use the `koboshi` command.";
    let until = Instant::now() + TO_ASK;
    let mut reader = BufReader::new(stream.take(MOST_QUESTION + 1));
    let mut line = Vec::new();
    while !line.ends_with(b"\n") && line.len() as u64 <= MOST_QUESTION {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() || stream.set_read_timeout(Some(left)).is_err() {
            return Err(error("no question came", REMEDY));
        }
        let found = match reader.fill_buf() {
            Ok([]) => break,
            Ok(found) => found,
            Err(fault) if fault.kind() == ErrorKind::Interrupted => continue,
            Err(_) => return Err(error("no question came", REMEDY)),
        };
        let length = found.iter().position(|byte| *byte == b'\n').map_or(found.len(), |end| end + 1);
        line.extend(&found[..length]);
        reader.consume(length);
    }
    if line.len() as u64 > MOST_QUESTION {
        return Err(error(&format!("a question has at most {MOST_QUESTION} bytes"), REMEDY));
    }
    serde_json::from_slice(&line).map_err(|why| error(&format!("this is no question: {why}"), REMEDY))
}
