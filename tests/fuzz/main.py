# SPDX-License-Identifier: Apache-2.0
"""Runs the fuzz targets under atheris, each in a process of its own, guided by the coverage of our packages.

    make fuzz FUZZ_SECONDS=600            every target for so long, what was learnt kept in .cache/fuzz
    python -m fuzz.main --seconds 60 toml units

Memory is bounded by RLIMIT_AS, the time for one input by libFuzzer. The first crasher ends a target; its
bytes are kept and named, the others go on, and the exit code is 1.
"""

import argparse
import os
import resource
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

import atheris
import structlog

from fuzz.target import Target

OWN = ["agent", "common", "consumer", "fuzz.planted", "history", "schemas", "tomllib", "wirelag"]

with atheris.instrument_imports(include=OWN):
    from fuzz import kernel, planted, records, spools, state, texts

MEMORY_BYTES = 2 * 2**30
MOST_BYTES = 64 * 1024
IN_MEMORY = Path("/dev/shm")  # noqa: S108 - what targets write is not worth a disk
MODULES = (records, kernel, texts, state, spools)
TARGETS = {target.name: target for module in MODULES for target in module.TARGETS}
CONTROLS = {target.name: target for target in planted.TARGETS}


def fuzz(target: Target, options: Iterable[str], corpus: Path) -> None:
    """Fuzz in this process, which ends with that."""
    seeds = Path(tempfile.mkdtemp(prefix="seeds-"))
    for number, seed in enumerate(target.seeds()):
        (seeds / str(number)).write_bytes(seed)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    fixed = [f"-max_len={MOST_BYTES}", "-seed=1", "-verbosity=0", "-print_final_stats=1"]
    atheris.Setup([sys.argv[0], *fixed, *options, str(corpus), str(seeds)], target.one)
    atheris.Fuzz()


def child(target: Target, options: Iterable[str], corpus: Path) -> int:
    """Fuzz in a process of its own; returns its exit code."""
    pid = os.fork()
    if not pid:
        fuzz(target, options, corpus)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def run(arguments: argparse.Namespace, made: Path) -> int:
    """Run targets one after the other; returns the exit code."""
    failed = []
    names = arguments.targets or list(TARGETS)
    arguments.crashers.mkdir(parents=True, exist_ok=True)
    for name in names:
        target = (TARGETS | CONTROLS)[name]
        corpus = (arguments.corpus or made / "corpus") / name
        corpus.mkdir(parents=True, exist_ok=True)
        seconds = arguments.seconds
        limit = f"runs={target.runs}" if seconds is None else f"max_total_time={seconds}"
        print(f"{name}: {limit}", flush=True)
        prefix = f"-artifact_prefix={arguments.crashers.absolute()}/{name}-"
        if child(target, [prefix, f"-timeout={arguments.input_seconds}", f"-{limit}"], corpus):
            failed.append(name)
    print(f"{len(names) - len(failed)} of {len(names)} targets held", *failed, sep="\nfailed: ")
    return 1 if failed else 0


def main() -> int:
    """Run the targets that were named, or all."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(TARGETS))
    parser.add_argument("--seconds", type=int, help="for each target; without it, the runs of the test suite")
    parser.add_argument("--input-seconds", type=int, default=60, help="that one input may take")
    parser.add_argument("--corpus", type=Path, help="folder that keeps inputs from run to run")
    parser.add_argument("--crashers", type=Path, default=Path(), help="folder for what fails")
    arguments = parser.parse_args()
    if unknown := set(arguments.targets) - (TARGETS | CONTROLS).keys():
        parser.error(f"no target {', '.join(sorted(unknown))}; there are {', '.join(TARGETS)}")
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    where = IN_MEMORY if IN_MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="wirelag-fuzz-", dir=where) as made:
        tempfile.tempdir = made
        return run(arguments, Path(made))


if __name__ == "__main__":
    sys.exit(main())
