# SPDX-License-Identifier: ISC
"""Other people's mail servers, each with a mailbox for every name that it is given and with nobody else.

Debian's Postfix is unpacked (bench/peer.py). Exim and Dovecot have to be installed, which happens in an
overlay over /, seen by their processes alone; what was installed stays below the build directory."""

import pathlib
import pwd
import shutil
import socket
import subprocess

import peer
from conftest import BIN, free_port, wait_until

OWNER = "nobody"  # of the mailboxes

INSTALL = """set -e
base=$1; shift
mount -t overlay overlay -o "lowerdir=/,upperdir=$base/upper,workdir=$base/work" "$base/root"
mount -t proc proc "$base/root/proc"
mount --rbind /dev "$base/root/dev"
printf '#!/bin/sh\\nexit 101\\n' >"$base/root/usr/sbin/policy-rc.d"
chmod 755 "$base/root/usr/sbin/policy-rc.d"
exec chroot "$base/root" env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "$@"
"""
# What a running peer writes is gone with it: its upper layer is a copy in memory.
RUN = """set -e
base=$1 shared=$2; shift 2
mount -t tmpfs tmpfs "$base/run"
mkdir "$base/run/work"
cp -a "$base/upper" "$base/run/upper"
mount -t overlay overlay -o "lowerdir=/,upperdir=$base/run/upper,workdir=$base/run/work" "$base/root"
mount -t proc proc "$base/root/proc"
mount --rbind /dev "$base/root/dev"
mount --bind "$shared" "$base/root$shared"
# Not exec: the first process of the namespace must hear of its parent's death, and who changes his uid does not.
chroot "$base/root" "$@"
exit
"""


class Unavailable(Exception):
    """Why a peer can't be had here."""


class Overlay:
    """Packages over this system, for processes that were started here."""

    def __init__(self, name, *packages):
        self.base = BIN.parent.resolve() / f"peer-{name}"
        self.private = ["unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child"]
        if not (self.base / "installed").exists():
            shutil.rmtree(self.base, ignore_errors=True)
            for layer in ("upper", "work", "root", "run"):
                (self.base / layer).mkdir(parents=True)
            done = subprocess.run([*self.private, "sh", "-c", INSTALL, "install", self.base, *packages],
                                  stdin=subprocess.DEVNULL, capture_output=True, text=True)
            if done.returncode != 0:
                raise Unavailable(f"{' '.join(packages)} can't be installed in an overlay: {done.stderr.strip()}")
            (self.base / "installed").touch()

    def start(self, shared, *command):
        """The process ends, and with it all that it started, when it is killed or the test's process ends."""
        return subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", *self.private, "sh", "-c", RUN, "run", self.base, shared,
             *map(str, command)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def answers(port):
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as s:
            return s.recv(4) == b"220 "
    except OSError:
        return False


class Peer:
    """A server of names@domain; next hops are the ways to it as transport tables write them."""

    def __init__(self, directory, names):
        self.dir = pathlib.Path(directory) / self.name.lower()
        self.domain = f"{self.name.lower()}.example"
        self.names, self.port = names, free_port()
        self.mail = self.dir / "mail"
        self.mail.mkdir(parents=True)
        self.owner = pwd.getpwnam(OWNER)
        for name in names:
            (self.mail / name).mkdir()
        for path in (self.mail, *self.mail.iterdir()):
            shutil.chown(path, OWNER, self.owner.pw_gid)
        self.next_hops = [f"smtp:[127.0.0.1]:{self.port}"]

    def address(self, name):
        return f'"{name}"@{self.domain}' if " " in name else f"{name}@{self.domain}"

    def mailbox(self, name):
        """The files of a mailbox, as bytes."""
        return [path.read_bytes() for path in sorted((self.mail / name).glob("new/*"))]

    def forget(self):
        for path in self.mail.glob("*/new/*"):
            path.unlink()

    def wait(self, process):
        def is_up():
            if process.poll() is not None:
                raise Unavailable(f"{self.name} does not start: {process.stderr.read().decode(errors='replace')}")
            return answers(self.port)

        wait_until(f"{self.name} on port {self.port}", is_up)


