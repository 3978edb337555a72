# SPDX-License-Identifier: ISC
"""Mail of local users: sendmail, postdrop, pickup."""

import os
import random
import shutil
import signal
import socket
import stat
import struct
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest
from conftest import BIN, PATIENCE, USER, Instance, needs_root, wait_until
from test_disk import fill, move_to_small_disk, private_mounts

ME = f"{USER}@localhost"
NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]


def sendmail(instance, *arguments, text="Subject: test\n\nbody\n", prefix=(), program=None, **kwargs):
    data = text if isinstance(text, bytes) else text.encode()
    command = [*prefix, str(program or BIN / "sendmail"), "-C", str(instance.etc), *map(str, arguments)]
    return subprocess.run(command, input=data, capture_output=True, timeout=PATIENCE, **kwargs)


def submit(instance, *arguments, **kwargs):
    done = sendmail(instance, *arguments, **kwargs)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b""), done
    return done


def boxes(instance, count):
    wait_until(f"{count} messages", lambda: len(instance.mbox()) >= count)
    messages = list(instance.mbox())
    assert len(messages) == count
    return messages


def maildrop(instance):
    return sorted(p for p in (instance.dir / "queue" / "maildrop").iterdir())


def lines_of(message):
    return message.get_payload().splitlines()


# --- what programs rely on ---------------------------------------------------------------------------


def test_a_message_as_programs_send_it(instance):
    """As PHP's mail() does it."""
    submit(instance, "-t", "-i", text=f"To: {ME}\r\nSubject: php\r\nX-Mailer: PHP\r\n\r\nline\r\n.\r\nlast")
    line = instance.wait_log(r"pickup\[\d+\]: \w+: uid=")[0]
    assert f"uid={os.geteuid()} from=<{USER}>" in line
    message = boxes(instance, 1)[0]
    assert message["Subject"] == "php"
    assert lines_of(message)[:3] == ["line", ".", "last"]
    assert f"from userid {os.geteuid()})" in message["Received"] and "\tid " in message["Received"]
    assert message["Date"] and message["Message-Id"] and f"{USER}@" in message["From"]
    assert f"Return-Path: <{USER}@" in message.as_string()


FLAGS = [
    # arguments, text, what the mailbox must have, what it must not
    (["-f", "bounce@example.com", ME], "Subject: a\n\nx\n", ["Return-Path: <bounce@example.com>"], []),
    (["-r", "Name <b@example.com>", ME], "Subject: a\n\nx\n", ["Return-Path: <b@example.com>"], []),
    (["-f", "", ME], "Subject: a\n\nx\n", ["Return-Path: <>", "From: MAILER-DAEMON@"], []),
    (["-f<>", ME], "Subject: a\n\nx\n", ["Return-Path: <>"], []),
    (["-F", "Full Name", ME], "Subject: a\n\nx\n", [f"From: Full Name <{USER}@"], []),
    (["-F", "N. \"M\" (x)", ME], "Subject: a\n\nx\n", [f'From: "N. \\"M\\" (x)" <{USER}@'], []),
    (["-F", "J\u00fcrgen", ME], "Subject: a\n\nx\n", ["From: =?utf-8?Q?=4A=C3=BC=72=67=65=6E?= <"], []),
    (["-F", "Full Name", ME], "From: me@example.com\n\nx\n", ["From: me@example.com"], ["Full Name"]),
    (["-G", ME], "Subject: a\n\nx\n", [], ["From: ", "Message-Id"]),
    ([ME], "Subject: a\n\nx\n.\nlost\n", ["x"], ["lost"]),
    ([ME], "Subject: a\r\n\r\nx\r\n.\r\nlost\r\n", ["x"], ["lost"]),
    ([ME], "Subject: a\n\nx\n.", ["x"], ["\n."]),
    ([ME], "Subject: a\n\n.x\n..\n. \n", [".x", "..", ". "], []),
    (["-i", ME], "Subject: a\n\nx\n.\nkept\n", ["x\n.\nkept"], []),
    (["-oi", ME], "Subject: a\n\nx\n.\nkept\n", ["x\n.\nkept"], []),
    (["-odb", "-oem", "-om", "-o7", "-Am", "-h", "9", "-n", "-m", "-U", "-v", ME], "Subject: a\n\nx\n", ["x"], []),
    (["-t"], f"To: {ME}\nBcc: {ME}\nSubject: a\n\nx\n", ["Subject: a"], ["Bcc"]),
    (["-t"], f"To: nobody-here@example.com\nResent-To: {ME}\nResent-Bcc: {ME}\n\nx\n", ["Resent-Message-Id"],
     ["Resent-Bcc"]),
    (["-t", ME], "Subject: only the argument\n\nx\n", ["only the argument"], []),
    (["-bm", "--", ME], "Subject: a\n\nx\n", ["x"], []),
    ([f"Me <{ME}>, "], "no header\n", ["no header"], []),
    (["-B8BITMIME", "-V", "id", "-Nnever", "-Rhdrs", ME], "Subject: a\n\n\u00e4\n", ["\u00e4"], []),
    ([ME], b"Subject: a\n\nbare\rcr nul\0end", ["bare cr nul end"], []),
    ([ME], "Subject: a\n\n" + "y" * 300000 + "\n", ["y" * 900], []),
    ([ME], "", ["Message-Id"], []),
    ([ME], "From someone Mon Jan  1\nSubject: mbox\n\nx\n", ["Subject: mbox", "X-Mailbox-Line: From someone"], []),
]


