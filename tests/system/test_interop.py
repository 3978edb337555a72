# SPDX-License-Identifier: ISC
"""With Postfix, Exim and Dovecot: mail arrives byte for byte in both directions, refusals are told in the peer's
words, connections are used again."""

import pathlib
import re
import shutil
import smtplib
import tempfile

import pytest
from conftest import PATIENCE, USER, needs_root, wait_until
from peers import Dovecot, Exim, Postfix, Unavailable

pytestmark = needs_root

HEADER = b"From: <s@sender.example>\r\nTo: <r@peer.example>\r\nSubject: x\r\nMessage-ID: <1@sender.example>\r\n"
ALL_BYTES = bytes(b for b in range(1, 256) if b not in b"\r\n")


def lines(*texts):
    return b"".join(text + b"\r\n" for text in texts)


# Each goes to the mailbox of its name. What stands behind the name is the content as its author has it.
MESSAGES = {
    "plain": HEADER + lines(b"", b"body"),
    "dots": HEADER + lines(b"", b".one", b"..two", b"...three", b". ", b".\t", b"a.", b"."),
    "onlydots": HEADER + lines(b"", *[b"." * (1 + n % 5) for n in range(20000)]),
    "emptybody": HEADER + lines(b""),
    "headeronly": HEADER,
    "nothing": b"",
    "noheader": lines(b"", b"body", b""),
    "blanks": HEADER + lines(b"", b"", b" ", b"\t", b"x ", b"", b" .", b"", b""),
    "from": HEADER + lines(b"", b"From x", b">From y", b"", b"From z Thu Jan  1 00:00:00 1970", b"QUIT", b"DATA"),
    "line998": HEADER + lines(b"", b"x" * 998, b"." + b"y" * 997, b"z" * 999, b"." * 1000),
    "line50k": HEADER + lines(b"", b"x" * 51200, b"." + b"y" * 65536, b"", b"." * 70000),
    "bytes": HEADER + lines(b"", ALL_BYTES, ALL_BYTES[::-1], *[bytes([b, b]) for b in ALL_BYTES]),
    "utf8header": HEADER + "Subject: Grüße an Jürgen 語 \U0001f4e7\r\nX-Bytes: ".encode() + b"\xff\xfe\x80" +
    lines(b"", b"", b"\xe4"),
    "longheader": HEADER + b"X-Long: " + b"v" * 900 + b"".join(b"\r\n\tfolded %d " % n + b"w" * 70 for n in range(300)) +
    lines(b"", *[b"X-Many-%d: %d" % (n, n) for n in range(300)], b"", b"body"),
    "oneheader": HEADER + b"X-Long: " + lines(b"v" * 20000, b"", b"body"),
    "mime": HEADER + lines(b"MIME-Version: 1.0", b'Content-Type: multipart/mixed; boundary=".b"', b"", b"--.b",
                           b"Content-Transfer-Encoding: 8bit", b"", b"\xe4.", b"--.b--", b"."),
    "big": HEADER + lines(b"", *[b"%06d " % n + b"." * (n % 90) for n in range(60000)]),
}
# Of these only the envelope is out of the ordinary.
ENVELOPES = ("nullsender", "a b", "many")
MANY = [f"m{n}" for n in range(60)]
NAMES = [*MESSAGES, *ENVELOPES, *MANY]
OURS, POSTFIXES = rb"\(Gatepost\)", rb"\(Postfix\)"


def behind_received(raw, by):
    """What stands behind the Received line that the first of our two servers wrote."""
    header = re.search(rb"(?m)^Received: (?:(?!^\S)[\s\S])*?" + by + rb"[^\n]*\n(?:[ \t][^\n]*\n)*", raw)
    assert header, raw[:1000]
    return raw[header.end():]


def first_difference(got, wanted):
    at = next((n for n, (a, b) in enumerate(zip(got, wanted)) if a != b), min(len(got), len(wanted)))
    return f"{len(got)} bytes, not {len(wanted)}; from {at} on {got[at:at + 60]!r}, not {wanted[at:at + 60]!r}"


def assert_same(raw, content, by, name):
    got, wanted = behind_received(raw, by), content.replace(b"\r\n", b"\n")
    # Stores end a header that has no body by an empty line.
    if b"\n\n" not in wanted and not wanted.startswith(b"\n"):
        assert got in (wanted, wanted + b"\n"), f"{name}: {first_difference(got, wanted)}"
        return
    assert got == wanted, f"{name}: {first_difference(got, wanted)}"


def send_content(client, sender, recipients, content):
    """Not smtplib's data(): that changes line ends."""
    client.rset()
    assert client.mail(sender, ["BODY=8BITMIME"])[0] == 250
    for recipient in recipients:
        code, reply = client.rcpt(recipient)
        assert code == 250, reply
    assert client.docmd("DATA")[0] == 354
    client.send(re.sub(rb"(?m)^\.", b"..", content) + b".\r\n")
    code, reply = client.getreply()
    assert code == 250, reply
    return reply.decode().split()[-1]


