# SPDX-License-Identifier: Apache-2.0
"""What SQLite's refusals mean for a spool file: no space, a state of the system that passes, or damage."""

import sqlite3

REFUSALS = (sqlite3.Error, UnicodeDecodeError)
"""What any call may raise. The second comes where SQLite's message quotes damaged bytes of the file."""
_NO_SPACE = {
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_IOERR_WRITE,
    sqlite3.SQLITE_IOERR_SHMSIZE,
}
_PASSING = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_BUSY} | {
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_READONLY,
}
_DAMAGED = {sqlite3.SQLITE_IOERR_READ, sqlite3.SQLITE_IOERR_SHORT_READ, sqlite3.SQLITE_IOERR_CORRUPTFS}


def is_full(error: BaseException) -> bool:
    """Say whether the cause is that there is no space."""
    return getattr(error, "sqlite_errorcode", None) in _NO_SPACE or getattr(error, "full", False)


def is_passing(error: BaseException) -> bool:
    """Say whether the cause is the system's state, not the file's."""
    code = getattr(error, "sqlite_errorcode", 0)
    return code not in _DAMAGED and code & 0xFF in _PASSING
