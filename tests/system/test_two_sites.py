# SPDX-License-Identifier: ISC
"""Alice's and Bob's servers, each in a network namespace of its own, find each other by MX in a DNS of the
test's. Mail goes each way, waits while the other server is down, and comes back with a reason."""

import contextlib
import email
import email.policy
import os
import re
import subprocess

import pytest
from conftest import BIN, Instance, needs_root, run, wait_until

pytestmark = needs_root

SITES = {"alice": ("10.81.0.1", "fd81::1"), "bob": ("10.81.0.2", "fd81::2"), "dns": ("10.81.0.53", "fd81::53")}


def ip(*arguments, check=True):
    return subprocess.run(["ip", *arguments], check=check, capture_output=True, text=True)


def namespace(site):
    return f"gatepost-{os.getpid()}-{site}"


def inside(site, *command, check=True, **kwargs):
    return subprocess.run(["ip", "netns", "exec", namespace(site), *map(str, command)], check=check,
                          capture_output=True, text=True, timeout=60, **kwargs)


@pytest.fixture(scope="module")
def network():
    """A bridge in a namespace of its own, and a leg of it in each site's."""
    made = [*SITES, "net"]
    try:
        for site in made:
            done = ip("netns", "add", namespace(site), check=False)
            if done.returncode != 0:
                pytest.skip(f"no network namespaces here: {done.stderr.strip()}")
            done = inside(site, "ip", "link", "set", "lo", "up", check=False)
            if done.returncode != 0:  # in a chroot: no mounts of one's own
                pytest.skip(f"no network namespaces here: {done.stderr.strip()}")
        inside("net", "ip", "link", "add", "bridge", "type", "bridge")
        inside("net", "ip", "link", "set", "bridge", "up")
        for site, (v4, v6) in SITES.items():
            inside("net", "ip", "link", "add", site, "type", "veth", "peer", "name", "eth0", "netns", namespace(site))
            inside("net", "ip", "link", "set", site, "master", "bridge", "up")
            inside(site, "ip", "addr", "add", f"{v4}/24", "dev", "eth0")
            inside(site, "ip", "-6", "addr", "add", f"{v6}/64", "dev", "eth0", "nodad")
            inside(site, "ip", "link", "set", "eth0", "up")
        yield
    finally:
        for site in made:
            ip("netns", "del", namespace(site), check=False)


