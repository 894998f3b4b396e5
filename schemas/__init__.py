# SPDX-License-Identifier: Apache-2.0
"""The contracts between agent, consumer, lake and downstream readers: what travels and what is stored.

``event`` says what is known of one TCP send, receive or arrival; ``batch`` packs many into one Kafka value;
``control`` is the agent's heartbeat; ``tables`` the lake's columns; ``latency`` what stream processors read.
"""
