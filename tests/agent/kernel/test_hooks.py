# SPDX-License-Identifier: Apache-2.0
"""Which hooks are chosen on which kernel: from names recorded of real ones, no kernel asked."""

import pytest

from agent.kernel import hooks, source
from agent.kernel.errors import KernelUnfitError
from agent.kernel.hooks import Hook

SENDS = {
    "tcp_sendmsg": ("sk", "msg", "size"),
    "tcp_sendmsg_locked": ("sk", "msg", "size"),
    "sk_stream_wait_memory": ("sk", "timeo_p"),
    "sk_stream_wait_connect": ("sk", "timeo_p"),
}
OTHERS = {
    "sock_def_readable": ("sk",),
    "subflow_data_ready": ("sk",),
    "tcp_rcv_space_adjust": ("sk",),
    "tcp_recvmsg": ("sk", "msg", "len", "flags", "addr_len"),
}
PAGES = {
    "tcp_sendpage": ("sk", "page", "offset", "size", "flags"),
    "do_tcp_sendpages": ("sk", "page", "offset", "size", "flags"),
}
OLD_RECVMSG = {"tcp_recvmsg": ("sk", "msg", "len", "nonblock", "flags", "addr_len")}
STATES = {"inet_sock_set_state", "tcp_destroy_sock", "tcp_retransmit_skb", "tcp_rcv_space_adjust"}
ENDS = {"sock_send_length", "sock_recv_length", "sk_data_ready"}


class Kernel:
    """The names one kernel's BTF lists, as far as anyone asks."""

    def __init__(self, tracepoints, functions):
        self._tracepoints, self._functions = tracepoints, functions

    def has_tracepoint(self, name):
        return name in self._tracepoints

    def parameters(self, function):
        return self._functions.get(function)


LINUX_5_15 = Kernel(STATES, SENDS | OTHERS | PAGES | OLD_RECVMSG)
LINUX_6_1 = Kernel(STATES, SENDS | OTHERS | PAGES)
LINUX_6_12 = Kernel(STATES | ENDS, SENDS | OTHERS)
LINUX_6_18 = Kernel(STATES | ENDS | {"tcp_sendmsg_locked"}, SENDS | OTHERS)


def _places(kernel, means, backend="auto", refused=None):
    return [hook.place for hook in hooks.choose(kernel, backend, refused) if hook.means == means]


def test_a_new_kernel_needs_tracepoints_alone():
    chosen = hooks.choose(LINUX_6_18)
    assert {hook.means for hook in chosen} == {"raw"}
    assert len(chosen) == 8


def test_a_kernel_may_mix_hook_by_hook():
    assert _places(LINUX_6_12, "fentry") == [
        "tcp_sendmsg_locked",
        "sk_stream_wait_memory:return",
        "sk_stream_wait_connect:return",
    ]
    assert {*ENDS, "tcp_rcv_space_adjust"} <= set(_places(LINUX_6_12, "raw"))


def test_an_older_kernel_has_pages_sent_without_a_message():
    assert _places(LINUX_6_1, "raw") == [
        "inet_sock_set_state",
        "tcp_destroy_sock",
        "tcp_retransmit_skb",
        "tcp_rcv_space_adjust",
    ]
    assert _places(LINUX_6_1, "fentry") == [
        "tcp_sendmsg_locked",
        "sk_stream_wait_memory:return",
        "sk_stream_wait_connect:return",
        "do_tcp_sendpages",
        "sk_stream_wait_memory",
        "tcp_sendpage:return",
        "tcp_sendmsg:return",
        "sock_def_readable",
        "subflow_data_ready",
        "tcp_recvmsg:return",
    ]


def test_who_opened_comes_first():
    for kernel in (LINUX_5_15, LINUX_6_1, LINUX_6_12, LINUX_6_18):
        for backend in ("auto", "fentry", "kprobe"):
            assert hooks.choose(kernel, backend)[0] == Hook("raw", "inet_sock_set_state", "state")


