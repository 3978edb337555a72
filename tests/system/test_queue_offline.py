# SPDX-License-Identifier: ISC
"""gatepost queue: a stopped queue is checked, shown, moved to another host; whatever ends the move on its way."""

import hashlib
import json
import os
import pathlib
import random
import re
import shutil
import subprocess
import tempfile

import pytest

from conftest import BIN, USER, Instance, run
from sink import Sink

LATER = "inline:{ {later.example = retry:4.3.0 try later} }"
SMALL = {"queue_segment_size": 4 << 20, "transport_maps": LATER, "relay_domains": "later.example"}
SUBJECT = b"Subject: test\r\n\r\n"


def tool(instance, *arguments):
    return run("gatepost", "-c", instance.etc, "queue", *arguments, check=False)


def ok(instance, *arguments):
    done = tool(instance, *arguments)
    assert done.returncode == 0, (arguments, done)
    return done


def records(instance, *arguments):
    return [json.loads(line) for line in ok(instance, "dump", "--records", "-j", *arguments).stdout.splitlines()]


def messages(instance, *arguments):
    """id -> its object, of those that are queued."""
    lines = map(json.loads, ok(instance, "dump", "--json", *arguments).stdout.splitlines())
    return {m["id"]: m for m in lines if m["message"] == "queued"}


def send_bytes(instance, body, to, sender="sender@example.com", options=()):
    with instance.smtp() as client:
        client.ehlo("client.example")
        client.mail(sender, options)
        assert all(client.rcpt(r)[0] == 250 for r in to)
        code, reply = client.data(SUBJECT + body)
        assert code == 250, reply
        return reply.decode().split()[-1]


def wait_deferred(instance, *ids):
    for queue_id in ids:
        instance.wait_log(f"{queue_id}: to=<[^>]*@later.example>.*status=deferred")


@pytest.fixture
def place(workspace):
    """Where queue_owner may write."""
    path = workspace / "place"
    path.mkdir()
    return for_queue_owner(path)


def for_queue_owner(path):
    """What an administrator does with files that came from elsewhere."""
    if os.geteuid() == 0:
        shutil.chown(path, "gatepostq")
        for file in path.iterdir():
            shutil.chown(file, "gatepostq")
    return path


# --- moving ------------------------------------------------------------------------------------------

BODIES = {
    "plain": b"body\r\n",
    "eight bit": b"\xff\xfe na\xc3\xafve\r\n",
    "dots": b".\r\n..\r\n.a\r\n\r\n.\r\n",
    "like the form": b"sha256 64:" + b"0" * 64 + b"\r\nrecipient 3:a@b\r\ncontent 0:\r\n",
    "large": b".line of a large message\r\n" * 60_000,
}


