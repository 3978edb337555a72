# SPDX-License-Identifier: ISC
"""postconf: what it prints and what it makes of main.cf and master.cf, by tables; beside Debian's Postfix
where that can be had."""
import json
import os
import pwd
import re
import stat
import subprocess

import pytest
from conftest import BIN, needs_root

MAIN = """\
# top comment
myhostname = mail.example.com
mydestination = $myhostname,
# inside
    localhost
relayhost = b
own_list = reject_unauth_destination
smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination, permit_mynetworks, permit_mynetworks
relay_destination_concurrency_limit = 5
"""
MASTER = """\
# head
smtp      inet  n       -       y       -       -       smtpd

# about submission
submission inet n       -       y       -       -       smtpd
  -o syslog_name=postfix/submission -o smtpd_banner=$myhostname
  -o { smtpd_relay_restrictions = $own_list, reject }
pickup    unix  n       -       y       60      1       pickup -v
mailman   unix  -       n       n       -       -       pipe
  flags=FRX user=list argv=/usr/lib/mailman/bin/postfix-to-mailman.py
  ${nexthop} ${user}
twice unix - - n - - smtp
twice unix - - n - - lmtp -oa=b -o a=c
# tail
"""
SUBMISSION = """\
submission inet n       -       y       -       -       smtpd
  -o syslog_name=postfix/submission -o smtpd_banner=$myhostname
  -o { smtpd_relay_restrictions = $own_list, reject }
"""
MAILMAN = MASTER[MASTER.index("mailman "):MASTER.index("twice ")]
TWICE = "twice unix - - n - - smtp\ntwice unix - - n - - lmtp -oa=b -o a=c\n"


@pytest.fixture
def etc(tmp_path):
    (tmp_path / "main.cf").write_text(MAIN)
    (tmp_path / "master.cf").write_text(MASTER)
    return tmp_path


def postconf(etc, *arguments):
    return subprocess.run([BIN / "postconf", "-c", etc, *arguments], capture_output=True, text=True, timeout=60)


def row(service, kind, *columns):
    return f"{service:<10} {kind:<5} " + " ".join(f"{c:<7}" for c in columns[:5]) + " " + columns[5]


ROW_SMTP = row("smtp", "inet", "n", "-", "y", "-", "-", "smtpd")
ROW_PICKUP = row("pickup", "unix", "n", "-", "y", "60", "1", "pickup -v")
ROW_SUBMISSION = row("submission", "inet", "n", "-", "y", "-", "-", "smtpd")
ROW_MAILMAN = row("mailman", "unix", "-", "n", "n", "-", "-", "pipe")
SUBMISSION_ARGUMENTS = ["-o syslog_name=postfix/submission", "-o smtpd_banner=$myhostname",
                        "-o {smtpd_relay_restrictions=$own_list, reject}"]
MAILMAN_ARGUMENTS = "flags=FRX user=list argv=/usr/lib/mailman/bin/postfix-to-mailman.py ${nexthop} ${user}"
FOLDED_SUBMISSION = "\n".join([ROW_SUBMISSION, *("    " + a for a in SUBMISSION_ARGUMENTS)])

