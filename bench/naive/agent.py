# SPDX-License-Identifier: Apache-2.0
"""The reference for goal 3: for every event a call-back, an object and a Kafka record of its own."""

import ctypes
from typing import Any

import msgspec
from confluent_kafka import Producer

from bench.naive.kernel import NaiveCapture


class NaiveEvent(msgspec.Struct):
    """One event, as an example program would name its fields."""

    kind: int
    time_ns: int
    pid: int
    tid: int
    comm: str
    local_port: int
    remote_port: int
    result: int
    srtt_us: int
    bytes_received: int
    bytes_acked: int
    write_seq: int
    copied_seq: int


class _Raw(ctypes.Structure):
    """Mirror of ``struct naive_event``."""

    _fields_ = (
        ("time_ns", ctypes.c_uint64),
        ("sock", ctypes.c_uint64),
        ("bytes_received", ctypes.c_uint64),
        ("bytes_acked", ctypes.c_uint64),
        ("write_seq", ctypes.c_uint32),
        ("copied_seq", ctypes.c_uint32),
        ("srtt_us", ctypes.c_uint32),
        ("pid", ctypes.c_uint32),
        ("tid", ctypes.c_uint32),
        ("result", ctypes.c_int32),
        ("comm", ctypes.c_char * 16),
        ("local_port", ctypes.c_uint16),
        ("remote_port", ctypes.c_uint16),
        ("kind", ctypes.c_uint32),
    )


class NaiveAgent(NaiveCapture):
    """Sends every event by itself."""

    def __init__(self, namespaces: tuple[int, ...], options: dict[str, Any], topic: str) -> None:
        super().__init__(namespaces)
        self._producer = Producer(options)
        self._topic = topic
        self._encode = msgspec.json.Encoder().encode

    def flush(self) -> None:
        """Wait until everything is delivered."""
        self._producer.flush(30)

    def _take(self, record: bytes) -> None:
        raw = _Raw.from_buffer_copy(record)
        event = NaiveEvent(
            raw.kind,
            raw.time_ns,
            raw.pid,
            raw.tid,
            raw.comm.decode("utf-8", "replace"),
            raw.local_port,
            raw.remote_port,
            raw.result,
            raw.srtt_us,
            raw.bytes_received,
            raw.bytes_acked,
            raw.write_seq,
            raw.copied_seq,
        )
        while True:
            try:
                self._producer.produce(self._topic, self._encode(event))
                break
            except BufferError:
                self._producer.poll(0.01)
        self._producer.poll(0)
        self.events += 1
