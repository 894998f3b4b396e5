# SPDX-License-Identifier: Apache-2.0
"""A token server of OAUTHBEARER on loopback: hands out signed tokens, and the key that brokers check them by.

It can be told to refuse, to go away and come back at the same address, and to sign for the wrong audience.
"""

import json
import threading
import time
from base64 import b64decode, urlsafe_b64encode
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Self

from support.certificates import run

AUDIENCE = "kafka"
SECRET = "s3cret-of-the-client"
_HOUR = 3600


class TokenServer:
    """Answers `/token` to the client `wirelag` with its secret, and `/keys` to anyone."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._key = folder / "tokens.key"
        run("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", self._key)
        modulus = run("rsa", "-in", self._key, "-noout", "-modulus").decode().strip().partition("=")[2]
        self._modulus = bytes.fromhex(modulus)
        self.audience = AUDIENCE
        """What tokens are for from now on."""
        self.given = 0
        """Tokens."""
        self._server: ThreadingHTTPServer | None = None
        self._port = 0

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> Self:
        """Answer; again at the same address."""
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                owner._answer(self, 200, owner._keys())

            def do_POST(self) -> None:
                wanted = f"wirelag:{SECRET}"
                given = self.headers.get("Authorization", "").partition("Basic ")[2]
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                if b64decode(given).decode() != wanted:
                    owner._answer(self, 401, {"error": "invalid_client"})
                    return
                owner.given += 1
                owner._answer(self, 200, {"access_token": owner._token(), "expires_in": _HOUR})

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), Handler)
        self._port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def stop(self) -> None:
        """Go away."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    @staticmethod
    def _answer(to: BaseHTTPRequestHandler, status: int, what: object) -> None:
        body = json.dumps(what).encode()
        to.send_response(status)
        to.send_header("Content-Type", "application/json")
        to.send_header("Content-Length", str(len(body)))
        to.end_headers()
        to.wfile.write(body)

    def _keys(self) -> object:
        key = {"kty": "RSA", "kid": "one", "alg": "RS256", "use": "sig"}
        return {"keys": [key | {"n": _text(self._modulus), "e": "AQAB"}]}

    def _token(self) -> str:
        now = int(time.time())
        head = {"alg": "RS256", "typ": "JWT", "kid": "one"}
        claims = {"sub": "wirelag", "aud": self.audience, "iat": now, "exp": now + _HOUR, "scope": "write"}
        body = f"{_text(json.dumps(head).encode())}.{_text(json.dumps(claims).encode())}"
        return f"{body}.{_text(run('dgst', '-sha256', '-sign', self._key, given=body.encode()))}"


def _text(data: bytes) -> str:
    return urlsafe_b64encode(data).decode().rstrip("=")