# Arguments, and all lines printed.
SHOWN = [
    ("-M smtp", [ROW_SMTP]),
    ("-M smtp/inet pickup/unix", [ROW_SMTP, ROW_PICKUP]),
    ("-M */inet", [ROW_SMTP, ROW_SUBMISSION + " " + " ".join(SUBMISSION_ARGUMENTS)]),
    ("-M submission", [ROW_SUBMISSION + " " + " ".join(SUBMISSION_ARGUMENTS)]),
    ("-Mf submission", FOLDED_SUBMISSION.split("\n")),
    ("-Mf mailman", [ROW_MAILMAN + " flags=FRX", "    user=list argv=/usr/lib/mailman/bin/postfix-to-mailman.py "
                     "${nexthop}", "    ${user}"]),
    ("-Mx submission", [ROW_SUBMISSION + " -o syslog_name=postfix/submission -o smtpd_banner=mail.example.com "
                        "-o {smtpd_relay_restrictions=reject_unauth_destination, reject}"]),
    ("-M twice", [row("twice", "unix", "-", "-", "n", "-", "-", "smtp"),
                  row("twice", "unix", "-", "-", "n", "-", "-", "lmtp -o a=b -o a=c")]),
    ("-F smtp", ["smtp/inet/service = smtp", "smtp/inet/type = inet", "smtp/inet/private = n",
                 "smtp/inet/unprivileged = -", "smtp/inet/chroot = y", "smtp/inet/wakeup = -",
                 "smtp/inet/process_limit = -", "smtp/inet/command = smtpd"]),
    ("-F pickup/unix/wakeup", ["pickup/unix/wakeup = 60"]),
    ("-F */*/process_limit", [f"{s}/process_limit = {n}" for s, n in
                              [("smtp/inet", "-"), ("submission/inet", "-"), ("pickup/unix", "1"),
                               ("mailman/unix", "-"), ("twice/unix", "-"), ("twice/unix", "-")]]),
    ("-F mailman/unix/command", ["mailman/unix/command = pipe " + MAILMAN_ARGUMENTS]),
    ("-Fh mailman/unix/command", ["pipe " + MAILMAN_ARGUMENTS]),
    ("-FH pickup/unix/wakeup", ["pickup/unix/wakeup"]),
    ("-Fh pickup/unix/wakeup smtp/inet/chroot", ["60", "y"]),
    ("-P submission", ["submission/inet/smtpd_banner = $myhostname",
                       "submission/inet/smtpd_relay_restrictions = $own_list, reject",
                       "submission/inet/syslog_name = postfix/submission"]),
    ("-P */inet/syslog_name", ["submission/inet/syslog_name = postfix/submission"]),
    ("-Ph submission/inet/syslog_name", ["postfix/submission"]),
    ("-PH submission/inet", ["submission/inet/smtpd_banner", "submission/inet/smtpd_relay_restrictions",
                             "submission/inet/syslog_name"]),
    ("-Px submission/inet/smtpd_banner", ["submission/inet/smtpd_banner = mail.example.com"]),
    ("-Px -o myhostname=x submission/inet/smtpd_banner", ["submission/inet/smtpd_banner = x"]),
    ("-P twice", ["twice/unix/a = c"]),
    ("-p relayhost", ["relayhost = b"]),
    ("-nf smtpd_relay_restrictions", ["smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination,",
                                      "    permit_mynetworks, permit_mynetworks"]),
    ("-f relayhost mydestination", ["relayhost = b", "mydestination = $myhostname, localhost"]),
    ("-nx mydestination", ["mydestination = mail.example.com, localhost"]),
    ("-nC service", ["relay_destination_concurrency_limit = 5"]),
    ("-nC user", ["own_list = reject_unauth_destination"]),
    ("-nC user,service", ["own_list = reject_unauth_destination", "relay_destination_concurrency_limit = 5"]),
    ("-nhC all", ["$myhostname, localhost", "mail.example.com", "reject_unauth_destination", "5", "b",
                  "permit_mynetworks, reject_unauth_destination, permit_mynetworks, permit_mynetworks"]),
    ("-nC builtin relayhost", ["relayhost = b"]),
    ("-dh mail_name", ["Gatepost"]),
    ("-l", ["flock", "fcntl", "dotlock"]),
    ("-a", []),
    ("-A", []),
    ("-Mq nosuch", []),
    ("-nj relayhost", ['{"name": "relayhost", "value": "b"}']),
    ("-Mj pickup", ['{"service": "pickup", "type": "unix", "private": "n", "unprivileged": "-", "chroot": "y", '
                    '"wakeup": "60", "process_limit": "1", "command": "pickup -v"}']),
    ("-Fj smtp/inet/chroot", ['{"service": "smtp", "type": "inet", "field": "chroot", "value": "y"}']),
    ("-Pj twice", ['{"service": "twice", "type": "unix", "name": "a", "value": "c"}']),
]