def send_all(client, address):
    """All messages, to addresses that address(name) gives. Returns what each name has to get."""
    client.ehlo("client.example")
    for name, content in MESSAGES.items():
        send_content(client, "s@sender.example", [address(name)], content)
    send_content(client, "", [address("nullsender")], MESSAGES["dots"])
    send_content(client, '"s t"@sender.example', [address("a b")], MESSAGES["dots"])
    send_content(client, "s@sender.example", [address(name) for name in MANY], MESSAGES["dots"])
    return {**MESSAGES, "nullsender": MESSAGES["dots"], "a b": MESSAGES["dots"], **dict.fromkeys(MANY, MESSAGES["dots"])}


@pytest.fixture(scope="module")
def site():
    """A directory for all peers of this file."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="gatepost-test-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="module", params=[(Postfix, 0), (Exim, 0), (Dovecot, 0), (Dovecot, 1)],
                ids=["postfix", "exim", "dovecot", "dovecot-unix"])
def peer_and_hop(request, site):
    kind, hop = request.param
    path = pathlib.Path(tempfile.mkdtemp(dir=site))
    path.chmod(0o755)
    server = None
    try:
        server = kind(path, NAMES)
        server.start()
        yield server, server.next_hops[hop]
    except Unavailable as error:
        pytest.skip(str(error))
    finally:
        if server:
            server.stop()


@pytest.fixture
def relay(make_instance, peer_and_hop):
    """Our server, whose mail for others goes to the peer."""
    server, hop = peer_and_hop
    instance = make_instance(default_transport=hop, local_header_rewrite_clients="", message_size_limit="20000000",
                             smtp_connection_cache_time_limit="30s", lmtp_connection_cache_time_limit="30s").start()
    server.forget()
    return instance, server, hop


def test_every_byte_arrives(relay):
    instance, server, _ = relay
    with instance.smtp() as client:
        wanted = send_all(client, server.address)
    for name, content in wanted.items():
        copies = wait_until(f"{name} in its mailbox", lambda: server.mailbox(name))
        assert len(copies) == 1, name
        assert_same(copies[0], content, OURS, name)
    assert re.match(rb"(?i)Return-Path: <>\n", server.mailbox("nullsender")[0])
    assert b'<"s t"@sender.example>' in server.mailbox("a b")[0].split(b"\n", 1)[0]


def test_refusals_are_told_and_connections_used_again(relay):
    instance, server, hop = relay
    known, unknown = server.address("plain"), f"nobody-there@{server.domain}"
    # Without a sender: no notice goes over these connections, too.
    first = instance.send(sender="", to=[unknown, known])
    sent, = instance.wait_log(f"{first}: to=<{known}>")
    path = re.fullmatch("lmtp:unix:(.*)", hop)
    where = rf"\S+\[{re.escape(path.group(1))}\]" if path else rf"127\.0\.0\.1\[127\.0\.0\.1\]:{server.port}"
    assert re.search(rf" relay={where}, delay=.*, dsn=2\.\d\.0, status=sent \(250 ", sent), sent
    bounced, = instance.wait_log(f"{first}: to=<{unknown}>")
    assert re.search(rf", dsn=5\.\d\.\d, status=bounced \(host \S+\[\S+\] said: 550 .*{server.refusal}.* "
                     r"\(in reply to RCPT TO command\)\)$", bounced), bounced
    for use in (2, 3):
        queue_id = instance.deliver(to=known)
        assert f", conn_use={use}, delay=" in instance.wait_log(f"{queue_id}: to=<")[0]
    wait_until("three copies", lambda: len(server.mailbox("plain")) == 3)


def test_every_byte_of_postfix_arrives(make_instance, site):
    instance = make_instance("ours", mydestination="localhost, gatepost.example", recipient_delimiter="+",
                             message_size_limit="20000000", local_header_rewrite_clients="",
                             virtual_alias_maps=f'regexp:{{ {{/^"a b"@/ {USER}@localhost}} }}')
    instance.configure(mail_spool_directory=f"{instance.dir}/mail/")
    instance.start()
    path = pathlib.Path(tempfile.mkdtemp(dir=site))
    path.chmod(0o755)
    try:
        server = Postfix(path, [], relayhost=f"[127.0.0.1]:{instance.port}", message_size_limit="20000000")
    except Unavailable as error:
        pytest.skip(str(error))
    try:
        server.start()
        with smtplib.SMTP("127.0.0.1", server.port, timeout=PATIENCE) as client:
            wanted = send_all(client, lambda n: f'"{n}"@gatepost.example' if " " in n else f"{USER}+{n}@gatepost.example")
        new = instance.dir / "mail" / USER / "new"
        wait_until("all messages", lambda: new.exists() and len(list(new.iterdir())) == len(wanted))
    finally:
        server.stop()
    found = {}
    for raw in (file.read_bytes() for file in new.iterdir()):
        name = re.search(rb'(?m)^X-Original-To: (?:\w+\+|")(.+?)"?@', raw).group(1).decode()
        assert_same(raw, wanted[name], POSTFIXES, name)
        found[name] = raw.split(b"\n", 1)[0]
    assert found.keys() == wanted.keys()
    assert found["nullsender"] == b"Return-Path: <>" and b'<"s t"@sender.example>' in found["a b"]
