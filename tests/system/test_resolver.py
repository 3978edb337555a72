# SPDX-License-Identifier: ISC
"""The resolver answers in bounded time whatever its name server does."""

import contextlib
import os
import socket
import threading
import time

import dns.dnssec
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rrset
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from alone import DNS, ROLE_QMGR, Alone, alone, message, number, numbers, texts

A, PTR, MX, TXT, AAAA = 1, 12, 15, 16, 28
OK, NO_NAME, NO_DATA, TRY_AGAIN, BAD_NAME = 1, 2, 3, 4, 5

RECORDS = {
    "host.test.": ["A 192.0.2.1", "AAAA 2001:db8::1", "TXT \"one\" \" two\""],
    "two.test.": ["A 192.0.2.1", "A 192.0.2.2"],
    "mail.test.": ["MX 20 B.test.", "MX 5 a.test.", "MX 20 c.test."],
    "null.test.": ["MX 0 ."],
    "alias.test.": ["CNAME middle.test."],
    "middle.test.": ["CNAME host.test."],
    "away.test.": ["CNAME nowhere.test."],
    "loop.test.": ["CNAME pool.test."],
    "pool.test.": ["CNAME loop.test."],
    "many.test.": [f"MX {200 - i} host{i}.test." for i in range(200)],
    "odd.test.": ["MX 1 a\\032b.test.", "MX 2 good.test.", "MX 3 line\\010end.test."],
    "onlyodd.test.": ["MX 1 a\\000b.test."],
    "to-odd.test.": ["CNAME a\\(b.test."],
    "1.2.0.192.in-addr.arpa.": ["PTR host.test."],
    "10.in-addr.arpa.": ["PTR private.test."],
    "underscore.example.": ["A 192.0.2.3"],
    ".": [],
    "cut.test.": ["TXT " + " ".join(f'"{"x" * 250}"' for _ in range(12))],
}
CASES = [
    ("host.test", A, OK, ["192.0.2.1"]),
    ("HOST.test", A, OK, ["192.0.2.1"]),
    ("host.test", AAAA, OK, ["2001:db8::1"]),
    ("host.test", TXT, OK, ["one two"]),
    ("two.test", A, OK, {"192.0.2.1", "192.0.2.2"}),
    ("null.test", MX, OK, [""]),
    ("nowhere.test", A, NO_NAME, []),
    ("away.test", A, NO_NAME, []),
    ("host.test", MX, NO_DATA, []),
    ("loop.test", A, TRY_AGAIN, []),
    ("servfail.test", A, TRY_AGAIN, []),
    ("refused.test", A, TRY_AGAIN, []),
    ("garbage.test", A, TRY_AGAIN, []),
    ("other.test", A, TRY_AGAIN, []),
    ("silent.test", A, TRY_AGAIN, []),
    ("cut.test", TXT, OK, ["x" * 3000]),
    ("odd.test", MX, OK, ["good.test"]),
    ("onlyodd.test", MX, BAD_NAME, []),
    ("to-odd.test", A, BAD_NAME, []),
    ("1.2.0.192.in-addr.arpa", PTR, OK, ["host.test"]),
    ("10.in-addr.arpa", PTR, OK, ["private.test"]),
    ("underscore.example", A, OK, ["192.0.2.3"]),
    ("a b.test", A, BAD_NAME, []),
    ("a..test", A, BAD_NAME, []),
    ("x" * 64 + ".test", A, BAD_NAME, []),
    (".".join(["x" * 62] * 4 + ["tt"]), A, BAD_NAME, []),
    ("h\u00e4st.test", A, BAD_NAME, []),
    ("host.test", 99, BAD_NAME, []),
]


def records_of(name, kind):
    """The answer section, aliases followed as a recursive server does."""
    found, seen = [], set()
    while name in RECORDS and name not in seen:
        seen.add(name)
        here = [dns.rrset.from_text(name, 300, "IN", *text.split(" ", 1)) for text in RECORDS[name]]
        aliases = [r for r in here if r.rdtype == 5]
        wanted = [r for r in here if r.rdtype == kind]
        found += aliases or wanted
        if not aliases:
            break
        name = aliases[0][0].target.to_text().lower()
    return found, name in RECORDS