def test_a_moved_queue_is_delivered_byte_for_byte(make_instance, workspace):
    a = make_instance("a", **SMALL).start()
    ids = {name: send_bytes(a, body, [f"{i}@later.example"]) for i, (name, body) in enumerate(BODIES.items())}
    both = send_bytes(a, b"two\r\n", [f"{USER}@localhost", "two@later.example"])
    null = send_bytes(a, b"null\r\n", ["null@later.example"], sender="")
    held = send_bytes(a, b"held\r\n", ["held@later.example"], options=["ENVID=x+2By", "RET=HDRS"])
    everything = {*ids.values(), both, null, held}
    wait_deferred(a, *everything)
    a.wait_log(f"{both}: to=<{USER}@localhost>.*status=sent")
    run("postsuper", "-c", a.etc, "-h", held)
    assert tool(a, "export", workspace / "moved").returncode == 75
    a.stop()
    before = {i: [r for r in records(a, i) if r["record"] == "MESSAGE"][-1] for i in everything}
    done = ok(a, "export", "--remove", workspace / "moved")
    assert set(re.findall(r"^(\S+): exported and removed$", done.stdout, re.M)) == everything
    assert "Exported and removed: 8 messages" in done.stderr and messages(a) == {}
    files = for_queue_owner(workspace / "moved")
    for file in files.iterdir():
        head, _, last = file.read_bytes()[:-1].rpartition(b"\n")
        assert last == b"sha256 64:" + hashlib.sha256(head + b"\n").hexdigest().encode()
    assert f"\nrecipient {len(USER) + 10}:{USER}@localhost\n" in (files / f"{both}.message").read_text()
    assert b"\nreason 9:try later\n" in (files / f"{null}.message").read_bytes()

    with Sink() as sink:
        b = make_instance("b", relay_domains="later.example", relay_transport=f"smtp:[127.0.0.1]:{sink.port}").start()
        b.stop()
        done = ok(b, "import", files)
        assert set(re.findall(r"^(\S+): imported$", done.stdout, re.M)) == everything
        assert ok(b, "import", "--remove", files).stdout.count("is there already") == 8
        assert list(files.iterdir()) == []
        after = {i: [r for r in records(b, i) if r["record"] == "MESSAGE"][-1] for i in everything}
        same = ("arrival_us", "sender", "envelope", "address", "original", "orcpt", "notify", "content_size", "flags")
        for i in everything:
            assert [before[i].get(k) for k in same] == [after[i].get(k) for k in same], i
        assert after[both]["state"] == ["delivered", "deferred"] and after[held]["held"] == 1
        assert after[null]["reason"] == ["try later"] and after[null]["attempts"] == 1
        assert ok(b, "verify").stdout.endswith("no damage\n")
        b.start()
        run("postqueue", "-c", b.etc, "-f")
        for i in everything - {held}:
            b.wait_log(f"{i}: removed")
        assert list(messages_of_running(b)) == [held]
        run("postsuper", "-c", b.etc, "-H", held)
        b.wait_log(f"{held}: removed")
        got = {rcpts[0]: (mail, content.split(b"\r\n\r\n", 1)[1]) for mail, rcpts, content in sink.messages}
    assert len(sink.messages) == 8 and b.mbox() == []
    for i, body in enumerate(BODIES.values()):
        assert got[f"RCPT TO:<{i}@later.example>"][1] == re.sub(rb"(?m)^\.", b"..", body)
    assert got["RCPT TO:<null@later.example>"][0].startswith("MAIL FROM:<> ")
    b.stop()


def messages_of_running(instance):
    return {m["queue_id"]: m for m in map(json.loads, run("postqueue", "-c", instance.etc, "-j").stdout.splitlines())}


def queue_of(make_instance, count, name="instance", body=b"body\r\n", **settings):
    """A stopped instance with deferred mail, and its ids."""
    instance = make_instance(name, **{**SMALL, **settings}).start()
    ids = [send_bytes(instance, body, ["u@later.example"]) for _ in range(count)]
    wait_deferred(instance, *ids)
    instance.stop()
    return instance, ids


def test_a_taken_id_is_told_and_a_second_import_finds_the_message(make_instance, place):
    instance, (first, second) = queue_of(make_instance, 2)
    ok(instance, "export", "--remove", place / "one.message", first)
    data = (place / "one.message").read_bytes().rpartition(b"sha256 64:")[0]
    data = data.replace(f"id {len(first)}:{first}\n".encode(), f"id {len(second)}:{second}\n".encode())
    seal(place / "one.message", data)
    told = re.fullmatch(rf"{second}: imported as (\S+), as its own id is another message's\n",
                        ok(instance, "import", place / "one.message").stdout)
    again = ok(instance, "import", place / "one.message").stdout
    assert f"{second}: is there already, as {told[1]}" in again
    ok(instance, "export", "--remove", place / "two.message", second)
    assert f"is there already, as {told[1]}" in ok(instance, "import", place / "one.message").stdout
    assert set(messages(instance)) == {told[1]}


def seal(path, data):
    path.write_bytes(data + b"sha256 64:" + hashlib.sha256(data).hexdigest().encode() + b"\n")
    if os.geteuid() == 0:
        shutil.chown(path, "gatepostq")


