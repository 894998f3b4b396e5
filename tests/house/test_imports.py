# SPDX-License-Identifier: Apache-2.0
"""Who may import whom. A package or file that does not exist yet breaks no rule."""

import sys
from pathlib import Path

import pytest

from support.house import PACKAGES, Import, imports, modules

MAY_IMPORT = {
    "bpf": set(),
    "schemas": set(),
    "common": set(),
    "agent": {"bpf", "schemas", "common"},
    "lake": {"schemas", "common"},
    "consumer": {"schemas", "common", "lake"},
    "history": {"schemas", "common", "lake"},
    "wirelag": {"schemas", "common", "consumer", "history", "lake"},
}

# A client library is known to its adapters alone, so that it can be replaced and faked in one place.
ADAPTERS = {
    "bcc": {"agent/kernel/loader.py"},
    "confluent_kafka": {
        "agent/delivery/kafka.py",
        "agent/delivery/orders.py",
        "consumer/publish/kafka.py",
        "consumer/source/kafka.py",
        "consumer/source/lag.py",
        "wirelag/kafka.py",
        "wirelag/kafka_admin.py",
    },
    "deltalake": {"lake/delta.py"},
    "duckdb": {"history/engine.py"},
    "pyspark": {"consumer/spark.py"},
}

# What the packages at the bottom may know of the outside, so that every reader of the contracts stays light.
THIRD_PARTY = {
    "bpf": set(),
    "schemas": {"msgspec", "numpy"},
    "common": {"msgspec", "structlog", "prometheus_client"},
}
EXCEPTIONS = {
    (f"schemas/tables/{name}.py", "pyarrow")
    for name in ("__init__", "accounts", "clocks", "connections", "matches", "origin", "rollup")
}

FILES = modules(*PACKAGES)
KNOWN = frozenset(FILES)


def roots(path: Path) -> set[str]:
    return {found.module.split(".")[0] for found in imports(path, KNOWN)}


@pytest.mark.parametrize("package", PACKAGES)
def test_package_imports_only_the_packages_it_may(package):
    allowed = MAY_IMPORT[package] | {package}
    wrong = {
        f"{path} imports {root}"
        for path in modules(package).values()
        for root in roots(path) & set(PACKAGES)
        if root not in allowed
    }
    assert wrong == set()


def test_agent_and_consumer_do_not_know_each_other():
    assert "consumer" not in MAY_IMPORT["agent"]
    assert "agent" not in MAY_IMPORT["consumer"]


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_know_nothing_of_tests_benchmarks_and_demo(package):
    outside = {"tests", "support", "bench", "demo", "deploy"}
    assert {str(path) for path in modules(package).values() if roots(path) & outside} == set()


@pytest.mark.parametrize("client", ADAPTERS)
def test_client_library_is_imported_by_its_adapters_only(client):
    importers = {path.as_posix() for path in FILES.values() if client in roots(path)}
    assert importers <= ADAPTERS[client]


@pytest.mark.parametrize("package", THIRD_PARTY)
def test_packages_at_the_bottom_stay_light(package):
    allowed = THIRD_PARTY[package] | set(sys.stdlib_module_names) | {package}
    found = {
        (path.as_posix(), root)
        for path in modules(package).values()
        for root in roots(path)
        if root not in allowed
    }
    assert found - EXCEPTIONS == set()


def test_no_circle_of_imports():
    graph = {name: _targets(name, path) for name, path in FILES.items()}
    assert _circle(graph) == []


def test_a_circle_would_be_found():
    assert _circle({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": set()}) == ["b", "c", "b"]
    assert _circle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


def _targets(name: str, path: Path) -> set[str]:
    found: set[Import] = imports(path, KNOWN)
    return {one.module for one in found if one.eager and one.module in KNOWN and one.module != name}


def _circle(graph: dict[str, set[str]]) -> list[str]:
    """One circle, as a path that ends where it began; empty when there is none."""
    done: set[str] = set()

    def visit(name: str, trail: list[str]) -> list[str]:
        if name in trail:
            return [*trail[trail.index(name) :], name]
        if name in done:
            return []
        for target in sorted(graph[name]):
            if circle := visit(target, [*trail, name]):
                return circle
        done.add(name)
        return []

    return next((circle for name in sorted(graph) if (circle := visit(name, []))), [])
