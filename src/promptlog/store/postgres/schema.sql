-- As in SQLite, but for what several writers and a server change: records belong to a segment by its number and not by
-- their own, because instances write in turns; and searched words stand beside the detail.
CREATE SEQUENCE record_ids;

CREATE TABLE records (
    id                bigint PRIMARY KEY,   -- in the order of writing
    time              bigint NOT NULL,      -- when the request came: milliseconds since 1970
    request           bigint NOT NULL,      -- hash of the request's id
    conversation      bigint,               -- hash of the conversation's id
    class             bigint NOT NULL,      -- of words, as the four that follow
    model             bigint NOT NULL,
    labels            bigint NOT NULL,      -- joined by commas
    profile           bigint,
    policy            bigint NOT NULL,
    status            bigint NOT NULL,
    finish            bigint,
    kept              bigint NOT NULL,
    prompt_tokens     bigint,
    cached_tokens     bigint,
    completion_tokens bigint,
    reasoning_tokens  bigint,
    queued            bigint,               -- microseconds, as the two that follow
    first_token       bigint,
    total             bigint NOT NULL,
    segment           bigint NOT NULL
);

CREATE INDEX records_segment ON records (segment);
CREATE INDEX records_request ON records (request);
CREATE INDEX records_conversation ON records (conversation);
CREATE INDEX records_time ON records USING brin (time);

-- Everything else about a request: JSON, compressed with the dictionary of its segment; and what it is found by.
CREATE TABLE details (
    id    bigint PRIMARY KEY,
    data  bytea NOT NULL,
    words tsvector
);

-- It is compressed already.
ALTER TABLE details ALTER COLUMN data SET STORAGE EXTERNAL;
CREATE INDEX details_words ON details USING gin (words);

CREATE TABLE images (
    record bigint NOT NULL,
    number bigint NOT NULL,
    data   bytea NOT NULL,
    PRIMARY KEY (record, number)
);

ALTER TABLE images ALTER COLUMN data SET STORAGE EXTERNAL;

-- Runs of one instance's records that share texts among themselves and with no other.
CREATE TABLE segments (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    oldest     bigint NOT NULL,             -- times of its records
    newest     bigint NOT NULL,
    bytes      bigint NOT NULL,
    dictionary bytea NOT NULL
);

-- Values that many records share.
CREATE TABLE words (
    id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    text text NOT NULL UNIQUE
);
