# SPDX-License-Identifier: Apache-2.0
"""Two virtual machines beside one another: each a host with a kernel and clocks of its own.

`Guests` boots them under QEMU, without KVM, with this host's files as theirs (scripts/test-kernels fetches
the kernels and prepares the inside). A guest is asked like a `Worker`, by serial ports that end in Unix
sockets of a private folder. It has three ways out: to this host's 127.0.0.1 (10.0.2.2), to the other guest by
frames over Unix sockets, and memory that both share. A guest whose ports are hung up powers itself off, so
none outlives the test.
"""

import io
import os
import shlex
import socket
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from support.worker import Calls

ROOT = Path(__file__).resolve().parents[2]
KERNELS = ROOT / ".cache" / "kernels"
PATIENCE_SECONDS = 900.0
"""For one answer, and for a boot: guests are emulated, and this host may be busy."""
PORTS = ("traffic", "service")
OUTSIDE = "10.0.2.2"
"""This host's 127.0.0.1, as seen in a guest."""
_MEMORY = "1000M"
_MOUNT = "mount -t 9p -o trans=virtio,version=9p2000.L,msize=512000,cache=loose,ro"
_SHARED_BYTES = 1 << 20
_TRIES = 2
_START_SECONDS = 60.0
_STOP_SECONDS = 30.0


class Port(Calls):
    """A process in a guest that does what it is asked."""

    def __init__(self, folder: Path) -> None:
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(folder))
        self._listener.listen()
        self._listener.settimeout(_START_SECONDS)
        self._asked = self._answers = io.BytesIO()

    def connect(self) -> None:
        """Take the call of the virtual machine."""
        line, _ = self._listener.accept()
        line.settimeout(PATIENCE_SECONDS)
        with line:
            self._asked, self._answers = line.makefile("wb"), line.makefile("rb")

    def close(self) -> None:
        """Hang up."""
        self._listener.close()
        for stream in (self._asked, self._answers):
            stream.close()


class Place(NamedTuple):
    """What tells one guest of a pair from the other."""

    kernel: str
    name: str
    number: int
    begin: str
    """Where its CLOCK_REALTIME begins: what QEMU's -rtc takes as its base."""


class Guest:
    """One virtual machine; `traffic` and `service` are processes in it."""

    def __init__(self, folder: Path, place: Place) -> None:
        self.place = place
        self.console = folder / f"{place.name}.console"
        self._folder = folder
        self._ports = [Port(folder / f"{place.name}.{name}") for name in PORTS]
        self.traffic, self.service = self._ports
        self._process: subprocess.Popen[bytes] | None = None

    def boot(self) -> None:
        """Start it, and return while it boots."""
        with self.console.open("wb") as console:
            self._process = subprocess.Popen(
                self._command(),
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                start_new_session=True,
            )
        for port in self._ports:
            port.connect()

    def wait(self) -> None:
        """Return once it answers. Raises AssertionError with the end of its console."""
        for port in self._ports:
            try:
                port.run(os.getpid)
            except (EOFError, OSError) as error:
                tail = self.console.read_text(errors="replace")[-3000:]
                raise AssertionError(f"{self.place.name} did not come up: {error!r}\n{tail}") from error

    def end(self) -> None:
        """Hang up, have it power itself off, and end it if it does not."""
        for port in self._ports:
            port.close()
        if self._process is None:
            return
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, 9)
            self._process.wait()

    def _command(self) -> list[str]:
        (image,) = (KERNELS / self.place.kernel / "boot").glob("vmlinuz-*")
        serve = ("bash", f"/run/host{ROOT}/scripts/test-kernels", "--serve", str(ROOT), " ".join(PORTS))
        inside = f"mkdir -p /run/host && {_MOUNT} whole /run/host && exec {shlex.join(serve)}"
        # The guest's clock is not checked: correcting it rewrites code, which the emulator may not survive.
        return [
            *(str(Path(sys.executable).parent / "virtme-run"), "--kimg", str(image), "--mods", "auto"),
            *(
                "--disable-kvm",
                "--cpus",
                "1",
                "--memory",
                _MEMORY,
                "--name",
                self.place.name,
                "--show-boot-console",
            ),
            *(
                "-a",
                "tsc=reliable panic=-1",
                "--script-sh",
                inside,
                "--qemu-opts",
            ),
            *("-virtfs", "local,path=/,mount_tag=whole,security_model=none,readonly=on,multidevs=remap"),
            *self._devices(),
        ]

    def _devices(self) -> list[str]:
        folder, own = self._folder, self.place.number
        serial = [
            option
            for name in PORTS
            for option in (
                *("-chardev", f"socket,id={name},path={folder / self.place.name}.{name}"),
                *("-device", f"virtserialport,chardev={name},name={name}"),
            )
        ]
        frames = ",".join(
            f"{end}.type=unix,{end}.path={folder}/frames{number}"
            for end, number in (("local", own), ("remote", 1 - own))
        )
        return [
            *("-rtc", f"base={self.place.begin}"),
            *("-device", "virtio-serial-pci", *serial),
            *("-netdev", "user,id=out", "-device", f"virtio-net-pci,netdev=out,mac={mac('out', own)}"),
            *(
                "-netdev",
                f"dgram,id=pair,{frames}",
                "-device",
                f"virtio-net-pci,netdev=pair,mac={mac('pair', own)}",
            ),
            *(
                "-object",
                f"memory-backend-file,id=both,share=on,size={_SHARED_BYTES},mem-path={folder}/shared",
            ),
            *("-device", "ivshmem-plain,memdev=both"),
        ]


def mac(network: str, number: int) -> str:
    """Return the address of a guest's interface, by which it is found inside."""
    return f"52:54:00:00:{1 if network == 'pair' else 0:02x}:{number:02x}"


class Guests:
    """Context manager for two guests. A panic while they boot is the emulator's: once more, then."""

    def __init__(self, a: Place, b: Place) -> None:
        self._places = (a, b)

    def __enter__(self) -> tuple[Guest, Guest]:
        for left in reversed(range(_TRIES)):
            self._stack = ExitStack()
            try:
                return self._up()
            except BaseException as error:
                self._stack.close()
                if not left or "Kernel panic" not in str(error):
                    raise
        raise AssertionError("unreachable")

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _up(self) -> tuple[Guest, Guest]:
        folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="wirelag-guests-")))
        a, b = (Guest(folder, place) for place in self._places)
        for guest in (a, b):
            self._stack.callback(guest.end)
            guest.boot()
        for guest in (a, b):
            guest.wait()
        return a, b