@pytest.mark.parametrize("arguments, lines", SHOWN, ids=[a for a, _ in SHOWN])
def test_what_is_shown(etc, arguments, lines):
    done = postconf(etc, *arguments.split())
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(done.stdout.splitlines()) == sorted(lines) if "C all" in arguments \
        else done.stdout.splitlines() == lines


def test_rows_of_master_cf_come_in_its_order_and_read_as_what_they_were(etc):
    shown = postconf(etc, "-M").stdout
    assert [line.split()[0] for line in shown.splitlines()] == \
        ["smtp", "submission", "pickup", "mailman", "twice", "twice"]
    (etc / "master.cf").write_text(postconf(etc, "-Mf").stdout)
    assert postconf(etc, "-M").stdout == shown


NEW = "new        unix  -       -       n       -       0       cleanup\n"
# Arguments, a part of master.cf, and what it is then; everything else stays. None: the end of the file.
CHANGED = [
    (["-Me", "smtp/inet=smtp inet n - n - 20 smtpd"], MASTER.split("\n")[1] + "\n",
     "smtp       inet  n       -       n       -       20      smtpd\n"),
    (["-M", "smtp/inet = 2525 inet n - - - - smtpd -o a=b"], MASTER.split("\n")[1] + "\n",
     "2525       inet  n       -       -       -       -       smtpd\n    -o a=b\n"),
    (["-M", "new/unix=new unix - - n - 0 cleanup"], None, NEW),
    (["-Me", "new/unix=new unix - - n - 0 cleanup", "other/unix=other unix - - n - - local"], None,
     NEW + "other      unix  -       -       n       -       -       local\n"),
    (["-Me", "twice/unix=twice unix - - n - - error"], TWICE,
     "twice      unix  -       -       n       -       -       error\n"),
    (["-Me", "submission/inet=submission inet n - n - - smtpd -o {a = b c}"], SUBMISSION,
     "submission inet  n       -       n       -       -       smtpd\n    -o {a=b c}\n"),
    (["-MX", "smtp/inet"], MASTER.split("\n")[1] + "\n", ""),
    (["-M", "-X", "submission/inet"], SUBMISSION, ""),
    (["-MX", "twice/unix"], TWICE, ""),
    (["-MX", "twice/*", "mailman/unix"], MAILMAN + TWICE, ""),
    (["-M#", "submission/inet"], SUBMISSION, re.sub("^", "#", SUBMISSION.rstrip("\n"), flags=re.M) + "\n"),
    (["-M#", "twice/unix"], TWICE, re.sub("^", "#", TWICE.rstrip("\n"), flags=re.M) + "\n"),
    (["-Fe", "smtp/inet/chroot=n"], MASTER.split("\n")[1] + "\n", ROW_SMTP.replace("y", "n") + "\n"),
    (["-F", "smtp/inet/chroot = n", "smtp/inet/process_limit=7"], MASTER.split("\n")[1] + "\n",
     "smtp       inet  n       -       n       -       7       smtpd\n"),
    (["-F", "mailman/unix/service=m2"], MAILMAN,
     row("m2", "unix", "-", "n", "n", "-", "-", "pipe flags=FRX") +
     "\n    user=list argv=/usr/lib/mailman/bin/postfix-to-mailman.py ${nexthop}\n    ${user}\n"),
    (["-Fe", "mailman/unix/command = spawn user=a argv=/bin/b c"], MAILMAN,
     row("mailman", "unix", "-", "n", "n", "-", "-", "spawn user=a") + "\n    argv=/bin/b c\n"),
    (["-F", "pickup/unix/wakeup=60?"], ROW_PICKUP.replace("pickup    ", "pickup   ", 1) + "\n",
     ROW_PICKUP.replace("60 ", "60?") + "\n"),
    (["-P", "submission/inet/syslog_name=x"], SUBMISSION,
     FOLDED_SUBMISSION.replace("postfix/submission", "x") + "\n"),
    (["-P", "submission/inet/new=1"], SUBMISSION, FOLDED_SUBMISSION + "\n    -o new=1\n"),
    (["-Pe", "submission/*/new=a, b"], SUBMISSION, FOLDED_SUBMISSION + "\n    -o {new=a, b}\n"),
    (["-Pe", "smtp/inet/a=1", "smtp/inet/b="], MASTER.split("\n")[1] + "\n", ROW_SMTP + "\n    -o a=1\n    -o b=\n"),
    (["-P", "mailman/unix/foo=bar"], MAILMAN,
     ROW_MAILMAN + "\n    -o foo=bar\n    flags=FRX user=list argv=/usr/lib/mailman/bin/postfix-to-mailman.py\n"
     "    ${nexthop} ${user}\n"),
    (["-PX", "submission/inet/syslog_name"], SUBMISSION,
     FOLDED_SUBMISSION.replace("\n    -o syslog_name=postfix/submission", "") + "\n"),
    (["-PX", "submission/inet/syslog_name", "submission/inet/smtpd_banner"], SUBMISSION,
     ROW_SUBMISSION + "\n    " + SUBMISSION_ARGUMENTS[2] + "\n"),
]


