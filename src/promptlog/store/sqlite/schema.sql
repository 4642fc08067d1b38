-- One row per request, narrow on purpose: any filter is one pass over these rows, with no index to keep on the card.
CREATE TABLE records (
    id                INTEGER PRIMARY KEY,  -- in the order of writing
    time              INTEGER NOT NULL,     -- when the request came: milliseconds since 1970
    request           INTEGER NOT NULL,     -- hash of the request's id
    conversation      INTEGER,              -- hash of the conversation's id
    class             INTEGER NOT NULL REFERENCES words (id),
    model             INTEGER NOT NULL REFERENCES words (id),
    labels            INTEGER NOT NULL REFERENCES words (id),  -- joined by commas
    profile           INTEGER REFERENCES words (id),
    policy            INTEGER NOT NULL,
    status            INTEGER NOT NULL,
    finish            INTEGER REFERENCES words (id),
    kept              INTEGER NOT NULL,
    prompt_tokens     INTEGER,
    cached_tokens     INTEGER,
    completion_tokens INTEGER,
    reasoning_tokens  INTEGER,
    queued            INTEGER,              -- microseconds, as the two that follow
    first_token       INTEGER,
    total             INTEGER NOT NULL
);

-- Everything else about a request: JSON, compressed with the dictionary of its segment.
CREATE TABLE details (
    id   INTEGER PRIMARY KEY,
    data BLOB NOT NULL
);

-- Images apart, so that reading texts does not read them.
CREATE TABLE images (
    record INTEGER NOT NULL,
    number INTEGER NOT NULL,
    data   BLOB NOT NULL,
    PRIMARY KEY (record, number)
);

-- Runs of records that share texts among themselves and with no other, so that each can be dropped as a whole.
CREATE TABLE segments (
    id         INTEGER PRIMARY KEY,
    first      INTEGER NOT NULL,
    oldest     INTEGER NOT NULL,            -- times of its records
    newest     INTEGER NOT NULL,
    bytes      INTEGER NOT NULL,
    dictionary INTEGER NOT NULL REFERENCES dictionaries (id)
);

-- What compression starts from; kept here, so that a log can be read by every later version.
CREATE TABLE dictionaries (
    id   INTEGER PRIMARY KEY,
    data BLOB NOT NULL UNIQUE
);

-- Values that many records share.
CREATE TABLE words (
    id   INTEGER PRIMARY KEY,
    text TEXT NOT NULL UNIQUE
);

-- The words of what a person said last and of the answer, in lower case with spaces between. Texts themselves are in
-- details; places within a text are not kept, which halves the index and leaves no phrases to search for.
CREATE VIRTUAL TABLE search USING fts5 (
    text, content = '', contentless_delete = 1, detail = none, tokenize = 'ascii'
);
