//! Putting a blob up: whole, or part by part, each on disk before it is answered.

use std::fs::File;
use std::io::Write as _;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use axum::body::{Body, BodyDataStream, HttpBody as _};
use futures_util::StreamExt as _;
use object_store::{MultipartUpload, ObjectStoreExt as _, PutPayload};
use waxwing_wire::BlobId;
use waxwing_wire::limits::MIN_BLOB_PART;
use waxwing_wire::problem::ProblemCode;

use super::error::found;
use super::manifest::Manifest;
use super::usage::Taken;
use super::{BlobError, Blobs, part_path, parts_folder, whole_path};
use crate::private_file;

/// Ends the name of what is to be a blob's manifest: what a crash leaves of it goes as what the store was writing does.
const STAGED: &str = "#1";

/// What a request brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// All of the blob.
    Whole,
    /// These bytes of it (the last one inclusive).
    Some {
        /// The first.
        first: u64,
        /// The last.
        last: u64,
        /// How many the blob has.
        size: u64,
    },
    /// None: how many are there is asked for.
    Nothing {
        /// How many the blob has.
        size: u64,
    },
}

/// Who puts something up.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Uploader {
    /// By today's pseudonym.
    pub(crate) who: [u8; 32],
    /// Their tag of this blob ([`waxwing_wire::blob::BlobSecret::owner_tag`]), if they give one.
    pub(crate) owner: Option<[u8; 32]>,
}

/// What is there now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Received {
    /// All of it, so many bytes.
    Whole(u64),
    /// The first bytes.
    Some {
        /// So many.
        received: u64,
        /// How many the blob has.
        size: u64,
    },
}

/// How many bytes a body must have.
#[derive(Debug, Clone, Copy)]
enum Length {
    Exactly(u64),
    AtMost(u64),
}

impl Part {
    /// Where its bytes begin.
    fn offset(self) -> u64 {
        match self {
            Self::Some { first, .. } => first,
            Self::Whole | Self::Nothing { .. } => 0,
        }
    }
}

/// A body that has come, and is part of no blob yet.
struct Staged {
    upload: Box<dyn MultipartUpload>,
    taken: Taken,
}

impl Staged {
    /// Makes it one object, and gives how many bytes it has.
    async fn publish(mut self) -> Result<u64, BlobError> {
        self.upload.complete().await?;
        let written = self.taken.bytes();
        self.taken.keep();
        Ok(written)
    }
}

impl Blobs {
    /// Stores what `body` brings of a blob.
    pub(crate) async fn put(
        self: &Arc<Self>,
        id: BlobId,
        part: Part,
        by: Uploader,
        body: Body,
    ) -> Result<Received, BlobError> {
        let declared = body.size_hint().exact();
        let mut chunks = body.into_data_stream();
        let answer = match self.judge(part, declared) {
            Ok(length) => self.take_in(id, part, length, by, &mut chunks).await,
            Err(error) => Err(error),
        };
        self.pass_over(&mut chunks).await;
        let answer = answer?;
        self.settle(id).await?;
        Ok(answer)
    }

    /// A process that was killed may have left names that it had not synced, and what this one has stored would go with them. Before anything is said of a
    /// blob, or made of its parts, all folders on the way to it are on disk; what is in a file is before it has its name.
    async fn settle(&self, id: BlobId) -> Result<(), BlobError> {
        let ways = [self.folder.join(parts_folder(id).as_ref()), self.folder.join(whole_path(id).as_ref())];
        let root = self.folder.clone();
        let settling = tokio::task::spawn_blocking(move || {
            let folders = ways.iter().flat_map(|way| way.ancestors().take_while(|folder| folder.starts_with(&root)));
            folders.filter(|folder| folder.is_dir()).try_for_each(|folder| File::open(folder)?.sync_all())
        });
        settling.await.map_err(|_| BlobError::Unavailable)?.map_err(BlobError::from)
    }

    /// What is not wanted is read all the same, within the request's time: a client that is still writing gets its answer rather than a reset.
    pub(crate) async fn pass_over(&self, chunks: &mut BodyDataStream) {
        let mut rest = self.limits.max_bytes;
        while let Some(Ok(chunk)) = chunks.next().await {
            match rest.checked_sub(chunk.len() as u64) {
                Some(left) => rest = left,
                None => break,
            }
        }
    }

