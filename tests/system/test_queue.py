# SPDX-License-Identifier: ISC
"""The queue manager: deaths of its own process and of agents, poison, destinations, long lists."""

import os
import re
import signal
import threading

from conftest import USER, run, wait_until


def slow_alias(instance, name="slow"):
    """An alias to a command that says when it starts, and ends only with its file."""
    started = instance.dir / f"{name}-started"
    going = instance.dir / f"{name}-going"
    started.touch()
    started.chmod(0o666)
    going.touch()
    script = instance.dir / f"{name}.sh"
    script.write_text(f"#!/bin/sh\nid=$$\necho $id >> {started}\nwhile [ -e {going} ]; do sleep 0.05; done\n")
    script.chmod(0o755)
    with (instance.etc / "aliases").open("a") as f:
        f.write(f'{name}: "|{script}"\n')
    run("newaliases", "-c", instance.etc)
    return started, going


def starts(started):
    return len(started.read_text().splitlines())


def pid_of(instance, program):
    return wait_until(program, lambda: next((p for n, p in instance.processes() if n == program), None))


def listing(instance):
    return run("postqueue", "-c", instance.etc, "-p").stdout


def test_a_message_that_kills_its_agent_is_held(make_instance):
    instance = make_instance(minimal_backoff_time="1s", maximal_backoff_time="1s",
                             transport_retry_time="1s", service_throttle_time="1s")
    started, going = slow_alias(instance)
    instance.start()
    poison = instance.send(to="slow@localhost")
    for death in range(1, 4):
        wait_until("the delivery", lambda: starts(started) == death)
        # The first time others are in hand too; they must not suffer.
        if death == 1:
            other = instance.send(to=f"{USER}@localhost")
            instance.wait_log(f"{other}: removed")
        os.kill(pid_of(instance, "local"), signal.SIGKILL)
        instance.wait_log(f"{poison}: .*status=deferred \\(the delivery agent died\\)", death)
    instance.wait_log(f"{poison}: placed on hold: .*three times")
    assert re.search(rf"^{poison}!", listing(instance), re.M)
    assert starts(started) == 3
    instance.deliver()


def test_a_slow_delivery_outlives_reloads_and_is_made_once(make_instance):
    """The process that runs it is asked by each new queue manager; other mail goes on."""
    instance = make_instance()
    started, going = slow_alias(instance)
    instance.start()
    slow = instance.send(to="slow@localhost")
    wait_until("the delivery", lambda: starts(started) == 1)
    for _ in range(2):
        before = pid_of(instance, "qmgr")
        instance.gatepost("reload")
        wait_until("the successor", lambda: pid_of(instance, "qmgr") not in (None, before))
        instance.deliver()
    going.unlink()
    instance.wait_log(f"{slow}: to=.*status=sent")
    instance.wait_log(f"{slow}: removed")
    assert starts(started) == 1, "delivered once"


def test_a_stop_lets_a_delivery_forward(make_instance):
    """Else the command of the list would run again after the start."""
    instance = make_instance(transport_maps="inline:{ {remote.example = discard:there} }", minimal_backoff_time="1s",
                             transport_retry_time="1s")
    started, going = slow_alias(instance)
    with (instance.etc / "aliases").open("a") as f:
        f.write("list: slow, x@remote.example\n")
    run("newaliases", "-c", instance.etc)
    instance.start()
    queue_id = instance.send(to="list@localhost")
    wait_until("the delivery", lambda: starts(started) == 1)
    stopping = threading.Thread(target=instance.stop)
    stopping.start()
    instance.wait_log("stopping the Postfix mail system")
    going.unlink()
    stopping.join()
    instance.wait_log(f"{queue_id}: to=.*status=sent .*forwarded as")
    instance.start()
    instance.wait_log("x@remote.example.*status=sent")
    assert starts(started) == 1, "the command ran once"


def test_a_delivery_outlives_the_queue_manager(make_instance):
    """One that runs on when qmgr dies, and one that ends before there is another qmgr."""
    instance = make_instance(minimal_backoff_time="1s", maximal_backoff_time="1s")
    started, going = slow_alias(instance)
    instance.start()
    slow = instance.send(to="slow@localhost")
    wait_until("the delivery", lambda: starts(started) == 1)
    for death in (1, 2):
        os.kill(pid_of(instance, "qmgr"), signal.SIGKILL)
        instance.wait_log(f"{slow}: from=.*queue active", death + 1)
        instance.deliver()
    going.unlink()
    instance.wait_log(f"{slow}: removed")
    assert starts(started) == 1, "delivered once"
