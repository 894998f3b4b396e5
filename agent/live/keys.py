# SPDX-License-Identifier: Apache-2.0
"""The keys of ``top``: what each does, apart from the terminal that they come from."""

import os
import select
import sys
import termios
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager

SORTS = {
    "b": "bytes",
    "m": "messages",
    "5": "p50",
    "9": "p99",
    "w": "wait",
    "r": "rtt",
    "t": "retransmits",
}
HELP = (
    "sort: b bytes  m messages  5 p50  9 p99  w wait  r rtt  t retransmits   |   "
    "c connections  p processes  / filter  q end"
)
_BACKSPACE = ("\x7f", "\b")
_ENTER = ("\r", "\n")
_ESCAPE = "\x1b"


class Controls:
    """How the table stands: changed by options at the start, by keys afterwards."""

    def __init__(self, sort: str, by: str) -> None:
        self.sort = sort
        self.by = by
        """``connection`` or ``process``."""
        self.text = ""
        """Only rows whose names or addresses contain it."""
        self.typing = False
        self.ended = False

    def press(self, key: str) -> None:
        """Take one key."""
        if self.typing:
            self._type(key)
        elif key in SORTS:
            self.sort = SORTS[key]
        elif key in "cp":
            self.by = "connection" if key == "c" else "process"
        elif key == "/":
            self.typing, self.text = True, ""
        elif key == "q":
            self.ended = True

    def _type(self, key: str) -> None:
        if key in _ENTER:
            self.typing = False
        elif key == _ESCAPE:
            self.typing, self.text = False, ""
        elif key in _BACKSPACE:
            self.text = self.text[:-1]
        elif key.isprintable():
            self.text += key


@contextmanager
def pressed() -> Iterator[Callable[[], str]]:
    """A function that returns the keys pressed since it was last called; without a terminal, none.

    The terminal is as before afterwards.
    """
    if not sys.stdin.isatty():
        yield str
        return
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    tty.setcbreak(descriptor)
    try:
        yield lambda: _waiting(descriptor)
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


def _waiting(descriptor: int) -> str:
    keys = ""
    while select.select([descriptor], [], [], 0)[0]:
        found = os.read(descriptor, 64)
        if not found:
            break
        keys += found.decode("utf-8", "ignore")
    return keys
