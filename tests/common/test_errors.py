# SPDX-License-Identifier: Apache-2.0
import pytest

from common import errors


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.ConfigError, 2),
        (errors.TopicMismatchError, 2),
        (errors.RuntimeFailure, 1),
        (errors.WirelagError, 1),
    ],
)
def test_each_error_has_its_exit_code_and_one_base(error, code):
    assert error.exit_code == code
    assert issubclass(error, errors.WirelagError)
    assert error.__name__ in errors.__doc__