def test_a_bad_file_is_refused_with_its_reason_and_the_others_are_taken(make_instance, workspace):
    instance, (queue_id,) = queue_of(make_instance, 1)
    files = workspace / "files"
    ok(instance, "export", "--remove", files)
    good = (files / f"{queue_id}.message").read_bytes()
    body = good.rpartition(b"sha256 64:")[0]
    size = len(body.partition(b"content ")[2].partition(b":")[2]) - 1
    bad = {
        "empty": (b"", "does not begin with"),
        "other": (b"hello\n" * 100, "does not begin with"),
        "version": (good.replace(b"message 1", b"message 2", 1), "does not begin with"),
        "flipped": (good.replace(b"body", b"bodz"), "checksum is wrong"),
        "cut": (good[:-100], "checksum is wrong, or it is cut short|cut short"),
        "surplus": (good + b"x", "behind its end"),
    }
    sealed = {
        "path": (body.replace(queue_id.encode(), b"../" + queue_id[3:].encode(), 1), "other than letters"),
        "unknown": (body.replace(b"\ndue", b"\nxue", 1), "unknown, doubled"),
        "long": (body.replace(b"\ndue 16", b"\ndue 9999999999", 1), "too long"),
        "zero": (body.replace(b"\nattempts 1", b"\nattempts 01", 1), "name length:value"),
        "state": (body.replace(b"state 8:deferred", b"state 8:unwanted", 1), "state is none"),
        "done": (body.replace(b"state 8:deferred", b"state 9:delivered", 1), "no recipient is left"),
        "smuggled": (body.replace(f"content {size}".encode(), f"content {size + 3}".encode(), 1)
                     .replace(b"body\r\n", b"body\n.\r\n\r\n"), "form of the wire"),
        "line in an address": (body.replace(b"recipient 15:u@later.example", b"recipient 15:u@later\rexample", 1),
                               "line end"),
    }
    for name, (data, _) in bad.items():
        (files / f"{name}.message").write_bytes(data)
    for name, (data, _) in sealed.items():
        assert data != body
        seal(files / f"{name}.message", data)
    (files / "link.message").symlink_to("/etc/passwd")
    os.mkfifo(files / "fifo.message")
    (files / "README").write_text("not looked at")
    if os.geteuid() == 0:
        for name in [*bad, "fifo"]:
            shutil.chown(files / f"{name}.message", "gatepostq")
    done = tool(instance, "import", "--remove", files)
    assert done.returncode == 1 and done.stdout == f"{queue_id}: imported\n"
    for name, (_, why) in {**bad, **sealed}.items():
        assert re.search(rf"/{name}\.message: not imported: .*({why})", done.stderr), (name, done.stderr)
    assert "fifo.message: not imported: it is no regular file" in done.stderr
    assert len(list(files.iterdir())) == len(bad) + len(sealed) + 3
    assert set(messages(instance)) == {queue_id}


def test_export_writes_over_nothing_that_is_not_the_message(make_instance, place):
    instance, (queue_id,) = queue_of(make_instance, 1)
    path = place / "file"
    ok(instance, "export", path, queue_id)
    ok(instance, "export", path, queue_id)
    path.write_text("precious")
    done = tool(instance, "export", "--remove", path, queue_id)
    assert done.returncode == 1 and "is no file of this message" in done.stderr
    assert path.read_text() == "precious" and set(messages(instance)) == {queue_id}
    done = tool(instance, "export", place / "dir", queue_id, "4jZbDD4r9Lz400")
    assert done.returncode == 1 and "4jZbDD4r9Lz400: not exported: no such message" in done.stderr
    assert [p.name for p in (place / "dir").iterdir()] == [f"{queue_id}.message"]


def is_whole(path):
    head, _, last = path.read_bytes()[:-1].rpartition(b"\n")
    return last == b"sha256 64:" + hashlib.sha256(head + b"\n").hexdigest().encode()


