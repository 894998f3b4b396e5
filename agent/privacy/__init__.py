# SPDX-License-Identifier: Apache-2.0
"""What of addresses, process names and labels may leave the host.

`settings` says what can be chosen, `veil` does it, where names are learned and before anything is packed.
"""
