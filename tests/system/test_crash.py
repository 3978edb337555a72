# SPDX-License-Identifier: ISC
"""Everything is killed at random moments; what was answered 250 is in the mailbox."""

import contextlib
import os
import random
import re
import signal
import subprocess
import threading
import time

import pytest
from conftest import USER, run, wait_until

MESSAGES = 2000
CLIENTS = 30
IN_FLIGHT = 20
KILLS = 10


class Ledger:
    """What clients were promised, flushed before it counts."""

    def __init__(self, path):
        self.file = open(path, "w")
        self.lock = threading.Lock()
        self.promised = set()

    def write(self, number):
        with self.lock:
            self.file.write(f"{number}\n")
            self.file.flush()
            os.fsync(self.file.fileno())
            self.promised.add(number)


def children_of(pid):
    done = subprocess.run(["ps", "-e", "-o", "pid=,ppid="], capture_output=True, text=True, check=True)
    parents = {}
    for line in done.stdout.splitlines():
        child, parent = map(int, line.split())
        parents.setdefault(parent, []).append(child)
    found, todo = [], [pid]
    while todo:
        here = todo.pop()
        found.append(here)
        todo += parents.get(here, [])
    return found


def is_alive(pid):
    try:
        return "Z" not in open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False


def kill_everything(instance):
    master = int((instance.dir / "queue/pid/master.pid").read_text())
    for pid in children_of(master):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    wait_until("the death of all", lambda: not is_alive(master))


class Load:
    """Numbers for the clients, until there were enough and the kills are over: however fast the machine is, no
    kill finds nothing to do."""

    def __init__(self, ledger):
        self.ledger, self.lock = ledger, threading.Lock()
        self.next, self.again, self.in_flight, self.failures = 0, [], set(), []
        self.kills_are_over = False

    def take(self):
        with self.lock:
            if self.again:
                return self.again.pop()
            if self.kills_are_over and self.next >= MESSAGES:
                return None
            self.next += 1
            return self.next - 1

    def put_back(self, number):
        with self.lock:
            self.again.append(number)


def client(instance, load):
    number = load.take()
    while number is not None:
        try:
            with instance.smtp() as smtp:
                for _ in range(20):
                    text = f"Subject: number {number}\r\n\r\n" + "x" * random.randrange(8000) + "\r\n"
                    load.in_flight.add(number)
                    smtp.sendmail("s@example.com", [f"{USER}@localhost"], text)
                    load.ledger.write(number)
                    load.in_flight.discard(number)
                    number = load.take()
                    if number is None:
                        return
        except Exception as error:
            # It was not answered 250 (or the answer was lost): it is sent again.
            load.failures.append(type(error).__name__)
            load.in_flight.discard(number)
            load.put_back(number)
            threading.Event().wait(0.02)
            number = load.take()


@pytest.mark.parametrize("store", ["mbox", "maildir"])
def test_nothing_that_was_promised_is_lost(make_instance, workspace, store):
    instance = make_instance(minimal_backoff_time="1s", maximal_backoff_time="2s", transport_retry_time="1s",
                             service_throttle_time="1s", mailbox_size_limit="0")
    if store == "maildir":
        instance.configure(mail_spool_directory=f"{instance.dir}/mail/")
    instance.start()
    seed = random.randrange(1 << 30)
    print("seed", seed)
    chance = random.Random(seed)
    ledger = Ledger(workspace / "ledger")
    load = Load(ledger)
    clients = [threading.Thread(target=client, args=(instance, load)) for _ in range(CLIENTS)]
    for thread in clients:
        thread.start()
    for _ in range(KILLS):
        # A random moment is the point here: between two kills some share of the work is done.
        done_before = len(ledger.promised)
        share = chance.randrange(1, MESSAGES // KILLS // 2)
        wait_until("some work", lambda: len(ledger.promised) >= done_before + share and
                   len(load.in_flight) >= IN_FLIGHT)
        kill_everything(instance)
        instance.start()
    load.kills_are_over = True
    for thread in clients:
        thread.join(240)
    assert not any(t.is_alive() for t in clients), "clients are stuck"
    assert ledger.promised == set(range(load.next))
    assert load.failures, "no kill met a client: the test proves nothing"

    def arrived():
        if store == "mbox":
            raw = (instance.dir / "mail" / USER).read_bytes()
            return [int(n) for n in re.findall(rb"^Subject: number (\d+)$", raw, re.M)]
        new = instance.dir / "mail" / USER / "new"
        return [int(re.search(rb"^Subject: number (\d+)$", path.read_bytes(), re.M).group(1))
                for path in new.iterdir()]

    wait_until("all that was promised", lambda: ledger.promised <= set(arrived()), 120)
    wait_until("an empty queue", lambda: "empty" in subprocess.run(
        [os.path.join(os.environ["BUILD_DIRECTORY"], "bin/postqueue"), "-c", str(instance.etc), "-p"],
        capture_output=True, text=True).stdout, 120)
    if store == "maildir":
        # Once per queue id; a client that lost our 250 may have sent a number again under another id.
        ids = [re.search(r"\.Q(\w+)R\d+\.", p.name).group(1)
               for p in (instance.dir / "mail" / USER / "new").iterdir()]
        assert len(ids) == len(set(ids))


def test_a_maildir_gets_it_once_even_when_a_reader_was_faster(make_instance):
    """The crash takes the records of a first attempt, and a reader has moved the file away from new/."""
    instance = make_instance()
    instance.configure(mail_spool_directory=f"{instance.dir}/mail/")
    instance.start()
    instance.deliver()
    box = instance.dir / "mail" / USER
    before = set(os.listdir(box / "new"))
    victims = children_of(int((instance.dir / "queue/pid/master.pid").read_text()))
    instance.send("Subject: once\r\n\r\nbody\r\n")
    # Without a pause: the records wait 20 ms for company.
    end = time.monotonic() + 30
    while not (names := set(os.listdir(box / "new")) - before):
        assert time.monotonic() < end, "no delivery"
    name = names.pop()
    os.rename(box / "new" / name, box / "cur" / f"{name}:2,")
    for pid in victims:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    wait_until("the death of all", lambda: not any(is_alive(pid) for pid in victims))
    instance.start()
    wait_until("an empty queue", lambda: "empty" in run("postqueue", "-c", instance.etc, "-p").stdout)
    assert set(os.listdir(box / "new")) == before
