# SPDX-License-Identifier: ISC
"""Faults on the whole suite: `make check-crash` calls it. What a client was promised (250, or exit 0 of sendmail) and
that is neither delivered, nor told to its sender, nor in the queue is lost: exit 1.

Each worker has mount, pid and network namespaces of its own: its mounts, processes and ports end with it, however that
happens."""

import argparse
import collections
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
MAIL = ["receive", "relay", "maildir", "submission"]
# kind: how many of it in a full run, in how many faults a worker's instance lives, the workloads.
PLAN = {
    "kill": (2000, 100, MAIL),
    "cut-ext4": (500, 40, MAIL),
    "cut-xfs": (500, 40, MAIL),
    "errors": (600, 40, MAIL),
    "full": (20, 10, ["receive", "maildir"]),
}
# Whose outcome hangs on nothing but the fault: a failed call may cost a service a minute on a busy machine.
SMOKE = {"kill": (24, 6, MAIL), "cut-ext4": (8, 2, MAIL)}


class Jobs:
    """What is to do, dealt so that a run that ends early has had something of everything."""

    def __init__(self, plan, only):
        per_kind = []
        for kind, (count, chunk, workloads) in plan.items():
            chunk = max(1, min(chunk, count // len(workloads)))
            jobs = [(kind, workloads[i % len(workloads)], chunk) for i in range(-(-count // chunk))]
            per_kind.append([(k, w, c) for k, w, c in jobs if not only or only in (k, w, f"{k}/{w}")])
        self.todo = []
        share = {id(jobs): 0.0 for jobs in per_kind}
        while any(per_kind):
            jobs = min((j for j in per_kind if j), key=lambda j: share[id(j)])
            self.todo.append(jobs.pop(0))
            share[id(jobs)] += 1 / (len(jobs) + 1 + share[id(jobs)])
        self.total = sum(count for _, _, count in self.todo)


class Run:
    def __init__(self, options, plan, work):
        self.options, self.work = options, work
        self.jobs = Jobs(plan, options.only)
        self.lock, self.begun = threading.Lock(), time.monotonic()
        self.workers, self.over = set(), False
        self.rows = collections.defaultdict(collections.Counter)
        self.calls = collections.defaultdict(collections.Counter)
        self.failures = []
        self.done = 0

    def worker(self):
        while True:
            with self.lock:
                late = self.options.seconds and time.monotonic() - self.begun > self.options.seconds
                if self.over or late or not self.jobs.todo or (self.failures and not self.options.go_on):
                    return
                kind, workload, count = self.jobs.todo.pop(0)
                self.options.seed += 1
                seed = self.options.seed
                process = subprocess.Popen(
                    ["unshare", "--mount", "--pid", "--net", "--fork", "--kill-child", "--mount-proc",
                     sys.executable, HERE / "worker.py", kind, workload, str(count), str(seed),
                     self.options.bin, self.options.step],
                    stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "TMPDIR": self.work})
                self.workers.add(process)
            self.follow(process, kind, workload, seed)

    def follow(self, process, kind, workload, seed):
        noise = []
        drain = threading.Thread(target=lambda: noise.extend(process.stderr), daemon=True)
        drain.start()
        ended, log = False, ""
        for line in process.stdout:
            event = json.loads(line)
            log = event.get("log") or log
            with self.lock:
                row = self.rows[kind, workload]
                if "fault" in event:
                    row["faults"] += 1
                    self.done += 1
                    name = event["struck"].split()
                    call = event["fault"] if kind in ("errors", "full") else (name[1:] or name)[0]
                    self.calls[kind][call] += 1
                if "end" in event:
                    ended = True
                    row["promised"] += event["promised"]
                    row["doubles"] += event["doubles"]
                    row["lost"] += len(event["lost"])
                    row["wrong"] += len(event["wrong"])
                    if event["lost"] or event["wrong"]:
                        what = [f"lost: {event['lost']}"] * bool(event["lost"]) + event["wrong"]
                        self.fail(kind, workload, seed, what[:10], log)
            self.progress()
        process.wait()
        drain.join(5)
        with self.lock:
            self.workers.discard(process)
            if not ended and not self.over:
                self.fail(kind, workload, seed, ["the worker ended too soon", "".join(noise)[-3000:]], log)

    def fail(self, kind, workload, seed, what, log):
        self.failures.append((kind, workload, seed))
        print(f"\n{kind}/{workload}, seed {seed}:", *what, sep="\n  ")
        if log:
            print("The end of its log:", log, sep="\n")

    def progress(self):
        lost = sum(row["lost"] for row in self.rows.values())
        line = (f"{self.done} of {self.jobs.total} faults, {lost} lost, {len(self.failures)} failures, "
                f"{time.monotonic() - self.begun:.0f} s")
        if sys.stdout.isatty():
            print(f"\r{line} ", end="", flush=True)
        elif self.done % 100 == 0 and self.done:
            print(line, flush=True)

    def all(self):
        threads = [threading.Thread(target=self.worker) for _ in range(self.options.jobs)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.table()
        return 1 if self.failures or not self.done else 0

    def table(self):
        form = "{:<10} {:<11} {:>7} {:>9} {:>5} {:>8} {:>6}"
        print("\n" + form.format("fault", "mail", "faults", "promised", "lost", "doubles", "wrong"))
        sums = collections.Counter()
        for (kind, workload), row in sorted(self.rows.items()):
            sums.update(row)
            print(form.format(kind, workload, *(row[c] for c in ("faults", "promised", "lost", "doubles", "wrong"))))
        print(form.format("all", "", *(sums[c] for c in ("faults", "promised", "lost", "doubles", "wrong"))))
        for kind, calls in sorted(self.calls.items()):
            print(f"{kind}: " + ", ".join(f"{count} {call}" for call, count in calls.most_common()))
        print(f"{time.monotonic() - self.begun:.0f} s")

    def stop(self):
        """The namespaces end with their first process."""
        self.over = True
        for process in list(self.workers):
            process.kill()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--build", required=True, type=pathlib.Path, help="the build directory")
    parser.add_argument("--bin", type=pathlib.Path, help="the programs, if not those of the build directory")
    parser.add_argument("--jobs", type=int, default=4, help="instances side by side")
    parser.add_argument("--seconds", type=int, default=0, help="begin nothing after so many; 0: no limit")
    parser.add_argument("--only", default="", help="a kind of fault, a workload, or KIND/WORKLOAD")
    parser.add_argument("--count", type=int, help="so many faults of each kind")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--smoke", action="store_true", help="a little of the cheaper kinds")
    parser.add_argument("--lie", action="store_true", help="promises a message that never was: has to fail")
    parser.add_argument("--go-on", action="store_true", help="go on after a failure")
    options = parser.parse_args()
    if os.geteuid() != 0:
        print("check-crash: skipped: it mounts disks and makes namespaces, which needs root")
        return 0 if options.smoke else 1
    if subprocess.run(["unshare", "--mount", "--pid", "--net", "--fork", "true"]).returncode != 0:
        print("check-crash: skipped: no namespaces can be made here (in a container?)")
        return 0 if options.smoke else 1
    options.bin = (options.bin or options.build / "bin").resolve()
    options.step = (options.build / "faults/step").resolve()
    plan = {"lie": (4, 4, ["receive"])} if options.lie else SMOKE if options.smoke else PLAN
    if options.count:
        plan = {kind: (options.count, chunk, workloads) for kind, (_, chunk, workloads) in plan.items()}
    print(f"seed {options.seed}", flush=True)
    work = tempfile.mkdtemp(prefix="gatepost-crash-")
    os.chmod(work, 0o755)
    run = Run(options, plan, work)

    def interrupted(number, _):
        run.stop()
        run.failures.append(("signal", number))
        print(f"\nended by signal {number}")

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupted)
    try:
        result = run.all()
    finally:
        run.stop()
        shutil.rmtree(work, ignore_errors=True)
    return result


if __name__ == "__main__":
    sys.exit(main())
