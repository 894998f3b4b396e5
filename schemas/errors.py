# SPDX-License-Identifier: Apache-2.0
"""What can be wrong with a record: every decoder here raises ``RecordError`` and nothing else."""


class RecordError(ValueError):
    """A record that cannot be taken as what its topic holds.

    ``reason`` is a short fixed word (``not-msgpack``, ``version``, ``too-large``, ``limits``, ``column``) that counters
    and the poison topic's headers use; the message says what was found and what is allowed.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
