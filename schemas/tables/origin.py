# SPDX-License-Identifier: Apache-2.0
"""Which partition's which tick a row comes from: the first columns of every kind that the engine writes."""

import pyarrow as pa

ORIGIN = [pa.field("topic_partition", pa.int32()), pa.field("tick", pa.int64())]
