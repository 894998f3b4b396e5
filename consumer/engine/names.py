# SPDX-License-Identifier: Apache-2.0
"""Names and owners that a person gives to the ends of connections, by rules. Pure; the first match wins.

An end is judged by what its own events tell of it, so that its name does not depend on who is at the other
side. Patterns are those of file names: ``*``, ``?``, ``[abc]``, and case matters.
"""

import fnmatch
import re
from string import Formatter
from typing import Annotated, NamedTuple

from msgspec import Meta

from common.config import Settings

PLACEHOLDERS = ("process", "label", "host", "port")
BETWEEN = " > "
"""Stands between the two ends of an edge."""
MAX_LENGTH = 200
_REMEMBERED = 65_536

Glob = Annotated[str, Meta(min_length=1)]
Port = Annotated[int, Meta(ge=1, le=65_535)]


class Who(NamedTuple):
    """What rules look at."""

    process: str
    """Empty where no agent is."""
    label: str
    host: str
    """Where no agent is, the address."""
    port: int | None
    """None at an end that connected: its port is another one each time."""


class EdgeName(Settings, frozen=True):
    """One table of ``[[consumer.edge-name]]``: which ends it is about, and what they are called."""

    process: Annotated[Glob, Meta(description="Pattern for the process's name")] = "*"
    label: Annotated[Glob, Meta(description="Pattern for its label")] = "*"
    host: Annotated[
        Glob, Meta(description="Pattern for its host, or for the address of one without agent")
    ] = "*"
    port: Annotated[Port | None, Meta(description="Port that the end listens on")] = None
    name: Annotated[str, Meta(description="What the end is called; {process} {label} {host} {port}")] = ""

    def __post_init__(self) -> None:
        """Refuse a name that could not be written."""
        if not 1 <= len(self.name) <= MAX_LENGTH:
            raise ValueError(f"name: found {self.name!r}; allowed is a text of 1 to {MAX_LENGTH} characters")
        if BETWEEN in self.name or not self.name.isprintable():
            what = f"found {self.name!r}; allowed is text without {BETWEEN!r} and control characters"
            raise ValueError(f"name: {what}")
        try:
            parts = list(Formatter().parse(self.name))
        except ValueError as error:
            raise ValueError(
                f"name: found {self.name!r} ({error}); a brace itself is {{{{ or }}}}"
            ) from error
        for _, field, form, conversion in parts:
            if field is not None and (field not in PLACEHOLDERS or form or conversion):
                allowed = ", ".join(f"{{{one}}}" for one in PLACEHOLDERS)
                raise ValueError(f"name: found {self.name!r}; allowed placeholders are {allowed}")


class Owner(NamedTuple):
    """One line of the owners' file."""

    pattern: str
    owner: str


class _Rule:
    """An EdgeName, ready to be asked."""

    def __init__(self, told: EdgeName) -> None:
        self._texts = tuple(_compiled(one) for one in (told.process, told.label, told.host))
        self._port = told.port
        self._name = told.name
        self._without_port = told.name.replace(":{port}", "")

    def name(self, who: Who) -> str:
        """Return the end's name, empty where the rule is not about it."""
        if self._port not in {None, who.port}:
            return ""
        if not all(pattern.match(text) for pattern, text in zip(self._texts, who[:3], strict=True)):
            return ""
        host = f"[{who.host}]" if ":" in who.host else who.host
        form, port = (self._without_port, "") if who.port is None else (self._name, who.port)
        return form.format(process=who.process, label=who.label, host=host, port=port)


class Names:
    """The rules of one partition, with the answers given so far."""

    def __init__(self, rules: tuple[EdgeName, ...] = (), owners: tuple[Owner, ...] = ()) -> None:
        self._rules = [_Rule(one) for one in rules]
        self._owners = [(_compiled(one.pattern), one.owner) for one in owners]
        self._given: dict[Who, str] = {}

    def of(self, who: Who) -> str:
        """Return the name that the first matching rule gives, empty where none does."""
        if not self._rules:
            return ""
        name = self._given.get(who)
        if name is None:
            if len(self._given) >= _REMEMBERED:
                self._given.clear()
            name = self._given[who] = next(filter(None, (rule.name(who) for rule in self._rules)), "")
        return name

    def owner(self, end: str, label: str) -> str | None:
        """Return the owner of an end by its name in edges or by its label, None where it has none."""
        for pattern, owner in self._owners:
            if pattern.match(end) or pattern.match(label):
                return owner
        return None


def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(fnmatch.translate(pattern))
