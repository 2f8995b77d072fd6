"""The journal's tables."""

from lineside.journal.keyupgrade import move_keys
from lineside.store.migrations import Component

JOURNAL = Component(
    "journal",
    (
        (
            # The epoch is of those who follow the sequence; a record's identity is made of its run.
            "CREATE TABLE journal (epoch TEXT NOT NULL)",
            "INSERT INTO journal (epoch) VALUES (lower(hex(randomblob(8))))",
            "CREATE TABLE source (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE)",
            # The last segment is never removed: its `last` is where the sequence goes on.
            """CREATE TABLE segment (
                first INTEGER PRIMARY KEY,
                last INTEGER NOT NULL,
                source INTEGER NOT NULL REFERENCES source,
                run TEXT NOT NULL,
                received_ns INTEGER NOT NULL,
                events BLOB NOT NULL
            )""",
            "CREATE INDEX segment_of_source ON segment (source, first)",
            # Rows stand in the order of arrival, so that pruning takes them from the front.
            """CREATE TABLE seen (
                id INTEGER PRIMARY KEY,
                source INTEGER NOT NULL REFERENCES source,
                key TEXT NOT NULL,
                seq INTEGER NOT NULL,
                received_ns INTEGER NOT NULL,
                UNIQUE (source, key)
            )""",
            # Every record at or below `cursor` is settled, but for the rows of the two tables below.
            # `order_by` is the field whose values are the keys of its backlogs.
            """CREATE TABLE consumer (
                id TEXT PRIMARY KEY,
                cursor INTEGER NOT NULL,
                order_by TEXT
            ) WITHOUT ROWID""",
            """CREATE TABLE gap (
                consumer TEXT NOT NULL,
                seq INTEGER NOT NULL,
                attempts INTEGER NOT NULL,
                PRIMARY KEY (consumer, seq)
            ) WITHOUT ROWID""",
            # Of this key, every record above `after` is unsettled too.
            """CREATE TABLE backlog (
                consumer TEXT NOT NULL,
                key TEXT NOT NULL,
                after INTEGER NOT NULL,
                PRIMARY KEY (consumer, key)
            ) WITHOUT ROWID""",
            """CREATE TABLE delivered (
                consumer TEXT NOT NULL,
                seq INTEGER NOT NULL,
                name TEXT NOT NULL,
                found INTEGER NOT NULL,
                attempts INTEGER NOT NULL,
                at_ns INTEGER NOT NULL,
                PRIMARY KEY (consumer, seq)
            ) WITHOUT ROWID""",
            # What a person has decided never to deliver.
            """CREATE TABLE discarded (
                consumer TEXT NOT NULL,
                seq INTEGER NOT NULL,
                code TEXT NOT NULL,
                reason TEXT NOT NULL,
                at_ns INTEGER NOT NULL,
                PRIMARY KEY (consumer, seq)
            ) WITHOUT ROWID""",
            # `consumer` is '' for what could not be decoded. The event is copied, not referred to, so that
            # retention may remove its segment.
            """CREATE TABLE dead_letter (
                id INTEGER PRIMARY KEY AUTOINCREMENT,
                consumer TEXT NOT NULL,
                seq INTEGER NOT NULL,
                run TEXT NOT NULL,
                source TEXT NOT NULL,
                code TEXT NOT NULL,
                reason TEXT NOT NULL,
                reply TEXT,
                attempts INTEGER NOT NULL,
                at_ns INTEGER NOT NULL,
                retrying INTEGER NOT NULL DEFAULT 0,
                event BLOB NOT NULL,
                UNIQUE (consumer, seq)
            )""",
        ),
        (
            # Fields of a delivered document that did not hold what was sent, as a JSON list.
            """CREATE TABLE altered (
                consumer TEXT NOT NULL,
                seq INTEGER NOT NULL,
                fields TEXT NOT NULL,
                PRIMARY KEY (consumer, seq)
            ) WITHOUT ROWID""",
        ),
        (
            # How `events` is written: 1, each event by itself; 2, in columns.
            "ALTER TABLE segment ADD COLUMN format INTEGER NOT NULL DEFAULT 1",
        ),
        (
            # See `lineside.journal.seen`. Digests are 16 bytes each, made with the journal's salt.
            "ALTER TABLE journal ADD COLUMN salt BLOB",
            "UPDATE journal SET salt = randomblob(16)",
            # Of one batch: the digests of events with the sequences from `first` on.
            """CREATE TABLE key_recent (
                first INTEGER PRIMARY KEY,
                received_ns INTEGER NOT NULL,
                digests BLOB NOT NULL
            )""",
            """CREATE TABLE key_run (
                id INTEGER PRIMARY KEY AUTOINCREMENT,
                newest_ns INTEGER NOT NULL
            )""",
            # What is read of each run at the start.
            """CREATE TABLE key_filter (
                run INTEGER PRIMARY KEY REFERENCES key_run,
                counts BLOB NOT NULL,
                prints BLOB NOT NULL
            )""",
            # The rows of run n are those from 1024 n on; `facts` are sequences and times, 8 bytes each.
            """CREATE TABLE key_bucket (
                id INTEGER PRIMARY KEY,
                digests BLOB NOT NULL,
                facts BLOB NOT NULL
            )""",
            move_keys,
            "DROP TABLE seen",
        ),
    ),
)
