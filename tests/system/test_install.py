# SPDX-License-Identifier: ISC
"""make install and uninstall: everything has its place, nothing of others is touched, nothing is left; and as
root a whole system is installed, started, used and taken away inside a mount namespace of its own."""
import os
import pathlib
import re
import shutil
import signal
import socket
import stat
import subprocess

import pytest
from conftest import BIN, PATIENCE, needs_root

TOP = pathlib.Path(__file__).resolve().parents[2]
DOCS = TOP / "docs"
COMMANDS = {p.name for p in BIN.iterdir() if not p.is_symlink() and (DOCS / f"{p.name}.1").exists()}
SERVICES = {p.name for p in BIN.iterdir() if not p.is_symlink()} - COMMANDS
CONFIGURATION = {"/etc/gatepost/main.cf", "/etc/gatepost/master.cf", "/etc/aliases"}


def make(goal, root, *variables, check=True):
    """What was built is installed as it is."""
    done = subprocess.run(["make", "-C", TOP, "-o", "all", f"BUILD={BIN.parent}", goal, f"DESTDIR={root}", *variables],
                          capture_output=True, text=True, timeout=PATIENCE)
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done


def files(root):
    """Name to stat of all that is no directory, as seen from root."""
    return {"/" + str(p.relative_to(root)): p.lstat() for p in root.rglob("*") if p.is_symlink() or p.is_file()}


@pytest.fixture
def root(tmp_path):
    return tmp_path / "root"


def test_every_program_and_page_has_its_place_and_mode(root):
    make("install", root)
    there = files(root)
    programs = {f"/usr/sbin/{c}" for c in COMMANDS} | {f"/usr/lib/gatepost/{s}" for s in SERVICES}
    pages = {f"/usr/share/man/man{p.suffix[1:]}/{p.name}" for p in DOCS.glob("*.[1-8]")}
    assert programs | pages | CONFIGURATION <= there.keys()
    links = {name: os.readlink(root / name[1:]) for name, about in there.items() if stat.S_ISLNK(about.st_mode)}
    assert links.pop("/usr/sbin/postfix") == "gatepost"
    assert links.pop("/usr/bin/newaliases") == "../sbin/newaliases"
    assert links.keys() <= {"/usr/bin/mailq", "/usr/lib/sendmail", "/usr/share/man/man1/mailq.1",
                            "/usr/share/man/man1/postfix.1"}
    for name, about in there.items():
        mode = stat.S_IMODE(about.st_mode)
        if name in links or stat.S_ISLNK(about.st_mode):
            assert (root / name[1:]).exists(), name
        elif name == "/usr/sbin/postdrop":
            assert mode in (0o755, 0o2755)
        else:
            assert mode == (0o755 if name in programs else 0o644), name
    assert {stat.S_IMODE(p.stat().st_mode) for p in root.rglob("*") if p.is_dir()} == {0o755}
    rest = there.keys() - programs - pages - CONFIGURATION - {n for n in there if (root / n[1:]).is_symlink()}
    assert rest == {"/usr/lib/systemd/system/gatepost.service", "/usr/lib/sysusers.d/gatepost.conf",
                    *(f"/usr/share/gatepost/{f}" for f in ("main.cf", "master.cf", "aliases", "installed"))}
    assert (root / "var/spool/gatepost").is_dir()


def test_every_installed_program_has_an_installed_page(root):
    make("install", root)
    pages = {p.name.rsplit(".", 1)[0] for p in (root / "usr/share/man").glob("man[18]/*")}
    for folder in ("usr/sbin", "usr/bin", "usr/lib/gatepost"):
        assert {p.name for p in (root / folder).iterdir()} <= pages
    assert "hopcount_limit" in (root / "usr/share/man/man5/main.cf.5").read_text()


def test_uninstall_leaves_configuration_and_queue_and_nothing_else(root):
    make("install", root)
    (root / "etc/gatepost/main.cf").write_text("# mine\n")
    assert "stay" in make("uninstall", root).stdout
    assert files(root).keys() == CONFIGURATION
    assert not (root / "usr").exists() and (root / "var/spool/gatepost").is_dir()
    assert (root / "etc/gatepost/main.cf").read_text() == "# mine\n"


