//! Tells, on standard error, that a device asks to be linked: whoever listens has not asked for it, and may know nothing of it.

use waxwing_client::Client;
use waxwing_client::views::{DeviceRequestView, DevicesView};

use crate::device_lines;
use crate::output::Output;

/// Which device was told.
#[derive(Debug, Default)]
pub(crate) struct Asked(Option<String>);

impl Asked {
    /// Tells what is known by now.
    pub(crate) async fn tell_now(&mut self, client: &Client, output: &Output) {
        match client.devices().await {
            Ok(devices) => self.tell(&devices, output),
            Err(error) => tracing::debug!(%error, "the account's devices"),
        }
    }

    /// Tells what is new.
    pub(crate) fn tell(&mut self, devices: &DevicesView, output: &Output) {
        if let Some(request) = self.news(devices) {
            output.warn(request, &words(request));
        }
    }

    fn news<'d>(&mut self, devices: &'d DevicesView) -> Option<&'d DeviceRequestView> {
        let request = devices.offer.as_ref().and_then(|offer| offer.request.as_ref());
        let before = std::mem::replace(&mut self.0, request.map(|request| request.device_id.clone()));
        request.filter(|request| before.as_ref() != Some(&request.device_id))
    }
}

fn words(request: &DeviceRequestView) -> String {
    format!(
        "{}\n    It gets in only if you confirm it: by `waxwing-cli devices link` with a new code, once this command has ended.",
        device_lines::request(request)
    )
}

#[cfg(test)]
mod tests {
    use waxwing_client::views::DeviceOfferView;

    use super::*;

    fn asked_by(device: Option<&str>) -> DevicesView {
        let request = device.map(|id| DeviceRequestView { device_id: id.to_owned(), fingerprint: "1a2b".to_owned() });
        let offer = DeviceOfferView { code: "c".to_owned(), expires_at: 0.0, request, adding: false, problem: None };
        DevicesView { devices: Vec::new(), offer: Some(offer) }
    }

    #[test]
    fn each_device_is_told_once() {
        let mut asked = Asked::default();
        assert!(asked.news(&asked_by(None)).is_none());
        for device in ["0a", "0b"] {
            let devices = asked_by(Some(device));
            assert_eq!(asked.news(&devices).map(|request| request.device_id.as_str()), Some(device));
            assert!(asked.news(&devices).is_none());
        }
        // It has gone, and comes again.
        assert!(asked.news(&DevicesView { devices: Vec::new(), offer: None }).is_none());
        assert!(asked.news(&asked_by(Some("0b"))).is_some());
    }
}
