#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""Gatepost beside Debian's Postfix in one run, interleaved: same disk, same load, flushes counted for
both. Prints a table, and keeps it as Markdown and JSON below the build directory; under two minutes."""

import argparse
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

from peer import Peer, Postfix

USER = "daemon"  # a system user without rights, whose mailbox is written


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Gatepost:
    name = "Gatepost"

    def __init__(self, build, directory, port, settings):
        self.bin = pathlib.Path(build) / "bin"
        self.dir, self.port = pathlib.Path(directory), port
        subprocess.run([self.bin / "gatepost", "init", self.dir, "--port", str(port)], check=True,
                       stdout=subprocess.DEVNULL)
        self.etc = self.dir / "etc"
        values = {"mydestination": "localhost", "myhostname": "bench.example", "alias_maps": "",
                  "alias_database": "", **settings}
        subprocess.run([self.bin / "postconf", "-c", self.etc, "-e", *[f"{k} = {v}" for k, v in values.items()]],
                       check=True)
        self.process = None

    def start(self, wrapper=()):
        self.process = subprocess.Popen([*wrapper, str(self.bin / "gatepost"), "-c", str(self.etc), "start-fg"],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)

    def stop(self):
        if self.process:
            subprocess.run([self.bin / "gatepost", "-c", self.etc, "stop"], check=False,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            self.process.wait(30)
            self.process = None


def wait_for_port(port):
    end = time.monotonic() + 30
    while time.monotonic() < end:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=5) as s:
                if s.recv(3) == b"220":
                    return
        except OSError:
            pass
        time.sleep(0.05)
    raise SystemExit(f"nothing answers on port {port}")


def start_sink(peer, server, messages):
    """Debian's smtp-sink, which ends when it has them all."""
    sink = subprocess.Popen([peer.program("smtp-sink"), "-u", USER, "-M", str(messages),
                             f"127.0.0.1:{server.sink_port}", "1000"], env=peer.env, stdin=subprocess.DEVNULL,
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for_port(server.sink_port)
    return sink


def measure(peer, server, row):
    """Messages per second. Local rows count until the last message is in the mailbox, relay rows until it is in
    the sink and the queue is empty."""
    address = f"{USER}@localhost" if row.local else "x@relay.example" if row.relay else "x@discard.example"
    before = delivered_size(server.dir) if row.local else 0
    sink = start_sink(peer, server, row.messages) if row.relay else None
    start = time.monotonic()
    done = peer.run("smtp-source", *(["-d"] if row.reuse else []), "-s", row.sessions, "-m", row.messages, "-l",
                    row.size, "-f", "s@example.com", "-t", address, f"127.0.0.1:{server.port}", timeout=300)
    if done.returncode != 0 or done.stderr:
        raise SystemExit(f"{server.name}: smtp-source: {done.stderr}")
    if row.local:
        end = time.monotonic() + 300
        while delivered_size(server.dir) - before < row.messages and time.monotonic() < end:
            time.sleep(0.01)
    if sink:
        try:
            sink.wait(300)
        finally:
            sink.kill()
    return row.messages / (time.monotonic() - start)


def delivered_size(directory):
    """Messages in the mailbox, cheap enough to poll."""
    path = directory / "mail" / USER
    if path.is_dir():
        return len(os.listdir(path / "new")) if (path / "new").exists() else 0
    if not path.exists():
        return 0
    return int(subprocess.run(["grep", "-ac", "^From ", str(path)], capture_output=True, text=True).stdout or 0)


def children_cpu(pid):
    """User and system seconds of a process tree, ended children included."""
    ticks = os.sysconf("SC_CLK_TCK")
    total, todo = 0.0, [pid]
    parents = {}
    for entry in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text().rsplit(")", 1)[1].split()
            parents.setdefault(int(fields[1]), []).append(int(entry.parent.name))
        except (OSError, IndexError):
            pass
    while todo:
        here = todo.pop()
        try:
            fields = pathlib.Path(f"/proc/{here}/stat").read_text().rsplit(")", 1)[1].split()
            total += sum(int(f) for f in fields[11:15]) / ticks
        except OSError:
            pass
        todo += parents.get(here, [])
    return total


def count_flushes(peer, make, row):
    """fsync and fdatasync per message, counted by strace in a run of its own that is not timed."""
    if not shutil.which("strace"):
        return None
    with tempfile.TemporaryDirectory(dir=make.where) as scratch:
        os.chmod(scratch, 0o755)
        trace = pathlib.Path(scratch) / "trace"
        server = make(pathlib.Path(scratch) / "server")
        server.start(["strace", "-f", "-q", "-o", str(trace), "-e", "trace=fsync,fdatasync,sync_file_range"])
        try:
            wait_for_port(server.port)
            few = row.with_messages(row.messages // 5)
            measure(peer, server, few)
        finally:
            server.stop()
        return len(re.findall(r"(?:fsync|fdatasync)\(", trace.read_text())) / few.messages


class Row:
    def __init__(self, name, messages, sessions=20, size=4096, local=False, maildir=False, relay=False, reuse=True):
        self.name, self.messages, self.sessions, self.size = name, messages, sessions, size
        self.local, self.maildir, self.relay, self.reuse = local, maildir, relay, reuse

    def with_messages(self, messages):
        return Row(**{**vars(self), "messages": messages})


QUICK = [
    Row("receive, 20 sessions", 2000),
    Row("receive, 100 sessions", 2000, sessions=100),
    Row("receive, 1 session", 400, sessions=1),
    Row("relay, 20 sessions", 1500, relay=True),
    Row("relay, 100 sessions", 1500, sessions=100, relay=True),
    Row("local mbox, 20 sessions", 800, local=True),
    Row("local Maildir, 20 sessions", 800, local=True, maildir=True),
]


def maker(kind, build, peer, where, row):
    def make(directory):
        settings = {"transport_maps": "inline:{ {discard.example = discard:} }", "relay_domains": "discard.example",
                    "mailbox_size_limit": "0", "mailbox_delivery_lock": "fcntl"}
        if row.maildir:
            settings["mail_spool_directory"] = f"{directory}/mail/"
        port, sink_port = free_port(), free_port()
        if row.relay:
            settings["relayhost"] = f"[127.0.0.1]:{sink_port}"
        server = Gatepost(build, directory, port, settings) if kind is Gatepost else \
            Postfix(peer, directory, port, settings)
        server.sink_port = sink_port
        return server
    make.where = where
    return make


def progress(text):
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def run_row(row, build, peer, where, runs):
    result = {}
    with tempfile.TemporaryDirectory(dir=where) as scratch:
        os.chmod(scratch, 0o755)
        servers = []
        for kind in (Gatepost, Postfix):
            server = maker(kind, build, peer, where, row)(pathlib.Path(scratch) / kind.name)
            servers.append(server)
            result[server.name] = {"rates": [], "cpu": []}
        for number in range(runs):
            for server in servers if number % 2 == 0 else reversed(servers):
                progress(f"{row.name}: {server.name}, run {number + 1} of {runs}")
                server.start()
                try:
                    wait_for_port(server.port)
                    before = children_cpu(server.process.pid)
                    result[server.name]["rates"].append(measure(peer, server, row))
                    result[server.name]["cpu"].append((children_cpu(server.process.pid) - before) / row.messages)
                finally:
                    server.stop()
    for kind in (Gatepost, Postfix):
        progress(f"{row.name}: {kind.name}, flushes")
        result[kind.name]["flushes"] = count_flushes(peer, maker(kind, build, peer, where, row), row)
    return result


HEAD = """| row | Gatepost /s | Postfix /s | ratio | CPU ms/message | flushes/message |
|---|---|---|---|---|---|"""


def in_table(row, result):
    ours, theirs = result["Gatepost"], result["Postfix"]
    rates = statistics.median(ours["rates"]), statistics.median(theirs["rates"])
    cpu = " : ".join(f"{1000 * statistics.median(r['cpu']):.2f}" for r in (ours, theirs))
    flushes = " : ".join("-" if r["flushes"] is None else f"{r['flushes']:.2f}" for r in (ours, theirs))
    return f"| {row.name} | {rates[0]:.0f} | {rates[1]:.0f} | {rates[0] / rates[1]:.1f} | {cpu} | {flushes} |"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", required=True, type=os.path.abspath, help="the build directory")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--where", help="a directory on the disk to measure; else the build directory")
    parser.add_argument("--only", default="", help="only rows whose name contains this")
    arguments = parser.parse_args()
    if os.geteuid() != 0:
        raise SystemExit("bench: Postfix as the peer needs root")
    try:
        peer = Peer(arguments.build)
    except subprocess.CalledProcessError as error:
        raise SystemExit(f"bench: Debian's postfix package can't be had: {error.stderr}")
    results, lines = [], [HEAD]
    print(HEAD)
    for row in QUICK:
        if arguments.only not in row.name:
            continue
        result = run_row(row, arguments.build, peer, arguments.where or arguments.build, arguments.runs)
        results.append({"row": vars(row), **result})
        lines.append(in_table(row, result))
        progress("")
        print(lines[-1], flush=True)
    (peer.root.parent / "bench.json").write_text(json.dumps(results, indent=1) + "\n")
    (peer.root.parent / "bench.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    main()
