#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""A long queue: instances are started on queues of deferred messages, which store_load fills, and asked how soon
they take and deliver mail, how much memory a message costs, how long a listing lasts, how fast they take mail
beside one with an empty queue, and the same after SIGKILL with a cold page cache. Needs root, for the cache and
for smtp-source's package. Prints a table; keeps backlog.md and backlog.json below the build directory."""

import argparse
import json
import os
import pathlib
import re
import shutil
import signal
import smtplib
import statistics
import subprocess
import sys
import tempfile
import time

from bench import USER, Gatepost, Row, delivered_size, free_port, measure
from peer import Peer

SIZE = 4096
PATIENCE = 300
RATE = Row("accept, 20 sessions", 3000)


def progress(text):
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def make(build, directory):
    settings = {"mail_spool_directory": f"{directory}/mail/", "mailbox_size_limit": "0", "default_transport": "discard:",
                "maximal_queue_lifetime": "10d"}
    server = Gatepost(build, directory, free_port(), settings)
    server.start()
    take_one(server)  # the queue's directories are there now, with their owners
    server.stop()
    return server


def fill(build, server, count):
    """As qmgr's user would leave it: a queue of `count` messages that were put off until tomorrow."""
    queue = server.dir / "queue"
    owner = (queue / "log").stat()
    subprocess.run([build / "bench/store_load", "fill", queue, str(count), str(SIZE)], check=True)
    for path in (queue / "log").iterdir():
        os.chown(path, owner.st_uid, owner.st_gid)


def until(happens, what, pause=0.002):
    end = time.monotonic() + PATIENCE
    while not happens():
        if time.monotonic() > end:
            raise SystemExit(f"bench: {what} did not happen in {PATIENCE} s")
        time.sleep(pause)


def is_taken(server):
    try:
        with smtplib.SMTP("127.0.0.1", server.port, timeout=PATIENCE) as client:
            client.sendmail("s@example.com", f"{USER}@localhost", "Subject: first\r\n\r\nfirst\r\n")
        return True
    except (OSError, smtplib.SMTPException):
        return False


def take_one(server):
    """Seconds until a message was taken, and until it was in the mailbox."""
    start, before = time.monotonic(), delivered_size(server.dir)
    until(lambda: is_taken(server), "a message taken")
    taken = time.monotonic() - start
    until(lambda: delivered_size(server.dir) > before, "a delivery")
    return taken, time.monotonic() - start


def tree(pid):
    children = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True).stdout.split()
    return [pid] + [p for child in children for p in tree(int(child))]


def pss(server):
    """Bytes of qmgr."""
    for pid in tree(server.process.pid):
        if pathlib.Path(f"/proc/{pid}/comm").read_text().strip() == "qmgr":
            rollup = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
            return 1024 * int(re.search(r"^Pss:\s+(\d+)", rollup, re.M)[1])
    raise SystemExit("bench: no qmgr")


def kill(server):
    for pid in tree(server.process.pid):
        os.kill(pid, signal.SIGKILL)
    server.process.wait(30)
    server.process = None
    os.sync()
    pathlib.Path("/proc/sys/vm/drop_caches").write_text("3\n")


def list_all(server, count):
    start = time.monotonic()
    done = subprocess.run(f"{server.bin}/postqueue -c {server.etc} -p | tail -1", shell=True, check=True,
                          capture_output=True, text=True)
    if int(re.search(r"in (\d+) Request", done.stdout)[1]) < count:
        raise SystemExit(f"bench: postqueue says {done.stdout}")
    return time.monotonic() - start


def first_retry(server):
    """Seconds from "postqueue -f" until a message of the backlog was delivered."""
    log = server.dir / "log/maillog"
    with log.open() as lines:
        lines.seek(0, os.SEEK_END)
        start = time.monotonic()
        subprocess.run([server.bin / "postqueue", "-c", server.etc, "-f"], check=True)
        until(lambda: "to=<recipient" in lines.read(), "a retry")
        return time.monotonic() - start


def measure_backlog(arguments, peer, scratch, count):
    empty, full = (make(arguments.build, scratch / name) for name in ("empty", "full"))
    fill(arguments.build, full, count)
    result, servers = {"count": count}, (full, empty)
    try:
        full.start()
        result["taken"], result["delivered"] = take_one(full)
        empty.start()
        take_one(empty)
        result["bytes"] = (pss(full) - pss(empty)) / count
        lists, rates = [], {server: [] for server in servers}
        for number in range(arguments.runs):
            progress(f"{count} messages: run {number + 1} of {arguments.runs}")
            lists.append(list_all(full, count))
            for server in servers if number % 2 == 0 else reversed(servers):
                rates[server].append(measure(peer, server, RATE))
        result["list"] = statistics.median(lists)
        result["rate"], result["rate_empty"] = (statistics.median(rates[server]) for server in servers)
        kill(full)
        full.start()
        result["killed_taken"], result["killed_delivered"] = take_one(full)
        result["retry"] = first_retry(full)
    finally:
        progress("")
        for server in servers:
            server.stop()
            shutil.rmtree(server.dir)
    return result


HEAD = """| messages | first taken s | first delivered s | after SIGKILL, cold s | qmgr bytes/message | postqueue -p s | accept /s | of empty's | first retry s |
|---|---|---|---|---|---|---|---|---|"""


def in_table(r):
    return (f"| {r['count']} | {r['taken']:.2f} | {r['delivered']:.2f} | {r['killed_taken']:.2f} : "
            f"{r['killed_delivered']:.2f} | {r['bytes']:.0f} | {r['list']:.2f} | {r['rate']:.0f} | "
            f"{r['rate'] / r['rate_empty']:.2f} | {r['retry']:.2f} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", required=True, type=lambda p: pathlib.Path(p).absolute())
    parser.add_argument("--where", help="a directory on the disk to measure; else the build directory")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--counts", type=lambda t: [int(n) for n in t.split(",")], default=[10**4, 10**5, 10**6],
                        help="messages; a million take 5 GB")
    arguments = parser.parse_args()
    if os.geteuid() != 0:
        raise SystemExit("bench-backlog: needs root, for the page cache and the load's package")
    peer, results = Peer(arguments.build), []
    print(HEAD)
    for count in arguments.counts:
        with tempfile.TemporaryDirectory(dir=arguments.where or arguments.build) as scratch:
            os.chmod(scratch, 0o755)
            results.append(measure_backlog(arguments, peer, pathlib.Path(scratch), count))
        print(in_table(results[-1]), flush=True)
    (arguments.build / "backlog.json").write_text(json.dumps(results, indent=1) + "\n")
    (arguments.build / "backlog.md").write_text("\n".join([HEAD, *map(in_table, results)]) + "\n")


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    main()