    /// How long the body must be; and what can be refused before it is looked at.
    fn judge(&self, part: Part, declared: Option<u64>) -> Result<Length, BlobError> {
        let (size, length) = match part {
            Part::Whole => (declared.unwrap_or(0), declared),
            Part::Nothing { size } => (size, Some(0)),
            Part::Some { first, last, size } => (size, Some(last - first + 1)),
        };
        if size > self.limits.max_bytes {
            return Err(BlobError::Refused(ProblemCode::TooLarge));
        }
        if declared.is_some() && declared != length {
            return Err(BlobError::Body("The body has another length than its content range"));
        }
        Ok(length.map_or(Length::AtMost(self.limits.max_bytes), Length::Exactly))
    }

    /// Takes in what a body brings without the turn at the blob, which is for the moment in which it becomes part of it: whoever sends slowly keeps nobody
    /// else waiting, and others may be sending the same.
    async fn take_in(
        self: &Arc<Self>,
        id: BlobId,
        part: Part,
        length: Length,
        by: Uploader,
        chunks: &mut BodyDataStream,
    ) -> Result<Received, BlobError> {
        self.usage.know(self.count()).await?;
        // Tasks of their own, with their turns: whoever hangs up, or comes to the end of the request's time, leaves nothing half done.
        let blobs = Arc::clone(self);
        let answering = tokio::spawn(async move {
            let _turn = blobs.locks.lock(id).await?;
            blobs.answer_without(id, part, by.owner).await
        });
        if let Some(answer) = answering.await.map_err(|_| BlobError::Unavailable)?? {
            return Ok(answer);
        }
        let offset = part.offset();
        let staged = self.stage(id, offset, length, by.who, chunks).await?;
        let blobs = Arc::clone(self);
        let adding = tokio::spawn(async move { blobs.add(id, part, by.owner, staged).await });
        adding.await.map_err(|_| BlobError::Unavailable)?
    }

    /// Makes what has come a part of the blob.
    async fn add(
        &self,
        id: BlobId,
        part: Part,
        owner: Option<[u8; 32]>,
        staged: Staged,
    ) -> Result<Received, BlobError> {
        let _turn = self.locks.lock(id).await?;
        // Another may have been quicker. What is staged is gone then.
        if let Some(answer) = self.answer_without(id, part, owner).await? {
            return Ok(answer);
        }
        match part {
            Part::Some { last, size, .. } if last + 1 != size => {
                staged.publish().await?;
                return Ok(Received::Some { received: last + 1, size });
            }
            Part::Some { .. } => {}
            Part::Whole | Part::Nothing { .. } => self.remove(id).await?,
        }
        let before = self.parts(id).await?.into_iter().map(|(_, length)| length);
        let mut parts: Vec<u64> = before.collect();
        parts.push(staged.publish().await?);
        self.seal(id, parts, owner).await
    }

    /// What there is to say whatever the body brings: all of it is there, or this part was there before, or is not the next one. With the turn at the blob.
    async fn answer_without(
        &self,
        id: BlobId,
        part: Part,
        owner: Option<[u8; 32]>,
    ) -> Result<Option<Received>, BlobError> {
        if let Some(mut whole) = self.find(id).await? {
            let size = whole.size();
            if whole.manifest.join(owner) {
                // Who is told that it is there is one of those who have put it up: it is theirs, too, from now on, for as long as a new one.
                self.keep(id, &mut whole.manifest).await?;
            }
            return Ok(Some(Received::Whole(size)));
        }
        // One that has expired, and that nobody has removed yet; or that a copy of the folder has brought without its parts.
        if found(self.store.head(&whole_path(id)).await)?.is_some() {
            self.remove(id).await?;
        }
        let (Part::Some { size, .. } | Part::Nothing { size }) = part else { return Ok(None) };
        let parts = self.parts(id).await?;
        let received = total(&parts);
        if received == size && size > 0 {
            // A crash came between the last of them and what makes them a blob.
            return self.seal(id, parts.into_iter().map(|(_, length)| length).collect(), owner).await.map(Some);
        }
        match part {
            Part::Whole => Ok(None),
            Part::Nothing { size } => Ok(Some(Received::Some { received, size })),
            Part::Some { first, last, size } => {
                // Its answer was lost. Whether they are the same bytes shows when all are there.
                if last < received {
                    return Ok(Some(Received::Some { received, size }));
                }
                if first != received {
                    return Err(BlobError::WrongOffset(received));
                }
                if last - first + 1 < MIN_BLOB_PART && last + 1 != size {
                    return Err(BlobError::Body("Only the last part of a blob may be that small"));
                }
                Ok(None)
            }
        }
    }

