# SPDX-License-Identifier: Apache-2.0
"""Have the agent trace real traffic and keep its records: ``python -m bench.recorded.capture FILE`` (root).

Thirty connections between two namespaces, messages of 1 B to 64 KiB, over the broker inside librdkafka.
"""

import subprocess
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2] / "tests"))

from bench import load
from bench.recorded import write
from bench.recorded.record import records
from support.netns import VethPair, hosts_of
from support.whole_way import AgentProcess, Names
from support.worker import Worker

EXCHANGES = 60_000
CONNECTIONS = 30
TOPIC = "wirelag.events.v1"


def main() -> None:
    """Trace, write the file and say what is in it."""
    command = [sys.executable, "-m", "bench.agent", "broker"]
    broker = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # noqa: S603
    try:
        assert broker.stdout is not None
        address = broker.stdout.readline().strip()
        names = Names(address, TOPIC, "wirelag.control.v1", "", "")
        with (
            VethPair() as network,
            Worker() as worker,
            AgentProcess(names, hosts_of(network), "kafka.shards=4") as agent,
        ):
            worker.run(load.mixed, network, CONNECTIONS, EXCHANGES)
        found = write(Path(sys.argv[1]), records(address, TOPIC))
    finally:
        broker.kill()
        broker.wait()
    print(f"{found} records of {agent.totals}")


if __name__ == "__main__":
    main()
