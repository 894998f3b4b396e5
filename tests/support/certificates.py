# SPDX-License-Identifier: Apache-2.0
"""Authorities and certificates for tests, made by `openssl`, in PEM files as Kafka wants them."""

import subprocess
from pathlib import Path
from typing import NamedTuple

HERE = "IP:127.0.0.1"
_YEARS = ("-days", "3650")


class Pair(NamedTuple):
    """A certificate and its key, in files."""

    certificate: Path
    key: Path

    @property
    def store(self) -> Path:
        """Both in one file, as a PEM keystore of Kafka wants them."""
        path = self.key.with_suffix(".store.pem")
        path.write_text(self.key.read_text() + self.certificate.read_text())
        return path


class Authority:
    """Signs certificates; all files are below its folder."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._own = Pair(folder / f"{name}.pem", folder / f"{name}.key")
        _new_key(self._own.key)
        run("req", "-x509", "-new", "-key", self._own.key, "-subj", f"/CN={name}", *_YEARS, "-out", self.file)

    @property
    def file(self) -> Path:
        """Its certificate: what trusts it trusts those that it signed."""
        return self._own.certificate

    def sign(self, name: str, alternative: str = HERE, *, expired: bool = False) -> Pair:
        """Make a key and a certificate for it, of one alternative name such as `DNS:kafka1`."""
        made = Pair(self._folder / f"{name}.pem", self._folder / f"{name}.key")
        request, extensions = made.key.with_suffix(".csr"), made.key.with_suffix(".extensions")
        _new_key(made.key)
        extensions.write_text(f"subjectAltName={alternative}\n")
        run("req", "-new", "-key", made.key, "-subj", f"/CN={name}", "-out", request)
        if expired:
            self._sign_past(request, made.certificate, extensions)
        else:
            by = ("-CA", self.file, "-CAkey", self._own.key, "-CAcreateserial")
            run(
                "x509", "-req", "-in", request, *by, "-extfile", extensions, *_YEARS, "-out", made.certificate
            )
        return made

    def _sign_past(self, request: Path, certificate: Path, extensions: Path) -> None:
        """`openssl ca` is the one of its commands that lets a certificate begin and end in the past."""
        index, settings = self._folder / "index", self._folder / "ca.cnf"
        index.touch()
        settings.write_text(
            f"[ca]\ndefault_ca=a\n[a]\ndatabase={index}\nnew_certs_dir={self._folder}\n"
            "default_md=sha256\npolicy=p\nrand_serial=yes\n[p]\ncommonName=supplied\n"
        )
        by = ("-config", settings, "-cert", self.file, "-keyfile", self._own.key, "-extfile", extensions)
        past = ("-startdate", "20200101000000Z", "-enddate", "20200102000000Z")
        run("ca", "-batch", "-notext", *by, *past, "-in", request, "-out", certificate)


def run(*arguments: str | Path, given: bytes = b"") -> bytes:
    """Run `openssl` and return what it printed."""
    command = ["openssl", *map(str, arguments)]
    done = subprocess.run(command, input=given, capture_output=True, check=False, timeout=60)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stderr.decode()}"
    return done.stdout


def _new_key(path: Path) -> None:
    run("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", path)
