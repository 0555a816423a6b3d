-- The day on which a database was restored, for what a relay does only for a while after that. Of those that were restored before it is not known: for
-- them the while begins here.
ALTER TABLE log_restorations ADD COLUMN day bigint NOT NULL DEFAULT 0;
UPDATE log_restorations SET day = extract(epoch FROM now())::bigint / 86400;
