# SPDX-License-Identifier: Apache-2.0
"""The command ``doctor``: can this host be traced, with which figures, and what is missing."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from agent.commands.options import Config, Json, Overrides, settings_of

if TYPE_CHECKING:
    from agent.doctor.checks import Check
    from agent.doctor.measures import Measure
    from agent.settings import AgentSettings

ROOT = Path("/")


def doctor(
    *,
    load: Annotated[bool, Parameter(negative="")] = False,
    json: Json = False,
    config: Config = None,
    overrides: Overrides = None,
) -> None:
    """Say whether this host can be traced, and which latencies are exact here. Exit 1: it cannot.

    Reads only, unless --load is given.

    Args:
        load: also load and attach the programs, and take them away at once.
        json: one object.
        config: as for run (only [capture] and [privacy] are used).
        overrides: as for run.
    """
    if not diagnose(settings_of(config, overrides), ROOT, load=load, json=json):
        sys.exit(1)


def diagnose(settings: "AgentSettings", root: Path, *, load: bool, json: bool) -> bool:
    """Print the findings for the host below ``root``; return whether it is fit."""
    import msgspec  # noqa: PLC0415 - only where it is needed

    from agent.doctor import checks, measures  # noqa: PLC0415
    from agent.doctor.host import Host  # noqa: PLC0415
    from agent.kernel import btf  # noqa: PLC0415
    from agent.live import article  # noqa: PLC0415

    host = Host(root)
    examined = checks.examine(host, lambda one: btf.load(one.btf), settings.capture.ring_pages)
    examined = msgspec.structs.replace(examined, checks=[*examined.checks, _privacy(settings)])
    if load and examined.fit:
        examined = msgspec.structs.replace(examined, checks=[*examined.checks, _load(settings)])
    kinds = measures.measures(examined, article=article.reason(host.sysfs))
    if json:
        told = {"fit": examined.fit, "checks": examined.checks, "measures": kinds}
        print(msgspec.json.encode(told).decode())
    else:
        _print(examined.checks, kinds)
        print(f"\n{'fit: this host can be traced' if examined.fit else 'unfit: see what is bad above'}")
    return examined.fit


def _privacy(settings: "AgentSettings") -> "Check":
    """Return what of addresses and names would leave this host."""
    from agent.doctor.checks import Check  # noqa: PLC0415 - only where it is needed
    from agent.privacy.told import privacy  # noqa: PLC0415
    from common.errors import ConfigError  # noqa: PLC0415

    try:
        return Check("privacy", "ok", privacy(settings))
    except ConfigError as error:
        return Check("privacy", "bad", str(error), "make the file, or set [privacy] to what needs no key")


def _load(settings: "AgentSettings") -> "Check":
    from agent.doctor.checks import Check  # noqa: PLC0415 - only where it is needed
    from agent.kernel.capture import Capture, KernelUnfitError  # noqa: PLC0415
    from agent.service import capture_settings  # noqa: PLC0415

    capture = Capture(capture_settings(settings.capture))
    try:
        capture.start()
    except KernelUnfitError as error:
        return Check("load", "bad", str(error))
    counters = capture.stop().counters
    found = f"{len(counters.programs)} programs loaded, attached and taken away; {counters.attempts} events"
    return Check("load", "ok", found)


def _print(checks: "list[Check]", measures: "list[Measure]") -> None:
    for check in checks:
        remedy = f" ({check.remedy})" if check.remedy else ""
        print(f"{check.state:<5} {check.name:<15} {check.found}{remedy}")
    print()
    for one in measures:
        print(f"{one.quality:<12} {one.name:<23} {one.why}")
