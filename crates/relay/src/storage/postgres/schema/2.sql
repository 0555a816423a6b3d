-- How often the operator has decided something: one small row tells every process whether there is news.
CREATE TABLE decisions (
    n bigint PRIMARY KEY CHECK (n = 1),
    turn bigint NOT NULL
);
