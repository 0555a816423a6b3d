//! Connections: how PostgreSQL is reached, what every connection has set, and what it must not have switched off.

use std::net::IpAddr;
use std::time::Duration;

use deadpool_postgres::{Hook, HookError, Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime};
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};
use tokio_postgres::{Client, Config, NoTls};

use super::super::{OpenError, PostgresTrouble};
use super::address::PostgresConfig;
use super::fault::Fault;
use super::tls::Tls;

/// For a connection to be made, and for one to be free.
const PATIENCE: Duration = Duration::from_secs(10);
/// Fewer would leave the writers of logs waiting for each other.
const FEWEST: usize = 6;
/// How the server's operator, and other processes, see that it is a relay's connection.
pub(super) const APPLICATION: &str = "waxwing-relay";
const OLDEST_SERVER: i32 = 130_000;

/// What every connection has set. `synchronous_commit`: a commit returns only after fsync of the WAL, whatever the server's own default is. The
/// time limits are the server's: a relay that is gone, or hangs, keeps no lock. The plans: every statement looks rows up by their keys, and is planned once for
/// a connection; planned while the tables are still small it would read them whole from then on, until somebody has them analysed.
const SESSION: &str = "
    SET synchronous_commit = on;
    SET default_transaction_isolation = 'read committed';
    SET statement_timeout = '20s';
    SET lock_timeout = '10s';
    SET idle_in_transaction_session_timeout = '30s';
    SET client_min_messages = error;
    SET enable_seqscan = off;
    SET enable_hashjoin = off;
    SET enable_mergejoin = off;
    SET jit = off;
";

/// Why a connection that was made is not used: no answer to what it was asked first.
const LATE: &str = "late";

/// With one of these off, what a commit has answered can be lost.
const DURABLE: [&str; 3] = ["fsync", "full_page_writes", "synchronous_commit"];

/// The connections, of which one has been made and looked at.
pub(super) async fn open(config: &PostgresConfig) -> Result<Pool, OpenError> {
    let mut server: Config = config.url.expose().parse().map_err(|_| OpenError::PostgresUrl)?;
    server.application_name(APPLICATION);
    server.connect_timeout(PATIENCE).tcp_user_timeout(PATIENCE).keepalives_idle(Duration::from_secs(30));
    // Of several servers the one that takes writes.
    server.target_session_attrs(TargetSessionAttrs::ReadWrite);
    let tls = server.get_ssl_mode() == SslMode::Require;
    if !tls && !stays_here(&server) {
        return Err(OpenError::PostgresInTheOpen);
    }
    let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
    let manager = if tls {
        let tls = Tls::new(config.root_certificates.as_deref()).map_err(OpenError::PostgresTls)?;
        Manager::from_config(server.clone(), tls, recycling)
    } else {
        server.ssl_mode(SslMode::Disable);
        Manager::from_config(server.clone(), NoTls, recycling)
    };
    let pool = Pool::builder(manager)
        .max_size(config.connections.max(FEWEST))
        .runtime(Runtime::Tokio1)
        .wait_timeout(Some(PATIENCE))
        .create_timeout(Some(PATIENCE))
        .post_create(Hook::async_fn(|client, _| {
            Box::pin(async move {
                // The pool's own limits end where the connection is made: a server that lets one in and then says nothing would hold up whoever
                // waits for it, without end.
                match tokio::time::timeout(PATIENCE, prepare(client)).await {
                    Ok(Ok(None)) => Ok(()),
                    Ok(Ok(Some(setting))) => {
                        tracing::error!(setting, "PostgreSQL would lose what it has committed; it is not used");
                        Err(HookError::message(setting))
                    }
                    Ok(Err(error)) => Err(HookError::Backend(error)),
                    Err(_) => Err(HookError::message(LATE)),
                }
            })
        }))
        .build()
        .map_err(|_| OpenError::Postgres(PostgresTrouble::Unreachable))?;
    look(&pool).await?;
    Ok(pool)
}

/// Says what is wrong with the server, where it can be said.
async fn look(pool: &Pool) -> Result<(), OpenError> {
    let client = match pool.get().await {
        Ok(client) => client,
        Err(deadpool_postgres::PoolError::PostCreateHook(HookError::Message(said))) => {
            let setting = DURABLE.into_iter().find(|known| *known == said);
            return Err(
                setting.map_or(OpenError::Postgres(Fault::Late.trouble()), |setting| OpenError::NotDurable { setting })
            );
        }
        Err(error) => return Err(OpenError::Postgres(Fault::from(error).trouble())),
    };
    let version = client.query_one("SELECT current_setting('server_version_num')::int, version()", &[]).await;
    let version = version.map_err(|error| OpenError::Postgres(Fault::from(error).trouble()))?;
    if version.get::<_, i32>(0) < OLDEST_SERVER {
        return Err(OpenError::OldPostgres(version.get(1)));
    }
    Ok(())
}

/// Sets what every connection has set; the first setting that is off and must not be. Also long after the start: the server may have come back with
/// others.
async fn prepare(client: &Client) -> Result<Option<&'static str>, tokio_postgres::Error> {
    client.batch_execute(SESSION).await?;
    switched_off(client).await
}

/// The first setting that a commit cannot do without and that is off. `synchronous_commit` is asked for as it would be without [`SESSION`].
async fn switched_off(client: &Client) -> Result<Option<&'static str>, tokio_postgres::Error> {
    let sql = "SELECT name, coalesce(CASE WHEN name = 'synchronous_commit' THEN reset_val ELSE setting END, '')
               FROM pg_settings WHERE name IN ('fsync', 'full_page_writes', 'synchronous_commit')";
    for row in client.query(sql, &[]).await? {
        let (name, value): (&str, &str) = (row.try_get(0)?, row.try_get(1)?);
        if value == "off" {
            return Ok(DURABLE.into_iter().find(|known| *known == name));
        }
    }
    Ok(None)
}

/// Whether nothing of it crosses a network.
fn stays_here(server: &Config) -> bool {
    let hosts = server.get_hosts().iter().all(|host| match host {
        Host::Tcp(name) => name == "localhost" || name.parse().is_ok_and(|ip: IpAddr| ip.is_loopback()),
        #[cfg(unix)]
        Host::Unix(_) => true,
    });
    // Where an address is given beside the name, that is where it goes.
    let addresses = server.get_hostaddrs();
    if addresses.is_empty() { hosts } else { addresses.iter().all(IpAddr::is_loopback) }
}

/// A connection.
pub(super) async fn take(pool: &Pool) -> Result<Object, Fault> {
    Ok(pool.get().await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stays_here_goes_without_tls() {
        let stays = |url: &str| stays_here(&url.parse().unwrap());
        assert!(stays("postgresql://me@localhost/x"));
        assert!(stays("postgresql://me@127.0.0.1:5433/x"));
        assert!(stays("postgresql://me@[::1]/x"));
        assert!(stays("host=/run/postgresql user=me"));
        assert!(!stays("postgresql://me@database.example/x"));
        assert!(!stays("postgresql://me@localhost,database.example/x"));
        assert!(!stays("host=localhost hostaddr=192.0.2.1 user=me"));
    }
}
