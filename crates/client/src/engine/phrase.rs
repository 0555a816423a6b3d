//! The recovery phrase: shown until the user has confirmed two of its words, then erased from this device.

use waxwing_protocol::RecoveryPhrase;

use super::{Client, not_found};
use crate::error::{Error, ErrorCode};
use crate::store::account;
use crate::views::ProfileView;

impl Client {
    /// The 24 words, until they are confirmed.
    pub async fn phrase_words(&self) -> Result<Vec<String>, Error> {
        let phrase = self.phrase().await?;
        Ok(phrase.words().into_iter().map(str::to_owned).collect())
    }

    /// Which two words are asked for (1-based places, fixed for this profile).
    pub async fn phrase_challenge(&self) -> Result<(u32, u32), Error> {
        self.phrase().await?;
        self.0.store.run(|tx| Ok(account::require(tx)?.phrase_places)).await
    }

    /// Checks the two words; if they are right, the phrase is erased here, from the database and its WAL.
    pub async fn phrase_confirm(&self, first: &str, second: &str) -> Result<ProfileView, Error> {
        let words = self.phrase().await?.words();
        let (first_place, second_place) = self.phrase_challenge().await?;
        let right = |place: u32, given: &str| {
            let word = (place as usize).checked_sub(1).and_then(|index| words.get(index));
            word.is_some_and(|word| *word == given.trim().to_lowercase())
        };
        if !right(first_place, first) || !right(second_place, second) {
            return Err(Error::new(ErrorCode::WrongWords, "the words do not match"));
        }
        self.0.store.run(account::erase_phrase).await?;
        self.0.store.checkpoint().await?;
        self.0.tell_keys().await?;
        self.0.tell_profile().await
    }

    async fn phrase(&self) -> Result<RecoveryPhrase, Error> {
        let entropy = self.0.store.run(account::phrase).await?;
        let entropy = entropy.ok_or_else(|| not_found("the phrase was confirmed and is not kept here"))?;
        Ok(RecoveryPhrase::from_entropy(&entropy))
    }
}
