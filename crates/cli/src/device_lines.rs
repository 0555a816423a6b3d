//! The account's devices as lines for people. Not here: their keys' history (`key_lines`).

use waxwing_client::views::{DeviceRequestView, DeviceView, LinkWaitView};

use crate::clock::utc;
use crate::terminal::line;

/// One device of the account.
pub(crate) fn device(device: &DeviceView) -> String {
    let this = if device.this { "  (this device)" } else { "" };
    format!(
        "{}{this}\n    Added:       {}\n    Keys:        version {}, since {}\n    Fingerprint: {}",
        line(&device.device_id),
        utc(device.added_at),
        device.version,
        utc(device.keys_since),
        line(&device.fingerprint),
    )
}

/// A device that asks to be one of them.
pub(crate) fn request(request: &DeviceRequestView) -> String {
    format!("Device {} asks to be linked.\n    Fingerprint: {}", line(&request.device_id), line(&request.fingerprint))
}

/// What the new device itself shows until it is confirmed.
pub(crate) fn waiting(wait: &LinkWaitView) -> String {
    format!("{}\n    Fingerprint: {}", line(&wait.address), line(&wait.fingerprint))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn view(digits: &str) -> DeviceView {
        DeviceView {
            device_id: digits.repeat(16),
            this: false,
            added_at: 0.0,
            version: 3,
            keys_since: 86_400_000.0,
            fingerprint: "1a2b 3c4d".to_owned(),
        }
    }

    #[test]
    fn devices() {
        let other = device(&view("0d"));
        let rest = "\n    Added:       1970-01-01 00:00Z\n    Keys:        version 3, since 1970-01-02 00:00Z\n    Fingerprint: 1a2b 3c4d";
        assert_eq!(other, format!("{}{rest}", "0d".repeat(16)));
        let this = device(&DeviceView { this: true, ..view("0d") });
        assert_eq!(this, format!("{}  (this device){rest}", "0d".repeat(16)));
    }

    #[test]
    fn whoever_asks_and_whoever_waits() {
        let asks = DeviceRequestView { device_id: "0d\u{1b}".to_owned(), fingerprint: "1a2b".to_owned() };
        assert_eq!(request(&asks), "Device 0d␛ asks to be linked.\n    Fingerprint: 1a2b");
        let wait = LinkWaitView { address: "ada@relay\u{1b}".to_owned(), fingerprint: "1a2b".to_owned() };
        assert_eq!(waiting(&wait), "ada@relay␛\n    Fingerprint: 1a2b");
    }
}
