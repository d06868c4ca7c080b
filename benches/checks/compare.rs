//! The comparisons: both servers under the same load, in turns and in random order, as medians of the ratios
//! within each round; and their instructions as callgrind counts them.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context as _, ensure};

/// A server in a process of its own, on one core.
pub(crate) struct Server {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    pub(crate) address: String,
    pub(crate) cookies: String,
}

pub(crate) struct Figures {
    pub(crate) per_second: f64,
    p50: f64,
    pub(crate) p99: f64,
    /// CPU for each request, in some unit that all loads of one length share.
    cpu: f64,
}

impl Server {
    pub(crate) fn start(before: &[&str], part: &[&str]) -> anyhow::Result<Self> {
        Self::start_on("0", before, part)
    }

    /// Starts a part of this program on a core, with something before it.
    pub(crate) fn start_on(core: &str, before: &[&str], part: &[&str]) -> anyhow::Result<Self> {
        let program = std::env::current_exe()?;
        let mut command = Command::new("taskset");
        command.args(["-c", core]).args(before).arg(program).args(part);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().context("taskset")?;
        let input = child.stdin.take();
        let mut line = String::new();
        let mut output = BufReader::new(child.stdout.take().context("its output")?);
        output.read_line(&mut line)?;
        let (address, cookies) = line.trim().split_once(' ').context("the server did not start")?;
        Ok(Self { input, output, address: address.to_owned(), cookies: cookies.to_owned(), child })
    }

    /// Puts the load on it.
    pub(crate) fn load(&self, cookies: &str, amount: &str, connections: usize) -> anyhow::Result<Figures> {
        let before = self.cpu_seconds()?;
        let figures = load(&["load", &self.address, cookies, amount, &connections.to_string()])?;
        let cpu = self.cpu_seconds()? - before;
        Ok(Figures { cpu: cpu / figures.per_second, ..figures })
    }

    /// Its process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// What all its threads have run so far.
    fn cpu_seconds(&self) -> anyhow::Result<f64> {
        let mut nanoseconds = 0_u64;
        for task in std::fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            let text = std::fs::read_to_string(task?.path().join("schedstat"))?;
            nanoseconds += text.split(' ').next().context("schedstat")?.parse::<u64>()?;
        }
        Ok(nanoseconds as f64 / 1e9)
    }

    /// Ends it, and waits until it has.
    pub(crate) fn end(self) -> anyhow::Result<()> {
        self.last_words().map(drop)
    }

    /// The same; what it printed meanwhile.
    pub(crate) fn last_words(mut self) -> anyhow::Result<String> {
        drop(self.input.take());
        let mut words = String::new();
        self.output.read_to_string(&mut words)?;
        self.child.wait()?;
        Ok(words)
    }
}

/// What a load comes to that runs in a process of its own, on the second core.
pub(crate) fn load(part: &[&str]) -> anyhow::Result<Figures> {
    let load = Command::new("taskset")
        .args(["-c", "1"])
        .arg(std::env::current_exe()?)
        .args(part)
        .stderr(Stdio::inherit())
        .output()?;
    ensure!(load.status.success(), "the load failed: {}", part.join(" "));
    let text = String::from_utf8(load.stdout)?;
    let numbers: Vec<f64> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let [per_second, p50, p99] = numbers[..] else { anyhow::bail!("no figures: {text}") };
    Ok(Figures { per_second, p50, p99, cpu: 0.0 })
}

