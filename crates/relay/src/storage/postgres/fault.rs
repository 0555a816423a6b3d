//! What can go wrong with PostgreSQL, as the storage's callers see it.

use tokio_postgres::error::SqlState;

use super::super::{PostgresTrouble, StorageError};

/// Why a transaction was not done.
#[derive(Debug)]
pub(super) enum Fault {
    /// PostgreSQL's answer, or none.
    Database(tokio_postgres::Error),
    /// No connection was to be had.
    Unreachable,
    /// It took too long. Whether it was committed nobody knows: the caller asks again.
    Late,
    /// The database holds what it must not.
    Damaged,
}

pub(super) type Result<T> = std::result::Result<T, Fault>;

impl From<tokio_postgres::Error> for Fault {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Database(error)
    }
}

impl From<deadpool_postgres::PoolError> for Fault {
    fn from(error: deadpool_postgres::PoolError) -> Self {
        match error {
            deadpool_postgres::PoolError::Backend(error) => Self::Database(error),
            _ => Self::Unreachable,
        }
    }
}

impl Fault {
    fn code(&self) -> Option<&SqlState> {
        match self {
            Self::Database(error) => error.code(),
            _ => None,
        }
    }

    /// Two transactions stood in each other's way. Nothing is stored, and the same again may well do.
    pub(super) fn is_collision(&self) -> bool {
        self.code().is_some_and(|code| {
            *code == SqlState::T_R_DEADLOCK_DETECTED || *code == SqlState::T_R_SERIALIZATION_FAILURE
        })
    }

    /// PostgreSQL has refused this very statement: nothing is stored, and what does not hold it may well do.
    pub(super) fn is_about_the_statement(&self) -> bool {
        // Classes (PostgreSQL's manual, appendix A): 08 connection, 25 not writable, 53 out of something, 57 and 58 of the server.
        self.code()
            .is_some_and(|code| !["08", "25", "53", "57", "58"].iter().any(|class| code.code().starts_with(class)))
    }

    /// For the person who starts the relay. Never PostgreSQL's own words: they may quote a password or a row.
    pub(super) fn trouble(&self) -> PostgresTrouble {
        match (self.code(), self) {
            (Some(code), _) => PostgresTrouble::Refused(code.code().to_owned()),
            (None, Self::Late) => PostgresTrouble::Late,
            (None, _) => PostgresTrouble::Unreachable,
        }
    }
}

impl From<Fault> for StorageError {
    fn from(fault: Fault) -> Self {
        // The code alone: the text can quote values.
        tracing::error!(code = ?fault.code().map(SqlState::code), "PostgreSQL did not do what it was asked");
        let damaged = fault.code().is_some_and(|code| {
            // XX: corrupted. 22, 23: what the schema rules out was about to be written.
            ["XX", "22", "23"].iter().any(|class| code.code().starts_with(class))
        });
        // A full disk (53100) is one of the states that pass: PostgreSQL may be out of reach just as well.
        if damaged || matches!(fault, Fault::Damaged) { Self::Damaged } else { Self::Unavailable }
    }
}
