# SPDX-License-Identifier: Apache-2.0
"""What can go wrong with a question.

WirelagError
├── ConfigError
│   └── QuestionError  2   the question cannot be asked like this; says what is allowed
└── RuntimeFailure
    └── AnswerError    1   the question was good, but the lake could not be read for it
"""

from common.errors import ConfigError, RuntimeFailure


class QuestionError(ConfigError):
    """An option of the question has a value that is not allowed."""


class AnswerError(RuntimeFailure):
    """The lake's files could not be read, or the answer needs more memory or disk than is allowed."""