@pytest.mark.parametrize("arguments, before, after", CHANGED, ids=[" ".join(a) for a, _, _ in CHANGED])
def test_a_change_of_master_cf_leaves_the_rest_alone(etc, arguments, before, after):
    done = postconf(etc, *arguments)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert before is None or MASTER.count(before) == 1
    assert (etc / "master.cf").read_text() == (MASTER + after if before is None else MASTER.replace(before, after))
    assert (etc / "main.cf").read_text() == MAIN
    assert sorted(p.name for p in etc.iterdir()) == ["main.cf", "master.cf"]


DESTINATION = "mydestination = $myhostname,\n# inside\n    localhost\n"
MAIN_CHANGED = [
    (["-X", "relayhost"], "relayhost = b\n", ""),
    (["-X", "mydestination"], DESTINATION, "# inside\n"),
    (["-X", "relayhost", "own_list"], "relayhost = b\nown_list = reject_unauth_destination\n", ""),
    (["-#", "relayhost"], "relayhost = b\n", "#relayhost = b\n"),
    (["-#", "mydestination"], DESTINATION, "#mydestination = $myhostname,\n# inside\n#    localhost\n"),
    (["-pX", "relayhost"], "relayhost = b\n", ""),
    (["-X", "nosuch"], "", ""),
    (["-p", "relayhost=c"], "relayhost = b\n", "relayhost = c\n"),
    (["relayhost="], "relayhost = b\n", "relayhost =\n"),
    (["-e", "mydestination=x"], DESTINATION, "mydestination = x\n# inside\n"),
    (["-e", "own_list = a=b"], "own_list = reject_unauth_destination\n", "own_list = a=b\n"),
]


@pytest.mark.parametrize("arguments, before, after", MAIN_CHANGED, ids=[" ".join(a) for a, _, _ in MAIN_CHANGED])
def test_a_change_of_main_cf_leaves_the_rest_alone(etc, arguments, before, after):
    done = postconf(etc, *arguments)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (etc / "main.cf").read_text() == MAIN.replace(before, after)
    assert (etc / "master.cf").read_text() == MASTER


def test_a_name_that_is_set_twice_is_removed_twice(etc):
    (etc / "main.cf").write_text("a = 1\nb = 2\na = 3\n")
    assert postconf(etc, "-X", "a").returncode == 0
    assert (etc / "main.cf").read_text() == "b = 2\n"


