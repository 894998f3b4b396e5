# SPDX-License-Identifier: Apache-2.0
"""A Kafka that asks everybody who they are and gives nobody a right that was not granted.

SCRAM on a listener of its own; the plain one, on which tests administer it, is the superuser's.
"""

import argparse
import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import Self

from confluent_kafka.admin import (  # type: ignore[attr-defined] # they are not in its __all__
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from support.kafka import QUICK, KafkaNode

LISTENER = "SASL"
_PROPERTIES = {
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "super.users": "User:ANONYMOUS",
    "sasl.enabled.mechanisms": "SCRAM-SHA-512",
    "listener.name.sasl.scram-sha-512.sasl.jaas.config": (
        "org.apache.kafka.common.security.scram.ScramLoginModule required;"
    ),
}
_PASSWORD = "opens-nothing-of-worth"
_OPERATIONS = {
    "Read": AclOperation.READ,
    "Write": AclOperation.WRITE,
    "DescribeConfigs": AclOperation.DESCRIBE_CONFIGS,
}


class Guarded:
    """The node, its users and what they may."""

    def __init__(self, home: Path) -> None:
        self.node = KafkaNode(home, listeners={LISTENER: "SASL_PLAINTEXT"}, properties=_PROPERTIES)
        self._password = home.parent / "password"

    def __enter__(self) -> Self:
        self._password.write_text(_PASSWORD)
        self.node.__enter__()
        self.admin = AdminClient({"bootstrap.servers": self.node.bootstrap, **QUICK})
        return self

    def __exit__(self, *_: object) -> None:
        self.node.close()

    def user(self, name: str) -> dict[str, str]:
        """Make a user without any right; return the settings of `kafka` with which it is that."""
        info = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096)
        made = UserScramCredentialUpsertion(name, info, _PASSWORD.encode())
        self.admin.alter_user_scram_credentials([made])[name].result(60)
        return {
            "kafka.bootstrap-servers": self.node.address(LISTENER),
            "kafka.security.mechanism": "scram-sha-512",
            "kafka.security.username": name,
            "kafka.security.password-file": str(self._password),
        }

    def grant(self, commands: Iterable[str]) -> None:
        """Do what these kafka-acls.sh commands say."""
        bindings = [_binding(command) for command in commands]
        for future in self.admin.create_acls(bindings).values() if bindings else ():
            future.result(60)


def _binding(command: str) -> AclBinding:
    program, *words = shlex.split(command)
    assert program == "kafka-acls.sh"
    parser = argparse.ArgumentParser()
    parser.add_argument("--bootstrap-server", required=True)
    parser.add_argument("--add", action="store_true", required=True)
    for name in ("--allow-principal", "--operation"):
        parser.add_argument(name, required=True)
    for name in ("--topic", "--group"):
        parser.add_argument(name)
    parser.add_argument("--resource-pattern-type", default="literal")
    asked = parser.parse_args(words)
    return AclBinding(
        ResourceType.TOPIC if asked.topic else ResourceType.GROUP,
        asked.topic or asked.group,
        ResourcePatternType[asked.resource_pattern_type.upper()],
        asked.allow_principal,
        "*",
        _OPERATIONS[asked.operation],
        AclPermissionType.ALLOW,
    )
