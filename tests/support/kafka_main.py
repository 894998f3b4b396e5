# SPDX-License-Identifier: Apache-2.0
"""`make kafka`: a real Kafka in the foreground for a person, with wirelag's topics made."""

import argparse
import sys
import tempfile
from pathlib import Path

from common.command import run_command
from common.errors import RuntimeFailure
from common.kafka import KafkaSettings
from common.service import stop_on_signals
from support.kafka import KafkaNode, KafkaNodeError
from wirelag.control import Kafka
from wirelag.topics import create

_USAGE = """\
Kafka is up at {bootstrap}; records are in {home}{fate}.
  agent, consumer   --set kafka.bootstrap-servers={bootstrap} --set kafka.shards={shards}
  kcat              kcat -b {bootstrap} -L
Ctrl-C stops it.
"""


def main() -> None:
    """Run until SIGINT or SIGTERM."""
    parser = argparse.ArgumentParser(
        prog="scripts/kafka", description="A real one-node Kafka, with wirelag's topics."
    )
    parser.add_argument("--port", type=int, default=9092, help="of the broker (9092)")
    parser.add_argument(
        "--shards", type=int, default=KafkaSettings().shards, help="partitions of the events topic (12)"
    )
    parser.add_argument("--data", type=Path, help="keep records here; without it they are gone at the end")
    arguments = parser.parse_args()
    if arguments.data:
        _serve(arguments.data.resolve(), arguments.port, arguments.shards, "")
        return
    with tempfile.TemporaryDirectory(prefix="wirelag-kafka-") as folder:
        _serve(Path(folder), arguments.port, arguments.shards, " and gone at the end")


def _serve(home: Path, port: int, shards: int, fate: str) -> None:
    try:
        with stop_on_signals() as stop, KafkaNode(home, port=port) as node:
            create(kafka=Kafka(bootstrap=node.bootstrap, set_=(f"kafka.shards={shards}",)))
            print(
                _USAGE.format(bootstrap=node.bootstrap, home=home, shards=shards, fate=fate),
                end="",
                flush=True,
            )
            stop.wait()
    except KafkaNodeError as error:
        raise RuntimeFailure(str(error)) from error


if __name__ == "__main__":
    sys.exit(run_command("kafka", main))
