//! The socket: who may connect, one line in, one line out.

use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};

use super::{Act, Outcome, acts};
use crate::audit::{Event, Subject};
use crate::state::App;

/// In the data folder.
pub(crate) const FILE: &str = "admin.sock";
/// Of a line that is asked.
const MAX_LINE: u64 = 16 * 1024;
/// For that line to come.
const PATIENCE: Duration = Duration::from_secs(10);

/// The socket, until it is dropped.
pub(crate) struct AdminSocket {
    listener: UnixListener,
    path: PathBuf,
    owner: u32,
}

impl AdminSocket {
    /// Makes the socket in `folder`, of which no other relay is in use: one that is left there from before is nobody's.
    pub(crate) fn bind(folder: &Path) -> io::Result<Self> {
        let path = folder.join(FILE);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(&path)?;
        // Until here the folder's mode alone keeps others out.
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
        let owner = std::fs::metadata(&path)?.uid();
        Ok(Self { listener, path, owner })
    }

    /// Does what is asked, until the relay stops.
    pub(crate) async fn serve(self, app: Arc<App>) {
        loop {
            let accepted = tokio::select! {
                () = app.stopping.cancelled() => return,
                accepted = self.listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, _)) if may(&stream, self.owner) => {
                    let answering = answer(Arc::clone(&app), stream);
                    app.tasks.spawn(answering);
                }
                // Closed without a word.
                Ok(_) => app.audit.record(Event::AdminRefused, Subject::Nobody),
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }
}

impl Drop for AdminSocket {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// The relay's own user, or root.
fn may(stream: &UnixStream, owner: u32) -> bool {
    stream.peer_cred().is_ok_and(|peer| peer.uid() == owner || peer.uid() == 0)
}

async fn answer(app: Arc<App>, mut stream: UnixStream) {
    let (read, mut write) = stream.split();
    let mut line = String::new();
    let mut read = BufReader::new(read.take(MAX_LINE));
    let Ok(Ok(_)) = tokio::time::timeout(PATIENCE, read.read_line(&mut line)).await else { return };
    let outcome = match serde_json::from_str::<Act>(&line) {
        Ok(act) => acts::perform(&app, act).await,
        Err(_) => Outcome::Refused("the relay does not know that; is it of the same version?".to_owned()),
    };
    let Ok(mut answer) = serde_json::to_vec(&outcome) else { return };
    answer.push(b'\n');
    let _ = tokio::time::timeout(PATIENCE, write.write_all(&answer)).await;
}
