"""Answers of servers, kept one by one as they arrive, so that none is ever paid for twice.

One SQLite file holds the answers and the ledger of what they cost: an answer is stored and its price booked in one
transaction, so `kill -9` at any moment leaves both or neither, and any number of processes may share the file. The
key of an answer hashes its request by content; the host, headers and keys are no part of it. Where one model name
stands for different weights on two servers, give each its own folder.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from longthought.artifacts import digest, root
from longthought.engines.protocol import Completion
from longthought.errors import UserError

SCHEMA = 1
FILE = "answers.sqlite"
BUSY_SECONDS = 60
_TABLES = """
CREATE TABLE IF NOT EXISTS answers (key TEXT PRIMARY KEY, answer TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS calls (
    id INTEGER PRIMARY KEY, key TEXT NOT NULL, model TEXT NOT NULL, owner TEXT NOT NULL, time REAL NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('open', 'paid', 'lost')),
    prompt_tokens INTEGER, output_tokens INTEGER, cost REAL
);
CREATE INDEX IF NOT EXISTS open_calls ON calls (key) WHERE state = 'open';
CREATE INDEX IF NOT EXISTS costs ON calls (state, cost);
"""


def default_folder() -> Path:
    """`paid` beside the artifacts, not among them: cleaning up what can be made again must not throw money away."""
    return root().parent / "paid"


def request_key(model: str, request: dict[str, Any], sample: int) -> str:
    """SHA-256 of what is asked: the schema, the model, messages and parameters, and which sample of it."""
    return digest({"schema": SCHEMA, "model": model, "request": request, "sample": sample})


class Database:
    """The file of one cache folder, made where it is missing. Raises UserError for one that cannot be used."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / FILE
        try:
            folder.mkdir(parents=True, exist_ok=True)
            # Used by one thread at a time, though not always by the one that opened it.
            self._db = sqlite3.connect(self.file, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
            self._write_ahead()
            version = self._db.execute("PRAGMA user_version").fetchone()[0]
            if version not in (0, SCHEMA):
                raise UserError(f"{self.file}: written by another version of this project; name another cache folder")
            self._db.executescript(f"{_TABLES}PRAGMA user_version = {SCHEMA};")
        except (OSError, sqlite3.Error) as error:
            raise UserError(
                f"{self.file}: cannot be used as a cache of answers ({error}); move it away or name another folder"
            ) from None

    def _write_ahead(self) -> None:
        """Set the journal's mode, for which SQLite does not wait by itself while another process opens the file."""
        deadline = time.monotonic() + BUSY_SECONDS
        while True:
            try:
                self._db.execute("PRAGMA journal_mode = WAL")
                return
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                    raise
                time.sleep(0.02)

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction, all of it or nothing, alone among all processes. Raises UserError when the disk is full."""
        try:
            self._db.execute("BEGIN IMMEDIATE")
            yield self._db
            self._db.execute("COMMIT")
        except BaseException as error:
            # SQLite rolls some failures back by itself.
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            if isinstance(error, sqlite3.Error):
                raise UserError(f"{self.file}: cannot be written to ({error}); what it holds is kept") from None
            raise

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """What a query finds."""
        return self._db.execute(query, values).fetchall()


def stored(db: Database, key: str) -> Completion | None:
    """The answer to a request, if it is there."""
    rows = db.rows("SELECT answer FROM answers WHERE key = ?", key)
    return Completion(**json.loads(rows[0][0])) if rows else None


def store(connection: sqlite3.Connection, key: str, completion: Completion) -> None:
    """Keep an answer, within a transaction."""
    answer = json.dumps(asdict(completion), ensure_ascii=True)
    connection.execute("INSERT OR REPLACE INTO answers VALUES (?, ?)", (key, answer))
