# SPDX-License-Identifier: Apache-2.0
"""Files of the table, by path below its root. What `sync` returned from is on the disk, name and content.

Local files are synced here, since neither pyarrow nor deltalake does it; an object store has stored what it
acknowledged.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlparse

import pyarrow as pa
import pyarrow.fs

from lake.errors import LakeUnavailableError


def local_root(uri: str) -> Path | None:
    """Return the absolute folder that a URI means, None where it is in an object store."""
    if uri.startswith("file://"):
        return Path(unquote(urlparse(uri).path)).resolve()
    return None if "://" in uri else Path(uri).resolve()


@contextmanager
def translated(action: str) -> Iterator[None]:
    """Turn an OSError into a LakeUnavailableError that says what was tried."""
    try:
        yield
    except OSError as error:
        raise LakeUnavailableError(
            f"{action}: {error}; check that the lake's storage is reachable, writable and not full"
        ) from error


@dataclass(frozen=True, slots=True)
class Entry:
    """One stored file."""

    path: str
    modified_ns: int
    size: int


class Storage:
    """Reads and writes below one root. `root` is None for object stores; `uri` ends without a slash."""

    def __init__(self, uri: str, filesystem: pa.fs.FileSystem, root: Path | None) -> None:
        self.filesystem = filesystem
        self.uri = (str(root) if root else uri).rstrip("/")
        self._root = root

    def location(self, path: str) -> str:
        """Return the absolute path or the URI that any reader can open."""
        return f"{self.uri}/{path}"

    @contextmanager
    def writing(self, path: str) -> Iterator[pa.NativeFile]:
        """Open a new file for writing; its folders are made. What is not written to its end is deleted."""
        with translated(f"cannot write {self.location(path)}"):
            self.filesystem.create_dir(path.rpartition("/")[0], recursive=True)
            try:
                with self.filesystem.open_output_stream(path) as stream:
                    yield stream
            except BaseException:
                with suppress(OSError):
                    self.filesystem.delete_file(path)
                raise

    def read(self, path: str) -> bytes:
        """Return a whole file. FileNotFoundError is left as it is: its meaning is the caller's."""
        with self.filesystem.open_input_stream(path) as stream:
            return bytes(stream.read())

    def entries(self, folder: str) -> list[Entry]:
        """Return the files anywhere below a folder, none where it does not exist."""
        selector = pa.fs.FileSelector(folder, allow_not_found=True, recursive=True)
        with translated(f"cannot list {self.location(folder)}"):
            found = self.filesystem.get_file_info(selector)
        return [
            Entry(info.path, info.mtime_ns, info.size) for info in found if info.type == pa.fs.FileType.File
        ]

    def delete(self, path: str) -> None:
        """Delete a file."""
        with translated(f"cannot delete {self.location(path)}"):
            self.filesystem.delete_file(path)

    def sync(self, paths: Iterable[str], *, missing_ok: bool = False) -> None:
        """Force files and all folders above them, up to the root's own parent, to the disk."""
        if self._root is None:
            return
        files = [self._root / path for path in paths]
        folders = {folder for file in files for folder in file.parents if folder.is_relative_to(self._root)}
        with translated(f"cannot sync below {self._root}"):
            for file in files:
                if not missing_ok or file.exists():
                    _fsync(file)
            for folder in [*folders, self._root.parent]:
                _fsync(folder)


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
