# SPDX-License-Identifier: ISC
"""From the queue into mailboxes: aliases, .forward, mbox, Maildir, commands, error and discard."""

import mailbox
import os
import pathlib
import re
import time

import pytest
from conftest import USER, free_port, needs_root, run, wait_until

MESSAGE = "From: <s@example.com>\r\nSubject: {}\r\n\r\nFrom here\r\n.dot\r\n"


def add_aliases(instance, text):
    with (instance.etc / "aliases").open("a") as f:
        f.write(text)
    run("newaliases", "-c", instance.etc)


def test_mbox_form(instance):
    instance.deliver(MESSAGE.format("mbox"))
    raw = (instance.dir / "mail" / USER).read_text()
    assert re.match(r"From sender@example.com  ?\w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \d{4}\n", raw)
    assert "\n>From here\n.dot\n" in raw and raw.endswith("\n\n")
    message = instance.mbox()[0]
    assert message["Return-Path"] == "<sender@example.com>"
    assert message["X-Original-To"] == f"{USER}@localhost"
    assert "by " in message["Received"] and message["Message-ID"] and message["Date"]


def test_maildir(make_instance):
    instance = make_instance()
    instance.configure(mail_spool_directory=f"{instance.dir}/mail/")
    instance.start()
    for _ in range(3):
        instance.deliver(MESSAGE.format("maildir"))
    new = list((instance.dir / "mail" / USER / "new").iterdir())
    assert len(new) == 3
    assert not list((instance.dir / "mail" / USER / "tmp").iterdir())
    assert "delivered to maildir" in instance.wait_log("status=sent", 3)[0]


def test_aliases(make_instance):
    instance = make_instance(transport_maps="inline:{ {remote.example = discard:there} }").start()
    add_aliases(instance, f"""friend: {USER}\nteam: friend, other\nother: {USER}
list: friend, x@remote.example, other, x@REMOTE.example, team
{USER}: \\{USER}, {USER}, x@remote.example\n""")
    instance.gatepost("reload")
    # Each mailbox once, however many ways lead to it; alone it needs no second message.
    queue_id = instance.deliver(MESSAGE.format("list"), to="list@localhost")
    copy = re.search(r"status=sent \(delivered to mailbox; forwarded as (\w+)\)",
                     instance.wait_log(f"{queue_id}: to=")[0]).group(1)
    instance.wait_log(f"{copy}: removed")
    lines = [line for line in instance.lines() if f"{copy}: to=" in line]
    assert len(lines) == 1 and "to=<x@remote.example>, orig_to=<list@localhost>" in lines[0]
    assert [m["Subject"] for m in instance.mbox()] == ["list"]


def test_an_alias_for_one_mailbox_needs_no_second_message(instance):
    add_aliases(instance, f"friend: {USER}\nteam: friend, other\nother: {USER}\n")
    instance.gatepost("reload")
    for name in ("friend", "team"):
        queue_id = instance.deliver(MESSAGE.format(name), to=f"{name}@localhost")
        instance.wait_log(rf"{queue_id}: to=<{name}@localhost>, .*\(delivered to mailbox\)")
    assert [m["Subject"] for m in instance.mbox()] == ["friend", "team"]


def test_what_a_later_try_repeats(make_instance, workspace):
    """A part that must be tried again stops the list there. A command before it runs again; a file has the
    message once; nobody else gets it before, or twice: also when everything dies in between."""
    instance = make_instance(transport_maps="inline:{ {remote.example = discard:there} }",
                             minimal_backoff_time="1s").start()
    d = workspace / "open"
    d.mkdir()
    d.chmod(0o777)  # commands of alias files run as default_privs
    add_aliases(instance, f'''list: "|echo >> {d}/first", {d}/archive,
 "|test -e {d}/ready || exit 75", "|echo >> {d}/last", x@remote.example\n''')
    instance.gatepost("reload")
    queue_id = instance.send(MESSAGE.format("list"), to="list@localhost")
    instance.wait_log(f"{queue_id}: to=.*dsn=4.3.0, status=deferred")
    instance.gatepost("abort")
    assert not (d / "last").exists() and len(mailbox.mbox(d / "archive")) == 1
    (d / "ready").touch()
    instance.start()
    instance.wait_log(f"{queue_id}: removed")
    instance.wait_log("to=<x@remote.example>, .*status=sent")
    tries = len([line for line in instance.lines() if f"{queue_id}: to=" in line])
    assert tries >= 2 and (d / "first").read_text() == "\n" * tries
    assert (d / "last").read_text() == "\n" and len(mailbox.mbox(d / "archive")) == 1
    assert len([line for line in instance.lines() if "to=<x@remote.example>" in line]) == 1