def test_flags_have_their_effect(instance):
    for count, (arguments, text, wanted, unwanted) in enumerate(FLAGS, 1):
        submit(instance, *arguments, text=text)
        wait_until("delivery", lambda n=count: len(instance.mbox()) == n)
        got = list(instance.mbox())[-1].as_bytes().decode()
        missing = [w for w in wanted if w not in got] + [w for w in unwanted if w in got]
        assert missing == [], (arguments, got)


EXIT = [
    # arguments, exit status, a part of what is said
    ([], 64, "Recipient addresses must be specified on the command line or via the -t option"),
    (["-t"], 64, "No recipient addresses found in message header"),
    (["-bz", ME], 64, "-b"),
    (["-Z", ME], 64, "-Z"),
    (["-f"], 64, "-f"),
    (["-f", "a@x, b@x", ME], 64, "must be one address"),
    (["-f", "a" * 400 + "@x", ME], 64, "too long"),
    (["a" * 400 + "@x"], 64, "too long"),
    (["-N", "often", ME], 64, "-N"),
    (["-N", "never,delay", ME], 64, "-N"),
    (["-R", "some", ME], 64, "-R"),
    (["-B", "binary", ME], 64, "-B"),
    (["-qX"], 64, "-q"),
    (["-XV", ME], 64, "VERP"),
    (["-O", "requiretls=yes", ME], 64, "requiretls"),
    (["-F", "two\nlines", ME], 64, "one line"),
    (["-bv"], 64, "Recipient addresses must be specified"),
    (["-bv", "-t", ME], 64, "-t can't be used with -bv"),
    (["-bv", ME], 0, ""),
    (["-bh"], 0, ""),
    (["-bH"], 0, ""),
    (["-bp"], 0, ""),
    (["-bi"], 0, ""),
    (["-I"], 0, ""),
    (["--help"], 64, "-"),
    (["-C", "/nonexistent", ME], 75, "/nonexistent"),
    (["-f", "me@example.com", ME], 0, ""),
    (["-O", "smtputf8=yes", "-oA/nonexistent", "-Llabel", ME], 0, ""),
    (["x" * 300 + "@example.com"], 0, ""),
]


@pytest.mark.parametrize("arguments, status, said", EXIT)
def test_exit_status(exit_instance, arguments, status, said):
    done = sendmail(exit_instance, *arguments)
    assert done.returncode == status, done
    if status != 0:
        assert done.stdout == b"" and said in done.stderr.decode()
        assert done.stderr.decode().splitlines()[-1].startswith(f"sendmail: fatal: {USER}({os.geteuid()}): ")
    elif "-b" not in arguments[0]:
        assert done.stderr == b""


