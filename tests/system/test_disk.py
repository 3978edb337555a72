# SPDX-License-Identifier: ISC
"""The disk of the queue: full, and damaged."""

import contextlib
import ctypes
import os
import re
import shutil
import smtplib
import subprocess

import pytest
from conftest import USER, needs_root, wait_until

CLONE_NEWNS = 0x00020000


@contextlib.contextmanager
def private_mounts():
    """Mounts made inside are seen by nobody else and are gone afterwards."""
    libc = ctypes.CDLL(None, use_errno=True)
    home = os.open("/proc/self/ns/mnt", os.O_RDONLY)
    root, here = os.open("/", os.O_PATH), os.getcwd()
    try:
        if libc.unshare(CLONE_NEWNS) != 0:
            pytest.skip("no private mount namespace here: " + os.strerror(ctypes.get_errno()))
        done = subprocess.run(["mount", "--make-rprivate", "/"], capture_output=True, text=True)
        if done.returncode != 0:
            pytest.skip("mounts can't be made private here (in a chroot?): " + done.stderr.strip())
        yield
    finally:
        libc.setns(home, CLONE_NEWNS)
        # That led to the root of the namespace, which in a chroot is another.
        os.fchdir(root)
        os.chroot(".")
        os.chdir(here)
        os.close(root)
        os.close(home)


def move_to_small_disk(directory, size):
    """The directory, with all that is in it, on a file system of its own."""
    saved = directory.with_name(directory.name + ".saved")
    subprocess.run(["cp", "-a", directory, saved], check=True)
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=755", "tmpfs", directory],
                          capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip("tmpfs can't be mounted here: " + done.stderr)
    subprocess.run(["cp", "-a", f"{saved}/.", directory], check=True)


def fill(directory):
    """Takes all that is free on its disk; returns the file that does."""
    filler = directory / "filler"
    with open(filler, "wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"x" * (1 << 16))
    assert shutil.disk_usage(directory).free == 0
    return filler


def refusal(instance, size):
    """What the server says against a message of this size; None when it takes it."""
    text = "Subject: test\r\n\r\n" + ("x" * 70 + "\r\n") * (size // 72)
    with instance.smtp() as smtp:
        try:
            smtp.sendmail("sender@example.com", [f"{USER}@localhost"], text)
        except smtplib.SMTPResponseException as error:
            return error.smtp_code, error.smtp_error[:5]


ELSEWHERE = f"{USER}@elsewhere.example"


def accept_elsewhere(instance):
    """Mail to ELSEWHERE waits, for there is no way out, until this."""
    instance.configure(mydestination="$myhostname, localhost.$mydomain, localhost, elsewhere.example")


@needs_root
def test_a_full_disk_refuses_new_mail_and_delivers_the_old(make_instance):
    with private_mounts(), contextlib.ExitStack() as ending:
        instance = make_instance(minimal_backoff_time="1s", maximal_backoff_time="1s", transport_retry_time="1s")
        # From outside nobody finds its master.
        ending.callback(instance.gatepost, "abort", check=False)
        queue = instance.dir / "queue"
        move_to_small_disk(queue, "400m")
        instance.start()
        waiting = [instance.send(to=ELSEWHERE) for _ in range(20)]
        for queue_id in waiting:
            instance.wait_log(f"{queue_id}: .*status=deferred")
        filler = fill(queue)
        # What is free is looked at now and then: one more may come in, into space set aside.
        taken = 0
        while (answer := refusal(instance, 1000)) is None:
            taken += 1
        assert answer == refusal(instance, 1000) == (452, b"4.3.1")
        instance.wait_log("warning: no new mail is taken: the queue's disk has no room")
        # Large content goes to a file of its own.
        assert refusal(instance, 1000000) == (452, b"4.3.1")
        accept_elsewhere(instance)
        instance.gatepost("reload")
        for queue_id in waiting:
            instance.wait_log(f"{queue_id}: removed")
        wait_until("all mail", lambda: len(instance.mbox()) == len(waiting) + taken)
        filler.unlink()

        def accepted():
            with contextlib.suppress(smtplib.SMTPException, AssertionError):
                return instance.send()

        instance.wait_log(f"{wait_until('room again', accepted)}: removed")
        # What was done on the full disk stays done.
        instance.gatepost("stop")
        instance.start()
        instance.deliver()
        assert len(instance.mbox()) == len(waiting) + taken + 2


def test_a_damaged_record_is_named_and_the_others_are_delivered(make_instance):
    instance = make_instance(minimal_backoff_time="1s", maximal_backoff_time="1s", transport_retry_time="1s")
    instance.start()
    ids = {n: instance.send(f"Subject: number {n}\r\n\r\nbody of {n} is here\r\n", to=ELSEWHERE) for n in range(6)}
    for queue_id in ids.values():
        instance.wait_log(f"{queue_id}: .*status=deferred")
    instance.stop()
    accept_elsewhere(instance)
    damaged = 0
    for segment in (instance.dir / "queue/log").iterdir():
        data = segment.read_bytes()
        for found in re.finditer(rb"body of 2 is here", data):
            with open(segment, "r+b") as file:
                file.seek(found.start())
                file.write(b"BODY")
            damaged += 1
    assert damaged > 0
    instance.start()
    for number, queue_id in ids.items():
        if number != 2:
            instance.wait_log(f"{queue_id}: removed")
    line = instance.wait_log(rf"warning: queue: .*damaged record of message {ids[2]}: .* set aside as log/damaged-")[0]
    kept = instance.dir / "queue" / re.search(r"log/damaged-\d+-\d+", line).group(0)
    assert b"BODY of 2 is here" in kept.read_bytes()
    assert sorted(m["Subject"] for m in instance.mbox()) == [f"number {n}" for n in range(6) if n != 2]
    instance.deliver()
    assert not any("killed by signal" in line or "panic" in line for line in instance.lines())


def test_segments_have_the_size_that_is_asked_for(make_instance):
    size = 4 << 20
    instance = make_instance(queue_segment_size=str(size)).start()
    for _ in range(3):
        assert refusal(instance, 60000) is None
    instance.deliver()
    log = instance.dir / "queue" / "log"
    wait_until("spare segments", lambda: len(list(log.glob("0*"))) >= 3)
    assert {file.stat().st_size for file in log.glob("0*")} == {size}
    instance.stop()
    for wrong, why in ((str(2 * size), "a segment of another size"), (str(size + 1), "a multiple of 4096")):
        instance.configure(queue_segment_size=wrong)
        instance.gatepost("start", check=False)
        instance.wait_log(f"qmgr.*fatal: the queue can't be opened: .*{why}")
        instance.stop()
    instance.configure(queue_segment_size=str(size))
    instance.start()
    instance.deliver()
