# SPDX-License-Identifier: ISC
"""Mistakes in main.cf and master.cf: file, line and remedy, and nothing starts. What Postfix's own
files and large sites say is none."""
import os
import pathlib
import shutil
import subprocess
import sys

import pytest
from conftest import BIN, Instance, needs_root, run

# Each is told with its file and line, and with this word of the remedy; nothing starts.
MISTAKES = [
    ("main.cf", "message_size_limit = ten", "use a number, at least 0"),
    ("main.cf", "hopcount_limit = -5", "use a number from 1 to 1000"),
    ("main.cf", "smtpd_timeout = 5q", "one of s, m, h, d, w"),
    ("main.cf", "smtpd_helo_required = maybe", "use yes or no"),
    ("main.cf", "smtpd_hard_error_limit =", "give a value or remove the line"),
    ("main.cf", "alias_maps = hsh:/etc/aliases", "did you mean hash:"),
    ("main.cf", "virtual_alias_maps = ldap:/etc/x", "use hash:, filled from the directory"),
    ("main.cf", "mynetworks = 10.0.0.1/8", "write 10.0.0.0/8"),
    ("main.cf", "mynetworks = 300.0.0.0/8", "write 192.0.2.0/24"),
    ("main.cf", "mynetworks = ::1", "write [::1]"),
    ("main.cf", "this line has no equals sign", "write name = value"),
    ("main.cf", "two words = x", "write name = value"),
    ("main.cf", "loop_a = $loop_b\nloop_b = $loop_a\nrelayhost = $loop_a", "take $loop_a out"),
    ("main.cf", "mydestination = ${unfinished", "the closing } is missing"),
    ("main.cf", "smtpd_banner = costs 5 $", "write $$ for a $"),
    ("main.cf", "smtpd_forbid_bare_newline = perhaps", "normalize, yes, reject, note, no"),
    ("main.cf", "smtpd_relay_restrictions = permit_mynetworks", "add reject_unauth_destination"),
    ("main.cf", "myhostname = mail example", "use one host name"),
    ("main.cf", "myorigin = /no/such/file", "create it with the domain"),
    pytest.param("main.cf", "mail_owner = nobody-has-this-name", "useradd --system", marks=needs_root),
    pytest.param("main.cf", "queue_owner = nobody-has-this-name", "useradd --system", marks=needs_root),
    ("main.cf", "minimal_backoff_time = 2d", "raise the second or lower the first"),
    ("main.cf", "\0 = x", "this file must be text"),
    ("master.cf", "smtp inet n - y - smtpd", "write 8: service type"),
    ("master.cf", "x unix n - y - - smptd", "did you mean smtpd?"),
    ("master.cf", "x unix n - y - - nosuchprogram", "see master(8)"),
    ("master.cf", "smtp net n - y - - smtpd", "use inet, unix, unix-dgram, fifo or pass"),
    ("master.cf", "::1:25 inet n - y - - smtpd", "write [address]:port"),
    ("master.cf", "70000 inet n - y - - smtpd", "use 1 to 65535"),
    ("master.cf", "127.0.0.1:nosuchport inet n - y - - smtpd", "write"),
    ("master.cf", "qmgr unix n - n - 1 smtpd", "write qmgr"),
    ("master.cf", "127.0.0.1: inet n - y - - smtpd", "write host:port"),
    ("master.cf", "1.2.3.4:26 inet y - y - - smtpd", "write n in column 3"),
    ("master.cf", "../x unix n - y - - smtpd", "use one without /"),
    ("master.cf", "smtp inet maybe - y - - smtpd", "use y, n or -"),
    ("master.cf", "smtp inet n - y never - smtpd", "use a number, 0 or above, or -"),
    ("master.cf", "smtp inet n - y - -1 smtpd", "use a number, 0 or above, or -"),
    ("master.cf", "x unix n - y - - -", "write a program such as smtpd"),
    ("master.cf", "x unix n - y - - smtpd -o", "write -o name=value"),
    ("master.cf", "x unix n - y - - smtpd -o { a = b", "the closing } of -o is missing"),
    ("master.cf", "x unix n - y - - smtpd -o a b=c", "or -o { name = value }"),
    ("master.cf", "x unix n - y - - smtpd -z", "use -o name=value"),
    ("master.cf", "x unix n - y - - smtpd -o smtpd_timeout=5q", "one of s, m, h, d, w"),
]

