# SPDX-License-Identifier: ISC
"""Debian's Postfix, unpacked and never installed: for its smtp-source and as the peer to be measured
with. Its package, and the libraries it needs that are not installed, come with apt-get and are unpacked
below the build directory, once."""

import contextlib
import fcntl
import os
import pathlib
import re
import shutil
import signal
import subprocess

USERS = ("gatepostk", "gatepostdrop")  # a user and a group that exist; Postfix refuses to share ours


def quiet(*command, **kwargs):
    return subprocess.run(command, check=True, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          **kwargs).stdout


def is_installed(package):
    done = subprocess.run(["dpkg-query", "-W", "-f", "${db:Status-Status}", package], capture_output=True, text=True)
    return done.stdout == "installed"


def unpack(package, root):
    """Downloads a package and unpacks it below root; returns the packages that it depends on."""
    quiet("apt-get", "-qq", "download", package, cwd=root)
    archive = max(root.glob("*.deb"), key=lambda p: p.stat().st_mtime_ns)
    quiet("dpkg", "-x", archive, root)
    depends = quiet("dpkg-deb", "-f", archive, "Depends")
    archive.unlink()
    return [name for name in re.split(r"[,|]", re.sub(r"\([^)]*\)| ", "", depends)) if name]


class Peer:
    """Raises CalledProcessError when there is no package to be had."""

    def __init__(self, build):
        self.root = pathlib.Path(build) / "peer"
        with self.root.with_name("peer.lock").open("w") as lock:  # tests run side by side
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not self.root.exists():
                self.fetch()
        libraries = [self.root / "usr/lib/postfix", *self.root.glob("usr/lib/*-linux-gnu*")]
        self.env = dict(os.environ, LD_LIBRARY_PATH=":".join(map(str, libraries)))

    def fetch(self):
        unfinished = self.root.with_name("peer.unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        for library in unpack("postfix", unfinished):
            if library.startswith("lib") and not is_installed(library):
                unpack(library, unfinished)
        unfinished.rename(self.root)

    def program(self, name):
        return str(self.root / "usr/sbin" / name)

    def run(self, name, *arguments, **kwargs):
        return subprocess.run([self.program(name), *map(str, arguments)], env=self.env, capture_output=True,
                              text=True, **kwargs)


class Postfix:
    """A private Postfix. Needs root."""

    name = "Postfix"

    def __init__(self, peer, directory, port, settings):
        self.peer, self.dir, self.port = peer, pathlib.Path(directory), port
        lib = peer.root / "usr/lib/postfix"
        etc, queue, data = self.dir / "etc", self.dir / "queue", self.dir / "data"
        for path in (etc, queue, data, self.dir / "mail"):
            path.mkdir(parents=True)
        (self.dir / "mail").chmod(0o1777)
        values = {
            "compatibility_level": "3.6", "queue_directory": queue, "data_directory": data,
            "daemon_directory": lib / "sbin", "command_directory": peer.root / "usr/sbin",
            "shlib_directory": lib, "mail_owner": USERS[0], "setgid_group": USERS[1],
            "meta_directory": etc, "inet_interfaces": "loopback-only", "mynetworks": "127.0.0.0/8",
            "mydestination": "localhost", "myhostname": "bench.example", "alias_maps": "",
            "alias_database": "", "mail_spool_directory": f"{self.dir}/mail", "maillog_file": f"{self.dir}/maillog",
            "maillog_file_prefixes": str(self.dir), "import_environment": "MAIL_CONFIG LD_LIBRARY_PATH PATH TZ",
            "export_environment": "LD_LIBRARY_PATH TZ MAIL_CONFIG", "smtpd_peername_lookup": "no",
            "default_database_type": "hash", **settings,
        }
        (etc / "main.cf").write_text("".join(f"{k} = {v}\n" for k, v in values.items()))
        text = (peer.root / "usr/share/postfix/master.cf.dist").read_text()
        text = re.sub(r"(?m)^smtp( +)inet", f"127.0.0.1:{port} inet", text)
        text = re.sub(r"(?m)^(\S+ +\S+ +\S+ +\S+ +)y( )", r"\1n\2", text)
        text += "postlog unix-dgram n - n - 1 postlogd\n"
        (etc / "master.cf").write_text(text)
        for name in ("active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming", "private",
                     "saved", "trace", "maildrop", "public", "pid"):
            (queue / name).mkdir()
            if name != "pid":
                subprocess.run(["chown", USERS[0], queue / name], check=True)
        subprocess.run(["chown", USERS[0], data], check=True)
        subprocess.run(["chgrp", USERS[1], queue / "maildrop", queue / "public"], check=True)
        self.etc = etc
        self.process = None

    def start(self, wrapper=()):
        env = dict(self.peer.env, MAIL_CONFIG=str(self.etc))
        self.process = subprocess.Popen([*wrapper, str(self.peer.root / "usr/lib/postfix/sbin/master"), "-c",
                                         str(self.etc), "-d"], env=env, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                        start_new_session=True)

    def stop(self):
        if self.process:
            master = int((self.dir / "queue/pid/master.pid").read_text())
            os.kill(master, signal.SIGTERM)
            self.process.wait(30)
            # With -d master makes no process group of its own; ours holds its services, which would
            # greet the next run's clients and then leave.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process = None