# Arguments, exit status, what is said.
REFUSED = [
    (["-Me", "x/inet=x inet n"], 1, "there are 3 columns"),
    (["-Me", "dup=dup unix - - n - - local"], 1, "-Me requires service_name/type"),
    (["-Me", "smtp/inet=smtp inet n - n - - smtpd -o a"], 1, "has no ="),
    (["-Me", "smtp/inet=smtp inet n - n - - smtpd {"], 1, "closing } is missing"),
    (["-Me", "smtp/inet=smtp inet - - n - - smtpd"], 1, "an inet service can't be private"),
    (["-Me", "a/inet=a inet n - n - - b\nc inet n - n - - d"], 1, "one line"),
    (["-MX", "smtp"], 1, "-MX requires service_name/type"),
    (["-M", "a/b/c"], 1, "-M option requires service_name[/type]"),
    (["-M", "/inet"], 1, "-M option requires service_name[/type]"),
    (["-F", "smtp/inet/nosuch"], 1, 'invalid service attribute name: "nosuch"'),
    (["-F", "a/b/c/d"], 1, "-F option requires service_name[/type[/field]]"),
    (["-Fe", "smtp/inet=n"], 1, "-Fe requires service_name/type/field"),
    (["-Fe", "smtp/inet/chroot=q"], 1, 'chroot (column 5) is "q"; use y, n or -'),
    (["-Fe", "smtp/inet/chroot=n y"], 1, "is one word"),
    (["-Fe", "smtp/inet/type=inett"], 1, 'the type (column 2) is "inett"'),
    (["-Fe", "smtp/inet/private=-"], 1, "an inet service can't be private"),
    (["-Fe", "smtp/inet/process_limit=many"], 1, 'maxproc (column 7) is "many"'),
    (["-Fe", "smtp/inet/service=#smtp"], 1, "can't start with #"),
    (["-Me", "smtp/inet=#smtp inet n - n - - smtpd"], 1, "can't start with #"),
    (["-Fe", "smtp/inet/command="], 1, "there are 7 columns"),
    (["-P", "a/b/c/d"], 1, "-P option requires service_name[/type[/parameter]]"),
    (["-PX", "submission/inet/*"], 1, "is not one parameter"),
    (["-P", "submission/inet/a b=c"], 1, "missing '=' after attribute name"),
    (["-P", "submission/inet/a=b } c"], 1, "braces of a value do not pair"),
    (["-X"], 64, "-X and -# require a name"),
    (["-MX"], 64, "-X and -# require a name"),
    (["-Me"], 64, "-e requires name=value argument"),
    (["-e", "relayhost"], 1, "missing '=' after attribute name: \"relayhost\""),
    (["-X", "relayhost=b"], 64, "specify one of -X -e"),
    (["-e", "-X", "relayhost"], 64, "specify one of -e -X"),
    (["-M", "-F"], 64, "specify one of -M -F"),
    (["-d", "-n"], 64, "specify one of -d -n"),
    (["-hH"], 64, "specify one of -h -H"),
    (["-hj"], 64, "specify one of -h -j"),
    (["-Mh"], 64, "with option -M, do not specify -h"),
    (["-Mn"], 64, "with option -M, do not specify -n"),
    (["-Md"], 64, "with option -M, do not specify -d"),
    (["-PC", "user"], 64, "with option -P, do not specify -C"),
    (["-nX", "a"], 64, "with option -X, do not specify -n"),
    (["-F", "-X", "smtp/inet/chroot"], 64, "-F goes with no -X"),
    (["-P", "-#", "smtp/inet/a"], 64, "-P goes with no -#"),
    (["-m", "x"], 64, "a list takes no names"),
    (["-C", "nosuch"], 64, "-C knows builtin, service, user and all"),
    (["-T", "compile-version"], 64, "not part of this version"),
    (["-tb"], 64, "specify one of -t -b"),
    (["-bd"], 64, "with option -b, do not specify -d"),
    (["-b", "one", "two"], 64, "one file of templates at most"),
    (["-X", "two words"], 1, "a name must be one word"),
]