@pytest.mark.parametrize("kernel", [LINUX_5_15, LINUX_6_1, LINUX_6_12, LINUX_6_18])
@pytest.mark.parametrize("backend", ["fentry", "kprobe"])
def test_a_wanted_backend_is_used_wherever_there_is_a_function(kernel, backend):
    assert {hook.place for hook in hooks.choose(kernel, backend) if hook.means == "raw"} == {
        "inet_sock_set_state",
        "tcp_destroy_sock",
        "tcp_retransmit_skb",
    }
    assert {hook.means for hook in hooks.choose(kernel, backend)} == {"raw", backend}


def test_what_is_refused_is_replaced_by_the_next():
    refused = {"fentry": "Operation not permitted"}
    assert {hook.means for hook in hooks.choose(LINUX_6_18, "fentry", refused)} == {"raw"}
    assert _places(LINUX_6_12, "kprobe", "auto", refused) == _places(LINUX_6_12, "fentry")


def test_nothing_left_is_one_error_with_the_reasons():
    refused = {"fentry": "Operation not permitted", "kprobe": "no kprobes"}
    with pytest.raises(KernelUnfitError, match=r"tcp_sendmsg_locked.*fentry.*not permitted.*kprobe.*6\.16"):
        hooks.choose(LINUX_6_12, "auto", refused)


def test_tracepoints_alone_are_refused_where_one_is_missing():
    with pytest.raises(KernelUnfitError, match=r"no tracepoint tcp_sendmsg_locked \(backend raw\)"):
        hooks.choose(LINUX_6_12, "raw")


def test_a_function_with_other_parameters_counts_as_missing():
    strange = Kernel(STATES | ENDS, SENDS | OTHERS | {"tcp_sendmsg_locked": ("arg0", "arg1")})
    with pytest.raises(KernelUnfitError, match="tcp_sendmsg_locked"):
        hooks.choose(strange)


def test_a_kernel_without_multipath_needs_no_hook_of_it():
    plain = {name: parameters for name, parameters in OTHERS.items() if name != "subflow_data_ready"}
    assert "subflow_data_ready" not in _places(Kernel(STATES, SENDS | plain | PAGES), "fentry")


@pytest.mark.parametrize(("kernel", "flags", "result"), [(LINUX_5_15, 4, 6), (LINUX_6_1, 3, 5)])
def test_arguments_are_found_by_name(kernel, flags, result):
    macros = hooks.macros(kernel)
    assert (macros["ARG_TCP_RECVMSG_FLAGS"], macros["RESULT_TCP_RECVMSG"]) == (flags, result)
    assert macros["ARG_DO_TCP_SENDPAGES_SIZE"] == 3
    assert hooks.macros(LINUX_6_18)["RESULT_TCP_SENDPAGE"] == 0


def test_kprobe_programs_count_their_runs_each_by_itself():
    macros = hooks.macros(LINUX_6_1)
    places = [macros[f"RUN_{program.upper()}"] for program in hooks.KPROBE_PROGRAMS]
    assert places == list(range(macros["RUNS_COUNTED"]))
    text = source.text({"kprobe"})
    for program in hooks.KPROBE_PROGRAMS:
        assert f"int {program}(struct pt_regs *ctx)\n{{\n\tran(RUN_{program.upper()});" in text


@pytest.mark.parametrize(
    ("hook", "program"),
    [
        (Hook("raw", "sk_data_ready", "arrival"), "raw_sk_data_ready"),
        (Hook("fentry", "tcp_sendmsg:return", "send"), "kretfunc__tcp_sendmsg"),
        (Hook("kprobe", "tcp_recvmsg", "receive"), "kprobe_tcp_recvmsg"),
    ],
)
def test_programs_are_named_after_their_place(hook, program):
    assert hook.program == program


def test_each_place_has_its_program():
    text = source.text({"raw", "fentry", "kprobe"})
    for job in hooks.JOBS:
        for means, places in job.ways.items():
            for place in places:
                hook = Hook(means, place.removeprefix(hooks.OPTIONAL), job.counted)
                assert f"int {hook.program}(" in text