def test_uninstall_leaves_what_others_put_beside_it(root):
    other = root / "usr/lib/gatepost/other"
    other.parent.mkdir(parents=True)
    other.write_text("")
    make("install", root)
    make("uninstall", root)
    assert files(root).keys() == CONFIGURATION | {"/usr/lib/gatepost/other"}


def test_uninstall_without_an_installation_is_an_error(root):
    done = make("uninstall", root, check=False)
    assert done.returncode != 0 and "nothing of Gatepost is installed there" in done.stderr


@pytest.mark.parametrize("name", sorted(CONFIGURATION))
def test_configuration_that_is_there_is_kept(root, name):
    path = root / name[1:]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("# mine\n")
    assert f"{name} is kept as it is; a new one is /usr/share/gatepost/{path.name}" in make("install", root).stdout
    assert path.read_text() == "# mine\n"


def test_an_upgrade_takes_away_what_is_no_longer_there_and_no_more(root):
    make("install", root)
    before = files(root).keys()
    old = root / "usr/lib/gatepost/old-program"
    old.write_text("")
    listed = root / "usr/share/gatepost/installed"
    listed.write_text(listed.read_text() + "/usr/lib/gatepost/old-program\n")
    make("install", root)
    assert files(root).keys() == before
    make("uninstall", root)
    assert not (root / "usr").exists()


def test_a_file_of_somebody_else_is_not_overwritten(root):
    other = root / "usr/sbin/postconf"
    other.parent.mkdir(parents=True)
    other.write_text("of Postfix\n")
    done = make("install", root, check=False)
    assert done.returncode != 0 and "usr/sbin/postconf is there, and not of Gatepost" in done.stderr
    assert files(root).keys() == {"/usr/sbin/postconf"} and other.read_text() == "of Postfix\n"
    make("install", root, "FORCE=1")
    assert other.stat().st_size > 1000


def test_directories_that_are_one_hold_no_link_to_itself(root):
    """As in systems where /usr/sbin is a link to /usr/bin."""
    (root / "usr/bin").mkdir(parents=True)
    (root / "usr/sbin").symlink_to("bin")
    make("install", root)
    assert not (root / "usr/bin/newaliases").is_symlink()
    assert os.access(root / "usr/bin/newaliases", os.X_OK)


def test_a_tree_that_was_moved_makes_and_runs_an_instance(root, tmp_path):
    """Programs are found from the command that is called."""
    make("install", root)
    command = root / "usr/sbin/gatepost"
    home = pathlib.Path(subprocess.run(["mktemp", "-d", "/tmp/gatepost-test-XXXXXX"], check=True, capture_output=True,
                                       text=True).stdout.strip())
    try:
        shutil.copytree(root, home / "root", symlinks=True)
        home.chmod(0o755)
        command = home / "root/usr/sbin/gatepost"
        subprocess.run([command, "init", home / "i"], check=True, capture_output=True, timeout=PATIENCE)
        etc = home / "i/etc"
        assert f"daemon_directory = {home}/root/usr/lib/gatepost\n" in (etc / "main.cf").read_text()
        subprocess.run([command, "-c", etc, "check"], check=True, timeout=PATIENCE)
    finally:
        shutil.rmtree(home)


UNIT = (TOP / "conf/gatepost.service").read_text()