@pytest.mark.parametrize("arguments, status, said", REFUSED, ids=[" ".join(a) for a, _, _ in REFUSED])
def test_what_is_wrong_is_said_and_changes_nothing(etc, arguments, status, said):
    done = postconf(etc, *arguments)
    assert (done.returncode, done.stdout) == (status, "") and said in done.stderr
    assert ((etc / "main.cf").read_text(), (etc / "master.cf").read_text()) == (MAIN, MASTER)
    assert sorted(p.name for p in etc.iterdir()) == ["main.cf", "master.cf"]


@pytest.mark.parametrize("arguments", ["-M nosuch/inet", "-F smtp/fifo/chroot", "-P submission/inet/nosuch",
                                       "-MX nosuch/inet", "-M# nosuch/inet", "-Fe nosuch/inet/chroot=n",
                                       "-Pe nosuch/inet/a=b", "-PX submission/inet/nosuch"])
def test_what_nothing_matches_is_a_warning(etc, arguments):
    done = postconf(etc, *arguments.split())
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == f'postconf: warning: unmatched request: "{arguments.split()[-1]}"\n'
    assert (etc / "master.cf").read_text() == MASTER


@pytest.mark.parametrize("line, said", [
    ("broken unix -", "there are 3 columns"), ("x unix - - n - - smtp -o", "-o has no value"),
    ("x unix - - n - - smtp { a", "a closing } is missing"), ("x unix - - n - - smtp -o a", 'has no =')])
@pytest.mark.parametrize("arguments", ["-M", "-P", "-F smtp", "-Fe smtp/inet/chroot=n", "-MX smtp/inet"])
def test_a_broken_line_of_master_cf_is_named_and_nothing_is_changed(etc, line, said, arguments):
    (etc / "master.cf").write_text(MASTER + line + "\n")
    done = postconf(etc, *arguments.split())
    assert (done.returncode, done.stdout) == (1, "")
    assert f"{etc}/master.cf, line {MASTER.count(chr(10)) + 1}: " in done.stderr and said in done.stderr
    assert (etc / "master.cf").read_text() == MASTER + line + "\n"


def test_a_wrong_column_can_be_put_right(etc):
    (etc / "master.cf").write_text("smtp inet n - q - - smtpd\nbad inet n - q - - smtpd\n")
    assert postconf(etc, "-Fe", "smtp/inet/chroot=n").returncode == 0
    assert postconf(etc, "-Fh", "*/*/chroot").stdout == "n\nq\n"


def test_master_cf_is_shown_whatever_main_cf_is(etc):
    (etc / "main.cf").write_text("nonsense\n")
    assert postconf(etc, "-M", "smtp").stdout == ROW_SMTP + "\n"
    assert postconf(etc, "-Mx", "smtp").returncode == 1
    (etc / "main.cf").unlink()
    assert postconf(etc, "-M", "smtp").stdout == ROW_SMTP + "\n"


def test_a_main_cf_that_cannot_be_read_can_still_be_edited(etc):
    (etc / "main.cf").write_text("nonsense\nrelayhost = a\n")
    assert postconf(etc, "-e", "relayhost=b").returncode == 0
    assert (etc / "main.cf").read_text() == "nonsense\nrelayhost = b\n"


@pytest.mark.parametrize("option", ["-M", "-n", "-Me"])
def test_a_missing_file_is_said(tmp_path, option):
    done = postconf(tmp_path, option, *(["a/unix=a unix - - n - - b"] if option == "-Me" else []))
    assert done.returncode == 1 and "No such file" in done.stderr


def test_a_name_that_only_master_cf_uses_is_no_unused_parameter(etc):
    assert "unused parameter" not in postconf(etc, "-n").stderr
    (etc / "main.cf").write_text(MAIN + "other_list = x\n")
    assert "unused parameter: other_list=x" in postconf(etc, "-n").stderr
    assert postconf(etc, "-nq").stderr == ""


