# SPDX-License-Identifier: Apache-2.0
"""The programs that run in the kernel: C sources, the header of what they emit, header stubs for BCC."""
