# SPDX-License-Identifier: Apache-2.0
"""Log lines on standard error: JSON for machines, colours for a terminal. Called once, by a command line.

Lines of libraries that use Python's own logging (librdkafka's among them) pass through the same renderer.
"""

import logging
import re
import sys
from typing import Literal, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from common.throttle import Throttle

_DIGITS = re.compile(r"[0-9]+")
_SUBJECTS = 256
LogFormat = Literal["auto", "json", "console"]
LogLevel = Literal["debug", "info", "warning", "error"]


def setup_logging(
    log_format: LogFormat = "auto",
    level: LogLevel = "info",
    *,
    stream: TextIO | None = None,
    **fields: str,
) -> None:
    """Decide how every later log line of this process looks.

    Args:
        log_format: `auto` is `console` on a terminal, else `json`.
        level: the least one that is written.
        stream: where to, standard error when None.
        fields: added to each line, such as `service="agent"`.
    """
    out = stream or sys.stderr
    as_json = log_format == "json" or (log_format == "auto" and not out.isatty())
    threshold = getattr(logging, level.upper())

    def add_fields(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        return {**fields, **event}

    render: list[Processor] = (
        [structlog.processors.dict_tracebacks, structlog.processors.JSONRenderer()]
        if as_json
        else [structlog.dev.ConsoleRenderer(colors=out.isatty())]
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            add_fields,
            *render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.WriteLoggerFactory(file=out),
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(handlers=[_Forward()], level=threshold, force=True)


class _Forward(logging.Handler):
    """Hands the records of Python's own logging to structlog; the same line every ten seconds at most.

    Lines that differ in numbers alone are the same: librdkafka tells of each attempt to connect, twenty a
    second.
    """

    def __init__(self) -> None:
        super().__init__()
        self._throttle = Throttle()
        self._subjects: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        silent = self._throttle.due(self._subject(text))
        if silent is None:
            return
        more = {"more": silent} if silent else {}
        logger = structlog.get_logger()
        logger.log(record.levelno, text, logger=record.name, exc_info=record.exc_info, **more)

    def _subject(self, text: str) -> str:
        subject = _DIGITS.sub("0", text)
        if len(self._subjects) >= _SUBJECTS:
            self._throttle, self._subjects = Throttle(), set()
        self._subjects.add(subject)
        return subject