def test_every_line_of_json_is_an_object(etc):
    (etc / "main.cf").write_text(MAIN + 'mail_name = a "b" \\ \x01 c\n')
    for arguments in (["-j"], ["-nj"], ["-dj"], ["-Mj"], ["-Fj"], ["-Pj"]):
        done = postconf(etc, *arguments, "-q") if arguments != ["-dj"] else postconf(etc, *arguments)
        assert [json.loads(line) for line in done.stdout.splitlines()]
    assert json.loads(postconf(etc, "-j", "mail_name").stdout)["value"] == 'a "b" \\ ? c'


def test_folded_lines_say_the_same(etc):
    plain, folded = (postconf(etc, o, "-q").stdout for o in ("-n", "-nf"))
    assert max(map(len, folded.splitlines())) <= 80 < max(map(len, plain.splitlines()))
    assert re.sub(r"\n    ", " ", folded) == plain


def test_a_folded_line_never_becomes_a_comment(etc):
    assert postconf(etc, "-M", "x/unix=x unix - - n - - spawn -o a=b #c " + "d" * 60 + " #e").returncode == 0
    assert postconf(etc, "-Fh", "x/unix/command").stdout == "spawn -o a=b #c " + "d" * 60 + " #e\n"


def test_edits_at_the_same_time_are_all_kept(etc):
    editors = [subprocess.Popen([BIN / "postconf", "-c", etc, *arguments], stderr=subprocess.PIPE) for n in range(12)
               for arguments in (["-P", f"smtp/inet/p{n}={n}"], ["-Me", f"s{n}/unix=s{n} unix - - n - - error"],
                                 ["-e", f"q{n}={n}"])]
    assert [e.wait(60) for e in editors] == [0] * 36
    for e in editors:
        e.stderr.close()
    assert len(postconf(etc, "-P", "smtp").stdout.splitlines()) == 12
    assert len(postconf(etc, "-M").stdout.splitlines()) == 6 + 12
    assert len(postconf(etc, "-nqC", "user").stdout.splitlines()) == 1 + 12
    assert sorted(p.name for p in etc.iterdir()) == ["main.cf", "master.cf"]


def test_a_reader_never_sees_half_a_file(etc):
    editor = subprocess.Popen(["/bin/sh", "-c", "for i in 1 2 3 4 5 6 7 8 9 10; do "
                               f"{BIN}/postconf -c {etc} -P submission/inet/n=$i || exit 1; done"])
    while editor.poll() is None:
        text = (etc / "master.cf").read_text()
        assert text.startswith("# head\n") and text.endswith("# tail\n")
    assert editor.returncode == 0


def test_a_link_its_file_and_its_mode_are_kept(etc):
    (etc / "real").mkdir()
    (etc / "master.cf").rename(etc / "real" / "m")
    (etc / "real" / "m").chmod(0o640)
    (etc / "master.cf").symlink_to("real/m")
    assert postconf(etc, "-Fe", "smtp/inet/chroot=n").returncode == 0
    assert (etc / "master.cf").is_symlink()
    assert stat.S_IMODE((etc / "real" / "m").stat().st_mode) == 0o640


@needs_root
def test_the_owner_is_kept(etc):
    nobody = pwd.getpwnam("nobody")
    os.chown(etc / "master.cf", nobody.pw_uid, nobody.pw_gid)
    assert postconf(etc, "-MX", "smtp/inet").returncode == 0
    assert (etc / "master.cf").stat().st_uid == nobody.pw_uid


def test_windows_line_ends_and_a_missing_last_one_are_taken(etc):
    (etc / "master.cf").write_bytes(MASTER.replace("\n", "\r\n").encode() + b"last unix - - n - - error")
    assert postconf(etc, "-F", "last/unix/command").stdout == "last/unix/command = error\n"
    assert postconf(etc, "-M", "new/unix=new unix - - n - 0 cleanup").returncode == 0
    assert (etc / "master.cf").read_bytes().endswith(b"last unix - - n - - error\n" + NEW.encode())