@pytest.fixture(scope="module")
def exit_instance(tmp_path_factory):
    directory = tmp_path_factory.mktemp("sendmail")
    for path in (directory, *directory.parents[:3]):
        if path.stat().st_uid == os.geteuid():
            path.chmod(0o755)
    instance = Instance(directory / "instance").start()
    yield instance
    instance.gatepost("abort", check=False)


def test_a_message_that_is_too_big_is_refused(make_instance):
    instance = make_instance(message_size_limit=100000).start()
    done = sendmail(instance, ME, text="x" * 79 + "\n" + "y\n" * 70000)
    assert done.returncode == 69 and b"too big" in done.stderr
    # Short of it as it is written, beyond it with the CRs of the wire.
    done = sendmail(instance, ME, text="Subject: x\n\n" + "y\n" * 49990)
    assert done.returncode == 69 and b"5.3.4" in done.stderr
    submit(instance, ME, text="Subject: x\n\n" + ".\n" * 30000, prefix=["env"])


def test_standard_input_that_cannot_be_read(instance):
    command = [str(BIN / "sendmail"), "-C", str(instance.etc), ME]
    directory = os.open(instance.dir, os.O_RDONLY | os.O_DIRECTORY)
    done = subprocess.run(command, stdin=directory, capture_output=True, timeout=PATIENCE)
    os.close(directory)
    assert done.returncode == 65 and b"cannot read" in done.stderr


def test_other_names_and_modes(instance):
    env = {**os.environ, "MAIL_CONFIG": str(instance.etc)}
    assert subprocess.run([BIN / "mailq"], env=env, capture_output=True, text=True).stdout == "Mail queue is empty\n"
    assert subprocess.run([BIN / "sendmail", "-bp"], env=env, capture_output=True).stdout == b"Mail queue is empty\n"
    database = instance.etc / "aliases.db"
    old = database.stat().st_ino
    done = subprocess.run(["newaliases"], executable=BIN / "sendmail", env=env, capture_output=True)
    assert done.returncode == 0 and database.stat().st_ino != old


def test_many_recipients_of_a_header(instance):
    names = ",\n ".join(f"{USER}+{i}@localhost" for i in range(3000))
    instance.configure(recipient_delimiter="+")
    instance.gatepost("reload")
    submit(instance, "-t", text=f"To: {names}\nSubject: many\n\nx\n")
    instance.wait_log(r"nrcpt=3000 \(queue active\)")


# --- SMTP on standard input --------------------------------------------------------------------------


def test_smtp_on_standard_input(instance):
    done = sendmail(instance, "-bs", text=(
        "RCPT TO:<x>\r\nEHLO here\r\nMAIL FROM:<a@example.com> BODY=8BITMIME SIZE=10\r\n"
        f"RCPT TO:<{ME}>\r\nRCPT TO:<>\r\nDATA\r\nSubject: one\r\n\r\n..dot\r\n\n.\nstill\r\n.\r\n"
        f"DATA\r\nRSET\r\nVRFY x\r\nNOOP\r\nWHAT\r\nMAIL FROM:<> X=1\r\nMAIL FROM:<>\r\nRCPT TO:<{ME}>\r\n"
        "DATA\r\nSubject: two\r\n\r\nx\r\n.\r\nQUIT\r\nNOOP\r\n"))
    codes = [line[:3] for line in done.stdout.decode().splitlines() if line[3:4] == " "]
    assert codes == ["220", "503", "250", "250", "250", "501", "354", "250", "503", "250", "252", "250", "500", "555",
                     "250", "250", "354", "250", "221"]
    assert done.returncode == 0 and b"queued as" in done.stdout
    one, two = sorted(boxes(instance, 2), key=lambda m: m["Subject"])
    assert lines_of(one)[:4] == [".dot", "", ".", "still"] and lines_of(two)[0] == "x"


def test_smtp_that_ends_its_lines_by_lf(instance):
    done = sendmail(instance, "-bs",
                    text=f"HELO x\nMAIL FROM:<a@example.com>\nRCPT TO:<{ME}>\nDATA\nSubject: lf\n\n..x\n.\nQUIT\n")
    assert done.stdout.count(b"\r\n250 ") == 4 and done.returncode == 0
    assert lines_of(boxes(instance, 1)[0])[0] == ".x"


