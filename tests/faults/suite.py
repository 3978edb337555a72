# SPDX-License-Identifier: ISC
"""An instance on a disk of its own, started below step.c, which strikes it."""

import contextlib
import json
import os
import pathlib
import re
import shutil
import smtplib
import subprocess
import threading
import time

from workloads import SINK_PORT, SMTP_PORT, number_of, sender, text

HERE = pathlib.Path(__file__).resolve().parent
PATIENCE = 60


class Trouble(Exception):
    """The instance, or the harness, does not do what it has to: what happened, and what the log says."""


class Disk:
    """A file system that nobody else sees: the worker's mount namespace ends with it. "memory" keeps what was
    written, "small" is soon full, ext4 and xfs forget on a cut what was not flushed."""

    def __init__(self, work, kind):
        self.kind, self.path, self.image = kind, work / "disk", work / "image"
        self.path.mkdir()
        if kind in ("ext4", "xfs"):
            with open(self.image, "wb") as file:
                file.truncate(400 << 20)
            subprocess.run([f"mkfs.{kind}", "-q", self.image], check=True)
        self.mount()

    def mount(self):
        options = {"memory": ["-t", "tmpfs", "-o", "size=2g,mode=755", "tmpfs"],
                   "small": ["-t", "tmpfs", "-o", "size=160m,nr_inodes=500,mode=755", "tmpfs"]}
        subprocess.run(["mount", *options.get(self.kind, ["-o", "loop", self.image]), self.path], check=True)

    def again(self):
        """What a machine does after a power cut."""
        end = time.monotonic() + PATIENCE
        while subprocess.run(["umount", self.path], capture_output=True).returncode != 0:
            if time.monotonic() > end:
                raise Trouble("the disk can't be unmounted")
            time.sleep(0.01)
        self.mount()