# Each is a warning, and the suite starts.
DOUBTS = [
    ("master.cf", "other unix n - y - - smtpd word", "write -o name=value in front of it"),
    ("main.cf", "relayhost = $nowhere_at_all", "set it, or write $$ for a $"),
    ("main.cf", "message_size_limt = 5", "did you mean message_size_limit?"),
    ("main.cf", "smtpd_tls_security_level = may", "TLS comes later"),
    ("main.cf", "inet_interfaces = all", "remove one of them"),
    ("main.cf", "daemon_directory = /usr/lib/postfix/sbin", "those beside the running one are used"),
    ("main.cf", "transport_maps = hash:/no/where", "make it with postmap hash:/no/where"),
    ("master.cf", "qmgr unix n - n 300 1 qmgr", "remove one of them"),
]


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    return Instance(tmp_path_factory.mktemp("config") / "instance")


@pytest.fixture
def postfix_files():
    sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "bench"))
    from peer import Peer
    try:
        return Peer(os.environ["BUILD_DIRECTORY"]).root
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"Debian's postfix package can't be unpacked: {error}")


class Added:
    """A text at the end of a file, while it lasts."""

    def __init__(self, scene, name, text):
        self.scene, self.path, self.text = scene, scene.etc / name, text

    def __enter__(self):
        self.good = self.path.read_text()
        first = len(self.good.splitlines()) + 1
        self.path.write_text(self.good + self.text + "\n")
        return [f"{self.path}, line {first + i}: " for i in range(len(self.text.splitlines()))]

    def __exit__(self, *_):
        self.path.write_text(self.good)


def assert_told(said, places, remedy):
    assert any(place in line and remedy in line
               for line in said.splitlines() for place in places), said


@pytest.mark.parametrize("name, text, remedy", MISTAKES)
def test_a_mistake_is_named_with_its_place_and_remedy(scene, name, text, remedy):
    with Added(scene, name, text) as places:
        checked = scene.gatepost("check", check=False)
        assert checked.returncode != 0
        assert_told(checked.stderr, places, remedy)
        started = scene.gatepost("start", check=False)
        assert started.returncode != 0
        assert_told(started.stderr, places, remedy)
        assert scene.gatepost("status", check=False).returncode != 0


@pytest.mark.parametrize("name, text, remedy", DOUBTS)
def test_what_is_in_doubt_is_a_warning(scene, name, text, remedy):
    with Added(scene, name, text) as places:
        checked = scene.gatepost("check", check=False)
        assert checked.returncode == 0, checked.stderr
        assert_told(checked.stderr, places, remedy)


