# SPDX-License-Identifier: Apache-2.0
"""Pure functions over numpy arrays: order, match, close, bucket.

No I/O, no logging, no clock is read here: "now" is an argument, so the same arguments give the same answer
anywhere.
"""
