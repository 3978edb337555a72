# SPDX-License-Identifier: ISC
"""Mail on its way to another server while processes are killed: what was answered 250 reaches that server,
and twice only what a crash makes unavoidable."""

import collections
import os
import random
import re
import signal
import threading
import time

import pytest
from conftest import run, wait_until
from sink import Session, Sink
from test_crash import IN_FLIGHT, Ledger, Load, client, is_alive, kill_everything

KILLS_OF_ALL, KILLS_OF_QMGR = 10, 20
GRACE = 2.0  # seconds from a final dot to the flush of its STATUS, on a machine under full load


class Taken:
    """A message whose final dot came."""

    def __init__(self, content):
        self.when = time.monotonic()
        self.number = int(re.search(rb"(?m)^Subject: number (\d+)\r$", content).group(1))
        self.queue_id = re.search(rb"\sid (\w+)", content).group(1).decode()


class RecordingSession(Session):
    def content(self):
        content = super().content()
        if content is not None:
            self.sink.taken.append(Taken(content))
        return content


def qmgr_pid(instance):
    return dict(instance.processes())["qmgr"]


def kill_qmgr(instance):
    pid = qmgr_pid(instance)
    os.kill(pid, signal.SIGKILL)
    wait_until("its successor", lambda: not is_alive(pid) and
               any(name == "qmgr" and p != pid for name, p in instance.processes()))


def start_again(instance):
    kill_everything(instance)
    instance.start()


def work(instance, sink, ledger, load, kills, kill):
    """Clients send while the kills go on; returns when each kill happened."""
    chance = random.Random(int.from_bytes(os.urandom(4), "big"))
    clients = [threading.Thread(target=client, args=(instance, load)) for _ in range(30)]
    for thread in clients:
        thread.start()
    times = []
    for _ in range(kills):
        done = len(sink.taken)
        wait_until("some work", lambda: len(sink.taken) >= done + chance.randrange(1, 60) and
                   len(load.in_flight) >= IN_FLIGHT)
        times.append(time.monotonic())
        kill(instance)
    load.kills_are_over = True
    for thread in clients:
        thread.join(240)
    assert not any(t.is_alive() for t in clients), "clients are stuck"
    return times


def queue_is_empty(instance):
    return "empty" in run("postqueue", "-c", instance.etc, "-p", check=False).stdout


@pytest.fixture
def relay(make_instance, workspace):
    with Sink(session=RecordingSession) as sink:
        sink.taken = []
        instance = make_instance(relayhost=f"[127.0.0.1]:{sink.port}", mydestination="", minimal_backoff_time="1s",
                                 maximal_backoff_time="2s", transport_retry_time="1s", service_throttle_time="1s", notify_classes="")
        instance.start()
        ledger = Ledger(workspace / "ledger")
        yield instance, sink, ledger, Load(ledger)


def repeats(sink):
    """The copies of each queue id that came more than once."""
    copies = collections.defaultdict(list)
    for message in sink.taken:
        copies[message.queue_id].append(message.when)
    return {queue_id: times for queue_id, times in copies.items() if len(times) > 1}


def assert_all_arrived(instance, sink, ledger):
    def arrived():
        return {message.number for message in list(sink.taken)}

    wait_until("all that was promised", lambda: ledger.promised <= arrived(), 120)
    wait_until("an empty queue", lambda: queue_is_empty(instance), 120)


def test_all_is_killed_and_nothing_is_lost(relay):
    instance, sink, ledger, load = relay
    kills = work(instance, sink, ledger, load, KILLS_OF_ALL, start_again)
    assert load.failures, "no kill met a client: the test proves nothing"
    assert_all_arrived(instance, sink, ledger)
    doubled = repeats(sink)
    print(f"{len(sink.taken)} messages at the sink, {len(doubled)} of them more than once")
    for queue_id, times in doubled.items():
        for first, second in zip(times, times[1:]):
            assert any(first <= kill + GRACE and kill <= first + GRACE for kill in kills), \
                f"{queue_id} came again after {second - first:.2f} s without a kill at its first time"


def test_the_queue_manager_dies_and_nothing_comes_twice(relay):
    instance, sink, ledger, load = relay
    work(instance, sink, ledger, load, KILLS_OF_QMGR, kill_qmgr)
    assert_all_arrived(instance, sink, ledger)
    assert repeats(sink) == {}
