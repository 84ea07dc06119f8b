-- A history as version 1 keeps it, after log entry 9: one failing run, and the verdict.
CREATE TABLE name (
    id INTEGER PRIMARY KEY, kind INTEGER NOT NULL, name TEXT NOT NULL, UNIQUE (kind, name)
);
CREATE TABLE observation (
    id INTEGER PRIMARY KEY, chk INTEGER NOT NULL, probe INTEGER NOT NULL, site INTEGER NOT NULL,
    boot INTEGER NOT NULL, seq INTEGER NOT NULL, started INTEGER NOT NULL, ended INTEGER NOT NULL,
    status INTEGER NOT NULL, cause TEXT, clock INTEGER NOT NULL, why INTEGER NOT NULL,
    firm INTEGER NOT NULL, duration INTEGER NOT NULL, dns INTEGER, connect INTEGER, tls INTEGER,
    send INTEGER, first_byte INTEGER, transfer INTEGER, address TEXT, detail TEXT, excerpt TEXT,
    UNIQUE (probe, boot, seq)
);
CREATE INDEX observation_by_check ON observation (chk, started);
CREATE TABLE rollup (
    chk INTEGER NOT NULL, width INTEGER NOT NULL, start INTEGER NOT NULL, site INTEGER NOT NULL,
    up INTEGER NOT NULL, degraded INTEGER NOT NULL, down INTEGER NOT NULL, unknown INTEGER NOT NULL,
    total INTEGER NOT NULL, fastest INTEGER NOT NULL, slowest INTEGER NOT NULL,
    sketch BLOB NOT NULL, UNIQUE (chk, width, start, site)
);
CREATE TABLE span (
    chk INTEGER NOT NULL, start INTEGER NOT NULL, entry INTEGER NOT NULL, status INTEGER,
    maintenance INTEGER NOT NULL, PRIMARY KEY (chk, start)
) WITHOUT ROWID;
CREATE TABLE progress (
    one INTEGER PRIMARY KEY CHECK (one = 1), applied INTEGER NOT NULL,
    raw_from INTEGER NOT NULL, rollups_from INTEGER NOT NULL,
    lacks_after INTEGER, lacks_to INTEGER, lacks_from INTEGER
);
INSERT INTO progress VALUES (1, 9, 0, 0, NULL, NULL, NULL);
INSERT INTO name VALUES (1, 0, 'shop'), (2, 1, 'p-a'), (3, 2, 'a');
INSERT INTO observation VALUES (9437184, 1, 2, 3, -8, 4, 1000, 1005, 2, 'refused', 0, 1, 1, 5000,
    NULL, 2500, NULL, NULL, NULL, NULL, '192.0.2.1:443', 'the words', 'what came back');
INSERT INTO span VALUES (1, 1000, 9, 2, 0);
PRAGMA user_version = 1;