def test_the_unit_says_what_systemd_and_fail2ban_need(root):
    # Not by make: that would build the programs anew for these places.
    places = {"sbindir": "/opt/x/sbin", "bindir": "/opt/x/bin", "libdir": "/opt/x/lib", "mandir": "/opt/x/man",
              "daemondir": "/opt/x/lib/gatepost", "datadir": "/opt/x/share", "sysconfdir": "/opt/etc",
              "confdir": "/opt/etc/gatepost", "queuedir": "/opt/queue", "unitdir": "/etc/systemd/system",
              "sysusersdir": "/etc/sysusers.d", "commands": "gatepost", "services": "master", "second_names": "postfix"}
    subprocess.run([TOP / "scripts/install"], cwd=TOP, check=True, capture_output=True, timeout=PATIENCE,
                   env={**os.environ, **places, "DESTDIR": str(root), "FORCE": "", "build": str(BIN.parent)})
    unit = (root / "etc/systemd/system/gatepost.service").read_text()
    assert "\nExecStart=/opt/x/sbin/gatepost -c /opt/etc/gatepost start-fg\n" in unit
    assert "\nExecReload=/opt/x/sbin/gatepost -c /opt/etc/gatepost reload\n" in unit
    assert "\nType=notify\n" in unit and "\nAlias=postfix.service\n" in unit
    assert "hash:/opt/etc/aliases" in (root / "opt/etc/gatepost/main.cf").read_text()


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_systemd_understands_the_unit(tmp_path):
    unit = tmp_path / "gatepost.service"
    unit.write_text(UNIT.replace("/usr/sbin/gatepost", str(BIN / "gatepost")))
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True,
                          timeout=PATIENCE)
    assert "gatepost.service" not in done.stderr, done.stderr


@pytest.mark.skipif(shutil.which("systemd-sysusers") is None, reason="needs systemd-sysusers")
def test_systemd_makes_our_users(tmp_path):
    done = subprocess.run(["systemd-sysusers", "--dry-run", f"--root={tmp_path}", "-"], capture_output=True, text=True,
                          input=(TOP / "conf/gatepost.sysusers").read_text(), timeout=PATIENCE)
    assert done.returncode == 0, done.stderr
    for name in ("user 'gatepost'", "user 'gatepostq'", "user 'gatepostk'", "group 'gatepostdrop'"):
        assert f"Creating {name}" in done.stdout + done.stderr


# --- what the init system hears ---------------------------------------------------------------------

class Init:
    """Reads what master sends, as systemd would."""

    def __init__(self, name):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(name)
        self.socket.settimeout(PATIENCE)

    def hear(self):
        return dict(line.split("=", 1) for line in self.socket.recv(4096).decode().split("\n"))


@pytest.mark.parametrize("abstract", [False, True], ids=["path", "abstract"])
def test_the_init_system_hears_of_start_reload_and_stop(make_instance, workspace, abstract):
    instance = make_instance()
    name = f"@gatepost-{os.getpid()}" if abstract else str(workspace / "notify")
    init = Init(name.replace("@", "\0"))
    master = subprocess.Popen([BIN / "gatepost", "-c", instance.etc, "start-fg"],
                              env=dict(os.environ, NOTIFY_SOCKET=name))
    try:
        ready = init.hear()
        assert (ready["READY"], ready["MAINPID"]) == ("1", str(master.pid))
        instance.deliver()
        instance.gatepost("reload")
        reloading = init.hear()
        assert reloading["RELOADING"] == "1" and int(reloading["MONOTONIC_USEC"]) > 0
        assert init.hear()["READY"] == "1"
        with open(instance.etc / "main.cf", "a") as main_cf:
            main_cf.write("nonsense\n")
        master.send_signal(signal.SIGHUP)
        assert "RELOADING" in init.hear() and "READY" in init.hear()
        master.terminate()
        assert init.hear()["STOPPING"] == "1"
        assert master.wait(PATIENCE) == 0
    finally:
        master.kill()
        master.wait()


