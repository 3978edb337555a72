#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""The queue's store alone, beside bare group commit (probe) and a file per message (files): interleaved in one
run on a journaled ext4, medians. Needs root when the disk at hand is no such file system: it makes one in a
file then, and removes it. Prints a table; keeps store.md, store.json and store.svg below the build directory."""

import argparse
import contextlib
import json
import os
import pathlib
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile

from plot import plot

MODES = ("store", "probe", "files")
GOAL = 0.80  # of the probe, at 4 KiB and up to 32 writers
IMAGE_SIZE = 3 << 30


def progress(text):
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def quiet(*command):
    return subprocess.run(command, check=True, stdin=subprocess.DEVNULL, capture_output=True, text=True).stdout


def is_journaled_ext4(directory):
    source, kind = quiet("findmnt", "-n", "-o", "SOURCE,FSTYPE", "-T", directory).split()[:2]
    return kind == "ext4" and os.path.exists(f"/proc/fs/jbd2/{os.path.basename(os.path.realpath(source))}-8")


@contextlib.contextmanager
def journaled(where):
    """A scratch directory on a journaled ext4 on the disk of `where`."""
    with tempfile.TemporaryDirectory(dir=where) as scratch:
        if is_journaled_ext4(scratch):
            yield pathlib.Path(scratch), "the disk's own ext4"
            return
        if os.geteuid() != 0:
            raise SystemExit("bench-store: no journaled ext4 here, and to mount one in a file needs root; "
                             "run it as root, or with --where on such a disk")
        image, mount = pathlib.Path(scratch) / "image", pathlib.Path(scratch) / "mount"
        with image.open("wb") as f:
            os.posix_fallocate(f.fileno(), 0, IMAGE_SIZE)
        quiet("mkfs.ext4", "-q", "-F", "-O", "has_journal", image)
        mount.mkdir()
        quiet("mount", "-o", "loop", image, mount)
        try:
            yield mount, "an ext4 in a file"
        finally:
            quiet("umount", mount)


def run(program, mode, directory, writers, kib, seconds):
    return json.loads(quiet(program, mode, directory / mode, str(writers), str(kib << 10), str(seconds)))


def warm(program, directory, kib, seconds):
    """Segments are filled with zeros when they are first used: that is over before anything is measured."""
    for _ in range(2):
        run(program, "store", directory, 32, kib, seconds)


def medians(results):
    return {key: statistics.median(r[key] for r in results) for key in results[0]}


def measure(arguments, directory):
    program = os.path.join(arguments.build, "bench/store_load")
    rows = []
    for kib in arguments.sizes:
        warm(program, directory, min(kib, 64), arguments.seconds)
        for writers in arguments.writers:
            results = {mode: [] for mode in MODES}
            for number in range(arguments.runs):
                for mode in MODES if number % 2 == 0 else reversed(MODES):
                    progress(f"{kib} KiB, {writers} writers: {mode}, run {number + 1} of {arguments.runs}")
                    results[mode].append(run(program, mode, directory, writers, kib, arguments.seconds))
            # Neighbours in time share what else the machine does: their ratio is steadier than the medians'.
            ratio = statistics.median(s["rate"] / p["rate"] for s, p in zip(results["store"], results["probe"]))
            rows.append({"kib": kib, "writers": writers, "store:probe": ratio,
                         **{mode: medians(results[mode]) for mode in MODES}, "runs": results})
            progress("")
            print(in_table(rows[-1]), flush=True)
        shutil.rmtree(directory / "store")
    return rows


HEAD = """| KiB | writers | store /s | probe /s | files /s | store:probe | store:files | p50 ms | p99 ms | flushes/message | CPU us/message |
|---|---|---|---|---|---|---|---|---|---|---|"""


def in_table(row):
    store, probe, files = (row[mode] for mode in MODES)
    latency = " | ".join(" : ".join(f"{r[key] / 1000:.2f}" for r in (store, probe, files))
                         for key in ("p50_us", "p99_us"))
    return (f"| {row['kib']} | {row['writers']} | {store['rate']:.0f} | {probe['rate']:.0f} | {files['rate']:.0f} | "
            f"{row['store:probe']:.2f} | {store['rate'] / files['rate']:.1f} | {latency} | "
            f"{store['flushes']:.3f} : {probe['flushes']:.3f} : {files['flushes']:.3f} | {store['cpu_us']:.0f} |")


def keep(build, rows, disk):
    table = "\n".join([f"Disk: {disk}. In cells with colons: store : probe : files.", "", HEAD, *map(in_table, rows)])
    (build / "store.md").write_text(table + "\n")
    (build / "store.json").write_text(json.dumps(rows, indent=1) + "\n")
    (build / "store.svg").write_text(plot(
        "Messages a second, by writers",
        {f"{mode}, {kib} KiB": [(r["writers"], r[mode]["rate"]) for r in rows if r["kib"] == kib]
         for kib in dict.fromkeys(r["kib"] for r in rows) for mode in MODES}))


def numbers(text):
    return [int(n) for n in text.split(",")]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", required=True, type=lambda p: pathlib.Path(p).absolute())
    parser.add_argument("--where", help="a directory on the disk to measure; else the build directory")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0, help="of each run, after its warming up")
    parser.add_argument("--writers", type=numbers, default=[1, 8, 32, 128])
    parser.add_argument("--sizes", type=numbers, default=[1, 4, 32, 256], help="in KiB")
    arguments = parser.parse_args()
    with journaled(arguments.where or arguments.build) as (directory, disk):
        print(HEAD)
        rows = measure(arguments, directory)
    keep(arguments.build, rows, disk)
    low = [r for r in rows if r["kib"] == 4 and r["writers"] <= 32 and r["store:probe"] < GOAL]
    for row in low:
        print(f"below {GOAL:.2f} of the probe: {row['store:probe']:.2f} with {row['writers']} writers", file=sys.stderr)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    main()
