# SPDX-License-Identifier: Apache-2.0
"""Exchanges: requests and their responses, found by byte positions at one host and joined between two.

What the words mean, what each side can see and where the gate is: docs/turns.md. Nothing is told that the
bytes next to it do not prove, so lost events cost exchanges and make no false ones.
"""
