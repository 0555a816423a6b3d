-- Days that a clock was wrong by, or the relay off, and that are not counted. What came under a clock that was far ahead bore its day: none is after
-- today.
ALTER TABLE calendar ADD COLUMN skipped bigint NOT NULL DEFAULT 0;
ALTER TABLE calendar ADD COLUMN watched bigint NOT NULL DEFAULT 0;
UPDATE log_entries SET day = (SELECT day FROM calendar) WHERE day > (SELECT day + 7 FROM calendar);
UPDATE logs SET oldest_day = (SELECT day FROM calendar) WHERE oldest_day > (SELECT day + 7 FROM calendar);
UPDATE inbox_entries SET day = (SELECT day FROM calendar) WHERE day > (SELECT day + 7 FROM calendar);
UPDATE inbox_ids SET day = (SELECT day FROM calendar) WHERE day > (SELECT day + 7 FROM calendar);
UPDATE spent_key_packages SET day = (SELECT day FROM calendar) WHERE day > (SELECT day + 7 FROM calendar);

-- Whose blobs are to go, since their accounts were closed.
CREATE TABLE blobs_to_remove (
    secret bytea PRIMARY KEY CHECK (length(secret) = 32),
    hour bigint NOT NULL
);
