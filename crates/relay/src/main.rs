//! `waxwing-relay`: the relay as a program. Everything is in the library; here are flags, signals and the two lines on standard output.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::LazyLock;

use clap::{Args, Parser, Subcommand, ValueEnum};
use tokio::signal::unix::{SignalKind, signal};
use waxwing_relay::{Config, Limits, Rate, Tls, sqlite_version, start};

static VERSION: LazyLock<String> =
    LazyLock::new(|| format!("{} (SQLite {})", env!("CARGO_PKG_VERSION"), sqlite_version()));

/// The Waxwing relay: stores ciphertext, chains and inboxes for people who chat.
#[derive(Parser)]
#[command(name = "waxwing-relay", version = VERSION.as_str())]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run until SIGTERM or SIGINT. Prints one line when ready, and with a self-signed certificate a second one with its SHA-256.
    Serve(Box<Serve>),
}

#[derive(Args)]
struct Serve {
    /// Address and port to listen on; port 0 takes a free one. Plain HTTP is for loopback addresses alone.
    #[arg(long, value_name = "ADDR:PORT", env = "WAXWING_RELAY_LISTEN")]
    listen: SocketAddr,
    /// Folder for database and keys; made if absent.
    #[arg(long, value_name = "DIR", env = "WAXWING_RELAY_DATA")]
    data: PathBuf,
    /// Use a certificate of the relay's own; people add its SHA-256 to the address: HOST:PORT#HEX.
    #[arg(long, value_enum, value_name = "MODE", conflicts_with_all = ["tls_cert", "tls_key"])]
    tls: Option<TlsMode>,
    /// Certificate chain, PEM.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The certificate's private key, PEM.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// The address under which people reach this relay; by default the one it listens on. Never change it: accounts are made for it.
    #[arg(long, value_name = "HOST[:PORT]", env = "WAXWING_RELAY_AUDIENCE")]
    audience: Option<String>,
    /// Most connections at a time.
    #[arg(long, value_name = "N", default_value_t = Limits::default().connections)]
    max_connections: usize,
    /// New accounts per minute and address.
    #[arg(long, value_name = "PER_MINUTE[/BURST]")]
    rate_registration: Option<Rate>,
    /// Token requests per minute and address.
    #[arg(long, value_name = "PER_MINUTE[/BURST]")]
    rate_token: Option<Rate>,
    /// Look-ups of accounts and requests to the transparency log per minute and address.
    #[arg(long, value_name = "PER_MINUTE[/BURST]")]
    rate_lookup: Option<Rate>,
    /// Inbox sends and claims of key packages without an access key per minute and address.
    #[arg(long, value_name = "PER_MINUTE[/BURST]")]
    rate_stranger: Option<Rate>,
    /// Claims of key packages per minute and address.
    #[arg(long, value_name = "PER_MINUTE[/BURST]")]
    rate_claim: Option<Rate>,
    /// Uploads of key packages per minute and account.
    #[arg(long, value_name = "PER_MINUTE[/BURST]")]
    rate_key_packages: Option<Rate>,
    /// Authenticated requests per minute and account.
    #[arg(long, value_name = "PER_MINUTE[/BURST]")]
    rate_account: Option<Rate>,
    /// New chain entries per minute and account.
    #[arg(long, value_name = "PER_MINUTE[/BURST]")]
    rate_chain: Option<Rate>,
    /// Most bytes of one log.
    #[arg(long, value_name = "BYTES")]
    quota_log: Option<u64>,
    /// Most bytes that wait in an inbox from strangers.
    #[arg(long, value_name = "BYTES")]
    quota_inbox_strangers: Option<u64>,
    /// Most bytes that wait in an inbox under one access key.
    #[arg(long, value_name = "BYTES")]
    quota_inbox_key: Option<u64>,
    /// What to log to standard error, as tracing-subscriber's filter. Logs name no account, log, device, token or address.
    #[arg(long, value_name = "FILTER", default_value = "info", env = "WAXWING_RELAY_LOG")]
    log: String,
}

#[derive(Clone, Copy, ValueEnum)]
enum TlsMode {
    /// A certificate of the relay's own, made at first start.
    SelfSigned,
}

impl Serve {
    fn config(self) -> Config {
        let mut config = Config::new(self.listen, self.data);
        config.tls = match (self.tls, self.tls_cert, self.tls_key) {
            (Some(TlsMode::SelfSigned), ..) => Tls::SelfSigned,
            (None, Some(certificate), Some(key)) => Tls::Files { certificate, key },
            _ => Tls::Off,
        };
        config.audience = self.audience;
        let limits = &mut config.limits;
        limits.connections = self.max_connections;
        for (rate, given) in [
            (&mut limits.registration, self.rate_registration),
            (&mut limits.token, self.rate_token),
            (&mut limits.lookup, self.rate_lookup),
            (&mut limits.stranger, self.rate_stranger),
            (&mut limits.claim, self.rate_claim),
            (&mut limits.key_packages, self.rate_key_packages),
            (&mut limits.account, self.rate_account),
            (&mut limits.chain, self.rate_chain),
        ] {
            *rate = given.unwrap_or(*rate);
        }
        for (quota, given) in [
            (&mut limits.quotas.log, self.quota_log),
            (&mut limits.quotas.inbox_strangers, self.quota_inbox_strangers),
            (&mut limits.quotas.inbox_key, self.quota_inbox_key),
        ] {
            *quota = given.unwrap_or(*quota);
        }
        config
    }
}

fn main() -> ExitCode {
    // First of all: with two providers compiled in, rustls would not know which to take.
    if rustls::crypto::aws_lc_rs::default_provider().install_default().is_err() {
        return fail("the TLS provider could not be installed");
    }
    let Command::Serve(serve) = Cli::parse().command;
    let Ok(filter) = serve.log.parse::<tracing_subscriber::EnvFilter>() else {
        return fail("--log cannot be read");
    };
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("no threads could be started: {error}")),
    };
    runtime.block_on(run(serve.config()))
}

async fn run(config: Config) -> ExitCode {
    // Before the ready line: whoever has read it may send signals.
    let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return fail("signals cannot be received");
    };
    let relay = match start(config).await {
        Ok(relay) => relay,
        Err(error) => return fail(&error.to_string()),
    };
    announce(&relay);
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("stopping");
    relay.stop().await;
    ExitCode::SUCCESS
}

/// The lines that scripts read. Nothing else ever goes to standard output.
fn announce(relay: &waxwing_relay::Relay) {
    let mut lines = format!("waxwing-relay {} listening on {}\n", env!("CARGO_PKG_VERSION"), relay.base_url());
    if let Some(pin) = relay.pin() {
        lines.push_str(&format!("certificate sha256 {}\n", waxwing_wire::ids::to_hex(&pin)));
    }
    let mut out = std::io::stdout().lock();
    // Nobody may be reading; that is no reason not to run.
    let _ = out.write_all(lines.as_bytes()).and_then(|()| out.flush());
}

fn fail(why: &str) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "waxwing-relay: {why}");
    ExitCode::FAILURE
}
