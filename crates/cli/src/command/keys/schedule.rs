//! `keys schedule`: how often the keys are replaced by themselves.

use clap::{Args, ValueEnum};
use waxwing_client::{Client, RotationSchedule};

use crate::failure::Failure;
use crate::key_lines;
use crate::output::Output;

/// The command's arguments.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Days from one rotation to the next, or `manual`; without it, what is decided is shown
    #[arg(value_name = "DAYS")]
    pub(crate) days: Option<Days>,
}

/// What may be chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Days {
    /// Every week
    #[value(name = "7")]
    Seven,
    /// Every 30 days
    #[value(name = "30")]
    Thirty,
    /// Every 90 days
    #[value(name = "90")]
    Ninety,
    /// By hand alone
    #[value(name = "manual")]
    Manual,
}

impl From<Days> for RotationSchedule {
    fn from(days: Days) -> Self {
        match days {
            Days::Seven => Self::Days7,
            Days::Thirty => Self::Days30,
            Days::Ninety => Self::Days90,
            Days::Manual => Self::Manual,
        }
    }
}

/// Decides it where days are given, and prints what is decided.
pub(crate) async fn run(arguments: &Arguments, client: &Client, output: &mut Output) -> Result<(), Failure> {
    let keys = match arguments.days {
        Some(days) => client.set_rotation_schedule(days.into()).await?,
        None => client.keys().await?,
    };
    output.view(&keys, key_lines::schedule)
}