# --- beside Debian's Postfix ------------------------------------------------------------------------

PLAIN = re.sub(r"^(#.*)?\n", "", MASTER, flags=re.M) + "averyverylongservice unix - - - 300? 0 spawn -v -o c=d h i\n"
PLAIN_MAIN = "compatibility_level = 3.6\nshlib_directory = no\n" + re.sub(r"^#.*\n", "", MAIN, flags=re.M)
SAME = [["-M"], ["-Mf"], ["-Mx"], ["-F"], ["-FH"], ["-Ff"], ["-P"], ["-Ph"], ["-PH"], ["-Px"], ["-Pf"],
        ["-nf", "relayhost", "mydestination", "smtpd_relay_restrictions"], ["-h", "relayhost"], ["-H", "relayhost"],
        ["-nC", "user"], ["-M", "*/unix"], ["-F", "*/*/chroot=n"], ["-MX", "*/unix"], ["-M#", "*/inet"],
        *[arguments for arguments, _, _ in CHANGED if not any("a, b" in a for a in arguments)],
        *[arguments for arguments, _, _ in MAIN_CHANGED if arguments != ["relayhost="]]]


@pytest.mark.parametrize("arguments", SAME, ids=" ".join)
def test_it_is_as_postfix_does_it(peer, tmp_path, arguments):
    results = []
    for run in (lambda *a: peer.run("postconf", *a), lambda *a: postconf(tmp_path, *a[2:])):
        (tmp_path / "main.cf").write_text(PLAIN_MAIN)
        (tmp_path / "master.cf").write_text(PLAIN)
        done = run("-c", tmp_path, *arguments)
        results.append((done.returncode, done.stdout, (tmp_path / "main.cf").read_text(),
                        (tmp_path / "master.cf").read_text()))
    assert results[0] == results[1]


def test_words_of_notices(etc):
    """What is shown as templates can be used as such; what is wrong there is said with its place."""
    templates = postconf(etc, "-t").stdout
    assert re.findall(r"(?m)^(\w+) = <<EOF\nCharset: us-ascii\nFrom: Mail", templates) == [
        f"{kind}_template" for kind in ("failure", "delay", "success", "verify")]
    assert templates.count("This is the mail system at host $myhostname.") == 4
    (etc / "words").write_text(templates.replace("Your message did", "Dear sender,\nin $delay_warning_time_minutes min it did"))
    postconf(etc, "-e", "bounce_template_file=words", "myhostname=mx.example", "delay_warning_time=1h")
    shown = postconf(etc, "-b")
    assert shown.stderr == ""
    assert shown.stdout.startswith("expanded_failure_text = <<EOF\nThis is the mail system at host mx.example.\n\n"
                                   "Dear sender,\nin 60 min it did not reach")
    assert "\nEOF\n\nexpanded_delay_text = <<EOF\n" in shown.stdout
    assert "It has waited for 1 hour(s)" in shown.stdout and "$" not in shown.stdout
    assert postconf(etc, "-t").stdout == (etc / "words").read_text()
    assert postconf(etc, "-t", "").stdout == templates
    bad = etc / "bad"
    bad.write_text("delay_template = <<E\n\n$nosuch\nE\nsuccess_template = <<E\nX-Mine: y\n\ntext\nE\n")
    shown = postconf(etc, "-b", bad)
    assert "Dear" not in shown.stdout and shown.stdout.count("mail system at host mx.example") == 4
    assert shown.stderr.splitlines() == [
        f'postconf: warning: {bad}, line 1: there is no parameter "nosuch"; the built-in text is used',
        f"postconf: warning: {bad}, line 6: Charset:, From:, Subject:, Postmaster-Subject: or an empty line is "
        'expected: "X-Mine: y"; the built-in text is used']
    assert "No such file" in postconf(etc, "-t", "/no/such/file").stderr
    for path in (etc / "words", bad):
        path.unlink()
