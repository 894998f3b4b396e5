# SPDX-License-Identifier: Apache-2.0
import io
import json
import logging

import pytest
import structlog

from common.log import setup_logging


@pytest.fixture(autouse=True)
def _restore_logging():
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.reset_defaults()
    root.handlers[:], root.level = handlers, level


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_is_json_with_time_level_and_fixed_fields():
    stream = io.StringIO()
    setup_logging("auto", stream=stream, service="agent")
    structlog.get_logger().info("started", hooks=5)
    (line,) = lines(stream)
    assert line.pop("timestamp").endswith("Z")
    assert line == {"event": "started", "level": "info", "hooks": 5, "service": "agent"}


def test_below_the_level_nothing_is_written():
    stream = io.StringIO()
    setup_logging("json", "warning", stream=stream)
    structlog.get_logger().info("no")
    logging.getLogger("lib").info("no")
    structlog.get_logger().warning("yes")
    assert [line["event"] for line in lines(stream)] == ["yes"]


def test_lines_of_libraries_are_rendered_alike():
    stream = io.StringIO()
    setup_logging("json", stream=stream)
    logging.getLogger("rdkafka").error("broker %s", "down")
    (line,) = lines(stream)
    assert (line["event"], line["logger"], line["level"]) == ("broker down", "rdkafka", "error")


def test_an_exception_is_in_the_line():
    stream = io.StringIO()
    setup_logging("json", stream=stream)
    try:
        raise ValueError("why")
    except ValueError:
        structlog.get_logger().exception("failed")
    assert lines(stream)[0]["exception"][0]["exc_value"] == "why"


def test_console_is_for_people():
    stream = io.StringIO()
    setup_logging("console", stream=stream)
    structlog.get_logger().info("started", hooks=5)
    assert "started" in stream.getvalue()
    assert "hooks=5" in stream.getvalue()


def test_a_library_that_repeats_itself_is_heard_once() -> None:
    """Lines of a library that differ in numbers alone are one in ten seconds; another text is another."""
    stream = io.StringIO()
    setup_logging("json", stream=stream)
    for number in range(1_000):
        logging.getLogger("library").error("attempt %d failed after %d ms", number, 7 * number)
    logging.getLogger("library").error("gave up")
    said = [json.loads(line)["event"] for line in stream.getvalue().splitlines()]
    assert said == ["attempt 0 failed after 0 ms", "gave up"]