@pytest.mark.parametrize("name", ["relative", "/no/such/socket", "/" + "x" * 200])
def test_an_init_system_that_is_not_there_does_no_harm(make_instance, name):
    instance = make_instance()
    done = subprocess.run([BIN / "gatepost", "-c", instance.etc, "start"], env=dict(os.environ, NOTIFY_SOCKET=name),
                          capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0 and "the init system hears nothing" in done.stderr


def test_services_do_not_inherit_the_socket(make_instance, workspace):
    instance = make_instance()
    init = Init(str(workspace / "notify"))
    subprocess.run([BIN / "gatepost", "-c", instance.etc, "start"], check=True, timeout=PATIENCE,
                   env=dict(os.environ, NOTIFY_SOCKET=str(workspace / "notify")), stdout=subprocess.DEVNULL)
    init.hear()
    for name, pid in instance.processes()[1:]:
        if os.geteuid() == 0:
            assert b"NOTIFY" not in pathlib.Path(f"/proc/{pid}/environ").read_bytes(), name


# --- a whole system ---------------------------------------------------------------------------------

# Everything that an installation writes to lies on file systems that end with the namespace.
WHOLE = r"""
set -eu
top=$1 build=$2 scratch=$3
mount --make-rprivate /
mount -t tmpfs tmpfs "$scratch"
mkdir "$scratch/up" "$scratch/work" "$scratch/etc"
cp -a /etc/. "$scratch/etc"
mount -t overlay overlay -o "lowerdir=/usr,upperdir=$scratch/up,workdir=$scratch/work" /usr || exit 77
mount --bind "$scratch/etc" /etc
for d in /var/spool /var/mail /var/log /home; do mount -t tmpfs -o mode=1777 tmpfs $d; done
ip link set lo up
hostname mail.example.com
sed -i /gatepost/d /etc/passwd /etc/group /etc/shadow /etc/gshadow
rm -rf /etc/aliases /etc/aliases.db /etc/gatepost
useradd --create-home alice
PATH=/usr/sbin:/usr/bin:/sbin:/bin

make -C "$top" -o all BUILD="$build" install
ls -l /etc/aliases.db >/dev/null
id gatepost && id gatepostq && id gatepostk && getent group gatepostdrop
[ ! -e /usr/sbin/postdrop ] || [ "$(stat -c %a:%G /usr/sbin/postdrop)" = 2755:gatepostdrop ]
gatepost check
postconf -e maillog_file=/var/log/maillog
gatepost start
python3 - <<'END'
import smtplib, time
with smtplib.SMTP("127.0.0.1", 25, timeout=60) as client:
    client.sendmail("a@example.com", ["alice@mail.example.com", "postmaster@localhost"], "Subject: whole\r\n\r\nx\r\n")
    assert client.docmd("MAIL FROM:<a@example.com>")[0] == 250
with smtplib.SMTP("127.0.0.1", 25, source_address=("127.0.0.1", 0), timeout=60) as client:
    client.ehlo()
    client.mail("a@example.com")
    assert client.rcpt("x@mail.example.com")[0] == 550
end = time.monotonic() + 60
def mailbox(name):
    try:
        return open("/var/mail/" + name).read()
    except OSError:
        return ""
while "Subject: whole" not in mailbox("alice") or "Subject: whole" not in mailbox("root"):
    assert time.monotonic() < end, open("/var/log/maillog").read()
    time.sleep(0.02)
END
[ "$(stat -c %U /var/mail/alice)" = alice ]
postfix reload
gatepost status
postqueue -p
postfix stop
make -C "$top" -o all BUILD="$build" uninstall
[ -z "$(find "$scratch/up" -type f -o -type l)" ]
[ -e /etc/gatepost/main.cf ] && [ -d /var/spool/gatepost/log ] && id gatepost
echo whole
"""


@needs_root
@pytest.mark.skipif(shutil.which("unshare") is None, reason="needs unshare")
def test_a_whole_system_is_installed_used_and_taken_away(tmp_path):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    done = subprocess.run(["unshare", "--mount", "--net", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc",
                           "sh", "-c", WHOLE, "sh", TOP, BIN.parent, scratch],
                          capture_output=True, text=True, timeout=3 * PATIENCE)
    if done.returncode == 77 or "unshare: " in done.stderr:
        pytest.skip(f"no namespaces with overlays here: {done.stderr}")
    assert done.returncode == 0 and done.stdout.endswith("whole\n"), done.stdout + done.stderr
    assert re.search(r"^smtp +inet .* uid chroot no_new_privs.* seccomp$", done.stdout, re.M)