def test_smtp_that_ends_within_a_message_sends_none(instance):
    done = sendmail(instance, "-bs", text=f"HELO x\r\nMAIL FROM:<>\r\nRCPT TO:<{ME}>\r\nDATA\r\nx\r\n")
    assert done.returncode == 65
    submit(instance, ME)
    boxes(instance, 1)


# --- rights ------------------------------------------------------------------------------------------


@needs_root
def test_any_user_may_and_needs_no_new_rights(instance):
    submit(instance, ME, prefix=[*NOBODY, "--no-new-privs"])
    assert "uid=65534 from=<nobody>" in instance.wait_log("uid=65534")[0]
    submit(instance, ME, prefix=["setpriv", "--reuid=54321", "--regid=54321", "--clear-groups", "--no-new-privs"])
    assert "from=<54321>" in instance.wait_log("uid=54321")[0]
    assert "from userid 54321" in str(boxes(instance, 2)[1]["Received"])


@needs_root
def test_who_may_submit(make_instance):
    instance = make_instance(authorized_submit_users="!nobody, static:all").start()
    submit(instance, ME)
    done = sendmail(instance, ME, prefix=NOBODY)
    assert done.returncode == 77 and b"not allowed" in done.stderr


@pytest.fixture
def installed(make_instance, workspace):
    """A stopped instance, and sendmail with a postdrop that has the group."""
    instance = make_instance()
    instance.start().stop()
    programs = workspace / "bin"
    programs.mkdir(mode=0o755)
    for name in ("sendmail", "postdrop"):
        shutil.copy(BIN / name, programs / name)
    shutil.chown(programs / "postdrop", group="gatepostdrop")
    (programs / "postdrop").chmod(0o2755)
    return instance, programs / "sendmail"


@needs_root
def test_postdrop_has_the_group_and_its_caller_has_not(installed):
    instance, program = installed
    done = sendmail(instance, ME, prefix=NOBODY)
    assert done.returncode == 75 and b"Permission denied" in done.stderr
    submit(instance, ME, prefix=NOBODY, program=program)
    [path] = maildrop(instance)
    st = path.stat()
    assert (st.st_uid, stat.S_IMODE(st.st_mode)) == (65534, 0o744)
    assert subprocess.run([*NOBODY, "ls", path.parent], capture_output=True).returncode != 0
    instance.start()
    assert "uid=65534 from=<nobody>" in instance.wait_log("uid=65534")[0]
    boxes(instance, 1)
    assert maildrop(instance) == []


@needs_root
def test_a_caller_with_a_main_cf_of_his_own_has_no_group(installed):
    """It could say that no size is too big for the maildrop/ of others."""
    instance, program = installed
    os.chown(instance.etc, 65534, 65534)
    done = sendmail(instance, ME, prefix=NOBODY, program=program)
    assert done.returncode == 75 and b"Permission denied" in done.stderr
    os.chown(instance.etc, 1, 1)
    done = sendmail(instance, ME, prefix=NOBODY, program=program)
    assert done.returncode == 77 and b"only its owner may name" in done.stderr
    os.chown(instance.etc, 0, 0)
    for path in (instance.etc, instance.etc / "main.cf"):
        mode = stat.S_IMODE(path.stat().st_mode)
        path.chmod(mode | 0o002)
        assert sendmail(instance, ME, prefix=NOBODY, program=program).returncode == 77
        path.chmod(mode)
    assert maildrop(instance) == []


# --- the suite is down -------------------------------------------------------------------------------


def test_what_is_sent_while_the_suite_is_down_comes_once(make_instance):
    instance = make_instance()
    instance.start().stop()
    for i in range(5):
        submit(instance, ME, text=f"Subject: n{i}\n\n" + "x" * i * 100000 + "\n")
    assert len(maildrop(instance)) == 5
    instance.start()
    messages = boxes(instance, 5)
    assert sorted(m["Subject"] for m in messages) == [f"n{i}" for i in range(5)]
    wait_until("an empty maildrop", lambda: maildrop(instance) == [])
    assert len(instance.mbox()) == 5


