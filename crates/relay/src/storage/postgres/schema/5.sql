-- The day by which what is kept is too old. In a database of before it is that of the transparency log's newest checkpoint: when a relay ran last.
CREATE TABLE calendar (
    n bigint PRIMARY KEY CHECK (n = 1),
    day bigint NOT NULL
);
INSERT INTO calendar (n, day) SELECT 1, time_ms / 86400000 FROM transparency_log WHERE n = 1;
