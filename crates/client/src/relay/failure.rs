//! Why requests fail, and what that says of the relay.

use std::error::Error as StdError;
use std::io;

use waxwing_protocol::ChainPageError;
use waxwing_wire::problem::{Problem, ProblemCode};

use super::own_certificate::OwnFault;
use super::tls;

/// Why a request brought nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ApiError {
    /// No connection, or it broke.
    #[error("the relay cannot be reached: {0}")]
    Unreachable(String),
    /// The certificate is not the expected one.
    #[error("the relay's certificate {0}")]
    Certificate(&'static str),
    /// The certificate is not valid at the time that this computer's clock tells: the clock is off, or nobody has renewed the certificate.
    #[error("the relay's certificate {0}, by this computer's clock")]
    CertificateTime(&'static str),
    /// The relay asks for a certificate of the profile's own, and did not get one that it takes.
    #[error("{relay} asks for a certificate, {fault}")]
    OwnCertificate {
        /// Which relay.
        relay: String,
        /// What is wrong.
        fault: OwnFault,
    },
    /// The answer is not from a Waxwing relay.
    #[error("not a Waxwing relay: {0}")]
    NotARelay(&'static str),
    /// The relay speaks another version.
    #[error("the relay speaks API version {0}")]
    Version(String),
    /// The relay refused, and said why.
    #[error("the relay answered {} {:?}: {}", .0.status, .0.code, .0.title)]
    Problem(Problem),
    /// The answer cannot be read, or says what it may not.
    #[error("the relay's answer is malformed: {0}")]
    Malformed(&'static str),
}

/// Why a chain was not had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ChainRefused {
    /// No answer, or one that is none.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// What was answered is not the chain, or not the whole of it.
    #[error(transparent)]
    Page(#[from] ChainPageError),
}

impl From<ChainRefused> for crate::Error {
    fn from(refused: ChainRefused) -> Self {
        match refused {
            ChainRefused::Api(error) => error.into(),
            ChainRefused::Page(ChainPageError::Chain { error, .. }) => error.into(),
            ChainRefused::Page(ChainPageError::Length) => ApiError::Malformed("chain page").into(),
            ChainRefused::Page(ChainPageError::Head) => ApiError::Malformed("chain head").into(),
            ChainRefused::Page(ChainPageError::Account) => ApiError::Malformed("chain of another account").into(),
        }
    }
}

impl ApiError {
    /// The code of a refusal.
    pub(crate) fn problem(&self) -> Option<ProblemCode> {
        match self {
            Self::Problem(problem) => Some(problem.code),
            _ => None,
        }
    }

    /// How far the relay says that the log is which something was refused for.
    pub(crate) fn head(&self) -> Option<u64> {
        match self {
            Self::Problem(problem) => problem.head,
            _ => None,
        }
    }
}

/// What a failed request says of the relay. A refused certificate is not "down".
pub(super) fn classify(error: &reqwest::Error) -> ApiError {
    let mut not_tls = false;
    for cause in causes(error) {
        match cause.downcast_ref::<rustls::Error>() {
            Some(rustls::Error::InvalidCertificate(why)) => return tls::fault(why),
            Some(rustls::Error::NoCertificatesPresented) => return ApiError::Certificate("is missing"),
            Some(rustls::Error::InvalidMessage(_)) => not_tls = true,
            _ => {}
        }
    }
    if not_tls {
        return ApiError::NotARelay("it does not speak TLS");
    }
    if error.is_decode() || error.is_body() || error.is_redirect() {
        return ApiError::Unreachable("the answer broke off".to_owned());
    }
    let text = if error.is_timeout() { "no answer in time" } else { "no connection" };
    ApiError::Unreachable(text.to_owned())
}

/// An error and what it came of, from the outside in. An I/O error's `source` skips the error that it wraps.
pub(super) fn causes<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |&cause| match cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(wrapped) => Some(wrapped as &(dyn StdError + 'static)),
        None => cause.source(),
    })
}