class Server:
    """A name server on the loopback, UDP and TCP."""

    def __init__(self):
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind(("127.0.0.1", 0))
        self.port = self.udp.getsockname()[1]
        self.tcp = socket.create_server(("127.0.0.1", self.port))
        self.asked = []
        self.replace = {}  # name: what else to do
        for run in (self.serve_udp, self.serve_tcp):
            threading.Thread(target=run, daemon=True).start()

    @property
    def name(self):
        return f"127.0.0.1@{self.port}"

    def answer(self, data, is_tcp):
        query = dns.message.from_wire(data)
        question = query.question[0]
        name = question.name.to_text().lower()
        self.asked.append((name, question.rdtype, is_tcp))
        reply = dns.message.make_response(query, recursion_available=True)
        if name in self.replace:
            self.replace[name](reply)
        elif name == "silent.test.":
            return None
        elif name == "garbage.test.":
            return data[:2] + b"\x81\x80\xff\xff" + os.urandom(100)
        elif name == "other.test.":
            reply.question[0].name = dns.name.from_text("another.test.")
        elif name == "cut.test." and not is_tcp:
            reply.flags |= dns.flags.TC
        elif name in ("servfail.test.", "refused.test."):
            reply.set_rcode(dns.rcode.SERVFAIL if name == "servfail.test." else dns.rcode.REFUSED)
        else:
            reply.answer, exists = records_of(name, question.rdtype)
            if not exists:
                reply.set_rcode(dns.rcode.NXDOMAIN)
        wire = reply.to_wire(max_size=65535)
        if not is_tcp and len(wire) > 1232:
            reply.answer = []
            reply.flags |= dns.flags.TC
            wire = reply.to_wire()
        return wire

    def serve_udp(self):
        with contextlib.suppress(OSError):
            while True:
                data, peer = self.udp.recvfrom(4096)
                if not data:
                    return  # shut down
                answer = self.answer(data, False)
                if answer is not None:
                    self.udp.sendto(answer, peer)

    def serve_one(self, client):
        with contextlib.suppress(OSError), client, client.makefile("rb") as file:
            while len(head := file.read(2)) == 2:
                answer = self.answer(file.read(int.from_bytes(head, "big")), True)
                if answer is not None:
                    client.sendall(len(answer).to_bytes(2, "big") + answer)

    def serve_tcp(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.tcp.accept()
                threading.Thread(target=self.serve_one, args=(client,), daemon=True).start()

    def close(self):
        for s in (self.udp, self.tcp):
            with contextlib.suppress(OSError):
                s.shutdown(socket.SHUT_RDWR)
            s.close()


@pytest.fixture
def server():
    made = Server()
    yield made
    made.close()


class Answer:
    def __init__(self, found):
        found = found[0]
        self.status, self.secure, self.ttl = (number(found.get(tag)) for tag in (1, 2, 3))
        self.canonical = found.get(4, b"").decode()
        self.preference, self.data = numbers(found.get(5, b"")), texts(found.get(6, b""))
        self.why = found.get(7, b"").decode("latin-1")


def ask(channel, name, kind):
    return Answer(channel.ask(DNS, message((1, name.encode()), (2, kind))))


def test_every_kind_of_answer(make_instance, server):
    instance = make_instance(resolver_servers=server.name, resolver_timeout="3s")
    with alone(instance, "resolver") as resolver:
        channel = resolver.connect()
        began = time.monotonic()
        requests = {channel.open(DNS, message((1, name.encode()), (2, kind))): (name, kind, status, data)
                    for name, kind, status, data in CASES}
        answers = channel.answers(requests)
        assert time.monotonic() - began < 15
        found = [(name, kind, a.status, (set(a.data) if isinstance(data, set) else a.data))
                 for request, (name, kind, status, data) in requests.items() for a in [Answer(answers[request])]]
        assert found == [(name, kind, status, data) for name, kind, status, data in CASES]
        assert all(Answer(answers[r]).why for r, case in requests.items() if case[2] != OK)
        assert ("cut.test.", TXT, True) in server.asked

        mail = ask(channel, "mail.test", MX)
        assert mail.preference == [5, 20, 20] and mail.data[0] == "a.test" and {d.lower() for d in mail.data[1:]} == {
            "b.test", "c.test"}
        assert mail.canonical == "mail.test" and not mail.secure and 0 < mail.ttl <= 300
        many = ask(channel, "many.test", MX)
        assert many.preference == list(range(1, 101)) and many.data[0] == "host199.test"
        alias = ask(channel, "alias.test", A)
        assert (alias.data, alias.canonical) == (["192.0.2.1"], "host.test")
        assert "127.0.0.1" in ask(channel, "localhost", A).data
        assert "left out of the answer for odd.test" in resolver.log.decode("latin-1")
        # The cache answers now, and is one for all.
        asked = len(server.asked)
        assert ask(resolver.connect(), "alias.test", A).data == ["192.0.2.1"] and len(server.asked) == asked


def test_a_thousand_questions_at_once_and_clients_that_go_away(make_instance, server):
    for i in range(1000):
        RECORDS[f"n{i}.test."] = [f"A 192.0.2.{i % 250}"]
    instance = make_instance(resolver_servers=server.name, resolver_timeout="20s")
    with alone(instance, "resolver") as resolver:
        leaving, channel = resolver.connect(), resolver.connect()
        for i in range(100):
            leaving.open(DNS, message((1, f"n{i}.test".encode()), (2, A)))
        leaving.close()
        requests = {channel.open(DNS, message((1, f"n{i}.test".encode()), (2, A))): i for i in range(1000)}
        answers = channel.answers(requests)
        assert all(Answer(answers[r]).data == [f"192.0.2.{i % 250}"] for r, i in requests.items())


def test_strangers_may_not_ask(make_instance, server):
    with alone(make_instance(resolver_servers=server.name), "resolver") as resolver:
        channel = resolver.connect(ROLE_QMGR)
        channel.open(DNS, message((1, b"host.test"), (2, A)))
        assert channel.receive() is None
        assert ask(resolver.connect(), "host.test", A).status == OK


class Signed:
    """A root zone with one key, whose own names are hosts."""

    def __init__(self, server, directory):
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.dnskey = dns.dnssec.make_dnskey(self.key.public_key(), dns.dnssec.ECDSAP256SHA256, flags=257)
        self.anchor = directory / "anchor"
        self.anchor.write_text(f"; the root's key\n. 60 IN DNSKEY {self.dnskey} ; a comment\n")
        server.replace["."] = lambda reply: self.add(reply, dns.rrset.from_rdata(".", 60, self.dnskey))
        server.replace["good."] = lambda reply: self.add(reply, host("good.", "192.0.2.1"))
        server.replace["forged."] = lambda reply: self.add(reply, host("forged.", "192.0.2.1"),
                                                           host("forged.", "192.0.2.66"))
        server.replace["stripped."] = lambda reply: reply.answer.append(host("stripped.", "192.0.2.66"))

    def add(self, reply, records, instead=None):
        root = dns.name.root
        signature = dns.dnssec.sign(records, self.key, root, self.dnskey, lifetime=3600)
        reply.answer += [instead or records, dns.rrset.from_rdata(records.name, 60, signature)]


def host(name, address):
    return dns.rrset.from_text(name, 60, "IN", "A", address)


def test_signatures_are_validated_where_the_name_server_has_them(make_instance, server, workspace):
    signed = Signed(server, workspace)
    plain = Server()
    instance = make_instance(resolver_servers=f"{plain.name}, {server.name}", resolver_trust_anchor_file=signed.anchor,
                             resolver_timeout="5s")
    with contextlib.closing(plain), alone(instance, "resolver") as resolver:
        channel = resolver.connect()
        good = ask(channel, "good", A)
        assert (good.status, good.secure, good.data) == (OK, 1, ["192.0.2.1"])
        for name in ("forged", "stripped"):
            bad = ask(channel, name, A)
            assert (bad.status, bad.data) == (TRY_AGAIN, []) and bad.why.startswith("DNSSEC: ")
        test = ask(channel, "host.test", A)
        assert (test.status, test.secure, test.data) == (OK, 0, ["192.0.2.1"])
        resolver.wait_log(f"name server {plain.name} does no DNSSEC")
        assert {name for name, _, _ in plain.asked} == {"."}


@pytest.mark.parametrize("refuses", [False, True])
def test_a_name_server_without_dnssec_is_used_with_a_warning(make_instance, server, workspace, refuses):
    unused = Server()
    signed = Signed(unused, workspace)
    unused.close()
    if refuses:
        server.replace["."] = lambda reply: reply.set_rcode(dns.rcode.REFUSED)
    instance = make_instance(resolver_servers=server.name, resolver_trust_anchor_file=signed.anchor)
    with alone(instance, "resolver") as resolver:
        answer = ask(resolver.connect(), "host.test", A)
        assert (answer.status, answer.secure, answer.data) == (OK, 0, ["192.0.2.1"])
        resolver.wait_log("warning: no name server is known to do DNSSEC")
        assert refuses == (f"name server {server.name} does no DNSSEC" not in resolver.log.decode("latin-1"))


@pytest.mark.parametrize("setting, complaint", [
    ({"resolver_servers": "localhost"}, "expected ADDRESS or ADDRESS@PORT"),
    ({"resolver_trust_anchor_file": "/nowhere/anchor"}, "/nowhere/anchor: No such file"),
    ({"resolver_trust_anchor_file": "/etc/passwd"}, "libunbound does not take"),
])
def test_a_setting_that_makes_no_sense_is_said(make_instance, setting, complaint):
    service = Alone(make_instance(**setting), "resolver", may_fail=True)
    service.wait_log(complaint)
    service.end()
    assert service.process.returncode == 1
