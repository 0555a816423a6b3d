-- What the operator has set in place of the configuration's quotas: for an account's inboxes, or for everybody (account 0).
CREATE TABLE quotas (
    account bigint NOT NULL,
    name text COLLATE "C" NOT NULL,
    bytes bigint NOT NULL,
    PRIMARY KEY (account, name)
);