# What sites with mail filters, policy servers and a watchdog write, in their syntax.
LARGE_SITE = r"""
own_restrictions = permit_mynetworks,
    # a comment in between

    reject
smtpd_hard_error_limit = ${stress?1}${stress:5}
smtpd_timeout = ${stress?10}${stress:300}s
smtpd_tls_protocols = !SSLv2 !SSLv3
smtpd_tls_mandatory_protocols = !SSLv2, !SSLv3
postscreen_access_list = permit_mynetworks, cidr:/etc/list.cidr, tcp:127.0.0.1:10027
postscreen_dnsbl_sites = zone.example=127.0.0.[2..11]*3, list.example=127.0.[0;1].[18;19;20]*-2
postscreen_blacklist_action = drop
postscreen_cache_map = proxy:btree:$data_directory/postscreen_cache
milter_mail_macros = i {mail_addr} {client_addr} {auth_authen}
proxy_read_maps = proxy:mysql:/etc/a.cf, $canonical_maps, $smtp_tls_policy_maps, $transport_maps
smtpd_sender_restrictions = check_sender_access proxy:mysql:/etc/b.cf, reject_non_fqdn_sender
smtpd_restriction_classes = greylist
greylist = check_policy_service inet:127.0.0.1:10023
virtual_transport = lmtp:inet:dovecot:24
debugger_command = PATH=/bin:/usr/bin; (strace -p $process_id 2>&1) & sleep 5
mailbox_command = /usr/lib/dovecot/deliver -m "${EXTENSION}"
smtp-amavis_destination_recipient_limit = 1
policy-spf_time_limit = 3600s
mail_name = Postcow
"""
LARGE_SITE_SERVICES = """
588 inet n - n - - smtpd -o smtpd_recipient_restrictions=$own_restrictions
smtps inet n - n - - smtpd
  -o smtpd_tls_wrappermode=yes
# a comment in between
  -o { smtpd_recipient_restrictions = permit_mynetworks, reject }
  -o syslog_facility=local4 -v
watch unix n - - - 0 cleanup -o rewrite_service_name=rewrite-watch -o queue_service_name=qmgr2
qmgr2 fifo n - n 300 1 qmgr
rewrite-watch unix - - - - - trivial-rewrite
smtp-amavis unix - - n - 2 smtp -o smtp_data_done_timeout=1200 -o disable_dns_lookups=yes
policy-spf unix - n n - 0 spawn user=nobody argv=/usr/bin/policyd
dovecot unix - n n - - pipe flags=DRhu user=vmail:vmail argv=/usr/lib/deliver -d ${recipient}
"""


def test_what_large_sites_write_loads_without_an_error(scene):
    with Added(scene, "main.cf", LARGE_SITE), Added(scene, "master.cf", LARGE_SITE_SERVICES):
        checked = scene.gatepost("check", check=False)
        assert checked.returncode == 0, checked.stderr
        assert "error" not in checked.stderr
        assert "unused parameter" not in checked.stderr
        assert "gives nothing" not in checked.stderr


def test_line_ends_of_windows_and_a_missing_last_one_are_no_mistake(scene):
    path = scene.etc / "main.cf"
    good = path.read_bytes()
    try:
        path.write_bytes(good.replace(b"\n", b"\r\n") + b"hopcount_limit = 20")
        assert scene.gatepost("check").stderr == ""
    finally:
        path.write_bytes(good)


def test_the_master_cf_of_debian_is_accepted(scene, postfix_files):
    path = scene.etc / "master.cf"
    good = path.read_text()
    try:
        path.write_bytes((postfix_files / "usr/share/postfix/master.cf.dist").read_bytes())
        checked = scene.gatepost("check")
        assert "error" not in checked.stderr and "warning" not in checked.stderr
        notes = checked.stderr.splitlines()
        assert len(notes) == len(set(notes)) and all(f"{path}, line " in n for n in notes)
    finally:
        path.write_text(good)


def test_a_clean_configuration_says_nothing(scene):
    done = scene.gatepost("check")
    assert done.stdout + done.stderr == ""


def test_explicit_and_default_values(scene):
    assert "maillog_file = " in run("postconf", "-c", scene.etc, "-n").stdout
    assert run("postconf", "-c", scene.etc, "-h", "mail_name").stdout == "Gatepost\n"
    assert "message_size_limit = 10240000" in run("postconf", "-d").stdout
    run("postconf", "-c", scene.etc, "-e", "mail_name = Other Name")
    assert run("postconf", "-c", scene.etc, "mail_name").stdout == "mail_name = Other Name\n"


def test_the_program_directory_of_postfix_does_no_harm(make_instance, workspace):
    """Not even when an upgrade has replaced the running master."""
    programs = workspace / "bin"
    shutil.copytree(BIN, programs, symlinks=True)
    instance = make_instance(daemon_directory="/usr/lib/postfix/sbin")
    subprocess.run([programs / "gatepost", "-c", instance.etc, "start"], check=True, capture_output=True, timeout=60)
    shutil.copy(programs / "master", programs / "new")
    (programs / "new").rename(programs / "master")
    instance.deliver()
