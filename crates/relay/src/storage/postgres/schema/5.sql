-- The day by which what is kept is too old. In a database of before it is that of the transparency log's newest checkpoint: when a relay ran last, or
-- today where that was signed under a clock that was ahead.
CREATE TABLE calendar (
    n bigint PRIMARY KEY CHECK (n = 1),
    day bigint NOT NULL
);
INSERT INTO calendar (n, day) SELECT 1, least(time_ms / 86400000, extract(epoch FROM now())::bigint / 86400) FROM transparency_log WHERE n = 1;
