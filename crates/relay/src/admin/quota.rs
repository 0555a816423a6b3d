//! Quotas: what an operator sets them to, and what is told of them.

use std::fmt;
use std::str::FromStr;

use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::acts::{Refusal, account_ref};
use crate::audit::{Event, Subject};
use crate::state::App;
use crate::storage::{Quota, SetQuotas};

/// What is asked of quotas.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Args)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct QuotaAct {
    /// Name or id: set the quotas of its inboxes alone, and tell what they hold.
    account: Option<String>,
    /// Most bytes of one log. Of everybody's logs: nobody knows whose a log is.
    #[arg(long, value_name = "BYTES|default", conflicts_with = "account")]
    log: Option<SetTo>,
    /// Most bytes on top of that for handshakes alone. Likewise.
    #[arg(long, value_name = "BYTES|default", conflicts_with = "account")]
    log_handshakes: Option<SetTo>,
    /// Most bytes that wait in an inbox (each device has one) under all access keys together.
    #[arg(long, value_name = "BYTES|default")]
    inbox: Option<SetTo>,
    /// Most bytes that wait in an inbox under one access key.
    #[arg(long, value_name = "BYTES|default")]
    inbox_key: Option<SetTo>,
    /// Most bytes that wait in an inbox from strangers; with 0 none of them can write.
    #[arg(long, value_name = "BYTES|default")]
    inbox_strangers: Option<SetTo>,
}

/// Bytes, or what it was before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
struct SetTo(Option<u64>);

/// The text is no number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a number of bytes, or `default`")]
struct InvalidBytes;

impl fmt::Display for SetTo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(bytes) => write!(f, "{bytes}"),
            None => f.write_str("default"),
        }
    }
}

impl FromStr for SetTo {
    type Err = InvalidBytes;

    fn from_str(text: &str) -> Result<Self, InvalidBytes> {
        // SQL's integers are signed.
        let bytes = |text: &str| text.parse().ok().filter(|bytes| i64::try_from(*bytes).is_ok());
        match text {
            "default" => Ok(Self(None)),
            number => bytes(number).map(|bytes| Self(Some(bytes))).ok_or(InvalidBytes),
        }
    }
}

impl From<SetTo> for String {
    fn from(to: SetTo) -> Self {
        to.to_string()
    }
}

impl TryFrom<String> for SetTo {
    type Error = InvalidBytes;

    fn try_from(text: String) -> Result<Self, InvalidBytes> {
        text.parse()
    }
}

impl QuotaAct {
    /// Sets what is to be set, and tells what is in force then.
    pub(super) async fn perform(self, app: &App) -> Result<Value, Refusal> {
        let set: Vec<_> = [
            (Quota::Log, self.log),
            (Quota::LogHandshakes, self.log_handshakes),
            (Quota::Inbox, self.inbox),
            (Quota::InboxKey, self.inbox_key),
            (Quota::InboxStrangers, self.inbox_strangers),
        ]
        .into_iter()
        .filter_map(|(quota, to)| Some((quota, to?.0)))
        .collect();
        let account = self.account.as_deref().map(account_ref).transpose()?;
        let changes = !set.is_empty();
        if changes {
            if account.is_some() && set.iter().any(|(quota, _)| !quota.is_of_inboxes()) {
                return Err(Refusal::OfLogs);
            }
            if !app.storage.set_quotas(account.clone(), set).await? {
                return Err(Refusal::UnknownAccount);
            }
        }
        let everybodys = app.storage.decided(None).await?.unwrap_or_default().quotas;
        let Some(account) = account else {
            if changes {
                app.audit.record(Event::AdminQuotaSet, Subject::Nobody);
            }
            return Ok(quotas(app, &everybodys, None));
        };
        let used = app.storage.account_use(account).await?.ok_or(Refusal::UnknownAccount)?;
        let event = if changes { Event::AdminQuotaSet } else { Event::AdminLookedUp };
        app.audit.record(event, Subject::Account(used.account));
        let mut told = quotas(app, &everybodys, Some(&used.quotas));
        told["account"] = json!({
            "id": used.account.to_string(),
            "disabled": used.disabled,
            "devices": used.devices,
            "inbox-bytes": used.inbox_bytes,
            "stranger-bytes": used.stranger_bytes,
            "key-packages": used.key_packages,
        });
        Ok(told)
    }
}

/// Those in force, and of each that does not come from the configuration for whom it was set.
fn quotas(app: &App, everybodys: &SetQuotas, accounts: Option<&SetQuotas>) -> Value {
    let mut in_force = everybodys.over(app.quotas);
    if let Some(accounts) = accounts {
        in_force = accounts.over(in_force);
    }
    let mut told = json!({});
    for quota in Quota::ALL {
        told[quota.name()] = json!(quota.of(&in_force));
        if accounts.is_some_and(|set| set.set_to(quota).is_some()) {
            told[format!("{}-set-for", quota.name())] = json!("account");
        } else if everybodys.set_to(quota).is_some() {
            told[format!("{}-set-for", quota.name())] = json!("everybody");
        }
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_is_written_as_it_is_read() {
        for text in ["0", "9223372036854775807", "default"] {
            let to: SetTo = text.parse().unwrap();
            assert_eq!(serde_json::from_str::<SetTo>(&serde_json::to_string(&to).unwrap()).unwrap(), to);
            assert_eq!(to.to_string(), text);
        }
        for bad in ["", "-1", "1 GiB", "9223372036854775808"] {
            assert_eq!(bad.parse::<SetTo>(), Err(InvalidBytes), "{bad}");
        }
    }
}