@pytest.fixture(scope="module")
def dns(network):
    """dnsmasq: bob.example has a dead first MX and a living second one, alice.example is reached by IPv6 alone."""
    records = [
        "--mx-host=alice.example,mx.alice.example,10", "--host-record=mx.alice.example,fd81::1",
        "--mx-host=bob.example,dead.bob.example,5", "--host-record=dead.bob.example,10.81.0.9",
        "--mx-host=bob.example,mx.bob.example,10", "--host-record=mx.bob.example,10.81.0.2",
    ]
    server = subprocess.Popen(
        ["ip", "netns", "exec", namespace("dns"), "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null",
         "--no-resolv", "--no-hosts", "--pid-file=", "--user=root", "--local=/example/", *records],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until("the DNS", lambda: "0.0.0.0:53 " in inside("dns", "ss", "-Hlun").stdout)
        yield
    finally:
        server.terminate()
        server.wait(10)


class Site(Instance):
    """An instance that lives in its namespace and listens on port 25 there."""

    def __init__(self, directory, site, user, **settings):
        self.site, self.user = site, user
        super().__init__(directory, myhostname=f"mx.{site}.example", mydomain=f"{site}.example",
                         myorigin="$mydomain", mydestination="$mydomain, $myhostname, localhost", inet_interfaces="all",
                         resolver_servers="10.81.0.53@53", smtp_connect_timeout="5s", minimal_backoff_time="1s",
                         maximal_backoff_time="2s", transport_retry_time="1s", **settings)
        master = (self.etc / "master.cf").read_text()
        (self.etc / "master.cf").write_text(re.sub(r"(?m)^\S+( +inet )", r"25\1", master))

    def gatepost(self, *arguments, check=True):
        return inside(self.site, BIN / "gatepost", "-c", self.etc, *arguments, check=check)

    def write(self, to, subject, text, *options):
        """The user writes a letter with sendmail."""
        inside(self.site, BIN / "sendmail", "-C", self.etc, "-t", "-i", "-f", f"{self.user}@{self.site}.example",
               *options, input=f"To: {to}\nSubject: {subject}\n\n{text}\n")

    def letters(self):
        path = self.dir / "mail" / self.user
        if not path.exists():
            return []
        return [email.message_from_bytes(b"From " + part, policy=email.policy.default)
                for part in re.split(rb"(?m)^From (?=\S+ +\w{3} \w{3})", path.read_bytes())[1:]]

    def wait_letter(self, subject):
        return wait_until(f"the letter {subject}",
                          lambda: next((m for m in self.letters() if m["Subject"] == subject), None))


@pytest.fixture
def sites(dns, workspace):
    made = [Site(workspace / "alice", "alice", "daemon"), Site(workspace / "bob", "bob", "bin")]
    try:
        yield [site.start() for site in made]
    finally:
        for site in made:
            print(f"The log of {site.site}:", *site.lines()[-60:], sep="\n")
            with contextlib.suppress(Exception):
                site.gatepost("abort", check=False)


def test_alice_and_bob_write_to_each_other(sites):
    alice, bob = sites
    alice.write("bin@bob.example", "to bob", "Dear Bob,\n.\n\nAlice\n")
    letter = bob.wait_letter("to bob")
    assert letter.get_content().rstrip("\n") == "Dear Bob,\n.\n\nAlice"
    assert letter["Return-Path"] == "<daemon@alice.example>"
    alice.wait_log(r"to=<bin@bob\.example>, relay=mx\.bob\.example\[10\.81\.0\.2\]:25, .*dsn=2\.0\.0, status=sent \(250 ")
    alice.wait_log(r"connect to dead\.bob\.example\[10\.81\.0\.9\]:25: ")
    bob.write("daemon@alice.example", "to alice", "Dear Alice")
    alice.wait_letter("to alice")
    bob.wait_log(r"to=<daemon@alice\.example>, relay=mx\.alice\.example\[fd81::1\]:25, ")

    # Bob's server is down: the letter waits, and arrives once, without a restart of Alice's.
    bob.stop()
    alice.write("bin@bob.example", "patience", "While you were out.")
    alice.wait_log(r"to=<bin@bob\.example>.*status=deferred \(connect to mx\.bob\.example\[10\.81\.0\.2\]:25: Connection refused\)")
    assert "bin@bob.example" in run("postqueue", "-c", alice.etc, "-p").stdout
    bob.start()
    bob.wait_letter("patience")
    wait_until("an empty queue", lambda: "empty" in run("postqueue", "-c", alice.etc, "-p").stdout)
    assert [m["Subject"] for m in bob.letters()].count("patience") == 1

    # Nobody of that name: Alice reads why in her mailbox.
    alice.write("nobody-of-this-name@bob.example", "to whom", "Hello?")
    notice = alice.wait_letter("Undelivered Mail Returned to Sender")
    report = notice.get_payload(1)
    fields = {name: value for block in report.get_payload() for name, value in block.items()}
    assert fields["Final-Recipient"] == "rfc822; nobody-of-this-name@bob.example"
    assert fields["Action"] == "failed" and fields["Status"] == "5.1.1"
    assert fields["Remote-MTA"] == "dns; mx.bob.example"
    assert re.search(r"User\s+unknown", notice.get_payload(0).get_content())
    assert notice.get_payload(2).get_payload(0)["Subject"] == "to whom"


def test_what_the_dns_says_decides(sites):
    alice, _ = sites
    alice.write("x@no-such-domain.example", "nowhere", "Hello?")
    alice.wait_log(r"to=<x@no-such-domain\.example>, relay=none, .*dsn=5\.4\.4, status=bounced \(Host or domain name not "
                   r"found\. Name service error for name=no-such-domain\.example type=MX: Host not found\)")
    alice.wait_letter("Undelivered Mail Returned to Sender")