pub(crate) fn run(rounds: usize, seconds: usize, connections: usize, sessions: &str) -> anyhow::Result<()> {
    let bare = Server::start(&[], &["serve-bare"])?;
    let foregate = Server::start(&[], &["serve-foregate", sessions])?;
    let amount = format!("{seconds}s");
    let mut ratios: [Vec<f64>; 4] = Default::default();
    // The first round warms both up and does not count.
    for round in 0..=rounds {
        let bare_first = rand_bit()?;
        let measure = |server: &Server| server.load(&foregate.cookies, &amount, connections);
        let (b, a) = if bare_first {
            let a = measure(&bare)?;
            (measure(&foregate)?, a)
        } else {
            (measure(&foregate)?, measure(&bare)?)
        };
        if round > 0 {
            let pairs = [(b.per_second, a.per_second), (b.p50, a.p50), (b.p99, a.p99), (b.cpu, a.cpu)];
            for (ratios, (b, a)) in ratios.iter_mut().zip(pairs) {
                ratios.push(b / a);
            }
        }
    }
    println!(
        "foregate / bare hyper, {connections} connections, {sessions} sessions, {rounds} rounds of {seconds} s:"
    );
    for (name, ratios) in ["requests/s", "p50", "p99", "server CPU per request"].iter().zip(&mut ratios) {
        println!("  {name}: {}", spread(ratios));
    }
    bare.end()?;
    foregate.end()
}

/// User-space instructions of one check, and of one proxied answer of 1 KiB, each from two runs of different length.
pub(crate) fn instructions() -> anyhow::Result<()> {
    let told = |what: &str, foregate: f64, bare: f64| {
        println!(
            "instructions, {what}: foregate {foregate:.0}, bare hyper {bare:.0}, ratio {:.3}",
            foregate / bare
        );
    };
    told("checks", each(&["serve-foregate", "1000"], None)?, each(&["serve-bare"], None)?);
    let backend = Server::start_on("1", &[], &["serve-backend"])?;
    let page = Some("/1k");
    let foregate = each(&["serve-foregate-proxy", &backend.address], page)?;
    told("proxied", foregate, each(&["serve-bare-proxy", &backend.address], page)?);
    backend.end()
}

fn each(part: &[&str], page: Option<&str>) -> anyhow::Result<f64> {
    // Enough for every session to have been asked about before the requests that are counted.
    const FEW: usize = 11_000;
    const MANY: usize = 21_000;
    let dir = tempfile::tempdir()?;
    // The bare server takes any cookies of the right form.
    let any = dir.path().join("cookies");
    std::fs::write(&any, format!("__Secure-foregate={}", "A".repeat(64)))?;
    let mut counts = [0.0; 2];
    for (count, requests) in counts.iter_mut().zip([FEW, MANY]) {
        let out = dir.path().join(format!("{requests}.out"));
        let option = format!("--callgrind-out-file={}", out.display());
        let server = Server::start(&["valgrind", "--quiet", "--tool=callgrind", &option], part)?;
        let cookies = if server.cookies == "-" { any.display().to_string() } else { server.cookies.clone() };
        let amount = requests.to_string();
        match page {
            None => load(&["load", &server.address, &cookies, &amount, "1"])?,
            Some(page) => load(&["load-page", &server.address, &cookies, &amount, "1", page])?,
        };
        server.end()?;
        let text = std::fs::read_to_string(&out)?;
        let total = text
            .lines()
            .find_map(|line| line.strip_prefix("totals: ").or_else(|| line.strip_prefix("summary: ")))
            .context("no total")?;
        *count = total.trim().parse::<f64>()?;
    }
    Ok((counts[1] - counts[0]) / (MANY - FEW) as f64)
}

/// The median, and where the middle half lies.
pub(crate) fn spread(ratios: &mut [f64]) -> String {
    ratios.sort_by(f64::total_cmp);
    let at = |part: usize| ratios[(ratios.len() * part / 4).min(ratios.len() - 1)];
    format!("{:.3} (middle half {:.3} to {:.3})", at(2), at(1), at(3))
}

pub(crate) fn median(figures: &mut [f64]) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

pub(crate) fn rand_bit() -> anyhow::Result<bool> {
    let mut byte = [0_u8];
    aws_lc_rs::rand::fill(&mut byte).map_err(|_| anyhow::anyhow!("no random bytes"))?;
    Ok(byte[0] & 1 == 1)
}
