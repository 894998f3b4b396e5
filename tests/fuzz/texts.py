# SPDX-License-Identifier: Apache-2.0
"""Targets: what people write: settings, durations, sizes, times. A value in range, or a message.

What is accepted can be printed, and what was printed is read as the same.
"""

from contextlib import suppress
from pathlib import Path

from agent.settings import ENV_PREFIX as AGENT_PREFIX
from agent.settings import AgentSettings
from common.config import Settings, defaults, load, render
from common.errors import ConfigError
from common.units import ByteSize, Duration, UnitError
from consumer.settings import ENV_PREFIX as CONSUMER_PREFIX
from consumer.settings import ConsumerSettings
from fuzz.target import Target, scratch
from history.errors import QuestionError
from history.span import iso, moment, span

DEPLOY = Path(__file__).parents[2] / "deploy"
SERVICES: tuple[tuple[type[Settings], str], ...] = (
    (AgentSettings, AGENT_PREFIX),
    (ConsumerSettings, CONSUMER_PREFIX),
)
NOW_NS = 1_700_000_000 * 10**9


def toml(data: bytes) -> None:
    """Read settings of both services from a file; print and read again what was accepted."""
    file = scratch() / "settings.toml"
    for kind, _ in SERVICES:
        file.write_bytes(data)
        with suppress(ConfigError):
            again(kind, load(kind, file), file)


def again(kind: type[Settings], found: Settings, file: Path) -> None:
    """Hold that settings which were accepted can be printed as TOML, and are read from it as they were."""
    text = render(found)
    if "***" in text:
        return
    file.write_text(text, encoding="utf-8")
    try:
        assert load(kind, file) == found
    except ConfigError as error:
        raise AssertionError(f"printed settings are refused: {error}\n{text}") from error


def entries(data: bytes) -> None:
    """Read settings from variables (lines of NAME=value) and --set (all others)."""
    for kind, prefix in SERVICES:
        environ, overrides = {}, []
        for line in data.decode("utf-8", "surrogateescape").split("\n"):
            name, equals, value = line.partition("=")
            if equals and name.startswith("__"):
                environ[f"{prefix}{name}"] = value
            else:
                overrides.append(line)
        with suppress(ConfigError):
            render(load(kind, env_prefix=prefix, overrides=overrides, environ=environ))


def units(data: bytes) -> None:
    """Read a duration and a size; print and read again what was accepted."""
    text = data.decode("utf-8", "replace")
    with suppress(UnitError):
        size = ByteSize.parse(text)
        assert 0 <= size < 2**63
        assert ByteSize.parse(str(size)) == size
    with suppress(UnitError):
        duration = Duration.parse(text)
        assert 0 <= duration.nanoseconds < 2**64
        assert Duration.parse(str(duration)) == duration


def times(data: bytes) -> None:
    """Read the two ends of a span; print and read again what was accepted."""
    first, _, second = data.decode("utf-8", "replace").partition("\n")
    with suppress(QuestionError):
        found = span(first, second, NOW_NS)
        assert 0 <= found.from_ns < found.to_ns < 2**63
    with suppress(QuestionError):
        at = moment("--from", first, NOW_NS)
        assert abs(moment("--to", iso(at), NOW_NS) - at) < 1000


def _files() -> list[bytes]:
    written = [(DEPLOY / f"{name}.toml").read_bytes() for name in ("agent", "consumer")]
    texts = [defaults(kind).replace("\n#", "\n") for kind, _ in SERVICES]
    plain = "[kafka]\nshards = 3\nlinger = '5ms'\n[kafka.options]\n'a.b' = 1\n[spool]\nmax-bytes = '1GiB'\n"
    return [*written, *(text.encode() for text in (*texts, plain))]


def _lines() -> list[bytes]:
    return [
        b"__KAFKA__SHARDS=24\nkafka.linger=10ms\n__KAFKA__OPTIONS__LINGER_MS=5",
        b"capture.ports=80,443\ncapture.netns=[1,2]\nspool.max-bytes=1GiB\nconsumer.cycle=2s",
        b'consumer.edge-name=[{host="a*",name="b"}]\nkafka.security.protocol=ssl\nbrakes.max-cpu-percent=2',
    ]


def _units() -> list[bytes]:
    return [b"10s", b"1.5h", b"200ms", b"64MiB", b"0", b" 1 TB ", b"0.5\xc2\xb5s"]


def _times() -> list[bytes]:
    return [b"-1h\nnow", b"2026-11-22T10:00\n2026-11-22T11:00:00.5+02:00", b"2026-11-22\n-7d"]


TARGETS = [
    Target("toml", toml, _files, 800),
    Target("entries", entries, _lines, 1_500),
    Target("units", units, _units, 30_000),
    Target("times", times, _times, 20_000),
]