    /// Writes the body beside what there is of the blob. Nothing is left of one that has another length or breaks off.
    async fn stage(
        &self,
        id: BlobId,
        offset: u64,
        length: Length,
        who: [u8; 32],
        chunks: &mut BodyDataStream,
    ) -> Result<Staged, BlobError> {
        if let Length::Exactly(more) = length {
            // Rather now than after most of it was written.
            self.usage.has_room(who, more, &self.limits)?;
        }
        let mut taken = self.usage.taken();
        // Dropped before it is complete, whatever the reason, it removes what it has written; what it cannot, the next start removes.
        let mut upload = self.store.put_multipart(&part_path(id, offset)).await?;
        let (Length::Exactly(most) | Length::AtMost(most)) = length;
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(|_| BlobError::Body("The body ended early"))?;
            taken.more(who, chunk.len() as u64, &self.limits)?;
            if taken.bytes() > most {
                return Err(BlobError::Refused(ProblemCode::TooLarge));
            }
            // One after the other: no more than a chunk of each upload is ever held.
            upload.put_part(PutPayload::from_bytes(chunk)).await?;
        }
        let written = taken.bytes();
        if written == 0 || matches!(length, Length::Exactly(length) if length != written) {
            return Err(BlobError::Body("The body is shorter than it must be"));
        }
        Ok(Staged { upload, taken })
    }

    /// All parts are there. If they have the id, they are a blob from now on; if not, nothing stays of them.
    async fn seal(&self, id: BlobId, parts: Vec<u64>, owner: Option<[u8; 32]>) -> Result<Received, BlobError> {
        let mut manifest = Manifest::new(parts, owner);
        if !self.is_named_by(id, &manifest).await? {
            self.remove(id).await?;
            return Err(BlobError::Refused(ProblemCode::BlobMismatch));
        }
        // A blob whose parts were lost again would take those with it that were answered.
        self.settle(id).await?;
        self.keep(id, &mut manifest).await?;
        Ok(Received::Whole(manifest.size()))
    }

    /// From now on, for as long as a blob is kept. It counts as come at the time that the database's day allows, which need not be the clock's.
    async fn keep(&self, id: BlobId, manifest: &mut Manifest) -> Result<(), BlobError> {
        let arrival = (self.times.arrival)().seconds();
        manifest.comes(arrival);
        self.publish(id, manifest, arrival).await
    }

    /// Makes what makes a blob whole, as of this time (in seconds since 1970), which its file has before it has its name. With the turn at the blob.
    pub(super) async fn publish(&self, id: BlobId, manifest: &Manifest, came: u64) -> Result<(), BlobError> {
        let (path, bytes) = (self.folder.join(whole_path(id).as_ref()), manifest.encode()?);
        let publishing = tokio::task::spawn_blocking(move || {
            let staged = path.with_added_extension(STAGED);
            private_file::make_folder(path.parent().unwrap_or(&path))?;
            let mut file = private_file::anew(&staged)?;
            file.write_all(&bytes)?;
            file.set_modified(UNIX_EPOCH + Duration::from_secs(came))?;
            file.sync_all()?;
            private_file::rename(&staged, &path)
        });
        publishing.await.map_err(|_| BlobError::Unavailable)?.map_err(BlobError::from)
    }
}

fn total(parts: &[(u64, u64)]) -> u64 {
    parts.iter().map(|(_, length)| length).sum()
}