def test_slow_commands(instance, workspace):
    """A user, and an alias, has two commands at once, however many messages wait; one alias waits for no other."""
    d = workspace / "open"
    d.mkdir()
    d.chmod(0o777)
    add_aliases(instance, f'''slow: "|echo >> {d}/begun; until test -e {d}/ready; do sleep 0.05; done"
quick: "|true"\n''')
    instance.gatepost("reload")
    sent = [instance.send(to="slow@localhost")]
    instance.deliver(to="quick@localhost")

    def begun():
        return (d / "begun").read_text().count("\n") if (d / "begun").exists() else 0

    wait_until("a second command", lambda: sent.append(instance.send(to="slow@localhost")) or begun() == 2)
    # A third would begin when the second has been silent for as long as the first was.
    until = time.monotonic() + 2.5
    wait_until("longer", lambda: sent.append(instance.send(to="slow@localhost")) or time.monotonic() > until)
    assert begun() == 2
    (d / "ready").touch()
    for queue_id in sent:
        instance.wait_log(f"{queue_id}: removed")


def test_a_new_alias_is_never_nobody(make_instance):
    """Without a reload: the process that has the old table must not say that the name is nobody's."""
    instance = make_instance(local_recipient_maps="", minimal_backoff_time="1s").start()
    instance.deliver(to=f"{USER}@localhost")
    add_aliases(instance, f"fresh: {USER}\n")
    queue_id = instance.send(to="fresh@localhost")
    instance.wait_log(f"{queue_id}: to=<fresh@localhost>, .*status=(sent|bounced)")
    assert not [line for line in instance.lines() if "status=bounced" in line]
    assert len(instance.mbox()) == 2


def test_odd_names_are_nobody(make_instance):
    """A local part is a name to look up: never a command, a path, or the user that alias commands run as."""
    instance = make_instance(local_recipient_maps="", allow_min_user="yes").start()
    add_aliases(instance, 'cmd: "|true"\n')
    instance.gatepost("reload")
    instance.deliver(to="cmd@localhost")  # now there is a process for what has no user's name
    names = ['""', '"a b"', '"-x"', '"../x"', '"|cmd"', '"|true"', "a/b", '"/etc/x"', '":include:/etc/passwd"',
             '"' + "\\\\" + USER + '"', "x" * 65, "+x", f"{USER}+"]
    queue_id = instance.send(to=[f"<{name}@localhost>" for name in names])
    instance.wait_log(rf'{queue_id}: to=.*dsn=5.1.1, status=bounced \(unknown user: ".*"\)', len(names))
    assert len(instance.mbox()) == 0


def test_all_ask_the_rewrite_service_that_main_cf_names(make_instance):
    instance = make_instance(rewrite_service_name="other")
    with (instance.etc / "master.cf").open("a") as f:
        f.write("other unix - - n - - trivial-rewrite\n")
    add_aliases(instance, f"team: {USER}, friend\nfriend: {USER}\n")
    instance.start()
    instance.deliver(MESSAGE.format("one"), to="team@localhost")
    services = {name for name, _ in instance.processes()}
    assert "other" in services and "rewrite" not in services


def test_recipient_delimiter(make_instance):
    instance = make_instance(recipient_delimiter="+-").start()
    instance.deliver(MESSAGE.format("ext"), to=f"{USER}+lists@localhost")
    assert instance.mbox()[0]["Delivered-To"] == f"{USER}+lists@localhost"


