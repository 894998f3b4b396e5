# SPDX-License-Identifier: Apache-2.0
"""Asks Kafka, in a thread of its own, whether the topics fit, until it answers: an agent starts without it.

Guarantee: ``is_open`` turns true once, and only after the topics were found as the settings describe them.
Settings that cannot be right are raised in the thread of whoever looks, not tried again.
"""

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

import structlog

from common.errors import ConfigError, WirelagError
from common.throttle import Throttle

ASK_SECONDS = 2.0
"""How long Kafka may take for an answer."""
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.25, 5.0
SAY_SECONDS = 30.0


class Gate:
    """Open once ``ask`` has returned. Use it in a with block, which ends its thread."""

    def __init__(self, ask: Callable[[float], None]) -> None:
        self._ask = ask
        self._end = threading.Event()
        self._open = False
        self._refused: ConfigError | None = None
        self.why = ""
        """What Kafka, or the way there, said last."""
        self._throttle = Throttle(SAY_SECONDS)
        self._log = structlog.get_logger()
        self._thread = threading.Thread(target=self._run, name="topics", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end.set()  # the thread ends by itself: a question under way is not waited for

    def is_open(self) -> bool:
        """Say whether the topics fit.

        Raises:
            ConfigError: they never will with these settings, such as TopicMismatchError.
        """
        if self._refused is not None:
            raise self._refused
        return self._open

    def _run(self) -> None:
        pause = FIRST_PAUSE_SECONDS
        while not self._end.is_set():
            try:
                self._ask(ASK_SECONDS)
            except ConfigError as error:
                self._refused = error
                return
            except WirelagError as error:
                self.why = str(error)
            else:
                self._open = True
                return
            if (silent := self._throttle.due("no answer")) is not None and not self._end.is_set():
                self._log.warning("Kafka cannot be used yet", error=self.why, more=silent)
            self._end.wait(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
