# SPDX-License-Identifier: ISC
"""worker.py KIND WORKLOAD COUNT SEED BIN STEP - makes COUNT faults of one kind in one instance and prints a JSON line
for each and one at the end. The kind "lie" is "kill" with one promise of a message that never was. crash.py starts it in mount, pid and network namespaces of its own."""

import errno
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import time

from judge import Judge
from suite import HERE, PATIENCE, Clients, Suite, Trouble
from workloads import WORKLOADS, RecordingSink, text

DRAIN_EVERY = 20
MESSAGES = 40       # sent at most between a start and its fault
FILLS = 20
ERRORS = {
    "write": ["ENOSPC", "EIO", "EDQUOT"], "fdatasync": ["EIO", "ENOSPC"], "rename": ["EIO", "ENOSPC", "EACCES"],
    "open": ["EMFILE", "ENFILE", "EIO"], "accept": ["EMFILE", "ECONNABORTED", "ENOBUFS"],
    "fork": ["EAGAIN", "ENOMEM"], "sendmsg": ["ENOBUFS", "ECONNRESET", "EAGAIN"],
}


def say(**fields):
    print(json.dumps(fields), flush=True)


class Worker:
    def __init__(self, kind, workload, count, seed, bin_directory, step_program):
        self.lie = kind == "lie"
        self.kind, self.count = "kill" if self.lie else kind, count
        self.workload = WORKLOADS[workload]()
        self.chance = random.Random(seed)
        work = pathlib.Path(tempfile.mkdtemp(prefix="gatepost-faults-"))
        work.chmod(0o755)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", work], check=True)
        disk = {"cut-ext4": "ext4", "cut-xfs": "xfs", "full": "small"}.get(kind, "memory")
        self.ledger = work / "ledger"
        self.sink = RecordingSink()
        self.judge = Judge(self.workload.places)
        self.suite = Suite(work, disk, self.workload, bin_directory, step_program)
        self.clients = Clients(self.suite, self.judge)
        self.by_sendmail = hasattr(self.workload, "by_sendmail")

    def out(self):
        return set(self.sink.taken) | set(self.suite.mailboxes()[0])

    def look(self):
        self.judge.look(self.suite.queue, self.out, is_over=self.suite.step.dead.is_set)

    # --- load ---------------------------------------------------------------------------------------------

    def command(self):
        """How the instance is started: alone, or with users who submit."""
        if not self.by_sendmail:
            return None
        numbers = [self.judge.next_number() for _ in range(8)]
        for number in numbers:
            self.ledger.with_suffix(f".{number}").write_text(text(number, self.workload.size(number)).replace("\r", ""))
        self.ledger.write_text("")
        return [HERE / "submit", self.suite.bin, self.suite.etc, self.ledger, str(numbers[0]), "4"]

    def take_ledger(self):
        if self.by_sendmail and self.ledger.exists():
            for line in self.ledger.read_text().split("\n")[:-1]:
                if line != "started":
                    self.judge.promise(int(line))
            for file in self.ledger.parent.glob("ledger.*"):
                file.unlink()

    def load(self, step, happened):
        """Mail until the event comes or all of it is sent. Returns whether it came."""
        if self.by_sendmail:
            happened.wait(0.3)
        else:
            self.clients.begin(MESSAGES)
            while not happened.wait(0.01) and self.clients.busy():
                pass
            # Deliveries go on after the last 250.
            happened.wait(0.5)
            self.clients.end()
        return happened.is_set()

    # --- kill and cut -------------------------------------------------------------------------------------

    def kill(self, k, early):
        """One fault at the k-th durable call, counted from the start or from the first mail after the judge
        has looked."""
        order = f"{'kill' if self.kind == 'kill' else 'cut'} {k}"
        step = self.suite.start(self.command(), order if early else None)
        if self.suite.await_ready():
            self.take_ledger()
            self.look()
            if not early:
                step.order(order)
            # Of mail that makes fewer calls the last is followed by a kill at rest.
            if not step.dead.is_set() and not self.load(step, step.dead):
                step.end()
        step.dead.wait(PATIENCE)
        self.take_ledger()
        self.judge.fault(step.when)
        if self.suite.disk.kind in ("ext4", "xfs"):
            self.suite.disk.again()
        say(fault=self.kind, struck=step.struck.replace(str(self.suite.root), ""), k=k)

    def drain(self):
        """Everything comes out: the strict look at each message."""
        if self.workload.waits:
            self.suite.configure(defer_transports="")
        self.suite.start()
        self.suite.await_ready()
        # pickup tries a file again after a minute.
        end = time.monotonic() + 2.5 * PATIENCE
        while self.suite.queue() != [] or self.maildrop():
            if time.monotonic() > end:
                self.judge.wrong.append(f"the queue does not get empty: {json.dumps(self.suite.queue())[:2000]} "
                                        f"{[f.name for f in self.maildrop()]}")
                break
            time.sleep(0.05)
        self.judge.look(list, self.out, patience=2)
        found, broken = self.suite.mailboxes()
        self.judge.count_mailboxes(found, broken, self.workload.is_direct)
        self.judge.count_sink(self.sink.taken, self.workload.is_direct)
        self.judge.wrong += [f"not whole at the sink: {text!r}" for text in self.sink.damaged]
        if self.lie:
            while not self.workload.places(never_was := self.judge.next_number()):
                pass
            self.judge.promise(never_was)
            self.judge.look(list, self.out, patience=0)
        if self.judge.lost or self.judge.wrong:
            say(log=self.suite.tail(40))
        self.suite.step.end()
        self.judge.forget()
        self.sink.taken.clear()
        self.sink.damaged.clear()
        self.suite.empty_mailboxes()
        log = self.suite.root / "log/maillog"
        log.unlink(missing_ok=True)
        if self.workload.waits:
            self.suite.configure(defer_transports="smtp")

    def maildrop(self):
        """The complete files there; what a killed postdrop left half done waits for its cleaning."""
        return [f for f in (self.suite.root / "queue/maildrop").iterdir() if f.is_file() and f.stat().st_mode & 0o100]

    def kills(self):
        done = 0
        while done < self.count and not self.judge.lost and not self.judge.wrong:
            for _ in range(min(DRAIN_EVERY, self.count - done)):
                early = self.by_sendmail or self.chance.random() < 0.4
                self.kill(self.chance.randrange(1, 90 if early else 60), early)
                done += 1
                if self.judge.lost or self.judge.wrong:
                    break
            self.drain()

    # --- single errors ------------------------------------------------------------------------------------

    def fail(self, call, error, k):
        """One call fails. The service goes on by itself; then everything is killed."""
        early = call in ("fork", "open", "rename") or self.by_sendmail
        order = f"fail {call} {getattr(errno, error)} {k}"
        step = self.suite.start(self.command(), order if early else None)
        if not step.ready.wait(PATIENCE):
            raise Trouble(f"the start does not end after {order}\n{self.suite.tail()}")
        if step.code != 0:
            # A start that fails says so; the next one has to do.
            self.take_ledger()
            step.end()
            say(fault=call, struck=step.struck, error=error, start="failed")
            step = self.suite.start()
            self.suite.await_ready()
        if not early:
            step.order(order)
        struck = self.load(step, step.failed)
        self.take_ledger()
        if step.when:
            self.judge.fault(step.when)
        if not self.by_sendmail:
            self.await_service(order)
        self.look()
        step.end()
        self.judge.fault(step.when if not struck else time.monotonic())
        if struck and step.code == 0:
            say(fault=call, struck=step.struck.replace(str(self.suite.root), ""), error=error)
        return struck

    def await_service(self, order):
        """New mail is taken again without anybody's help."""
        before, end = self.judge.total, time.monotonic() + PATIENCE
        while self.judge.total == before:
            if time.monotonic() > end:
                self.judge.wrong.append(f"no mail is taken after {order}: {self.clients.refusals}")
                say(log=self.suite.tail(40))
                return
            self.clients.begin(1)
            while self.clients.busy() and time.monotonic() < end:
                time.sleep(0.01)
            self.clients.end()

    def errors(self):
        """COUNT of those that struck; a call that does not come so often is no fault."""
        done = tried = 0
        while done < self.count and tried < 3 * self.count and not self.judge.lost and not self.judge.wrong:
            for _ in range(min(DRAIN_EVERY, 2 * (self.count - done))):
                tried += 1
                call = self.chance.choice(list(ERRORS))
                k = self.chance.randrange(1, {"fork": 8, "accept": 4, "rename": 4, "open": 200}.get(call, 40))
                done += self.fail(call, self.chance.choice(ERRORS[call]), k)
                if self.judge.lost or self.judge.wrong:
                    break
            self.drain()

    # --- a full disk --------------------------------------------------------------------------------------

    def fill(self, inodes):
        """Takes all bytes or all inodes of the queue's disk; returns what has to be removed."""
        filler = self.suite.disk.path / "filler"
        filler.mkdir()
        number = 0
        try:
            while True:
                with open(filler / str(number), "wb", buffering=0) as file:
                    while not inodes:
                        file.write(b"x" * (1 << 16))
                number += 1
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
        return filler

    def wait(self, what, predicate):
        end = time.monotonic() + PATIENCE
        while not predicate():
            if time.monotonic() > end:
                self.judge.wrong.append(f"waited a minute for {what}; refusals: {self.clients.refusals}")
                return
            time.sleep(0.02)

    def full(self):
        """Filled and emptied under load, again and again."""
        for number in range(self.count):
            step = self.suite.start() if self.suite.step is None or self.suite.step.dead.is_set() else self.suite.step
            self.suite.await_ready()
            self.clients.refusals.clear()
            self.clients.begin(1 << 30)
            taken = self.judge.total
            self.wait("mail before the disk is full", lambda t=taken: self.judge.total > t + 20)
            filler = self.fill(number % 2 == 1)
            self.wait("a 452 on the full disk", lambda: any(r.startswith("452") for r in list(self.clients.refusals)))
            subprocess.run(["rm", "-r", filler], check=True)
            taken = self.judge.total
            self.wait("mail after the disk was full", lambda t=taken: self.judge.total > t + 20)
            self.clients.end()
            others = [r for r in self.clients.refusals if not r.startswith("452")]
            self.judge.wrong += [f"a full disk was answered {r}" for r in others]
            self.look()
            say(fault="inodes" if number % 2 else "bytes", struck=json.dumps(self.clients.refusals))
            if number % 4 == 3:
                step.end()
                self.drain()
            if self.judge.lost or self.judge.wrong:
                break
        self.suite.step.end()
        self.drain()

    # --- all ----------------------------------------------------------------------------------------------

    def run(self):
        try:
            {"errors": self.errors, "full": self.full}.get(self.kind, self.kills)()
        except Trouble as error:
            self.judge.wrong.append(str(error))
        finally:
            if self.judge.wrong or self.judge.lost:
                say(log=self.suite.tail(40))
            say(end=True, promised=self.judge.total, lost=self.judge.lost, doubles=self.judge.doubles,
                wrong=self.judge.wrong)
            self.suite.leave()


def main():
    kind, workload, count, seed, bin_directory, step_program = sys.argv[1:]
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    Worker(kind, workload, int(count), int(seed), pathlib.Path(bin_directory), step_program).run()
    sys.stdout.flush()
    os._exit(0)  # the sink's threads have no end


if __name__ == "__main__":
    main()