def test_a_missing_table_fails_only_what_is_looked_up_in_it(make_instance, workspace):
    """A look-up in it is put off, other mail passes, and the table is in use soon after it was built."""
    source = workspace / "relayed"
    source.write_text("known@relay.example ok\n")
    instance = make_instance(relay_domains="relay.example", relay_recipient_maps=f"hash:{source}").start()
    with pytest.raises(AssertionError, match="4.3.0 <known@relay.example>: Temporary lookup failure"):
        instance.send(to="known@relay.example")
    instance.deliver()
    instance.wait_log(f"warning: .*hash:{source}")
    run("postmap", f"hash:{source}")

    def is_known():
        with instance.smtp() as client:
            client.ehlo("client.example")
            client.mail("sender@example.com")
            return client.rcpt("known@relay.example")[0] == 250
    wait_until("the table in use", is_known)
    with pytest.raises(AssertionError, match="5.1.1 <other@relay.example>"):
        instance.send(to="other@relay.example")


def test_virtual_aliases_and_transports(make_instance):
    instance = make_instance(virtual_alias_domains="virtual.example",
                             virtual_alias_maps="inline:{ {info@virtual.example = USER@localhost, none@localhost} {out@virtual.example = x@gone.example} }"
                             .replace("USER", USER),
                             transport_maps="inline:{ {gone.example = error:5.7.1 we do not go there}, "
                             "{hole.example = discard:into the hole} }").start()
    queue_id = instance.send(MESSAGE.format("virtual"), to="info@virtual.example")
    instance.wait_log(rf"{queue_id}: to=<{USER}@localhost>, orig_to=<info@virtual.example>, relay=local, .*status=sent")
    instance.wait_log(rf"{queue_id}: to=<none@localhost>, .*dsn=5.1.1, status=bounced")
    with pytest.raises(AssertionError, match="5.7.1 <x@gone.example>: Recipient address rejected: we do not go"):
        instance.send(MESSAGE.format("error"), to="x@gone.example")
    # Found out only behind the alias: the sender hears of it.
    queue_id = instance.send(MESSAGE.format("error"), sender=f"{USER}@localhost", to="out@virtual.example")
    instance.wait_log(rf"{queue_id}: to=<x@gone.example>, orig_to=<out@virtual.example>, relay=none, .*dsn=5.7.1, "
                      r"status=bounced \(.*we do not go there\)")
    notice_id = instance.wait_log(f"{queue_id}: sender non-delivery notification: ")[0].split()[-1]
    instance.wait_log(f"{notice_id}: removed")
    notice = next(m for m in instance.mbox() if notice_id in m["Received"])
    assert "we do not go there" in notice.as_string()
    queue_id = instance.deliver(MESSAGE.format("discard"), to="x@hole.example")
    instance.wait_log(rf"{queue_id}: .*relay=none, .*status=sent \(.*into the hole\)")


def test_deferred_mail_is_listed_and_tried_again(make_instance):
    instance = make_instance(minimal_backoff_time="1s", transport_retry_time="1s", default_transport="nowhere").start()
    queue_id = instance.send(MESSAGE.format("later"), to="x@remote.example")
    lines = instance.wait_log(rf"{queue_id}: to=<x@remote.example>, .*status=deferred "
                              r"\(mail transport unavailable\)", 2)
    assert "dsn=4.3.0" in lines[0]
    listing = run("postqueue", "-c", instance.etc, "-p").stdout
    assert queue_id in listing and "x@remote.example" in listing


def test_what_waits_for_its_next_attempt_is_listed_as_deferred(make_instance):
    instance = make_instance(default_transport=f"smtp:[127.0.0.1]:{free_port()}").start()
    queue_id = instance.send(MESSAGE.format("later"), to="x@remote.example")
    instance.wait_log(f"{queue_id}: to=<x@remote.example>, .*status=deferred")
    wait_until("the end of its round", lambda: '"queue_name": "deferred"' in
               run("postqueue", "-c", instance.etc, "-j").stdout, 10)


