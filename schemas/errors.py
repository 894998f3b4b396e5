# SPDX-License-Identifier: Apache-2.0
"""What can be wrong with a record: every decoder here raises ``RecordError`` and nothing else."""


class RecordError(ValueError):
    """A record that cannot be taken as what its topic holds.

    ``reason`` is a short fixed word that counters and the poison topic's headers use: ``too-large``,
    ``not-msgpack`` or ``not-json`` (not what the topic holds at all), ``version``, ``limits`` (a field of
    another type or out of its range), ``column`` (packed bytes that are not what the head says). The message
    says what was found and what is allowed.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
