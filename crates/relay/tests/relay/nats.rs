//! A NATS server of a test's own, on a free port of this computer. It ends with the test, however that ends.

use std::io::Read as _;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use waxwing_relay::{NatsConfig, NatsUrl};

/// Starts the server, says so, and kills it when standard input ends.
const KEEPER: &str = r#"
    "$BIN" -a 127.0.0.1 -p "$PORT" --user relay --pass p@ssword >/dev/null 2>&1 &
    server=$!
    echo $server
    while read -r line; do :; done
    kill -9 $server
    wait $server
"#;

pub struct NatsServer {
    port: u16,
    keeper: Option<Child>,
}

impl NatsServer {
    pub fn start() -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut server = Self { port, keeper: None };
        server.restart();
        server
    }

    pub fn url(&self) -> String {
        format!("nats://relay:p%40ssword@127.0.0.1:{}", self.port)
    }

    pub fn config(&self) -> NatsConfig {
        NatsConfig::new(NatsUrl::new(self.url()))
    }

    /// Somebody else who is let in.
    pub async fn client(&self) -> async_nats::Client {
        let options = async_nats::ConnectOptions::with_user_and_password("relay".to_owned(), "p@ssword".to_owned());
        options.connect(format!("127.0.0.1:{}", self.port)).await.unwrap()
    }

    /// Ends it at once.
    pub fn kill(&mut self) {
        if let Some(mut keeper) = self.keeper.take() {
            drop(keeper.stdin.take());
            keeper.wait().unwrap();
        }
    }

    /// Starts it on the same port.
    pub fn restart(&mut self) {
        let bin = ["/usr/sbin/nats-server", "/usr/bin/nats-server"].into_iter().find(|path| Path::new(path).exists());
        let bin = bin.expect("nats-server is not installed: run script/bootstrap test");
        let mut keeper = Command::new("/bin/sh");
        keeper.args(["-c", KEEPER]).env("BIN", bin).env("PORT", self.port.to_string());
        let mut keeper = keeper.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        keeper.stdout.take().unwrap().read_exact(&mut [0; 1]).unwrap();
        self.keeper = Some(keeper);
        let until = Instant::now() + Duration::from_secs(30);
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(Instant::now() < until, "nats-server did not start");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        self.kill();
    }
}
