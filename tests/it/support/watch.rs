//! No test waits for ever: one that does ends the whole run, and says where everybody stood.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::{Child, Command};
use std::sync::{Mutex, Once};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

/// Several times what the longest one takes on a busy machine of two cores.
const LONGEST: Duration = Duration::from_secs(400);

/// How long a program that was asked to end may take.
const FAREWELL: Duration = Duration::from_secs(20);

static RUNNING: Mutex<BTreeMap<String, (ThreadId, Instant)>> = Mutex::new(BTreeMap::new());

/// One test, from the first part it starts to its end.
struct Run(String);

impl Run {
    fn begin() -> Self {
        let thread = thread::current();
        let name = thread.name().unwrap_or("a helper").to_owned();
        RUNNING.lock().expect("the tests").insert(name.clone(), (thread.id(), Instant::now()));
        Self(name)
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        RUNNING.lock().expect("the tests").remove(&self.0);
    }
}

thread_local! {
    static RUN: Run = Run::begin();
}

/// Watches over the test that calls this, and has failures told at once: a run that is cut off never gets to print them.
pub fn watched() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let told = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let thread = thread::current();
            // Not by a macro, whose words are kept for the end.
            let _ = writeln!(std::io::stderr(), "\n{}: {panic}", thread.name().unwrap_or("a thread"));
            told(panic);
        }));
        thread::spawn(|| {
            loop {
                thread::sleep(Duration::from_secs(5));
                let late = |(name, (_, since)): (&String, &(ThreadId, Instant))| {
                    (since.elapsed() > LONGEST).then(|| name.clone())
                };
                let late = RUNNING.lock().expect("the tests").iter().find_map(late);
                if let Some(name) = late {
                    give_up(&name);
                }
            }
        });
    });
    RUN.with(|_| ());
}

/// Tells something at once, also of a test that passes: the words of macros are kept for failures.
pub fn tell(words: impl std::fmt::Display) {
    let _ = writeln!(std::io::stderr(), "\n{words}");
}

/// Lets the test that calls this take longer than others, by so much.
pub fn takes_longer_by(time: Duration) {
    watched();
    let name = thread::current().name().unwrap_or("a helper").to_owned();
    if let Some((_, since)) = RUNNING.lock().expect("the tests").get_mut(&name) {
        *since += time;
    }
}

fn give_up(name: &str) {
    let _ = writeln!(std::io::stderr(), "\n{name} waits for {} s now; our threads:", LONGEST.as_secs());
    for task in std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten() {
        let of = |file: &str| std::fs::read_to_string(task.path().join(file)).unwrap_or_default();
        // The number of the call, and its first argument: mostly a file.
        let call = of("syscall");
        let mut call = call.split(' ');
        let (number, argument) = (call.next().unwrap_or_default(), call.next().unwrap_or_default());
        let file = i64::from_str_radix(argument.trim_start_matches("0x"), 16).unwrap_or(-1);
        let file = std::fs::read_link(format!("/proc/self/fd/{file}")).unwrap_or_default();
        let (comm, place) = (of("comm"), of("wchan"));
        let _ = writeln!(
            std::io::stderr(),
            "{} in {place}, call {} {argument} {}",
            comm.trim(),
            number.trim(),
            file.display()
        );
    }
    // Everything but the threads of the system, the youngest first: the others are those of the whole run.
    let script = "ps -eo pid,ppid,stat,wchan:20,etimes,args --sort=etimes | awk '$2 != 2' | cut -c -200";
    let _ = Command::new("sh").args(["-c", script]).status();
    std::process::abort();
}

/// Asks a program to end, and sees to it where it does not.
pub fn end(child: &mut Child, name: &str) {
    // The number of one that has ended may be another one's by now.
    if !matches!(child.try_wait(), Ok(None)) {
        return;
    }
    let pid = child.id().to_string();
    let _ = Command::new("kill").args(["-TERM", &pid]).status();
    let late = Instant::now() + FAREWELL;
    while child.try_wait().is_ok_and(|ended| ended.is_none()) {
        if Instant::now() > late {
            let _ = writeln!(std::io::stderr(), "\n{name} does not end when it is asked to; killed");
            let workers =
                std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
            let _ = Command::new("kill").arg("-KILL").arg(&pid).args(workers.split_whitespace()).status();
            let _ = child.wait();
            return;
        }
        thread::sleep(Duration::from_millis(5));
    }
}