@pytest.mark.parametrize("size", [1000, 100000])
def test_one_whose_end_was_not_heard_is_not_sent_twice(make_instance, size):
    """A crash between the 250 of qmgr and the removal of the file: the file is there once more. In the queue large
    content is a file of its own."""
    instance = make_instance(default_transport="nowhere")
    instance.start().stop()
    submit(instance, "someone@elsewhere.example", text="Subject: once\n\n" + "x" * size + "\n")
    [path] = maildrop(instance)
    saved = path.read_bytes()
    instance.start()
    instance.wait_log(f"{path.name}: from=<.*queue active")
    wait_until("an empty maildrop", lambda: maildrop(instance) == [])
    instance.stop()
    path.write_bytes(saved)
    path.chmod(0o744)
    instance.start()
    wait_until("an empty maildrop", lambda: maildrop(instance) == [])
    instance.wait_log(f"{path.name}: a message with this queue id is in the queue already")
    assert not any("no new mail is taken" in line for line in instance.lines())


def test_bad_files_are_put_aside_and_hold_up_nobody(make_instance):
    instance = make_instance()
    instance.start().stop()
    for _ in range(3):
        submit(instance, ME)
    cut, linked, good = maildrop(instance)
    cut.write_bytes(cut.read_bytes()[:-1])
    os.link(linked, linked.with_name("4jZRYw2WCvz35hc9wZZ"))
    (cut.parent / "4jZRYw2WCvz35hc9w0F").symlink_to(good)
    (cut.parent / "4jZRYw2WCvz35hc9w0D").mkdir()
    os.mkfifo(cut.parent / "4jZRYw2WCvz35hc9w0P", 0o744)
    (cut.parent / "4jZRYw2WCvz35hc9w0N").write_bytes(b"unfinished")
    instance.start()
    boxes(instance, 1)
    instance.wait_log(f"{cut.name} of user {os.geteuid()}: it is cut short; it is kept as maildrop/bad-{cut.name}")
    instance.wait_log("it has another name, too", count=2)
    instance.wait_log("is no file that postdrop made: it is left there")
    names = {p.name for p in maildrop(instance)}
    assert f"bad-{cut.name}" in names and "4jZRYw2WCvz35hc9w0N" in names and good.name not in names
    told = len([line for line in instance.lines() if "error: maildrop/" in line])
    instance.stop()
    instance.start()
    submit(instance, ME)
    boxes(instance, 2)
    assert len([line for line in instance.lines() if "error: maildrop/" in line]) == told == 3


def test_signals_and_a_lost_feeder_leave_nothing(make_instance):
    instance = make_instance()
    instance.start().stop()
    head = b"gatepost maildrop 1\n"
    for end in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, None):
        process = subprocess.Popen([BIN / "postdrop", "-c", instance.etc], stdin=subprocess.PIPE,
                                   stderr=subprocess.PIPE)
        process.stdin.write(head)
        process.stdin.flush()
        wait_until("a file", lambda: len(maildrop(instance)) == 1)
        if end is not None:
            process.send_signal(end)
        process.stdin.close()
        assert process.wait(PATIENCE) == (65 if end is None else 75)
        process.stderr.close()
        assert maildrop(instance) == []


def test_a_limit_on_file_sizes_leaves_nothing(make_instance):
    instance = make_instance()
    instance.start().stop()
    done = sendmail(instance, ME, text="x" * 500000, prefix=["prlimit", "--fsize=100000"])
    assert done.returncode == 75 and maildrop(instance) == [], done


@needs_root
def test_a_full_disk_leaves_nothing(make_instance):
    instance = make_instance()
    instance.start().stop()
    with private_mounts():
        move_to_small_disk(instance.dir / "queue" / "maildrop", "1m")
        filler = fill(instance.dir / "queue" / "maildrop")
        done = sendmail(instance, ME, text="x" * 500000)
        assert done.returncode == 75 and b"No space left" in done.stderr and maildrop(instance) == [filler]
        filler.unlink()
        submit(instance, ME, text="x" * 500000)
        assert len(maildrop(instance)) == 1
        subprocess.run(["umount", "-l", instance.dir / "queue" / "maildrop"], check=True)