def test_what_stays_down_is_returned_with_the_reason(make_instance):
    instance = make_instance(minimal_backoff_time="1s", maximal_queue_lifetime="2s",
                             default_transport=f"smtp:[127.0.0.1]:{free_port()}").start()
    sender = f"{USER}@localhost"
    queue_id = instance.send(MESSAGE.format("old"), sender=sender, to="x@remote.example")
    instance.wait_log(f"{queue_id}: from=<{sender}>, status=expired, returned to sender")
    notice_id = instance.wait_log(f"{queue_id}: sender non-delivery notification: ")[0].split()[-1]
    instance.wait_log(f"{notice_id}: removed")
    instance.wait_log(f"{queue_id}: removed")
    notice = next(m for m in instance.mbox() if notice_id in m["Received"])
    assert re.search(r"connect to\s+127\.0\.0\.1\[127\.0\.0\.1\]:\d+:\s+Connection\s+refused", notice.as_string())


def test_mail_survives_a_restart(make_instance):
    instance = make_instance(minimal_backoff_time="1s", transport_retry_time="1s",
                             transport_maps="inline:{ {later.example = retry:4.0.0 later} }").start()
    ids = [instance.send(MESSAGE.format(n), to=["x@later.example", f"{USER}@localhost"]) for n in range(20)]
    instance.gatepost("stop")
    instance.configure(transport_maps="inline:{ {later.example = discard:now} }")
    instance.start()
    for queue_id in ids:
        instance.wait_log(f"{queue_id}: removed")
    assert sorted(int(m["Subject"]) for m in instance.mbox()) == list(range(20))


def test_headers_are_completed_for_our_own(instance):
    instance.deliver("Subject: bare\r\nBcc: secret@example.com\r\n\r\nx\r\n")
    message = instance.mbox()[0]
    assert message["From"] and message["Date"] and message["Message-ID"]
    assert message["Bcc"] is None


def test_a_loop_is_found(instance):
    text = "Received: from a by b; now\r\n" * 60 + "Subject: loop\r\n\r\nx\r\n"
    with pytest.raises(AssertionError, match="5.4.0 Error: too many hops"):
        instance.send(text)
    queue_id = instance.send(f"Delivered-To: {USER}@localhost\r\nSubject: again\r\n\r\nx\r\n")
    instance.wait_log(rf"{queue_id}: .*dsn=5.4.6, status=bounced \(.*forwarding loop")


