# SPDX-License-Identifier: Apache-2.0
"""The errors a person may meet, and the exit code each one ends a program with.

    WirelagError                    caught by command lines, and only there
    ├── ConfigError             2   settings cannot be used: nothing was started
    │   └── TopicMismatchError  2   the topic is not the one the settings describe
    └── RuntimeFailure          1   something outside failed while running

Packages add their own below these two branches (`agent` a kernel that is unfit, `lake` a commit that
failed), at most eight classes in all. Adapters turn the exceptions of their client library into one of these,
with `raise … from`. Every message says what was found and, where there is a choice, what is allowed.
"""


class WirelagError(Exception):
    """The base. `exit_code` is what a command line returns to its caller."""

    exit_code = 1


class ConfigError(WirelagError):
    """The settings cannot be used. Running again without changing them fails again."""

    exit_code = 2


class TopicMismatchError(ConfigError):
    """The topic in Kafka differs from what the settings say of it, so events would be told apart wrongly."""


class RuntimeFailure(WirelagError):  # noqa: N818 - it is told apart from ConfigError by what failed
    """Something outside (kernel, broker, disk) failed. Running again may succeed."""

    exit_code = 1