def test_a_killed_pickup_loses_nothing(make_instance):
    instance = make_instance()
    instance.start().stop()
    count = 60
    for i in range(count):
        submit(instance, ME, text=f"Subject: n{i}\n\nx\n")
    instance.start()
    for _ in range(3):
        pid = wait_until("pickup", lambda: dict(instance.processes()).get("pickup"))
        os.kill(pid, signal.SIGKILL)
        submit(instance, ME, text="Subject: between\n\nx\n")
    wait_until("an empty maildrop", lambda: maildrop(instance) == [])
    wait_until("all mail", lambda: len({m["Subject"] for m in instance.mbox()}) == count + 1)
    instance.wait_log("Subject|removed", count=count)
    subjects = [m["Subject"] for m in instance.mbox()]
    # Three kills, of which each may have come between a 250 and the removal of a file.
    assert len(subjects) <= count + 3 + 3


def test_200_at_once(instance):
    with ThreadPoolExecutor(40) as pool:
        done = list(pool.map(lambda i: sendmail(instance, ME, text=f"Subject: n{i}\n\nx\n"), range(200)))
    assert [d for d in done if d.returncode != 0] == []
    assert len({m["Subject"] for m in boxes(instance, 200)}) == 200


# --- strangers ---------------------------------------------------------------------------------------


def connect(instance):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(PATIENCE)
    here = os.open(instance.dir / "queue" / "public", os.O_PATH)
    s.connect(f"/proc/self/fd/{here}/pickup")
    os.close(here)
    return s


def frame(kind, body, number=1, flags=5):
    """flags: 1 first, 4 from the opener."""
    return struct.pack("<IHHI", 12 + len(body), kind, flags, number) + body


def is_closed(s):
    try:
        while s.recv(65536):
            pass
        return True
    except ConnectionResetError:
        return True


def test_a_hostile_client_loses_its_connection_alone(instance):
    rng = random.Random(1)
    submit(instance, ME)
    pid = dict(instance.processes())["pickup"]
    hostile = [rng.randbytes(n) for n in (1, 12, 100, 5000)]
    hostile += [b"\0" * 64, b"\xff" * 64, frame(50, b""), frame(50, rng.randbytes(40)), frame(1, b"x" * 100),
                struct.pack("<IHHI", 0xFFFFFFFF, 50, 5, 1) + b"x" * 300000, frame(50, b"")[:7],
                frame(50, struct.pack("<HI", 3, 0)) * 1000,
                b"".join(frame(50, struct.pack("<HI", 1, 1) + b"a", i) for i in range(500)),
                b"EHLO x\r\nMAIL FROM:<>\r\n"]
    quiet = connect(instance)
    for data in hostile:
        s = connect(instance)
        try:
            s.sendall(data)
            s.shutdown(socket.SHUT_WR)
        except (BrokenPipeError, ConnectionResetError):
            pass
        assert is_closed(s)
        s.close()
    submit(instance, ME)
    boxes(instance, 2)
    assert dict(instance.processes())["pickup"] == pid
    # Nobody waited until the quiet client had been sent away.
    quiet.setblocking(False)
    with pytest.raises(BlockingIOError):
        quiet.recv(1)
    quiet.close()


def test_a_requeued_message_is_a_new_one(make_instance):
    """Whatever is routed to pickup goes through cleanup once more; here until there are too many hops."""
    instance = make_instance(default_transport="pickup", hopcount_limit="4").start()
    submit(instance, "-f", "a@example.com", "someone@elsewhere.example")
    instance.wait_log(r"uid=\d+ from=<a@example.com> orig_id=\w+")
    instance.wait_log(r"to=<someone@elsewhere.example>, relay=pickup, .*status=sent \(requeued as \w+\)")
    instance.wait_log(r"cannot requeue: Error: too many hops")
