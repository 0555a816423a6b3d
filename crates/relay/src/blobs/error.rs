//! The store's trouble, as the relay's.

use std::error::Error as StdError;
use std::io::{self, ErrorKind};

use waxwing_wire::problem::ProblemCode;

use crate::error::Refusal;

/// Why nothing was stored or read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BlobError {
    /// No space is left, on the disk or of what the operator gives.
    #[error("there is no space for blobs")]
    Full,
    /// The store cannot be used.
    #[error("the store of blobs cannot be used now")]
    Unavailable,
    /// The store holds what it must not.
    #[error("the store of blobs is damaged")]
    Damaged,
    /// What the client has sent, or wants.
    #[error("refused: {0:?}")]
    Refused(ProblemCode),
    /// The part is not the next one.
    #[error("the next part begins at {0}")]
    WrongOffset(u64),
    /// The body is not what the request says of it.
    #[error("{0}")]
    Body(&'static str),
}

impl From<object_store::Error> for BlobError {
    fn from(error: object_store::Error) -> Self {
        let mut cause: Option<&(dyn StdError + 'static)> = Some(&error);
        let mut kind = None;
        while let Some(error) = cause {
            let io = error.downcast_ref::<io::Error>();
            kind = io.map(io::Error::kind).or(kind);
            // An I/O error's `source` skips the error that it wraps.
            cause = match io.and_then(io::Error::get_ref) {
                Some(wrapped) => Some(wrapped),
                None => error.source(),
            };
        }
        Self::of(kind)
    }
}

impl From<io::Error> for BlobError {
    fn from(error: io::Error) -> Self {
        Self::of(Some(error.kind()))
    }
}

impl BlobError {
    fn of(kind: Option<ErrorKind>) -> Self {
        // An error's text has paths, and those have ids.
        tracing::error!(?kind, "the store of blobs answered an error");
        match kind {
            Some(ErrorKind::StorageFull | ErrorKind::QuotaExceeded) => Self::Full,
            _ => Self::Unavailable,
        }
    }
}

impl From<BlobError> for Refusal {
    fn from(error: BlobError) -> Self {
        match error {
            BlobError::Full => ProblemCode::InsufficientStorage.into(),
            BlobError::Unavailable => ProblemCode::Unavailable.into(),
            BlobError::Damaged => ProblemCode::Internal.into(),
            BlobError::Refused(code) => code.into(),
            BlobError::WrongOffset(received) => Self::new(ProblemCode::WrongOffset).with_head(received),
            BlobError::Body(title) => Self::bad_request(title),
        }
    }
}

/// The object, if it is there.
pub(super) fn found<T>(answer: Result<T, object_store::Error>) -> Result<Option<T>, BlobError> {
    match answer {
        Ok(object) => Ok(Some(object)),
        Err(object_store::Error::NotFound { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