class Step:
    """One run of the driver. dead is set when it killed everything; struck says at which call."""

    def __init__(self, program, root, command):
        self.dead, self.ready, self.failed = threading.Event(), threading.Event(), threading.Event()
        self.code, self.struck, self.when = None, "", None
        self.process = subprocess.Popen([program, root, *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True, bufsize=1)
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def order(self, text):
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(text + "\n")
            self.process.stdin.flush()

    def read(self):
        for line in self.process.stdout:
            word, *rest = line.split()
            if word == "ready":
                self.code = int(rest[0])
                self.ready.set()
            elif word == "failed":
                self.struck, self.when = " ".join(rest), time.monotonic()
                self.failed.set()
            elif word == "dead":
                self.struck, self.when = self.struck or " ".join(rest), time.monotonic()
        self.process.wait()
        self.when = self.when or time.monotonic()
        self.dead.set()
        self.ready.set()

    def end(self):
        """Kills everything now."""
        self.order("now")
        if not self.dead.wait(PATIENCE):
            raise Trouble("the driver does not end")


class Suite:
    def __init__(self, work, kind, workload, bin_directory, step_program):
        self.work, self.workload, self.bin = work, workload, bin_directory
        self.step_program = step_program
        self.disk = Disk(work, kind)
        self.root = self.disk.path / "i"
        self.etc = self.root / "etc"
        self.step = None
        self.starts = 0
        self.run("gatepost", "init", self.root, "--port", SMTP_PORT)
        (self.etc / "aliases").write_text("root: root\n" if not hasattr(workload, "aliases") else workload.aliases)
        self.run("newaliases", "-c", self.etc)
        self.configure(relayhost=f"[127.0.0.1]:{SINK_PORT}", minimal_backoff_time="1s", maximal_backoff_time="2s",
                       transport_retry_time="1s", service_throttle_time="1s", queue_segment_size="4194304",
                       mail_spool_directory=f"{self.root}/mail/", resolver_servers="127.0.0.1@9",
                       defer_transports="smtp" if workload.waits else "", notify_classes="", **workload.settings)

    def run(self, program, *arguments, check=True):
        done = subprocess.run([str(self.bin / program), *map(str, arguments)], capture_output=True, text=True,
                              timeout=PATIENCE)
        if check and done.returncode != 0:
            raise Trouble(f"{program} {arguments}: {done.returncode} {done.stdout}{done.stderr}\n{self.tail()}")
        return done

    def configure(self, **settings):
        self.run("postconf", "-c", self.etc, "-e", *[f"{k} = {v}" for k, v in settings.items()])
        subprocess.run(["sync", "-f", self.etc], check=True)

    def tail(self, lines=30):
        """Complaints, and the end of the log."""
        log = self.root / "log/maillog"
        text = log.read_text(errors="replace").splitlines() if log.exists() else []
        complaints = [line for line in text[:-lines] if re.search(r": (warning|error|fatal|panic): ", line)]
        return "\n".join(complaints[-lines:] + text[-lines:])

    def start(self, command=None, order=None):
        """Starts it under a new driver, which has its order from the first call on."""
        self.starts += 1
        self.step = Step(self.step_program, self.root,
                         command or [self.bin / "gatepost", "-c", self.etc, "start"])
        if order:
            self.step.order(order)
        return self.step

    def await_ready(self):
        """True when it runs; False when it was killed before."""
        if not self.step.ready.wait(PATIENCE):
            raise Trouble(f"the start does not end\n{self.tail()}")
        if self.step.dead.is_set():
            return False
        if self.step.code != 0:
            raise Trouble(f"the start fails with {self.step.code}\n{self.tail()}")
        return True

    def queue(self):
        """What postqueue -j lists; None when it can't be asked now."""
        done = self.run("postqueue", "-c", self.etc, "-j", check=False)
        if done.returncode != 0:
            return None
        return [json.loads(line) for line in done.stdout.splitlines()]

    def mailboxes(self):
        """place -> how many whole copies are there; and the names of files that are not whole."""
        found, broken = {}, []
        for new in self.root.glob("mail/*/new"):
            for file in new.iterdir():
                number = number_of(file.read_bytes())
                if number is None:
                    broken.append(str(file))
                place = ("maildir", number, new.parent.name)
                found[place] = found.get(place, 0) + 1
        return found, broken

    def empty_mailboxes(self):
        for new in self.root.glob("mail/*/new"):
            for file in new.iterdir():
                file.unlink()

    def leave(self):
        if self.step is not None and not self.step.dead.is_set():
            self.step.end()
        subprocess.run(["umount", self.disk.path], check=False)
        shutil.rmtree(self.work, ignore_errors=True)


class Clients:
    """Sessions that send new numbers until enough is sent or the end comes. What got 250 is told to the judge."""

    def __init__(self, suite, judge, sessions=4):
        self.suite, self.judge, self.sessions = suite, judge, sessions
        self.refusals = {}
        self.stop, self.lock = threading.Event(), threading.Lock()
        self.left, self.threads = 0, []

    def begin(self, messages):
        self.left = messages
        self.stop.clear()
        self.threads = [threading.Thread(target=self.session, daemon=True) for _ in range(self.sessions)]
        for thread in self.threads:
            thread.start()

    def take(self):
        with self.lock:
            if self.left <= 0 or self.stop.is_set():
                return None
            self.left -= 1
            return self.judge.next_number()

    def session(self):
        while not self.stop.is_set() and self.left > 0:
            try:
                with smtplib.SMTP("127.0.0.1", SMTP_PORT, timeout=PATIENCE, local_hostname="client.example") as smtp:
                    while (number := self.take()) is not None:
                        self.send(smtp, number)
            except (OSError, smtplib.SMTPException):
                self.stop.wait(0.02)

    def send(self, smtp, number):
        try:
            some = smtp.sendmail(sender(number), self.suite.workload.recipients(number),
                                 text(number, self.suite.workload.size(number)))
        except smtplib.SMTPRecipientsRefused as error:
            self.refused(*next(iter(error.recipients.values())))
        except smtplib.SMTPResponseException as error:
            self.refused(error.smtp_code, error.smtp_error)
        else:
            # 250 was for the other recipients: nothing is promised of all.
            if some:
                self.refused(*next(iter(some.values())))
            else:
                self.judge.promise(number)

    def refused(self, code, reply):
        with self.lock:
            key = f"{code} {reply.decode(errors='replace')[:60]}"
            self.refusals[key] = self.refusals.get(key, 0) + 1
        self.stop.wait(0.01)

    def end(self):
        self.stop.set()
        for thread in self.threads:
            thread.join(PATIENCE + 5)
            if thread.is_alive():
                raise Trouble("a client is stuck")

    def busy(self):
        return any(thread.is_alive() for thread in self.threads)