def interrupted(instance, delay, *arguments):
    """Starts the command and kills it after the delay; whether it was done before."""
    command = subprocess.Popen([BIN / "gatepost", "-c", instance.etc, "queue", *map(str, arguments)],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        assert command.wait(delay) == 0
        return True
    except subprocess.TimeoutExpired:
        command.kill()
        command.wait()
        return False


def test_a_killed_move_loses_nothing_and_is_completed_by_a_second_run(make_instance, workspace):
    instance, ids = queue_of(make_instance, 40)
    chance = random.Random(7)
    files = workspace / "files"
    for round_ in range(3):
        for word in ("export", "import"):
            for _ in range(20):
                done = interrupted(instance, chance.uniform(0.02, 0.35), word, "--remove", files)
                there = {p.name.removesuffix(".message") for p in files.glob("[!.]*.message")} if files.exists() \
                    else set()
                assert all(is_whole(p) for p in files.glob("[!.]*.message"))
                queued = set(messages(instance))
                assert queued | there == set(ids), (round_, word)
                if done:
                    break
            if not done:
                ok(instance, word, "--remove", files)
                queued = set(messages(instance))
            assert queued == (set(ids) if word == "import" else set())
    assert ok(instance, "verify").stdout.endswith("no damage\n")


# --- damage ------------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def damaged():
    """What the cases begin with: two segments of records, one large file."""
    base = pathlib.Path(tempfile.mkdtemp(prefix="gatepost-test-"))
    base.chmod(0o755)
    instance = Instance(base / "instance", **SMALL).start()
    large = send_bytes(instance, b"large line\r\n" * 20_000, ["l@later.example"])
    ids = [send_bytes(instance, b"x" * 76 + b"\r\n" + b"middle size line\r\n" * 3400, ["u@later.example"])
           for _ in range(80)]
    wait_deferred(instance, large, *ids)
    instance.stop()
    yield instance, large
    shutil.rmtree(base, ignore_errors=True)


def copy_of(instance, to):
    for part in ("log", "large"):
        subprocess.run(["cp", "-a", "--reflink=auto", "--sparse=always", instance.dir / "queue" / part, to], check=True)


def flip(path, at):
    with open(path, "r+b") as file:
        file.seek(at)
        byte = file.read(1)
        file.seek(at)
        file.write(bytes([byte[0] ^ 0x20]))


def segment_file(queue, number):
    return next(p for p in (queue / "log").glob("[0-9a-f]" * 8)
                if int.from_bytes(p.read_bytes()[16:24], "little") == number)


def first(all_records, kind, after=0):
    return next(r for r in all_records if r["record"] == kind and r["offset"] > after and r["segment"] == 1
                and (kind != "STATUS" or "reason" in r))


def in_record(kind, at):
    def damage(queue, large, all_records):
        r = first(all_records, kind, 100_000)
        file = segment_file(queue, 1)
        flip(file, r["offset"] + (at if isinstance(at, int) else file.read_bytes()[r["offset"]:].index(at)))
        return r
    return damage


def header(*copies):
    def damage(queue, large, all_records):
        file = segment_file(queue, 1)
        for copy in copies:
            flip(file, 4096 * copy + 30)
    return damage


def truncate(queue, large, all_records):
    os.truncate(segment_file(queue, 1), 2 << 20)


def remove_segment(queue, large, all_records):
    segment_file(queue, 1).unlink()


def change_large(change):
    def damage(queue, large, all_records):
        change(queue / "large" / large)
    return damage


def orphan(queue, large, all_records):
    (queue / "large" / "4jZbDD4r9Lz400").write_bytes(b"12345")


def set_aside(queue, large, all_records):
    r = first(all_records, "MESSAGE", 100_000)
    data = segment_file(queue, 1).read_bytes()[r["offset"]:r["offset"] + r["length"]]
    (queue / "log" / f"damaged-1-{r['offset']}").write_bytes(data)
    return r


def append(path):
    with open(path, "ab") as file:
        file.write(b"x")


DAMAGE = {
    "nothing": (lambda *_: None, 0, "^no damage$"),
    "first header": (header(0), 1, "^damage: log/.*: at 0, 4096 bytes: one copy of its header is damaged"),
    "second header": (header(1), 1, "^damage: log/.*: at 4096, 4096 bytes: one copy of its header is damaged"),
    "both headers": (header(0, 1), 1, "both copies of its header are damaged.*segment 1 is missing|"
                     "segment 1 is missing.*both copies|both copies of its header"),
    "frame of a record": (in_record("ATTEMPT", 17), 1, r"at {offset}, \d+ bytes: damaged records; "),
    "a record": (in_record("STATUS", b"try later"), 1,
                 r"at {offset}, \d+ bytes: message {id}: damaged STATUS record; "),
    "content": (in_record("MESSAGE", b"middle size"), 1,
                r"at {offset}, \d+ bytes: message {id}: damaged MESSAGE record; "),
    "truncated": (truncate, 1, "at 2097152, 2097152 bytes: the file is cut short"),
    "missing": (remove_segment, 1, "segment 1 is missing"),
    "large missing": (change_large(os.unlink), 1, "large/{large}: at 0, .* message {large}: the content is missing"),
    "large short": (change_large(lambda p: os.truncate(p, 1000)), 1, "large/{large}: at 1000, .*is cut short"),
    "large long": (change_large(append), 1, "large/{large}: .*, 1 bytes: .*longer than its message says"),
    "orphan": (orphan, 0, "^note: large/4jZbDD4r9Lz400: at 0, 5 bytes: content without a message"),
    "set aside": (set_aside, 0, r"^note: log/damaged-1-{offset}: {length} bytes, .*message {id} from "
                  r"<sender@example.com>, 1 recipient, 61\d\d\d bytes of content"),
}


def digest_of(queue):
    return {p: (hashlib.sha256(p.read_bytes()).digest(), p.stat().st_mtime_ns) for p in queue.rglob("*") if p.is_file()}


@pytest.mark.parametrize("name", DAMAGE)
def test_verify_finds_damage_and_changes_nothing(damaged, workspace, name):
    instance, large = damaged
    damage, status, said = DAMAGE[name]
    queue = workspace / "copy"
    queue.mkdir()
    copy_of(instance, queue)
    r = damage(queue, large, records(instance)) or {}
    if os.geteuid() == 0:
        subprocess.run(["chown", "-R", "gatepostq", queue], check=True)
    before = digest_of(queue)
    done = tool(instance, "verify", queue)
    expected = said.format(large=large, **{k: str(r.get(k, "")) for k in ("offset", "length", "id")})
    assert done.returncode == status, done
    assert re.search(expected, done.stdout, re.M), (expected, done.stdout)
    assert digest_of(queue) == before
    if status == 0:
        assert re.search(r"^messages in the queue +81 ", done.stdout, re.M)
        assert re.search(r"^recipients +81\n +queued +0\n +deferred +81\n", done.stdout, re.M)


def test_an_open_queue_is_refused(instance):
    for words in (["verify"], ["dump"], ["export", "x"], ["import", "/"], ["verify", instance.dir / "queue"],
                  ["dump", "--from", instance.dir / "queue"]):
        done = tool(instance, *words)
        assert done.returncode == 75 and re.search(r"gatepost stop", done.stderr), (words, done)


def test_dump_shows_what_happened_to_a_message(make_instance):
    instance = make_instance(**SMALL).start()
    a, b = (send_bytes(instance, b"\x1b[31m secret\r\n", ["u@later.example"]) for _ in range(2))
    wait_deferred(instance, a, b)
    run("postsuper", "-c", instance.etc, "-h", a, "-d", b)
    c = instance.deliver()
    instance.stop()
    assert [r["record"] for r in records(instance, a)][:3] == ["MESSAGE", "ATTEMPT", "STATUS"]
    assert records(instance, a)[-1]["record"] == "HOLD" and records(instance, b)[-1]["record"] == "DONE"
    assert records(instance, c)[-1] | {"last": 1, "state": ["delivered"], "id": c} == records(instance, c)[-1]
    lines = {line.split()[0]: line for line in ok(instance, "dump").stdout.splitlines()}
    assert " queued " in lines[a] and " held=1 " in lines[a] and " deferred=1 " in lines[a]
    assert re.match(rf"{b} removed .* removed=1$", lines[b]) and re.match(rf"{c} done .* delivered=1 ", lines[c])
    plain, content = (ok(instance, "dump", option, a).stdout for option in ("--records", "--content"))
    assert "secret" not in plain and "content_size=" in plain
    assert r"\x1b[31m secret\x0d\x0a" in content and "\x1b" not in content
    table = ok(instance, "verify").stdout
    assert re.search(r"^messages in the queue +1 \(1 on hold\)\nmessages done +1\nmessages removed +1\nrecipients +3\n"
                     r" +queued +0\n +deferred +1\n +delivered +1\n +bounced +0\n +removed +1\n", table, re.M)


WRONG = [[], ["nothing"], ["verify", "a", "b"], ["verify", "-x"], ["dump", "../x"], ["dump", "--from"], ["export"],
         ["export", "--bad", "x"], ["export", "x", "a/b"], ["import"]]


@pytest.mark.parametrize("words", WRONG, ids=" ".join)
def test_a_wrong_command_line_is_refused(words):
    done = run("gatepost", "-c", "/nowhere", "queue", *words, check=False)
    assert done.returncode == 64 and "usage: gatepost" in done.stderr