class Postfix(Peer):
    name, refusal = "Postfix", "User unknown in virtual mailbox table"

    def __init__(self, directory, names, **settings):
        super().__init__(directory, names)
        try:
            package = peer.Peer(BIN.parent)
        except (OSError, subprocess.CalledProcessError) as error:
            raise Unavailable(f"Debian's postfix package: {getattr(error, 'stderr', None) or error}") from None
        self.users = self.dir / "users"
        lines = [f"{name}@{self.domain} {name}/\n" for name in names if " " not in name]
        self.users.write_text("".join(lines))
        self.server = peer.Postfix(package, self.dir / "instance", self.port, {
            "mydestination": "", "myhostname": self.domain, "virtual_mailbox_domains": self.domain,
            "virtual_mailbox_base": self.mail, "virtual_mailbox_maps": f"texthash:{self.users} "
            f"regexp:{{ {{/^a b@/ a b/ }} }}", "virtual_minimum_uid": "1",
            "virtual_uid_maps": f"static:{self.owner.pw_uid}", "virtual_gid_maps": f"static:{self.owner.pw_gid}",
            "local_header_rewrite_clients": "", "header_size_limit": "1000000", "smtp_line_length_limit": "0",
            **settings})

    def start(self):
        self.server.start()
        self.process = self.server.process
        wait_until("Postfix", lambda: answers(self.port))

    def stop(self):
        self.server.stop()


class Exim(Peer):
    name, refusal = "Exim", "not here"

    def __init__(self, directory, names):
        super().__init__(directory, names)
        self.overlay = Overlay("exim", "exim4-daemon-light")
        for path in ("spool", "log"):
            (self.dir / path).mkdir(mode=0o777)
            (self.dir / path).chmod(0o777)
        self.config = self.dir / "exim.conf"
        self.config.write_text(f"""
primary_hostname = {self.domain}
domainlist ours = {self.domain}
spool_directory = {self.dir}/spool
log_file_path = {self.dir}/log/%slog
local_interfaces = 127.0.0.1
daemon_smtp_ports = {self.port}
acl_smtp_rcpt = recipient
acl_smtp_data = accept
tls_advertise_hosts =
host_lookup =
rfc1413_hosts =
queue_run_max = 0
smtp_accept_queue_per_connection = 0
keep_environment =
begin acl
recipient:
  accept domains = +ours
    verify = recipient
  deny message = not here
begin routers
mailbox:
  driver = accept
  domains = +ours
  local_parts = dsearch,filter=dir;{self.mail}
  transport = maildir
begin transports
maildir:
  driver = appendfile
  maildir_format
  directory = {self.mail}/$local_part_data
  user = {OWNER}
  return_path_add
  envelope_to_add
""")

    def start(self):
        # Exim keeps its rights with the configuration at its own place only.
        self.process = self.overlay.start(self.dir, "sh", "-c", 'cp "$1" /etc/exim4/exim4.conf; exec exim4 -bdf', "sh",
                                          self.config)
        self.wait(self.process)

    def stop(self):
        self.process.kill()
        self.process.wait()


class Dovecot(Peer):
    name, refusal = "Dovecot", "User doesn't exist"

    def __init__(self, directory, names):
        super().__init__(directory, names)
        self.overlay = Overlay("dovecot", "dovecot-core", "dovecot-lmtpd")
        users = "".join(f"{name}::{self.owner.pw_uid}:{self.owner.pw_gid}::{self.mail}/{name}::\n" for name in names)
        (self.dir / "users").write_text(users)
        self.next_hops = [f"lmtp:inet:127.0.0.1:{self.port}", f"lmtp:unix:{self.dir}/lmtp"]
        self.config = self.dir / "dovecot.conf"
        self.config.write_text(f"""
base_dir = {self.dir}/run
log_path = {self.dir}/log
protocols = lmtp
ssl = no
auth_username_format = %Ln
auth_username_chars =
first_valid_uid = 1
mail_location = maildir:~
service lmtp {{
  inet_listener lmtp {{
    address = 127.0.0.1
    port = {self.port}
  }}
  unix_listener {self.dir}/lmtp {{
    mode = 0666
  }}
}}
passdb {{
  driver = passwd-file
  args = {self.dir}/users
}}
userdb {{
  driver = passwd-file
  args = {self.dir}/users
}}
""")

    def start(self):
        self.process = self.overlay.start(self.dir, "dovecot", "-F", "-c", self.config)
        self.wait(self.process)

    def stop(self):
        self.process.kill()
        self.process.wait()
