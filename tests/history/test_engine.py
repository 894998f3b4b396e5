# SPDX-License-Identifier: Apache-2.0
"""The engine reads the files it was given and can do nothing else, whatever statement it meets."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from common.errors import RuntimeFailure
from history.engine import Engine, LocalFiles
from history.errors import AnswerError
from history.latency import latency
from history.messages import messages
from history.source import Source
from history.span import Span
from support.rows import START, Write, histogram, match

SPAN = Span(START, START + 10**9)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A Parquet file of 200,000 rows of random numbers, with a quote in its name."""
    path = tmp_path / "it's.parquet"
    numbers = np.random.default_rng(3).integers(0, 2**62, (4, 200_000))
    pq.write_table(pa.table(dict(zip("abcd", numbers, strict=True))), path)
    return path


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM read_parquet('{other}')",
        "SELECT * FROM '{other}'",
        "SELECT * FROM read_text('/etc/passwd')",
        "SELECT * FROM glob('/etc/*')",
        "COPY (SELECT 1) TO '{folder}/out.csv'",
        "COPY given TO '{given}' (FORMAT parquet)",
        "COPY (SELECT 1) TO '{given}' (FORMAT parquet, USE_TMP_FILE false)",
        "SELECT 1; COPY (SELECT 1) TO '{given}' (FORMAT parquet, USE_TMP_FILE false)",
        "ATTACH '{folder}/out.db'",
        "EXPORT DATABASE '{folder}/out'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET enable_external_access = true",
        "SET memory_limit = '100GB'",
        "SET allowed_paths = ['/etc/passwd']",
        "RESET lock_configuration",
        "SELECT * FROM python_variable",
    ],
)
def test_nothing_but_the_given_files(file: Path, tmp_path: Path, statement: str) -> None:
    """Other files, the network, the disk and the settings are out of reach; the given file stays as it is."""
    other = tmp_path / "other.parquet"
    other.write_bytes(file.read_bytes())
    python_variable = pa.table({"secret": [1]})
    before, files = file.read_bytes(), sorted(tmp_path.iterdir())
    with Engine({"given": LocalFiles([str(file)])}) as engine:
        assert engine.rows("SELECT count(*) AS n FROM given") == [{"n": 200_000}]
        with pytest.raises(AnswerError):
            engine.rows(statement.format(other=other, folder=tmp_path, given=file))
    assert python_variable.num_rows == 1
    assert (file.read_bytes(), sorted(tmp_path.iterdir())) == (before, files)


def test_parameters_are_never_statements(file: Path) -> None:
    """A text that looks like SQL is compared, not executed."""
    with Engine({"given": LocalFiles([str(file)])}) as engine:
        found = engine.rows(
            "SELECT count(*) AS n FROM given WHERE a::VARCHAR = $text", {"text": "' OR true --"}
        )
    assert found == [{"n": 0}]


def test_batches_are_streamed(file: Path) -> None:
    """An answer comes in batches of bounded size."""
    with Engine({"given": LocalFiles([str(file)])}) as engine:
        sizes = [batch.num_rows for batch in engine.batches("SELECT * FROM given")]
    assert sum(sizes) == 200_000
    assert max(sizes) <= 16_384


def test_what_does_not_fit_goes_to_the_disk_and_is_removed(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sort larger than the memory limit works, and leaves nothing behind."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    statement = "SELECT * FROM given ORDER BY b"
    with Engine({"given": LocalFiles([str(file)] * 20)}, memory_limit="64MB") as engine:
        batches = engine.batches(statement)
        first = next(batches)
        spilled = [path for path in scratch.rglob("*") if path.is_file()]
        assert sum(batch.num_rows for batch in batches) + first.num_rows == 4_000_000
    assert spilled
    assert list(scratch.iterdir()) == []


def test_what_fits_nowhere_is_one_clear_line(file: Path) -> None:
    """Too little memory is said as such, with what to do."""
    with Engine({"given": LocalFiles([str(file)])}, memory_limit="1MB") as engine:
        with pytest.raises(AnswerError, match="ask for a shorter time or one edge") as raised:
            engine.rows("SELECT list(a) AS a, list(b) AS b, list(c) AS c FROM given")
        assert raised.value.exit_code == 1


def test_broken_file_is_one_clear_line(tmp_path: Path) -> None:
    """A file that is no Parquet is named."""
    (tmp_path / "bad.parquet").write_bytes(b"no parquet at all")
    with pytest.raises(AnswerError, match=r"bad\.parquet"):
        Engine({"given": LocalFiles([str(tmp_path / "bad.parquet")])})


def test_vanished_file_is_one_clear_line(write: Write, lake: Path) -> None:
    """A file of the lake that is gone ends the question, not with a traceback."""
    source = write(match=[match(0)])
    for path in lake.rglob("kind=match/**/*.parquet"):
        path.unlink()
    with pytest.raises(RuntimeFailure, match="could not be read"):
        list(messages(source, SPAN))


def test_no_lake_is_not_made(tmp_path: Path) -> None:
    """Asking where no lake is makes none."""
    with pytest.raises(RuntimeFailure, match="there is no lake"):
        Source(str(tmp_path / "none")).engine({"match": None})
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("name", ["l[a]ke*", "la'ke", "läke space"])
def test_any_folder_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, write: Write) -> None:
    """A lake answers wherever it lies, also where a pattern, a quote or a space is in its path."""
    write(match=[match(0)], histogram=[histogram([1])])
    moved = tmp_path / name
    (tmp_path / "lake").rename(moved)
    source = Source(str(moved))
    assert [one["begin"] for one in messages(source, SPAN)] == [0]
    assert [one.n for one in latency(source, SPAN).figures] == [1]