def test_a_large_message_streams(make_instance):
    instance = make_instance(message_size_limit="0", mailbox_size_limit="0").start()
    line = b"x" * 76 + b"\r\n"
    with instance.raw() as c:
        c.hello()
        c.ask("MAIL FROM:<>")
        c.ask(f"RCPT TO:<{USER}@localhost>")
        c.ask("DATA")
        c.send(b"Subject: large\r\n\r\n")
        for _ in range(200 * 1024 * 1024 // (len(line) * 1024)):
            c.send(line * 1024)
        c.send(b".\r\n")
        reply = c.reply()
        assert reply.startswith("250"), reply
        queue_id = reply.split()[-1]
    instance.wait_log(f"{queue_id}: removed", patience=120)
    assert (instance.dir / "mail" / USER).stat().st_size > 190 * 1024 * 1024
    if "SANITIZE" in os.environ or "address" in os.environ["BUILD_DIRECTORY"]:
        return

    def assert_small():
        for name, pid in instance.processes():
            status = pathlib.Path(f"/proc/{pid}/status").read_text()
            peak = int(re.search(r"VmHWM:\s+(\d+) kB", status).group(1))
            assert peak < 32 * 1024, (name, peak)

    assert_small()
    # Opening reads what the queue was, with mail in it.
    waiting = instance.send(to="somebody@elsewhere.example")
    instance.wait_log(f"{waiting}: .*status=deferred")
    instance.stop()
    instance.start()
    instance.deliver()
    assert_small()


@needs_root
class TestAsUser:
    """With system users; the tests make one and remove it."""

    @pytest.fixture
    def someone(self):
        import pwd
        import subprocess
        name = f"gptest{os.getpid()}"       # another run may go on beside this one
        subprocess.run(["userdel", "--remove", "--force", name], check=False, capture_output=True)
        subprocess.run(["useradd", "--create-home", "--shell", "/bin/sh", name], check=True)
        yield pwd.getpwnam(name)
        # By force: an agent of the instance may still be this user.
        subprocess.run(["userdel", "--remove", "--force", name], check=True, capture_output=True)

    def write(self, someone, name, text, mode=0o644):
        path = pathlib.Path(someone.pw_dir) / name
        path.write_text(text)
        path.chmod(mode)
        os.chown(path, someone.pw_uid, someone.pw_gid)
        return path

    def test_own_mailbox_has_its_owner(self, instance, someone):
        instance.deliver(to=f"{someone.pw_name}@localhost")
        assert (instance.dir / "mail" / someone.pw_name).stat().st_uid == someone.pw_uid

    def test_forward_to_file_command_and_self(self, instance, someone):
        self.write(someone, "run.sh", "#!/bin/sh\nid -u > ran-as\nenv > environment\ncat > body\n", 0o755)
        self.write(someone, ".forward",
                   f"\\{someone.pw_name}\n{someone.pw_dir}/archive\n\"|{someone.pw_dir}/run.sh\"\n")
        home = pathlib.Path(someone.pw_dir)
        queue_id = instance.send(MESSAGE.format("forward"), to=f"{someone.pw_name}@localhost")
        wait_until("all three", lambda: (home / "body").exists() and (home / "archive").exists() and
                   len(instance.mbox(someone.pw_name)) == 1)
        assert (home / "ran-as").read_text().strip() == str(someone.pw_uid)
        environment = (home / "environment").read_text()
        assert f"HOME={someone.pw_dir}\n" in environment and "SENDER=sender@example.com\n" in environment
        assert "Subject: forward" in (home / "archive").read_text()
        assert queue_id

    def test_forward_to_ways_that_meet(self, make_instance, someone):
        name = someone.pw_name
        instance = make_instance(transport_maps="inline:{ {remote.example = discard:there} }").start()
        add_aliases(instance, f"one: two\ntwo: x@remote.example\nthree: X@remote.example, {name}\n")
        instance.gatepost("reload")
        for subject, forward, places in (("elsewhere", "one, two, x@REMOTE.example\n", 0), ("back", "three\n", 1)):
            self.write(someone, ".forward", forward)
            queue_id = instance.deliver(MESSAGE.format(subject), to=f"{name}@localhost")
            copy = re.search(r"forwarded as (\w+)\)", instance.wait_log(f"{queue_id}: to=")[0]).group(1)
            instance.wait_log(f"{copy}: removed")
            assert len([line for line in instance.lines() if f"{copy}: to=" in line]) == 1
            assert len(instance.mbox(name)) == places

    def test_a_later_try_leaves_the_mailbox_alone(self, make_instance, someone):
        instance = make_instance(minimal_backoff_time="1s").start()
        self.write(someone, ".forward", f'\\{someone.pw_name}, "|test -e ready || exit 75"\n')
        queue_id = instance.send(to=f"{someone.pw_name}@localhost")
        instance.wait_log(f"{queue_id}: to=.*status=deferred", 2)
        self.write(someone, "ready", "")
        instance.wait_log(f"{queue_id}: removed")
        assert len(instance.mbox(someone.pw_name)) == 1

    def test_command_status_decides(self, instance, someone):
        script = self.write(someone, "fail.sh", "#!/bin/sh\necho no room in here\nexit 75\n", 0o755)
        self.write(someone, ".forward", f'"|{script}"\n')
        queue_id = instance.send(to=f"{someone.pw_name}@localhost")
        instance.wait_log(rf"{queue_id}: .*dsn=4.3.0, status=deferred \(.*no room in here")

    def test_a_link_is_not_followed_into_foreign_files(self, instance, someone):
        victim = instance.dir / "victim"
        victim.write_text("precious\n")
        os.symlink(victim, instance.dir / "mail" / someone.pw_name)
        queue_id = instance.send(to=f"{someone.pw_name}@localhost")
        instance.wait_log(rf"{queue_id}: .*status=(deferred|bounced)")
        assert victim.read_text() == "precious\n"
