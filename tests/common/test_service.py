# SPDX-License-Identifier: Apache-2.0
import os
import signal
import subprocess
import sys

import pytest

from common.command import run_command
from common.errors import ConfigError, RuntimeFailure
from common.service import stop_on_signals


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_sets_the_stop_event_and_handlers_come_back(number):
    before = signal.getsignal(number)
    with stop_on_signals() as stop:
        assert not stop.is_set()
        os.kill(os.getpid(), number)
        assert stop.wait(60)
    assert signal.getsignal(number) is before


def test_without_a_signal_the_event_stays_clear():
    with stop_on_signals() as stop:
        pass
    assert not stop.is_set()


def test_second_interrupt_ends_a_service_that_hangs():
    program = (
        "import threading\n"
        "from common.service import stop_on_signals\n"
        "with stop_on_signals() as stop:\n"
        "    print('up', flush=True)\n"
        "    stop.wait(); print('stopping', flush=True)\n"
        "    threading.Event().wait()\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "up\n"
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == "stopping\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130


def raises(error):
    def action():
        raise error

    return action


@pytest.mark.parametrize(("error", "code"), [(ConfigError("a\nb"), 2), (RuntimeFailure("a\nb"), 1)])
def test_error_becomes_its_exit_code_and_its_message(capsys, error, code):
    assert run_command("wirelag", raises(error)) == code
    assert capsys.readouterr().err == "wirelag: a\nwirelag: b\n"


def test_success_is_zero_and_interrupt_is_130(capsys):
    assert run_command("wirelag", lambda: None) == 0
    assert run_command("wirelag", raises(KeyboardInterrupt())) == 130
    assert capsys.readouterr().err == ""


def test_mistake_of_the_program_is_not_hidden():
    with pytest.raises(ZeroDivisionError):
        run_command("wirelag", raises(ZeroDivisionError()))


def test_reader_that_leaves_early_is_no_failure():
    program = (
        "import sys\n"
        "from common.command import run_command\n"
        "def action():\n"
        "    for _ in range(100000): print('x' * 80)\n"
        "sys.exit(run_command('wirelag', action))\n"
    )
    command = f'{sys.executable} -c "$PROGRAM" | head -n 1; exit ${{PIPESTATUS[0]}}'
    done = subprocess.run(
        ["bash", "-c", command], env=os.environ | {"PROGRAM": program}, capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")
