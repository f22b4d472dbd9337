"""What people and scripts get: tables, JSON, exit codes, one line where it fails."""

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from functools import partial
from urllib.request import urlopen

import pytest

from cli.conftest import SCRIPT
from ehpc_nodes import __version__, lookup
from ehpc_nodes.cli.follow import Outage, follow
from ehpc_nodes.emulator.tasks import release
from ehpc_nodes.errors import CertificateError, NotSentError
from ehpc_nodes.testing.worlds import CLUSTER, ids, iid


def table(text):
    """The cells of a plain table: columns are two blanks apart."""
    header, *lines = text.splitlines()
    starts = [i for i, c in enumerate(header) if c != " " and (i == 0 or header[i - 2 : i] == "  ")]
    ends = [*starts[1:], None]
    return [
        {header[a:b].strip(): line[a:b].strip() for a, b in zip(starts, ends, strict=True)}
        for line in lines
    ]


# -- tables and JSON ------------------------------------------------------------------------------


def test_clusters(run):
    (row,) = table(run("clusters").stdout)
    assert row == {
        "CLUSTER": CLUSTER,
        "NAME": CLUSTER,
        "STATUS": "running",
        "SYSTEM": "CentOS_7.6_64",
        "SCHEDULER": "pbs",
        "VPC": "vpc-test",
        "RUNNING": "2/2",
    }


def test_queues(run, server):
    server.emulator.world.clusters[CLUSTER].queues["gpu"].auto_grow = True
    rows = table(run("queues", CLUSTER).stdout)
    assert rows == [{"QUEUE": "gpu", "AUTO-GROW": "yes"}, {"QUEUE": "workq", "AUTO-GROW": "no"}]


def test_nodes(run):
    rows = table(run("nodes", CLUSTER).stdout)
    assert [(r["INSTANCE"], r["HOST"], r["STATUS"], r["QUEUE"]) for r in rows] == [
        (iid(1), "compute1", "running", "workq"),
        (iid(2), "compute2", "running", "workq"),
    ]
    assert len(table(run("nodes", CLUSTER, "--all").stdout)) == 4
    assert run("nodes", CLUSTER, "-q", "gpu").stdout == ""


def test_images(run):
    assert len(table(run("images").stdout)) == 4
    fitting = [row["IMAGE"] for row in table(run("images", CLUSTER).stdout)]
    assert fitting == ["centos_7_06.vhd", "centos_7_02.vhd", "m-bp1own"]


def test_candidates(run, server):
    server.emulator.world.instances[iid(3)].status = "Running"
    assert [r["INSTANCE"] for r in table(run("candidates", CLUSTER).stdout)] == ids(4, 5, 6)
    assert len(table(run("candidates", CLUSTER, "--stop-running").stdout)) == 4
    reasons = {r["INSTANCE"]: r["WHY NOT"] for r in table(run("candidates", CLUSTER, "-a").stdout)}
    assert "is Running, not Stopped" in reasons[iid(3)]
    assert reasons[iid(4)] == ""
    for number in range(4, 7):
        server.emulator.world.instances[iid(number)].status = "Running"
    none = run("candidates", CLUSTER)
    told = "No candidates. Use --all to list every instance in the VPC with the reason.\n"
    assert (none.stdout, none.stderr) == ("", told)


def test_tasks(run, server):
    assert run("tasks", CLUSTER).stderr == "Nothing found.\n"
    assert json.loads(run("tasks", CLUSTER, "--json").stdout) == []
    attach(server, 3, pace={"reads": 1000})
    (row,) = table(run("tasks", CLUSTER).stdout)
    assert (row["TYPE"], row["STATUS"], row["INSTANCES"]) == ("AddComputes", "Processing", "1")


@pytest.mark.parametrize(
    ("arguments", "kind"),
    [
        (["clusters"], lookup.Cluster),
        (["queues", CLUSTER], lookup.Queue),
        (["nodes", CLUSTER], lookup.Node),
        (["images", CLUSTER], lookup.Image),
        (["tasks", CLUSTER, "--all"], lookup.Task),
        (["candidates", CLUSTER], lookup.Candidate),
    ],
)
def test_json_holds_every_field(run, server, arguments, kind):
    attach(server, 3)
    rows = json.loads(run(*arguments, "--json").stdout)
    assert rows
    assert all(set(row) == set(kind.__dataclass_fields__) for row in rows)


def attach(server, *numbers, pace=None):
    """Attach instances past the command."""
    emulator = server.emulator
    if pace:
        emulator.world.knobs = emulator.world.knobs.changed({"task_pace": pace})
    image = {"ImageId": "centos_7_06.vhd", "ImageOwnerAlias": "system"}
    named = {f"Instance.{n}.Id": i for n, i in enumerate(ids(*numbers), start=1)}
    params = {"ClusterId": CLUSTER, **image, **named}
    assert emulator.call("AddExistedNodes", "2018-04-12", params).ok


# -- options before the command -------------------------------------------------------------------


def test_common_options_may_stand_before_the_command(run):
    assert run("--json", "clusters").stdout == run("clusters", "--json").stdout
    refused = run("--region", "cn hangzhou", "clusters", code=1)
    assert refused.stderr == run("clusters", "--region", "cn hangzhou", code=1).stderr
    behind = run("--region", "cn hangzhou", "clusters", "--region", "cn-hangzhou")
    assert behind.stdout == run("clusters").stdout


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--stack", "dev", "emulator"], "emulator has no option --stack"),
        (["--json", "program", CLUSTER], "program has no option --json"),
    ],
)
def test_an_option_that_the_command_has_not_is_a_wrong_call_there_too(run, arguments, told):
    done = run(*arguments, code=2)
    assert told in done.stderr
    assert "Usage: ehpc-nodes" in done.stderr


# -- called in a wrong way, and failing -----------------------------------------------------------


@pytest.mark.parametrize("arguments", [["nodes"], ["bogus"], ["clusters", "--bogus"]])
def test_a_wrong_call_ends_with_2(run, arguments):
    done = run(*arguments, code=2)
    assert done.stdout == ""
    assert "Usage: ehpc-nodes" in done.stderr


def test_no_arguments_show_the_help(run):
    assert run(code=2).stdout == run("--help").stdout == run("-h").stdout
    assert "doctor" in run("-h").stdout


def test_the_usage_shows_an_argument_as_it_is_typed_and_what_may_be_left_out(run):
    for name in ("queues", "nodes", "tasks", "candidates", "program"):
        usage = f"Usage: ehpc-nodes {name} [OPTIONS] CLUSTER\n"
        assert usage in run(name, "--help").stdout
        assert usage in run(name, code=2).stderr
    assert "Usage: ehpc-nodes images [OPTIONS] [CLUSTER]\n" in run("images", "--help").stdout
    for name in ("emulator", "doctor"):
        assert "table" not in run(name, "--help").stdout, "it has none"


def process(environment, *command, **variables):
    """The end of a command in a process of its own, as it is installed."""
    return subprocess.run(
        command,
        env=environment | variables,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def test_version(environment):
    done = process(environment, SCRIPT, "--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"ehpc-nodes {__version__}\n", "")


def one_line(done):
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("ehpc-nodes: ")
    return line


def test_errors_are_one_line(run, server):
    assert "ClusterNotFound" in one_line(run("nodes", "ehpc-hz-none", code=1))
    none = one_line(run("clusters", code=1, ALIBABA_CLOUD_REGION_ID=""))
    assert none.startswith("ehpc-nodes: No region is set. Add --region cn-hangzhou, ")
    assert "is not a region" in one_line(run("clusters", "--region", "cn hangzhou", code=1))
    server.emulator.world.default_key.allow = ["ecs:*"]
    assert "permission ehpc:ListClusters" in one_line(run("clusters", code=1))


@pytest.mark.parametrize("arguments", [["clusters"], ["program", CLUSTER]])
def test_an_endpoint_of_another_region_is_told(run, arguments):
    """E-HPC's calls name no region: the emulator answers whatever was asked for."""
    line = one_line(run(*arguments, "--region", "cn-shanghai", code=1))
    assert "belongs to cn-hangzhou, not to cn-shanghai. Use --region cn-hangzhou, or " in line


def test_a_wrong_secret_is_told_and_not_shown(run):
    done = run("clusters", code=1, ALIBABA_CLOUD_ACCESS_KEY_SECRET="wrong-fake-secret")
    assert "SignatureDoesNotMatch" in one_line(done)
    assert "wrong-fake-secret" not in done.stderr


def test_errors_advise_what_the_command_has(run):
    """Not what a Pulumi program or run has."""
    no_key = {"ALIBABA_CLOUD_ACCESS_KEY_ID": "", "ALIBABA_CLOUD_ACCESS_KEY_SECRET": ""}
    told = [
        run("nodes", "ehpc-hz-none", code=1).stderr,
        run("candidates", CLUSTER, "--region", "cn-none", code=1).stderr,
        run("clusters", code=1, ALIBABA_CLOUD_REGION_ID="").stderr,
        run("clusters", code=1, **no_key).stderr,
        run("clusters", code=1, ALIBABA_CLOUD_ACCESS_KEY_SECRET="wrong").stderr,
        run("clusters", code=1, ALIBABA_CLOUD_ACCESS_KEY_ID="wrong").stderr,
    ]
    for text in told:
        assert re.search(r"--(region|stack)\b", text), text
        assert not re.search(r"--run-program|argument|cluster_id|pulumi config", text), text


def test_without_its_extra_it_says_what_to_install(environment):
    """As in an environment without typer: a module of that name that can't be found."""
    program = (
        "import sys; sys.modules['typer'] = None; from ehpc_nodes.cli import main; sys.exit(main())"
    )
    done = process(environment, sys.executable, "-c", program)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "ehpc-nodes needs its extra: pip install 'ehpc-nodes[cli]'\n"


def test_a_reader_that_goes_away_is_no_traceback(environment):
    assert "Traceback" not in process(environment, "sh", "-c", f"{SCRIPT} images | true").stderr


FULL, CLOSED = ("> /dev/full", "No space left on device"), (">&-", "it is closed")


@pytest.mark.parametrize(
    ("arguments", "to", "why"),
    [
        ("clusters", *FULL),
        ("clusters --watch", *FULL),
        ("clusters", *CLOSED),
    ],
)
def test_output_that_can_t_be_written_is_one_line(environment, arguments, to, why):
    done = process(environment, "sh", "-c", f"{SCRIPT} {arguments} {to}")
    assert done.returncode == 1
    assert done.stderr == f"ehpc-nodes: The output cannot be written: {why}.\n"


@pytest.mark.parametrize("name", ["nodes", "program"])
def test_an_empty_cluster_id_says_where_ids_are(run, name):
    done = run(name, "", code=2)
    assert "it is empty. `ehpc-nodes clusters` lists the cluster ids" in done.stderr


def test_ctrl_c_ends_it_with_130(environment, server):
    server.emulator.faults.add({"kind": "slow", "action": "ListClusters", "seconds": 30})
    process = subprocess.Popen(
        [SCRIPT, "clusters"], env=environment, stderr=subprocess.PIPE, text=True
    )
    until(lambda: server.emulator.journal.entries)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=100)
    assert process.returncode == 130
    assert "Traceback" not in errors


def until(condition, seconds=100.0):
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return found


@pytest.mark.parametrize("arguments", [["nodes", CLUSTER, "--watch"], ["emulator"]])
def test_ctrl_c_while_it_starts_ends_it_with_130(environment, tmp_path, arguments):
    """Its libraries take most of a second to load; here the key is struck within."""
    (tmp_path / "typer.py").write_text("raise KeyboardInterrupt")
    done = process(environment, SCRIPT, *arguments, PYTHONPATH=str(tmp_path))
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


# -- completion -----------------------------------------------------------------------------------


def test_the_shell_completes_commands_and_clusters(run):
    names = completed(run, "ehpc-nodes c")
    assert names == ["clusters", "candidates"]
    assert completed(run, "ehpc-nodes nodes ehpc") == [CLUSTER]
    assert completed(run, "ehpc-nodes nodes ehpc", ALIBABA_CLOUD_ACCESS_KEY_ID="fake") == []


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_complete_too(run, shell):
    """Asked for by the variable: `--show-completion` looks for a shell among the processes above."""
    script = run(_EHPC_NODES_COMPLETE=f"source_{shell}").stdout
    assert f"_EHPC_NODES_COMPLETE=complete_{shell}" in script

    def offered(line):
        asked = {"_TYPER_COMPLETE_ARGS": line, "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
        return run(_EHPC_NODES_COMPLETE=f"complete_{shell}", **asked).stdout

    names = offered("ehpc-nodes c")
    assert all(name in names for name in ("clusters", "candidates"))
    assert "nodes" not in names
    assert CLUSTER in offered("ehpc-nodes nodes ehpc")


@pytest.mark.parametrize(
    "line", ["ehpc-nodes nodes {} ehpc", "ehpc-nodes {} nodes ehpc", "ehpc-nodes images {} ehpc"]
)
def test_completion_goes_by_the_region_that_is_typed(run, line):
    """The environment names none."""
    assert completed(run, line.format(""), ALIBABA_CLOUD_REGION_ID="") == []
    typed = completed(run, line.format("--region cn-hangzhou"), ALIBABA_CLOUD_REGION_ID="")
    assert typed == [CLUSTER]


def completed(run, line, **variables):
    words = {"COMP_WORDS": line, "COMP_CWORD": str(len(line.split()) - 1)}
    done = run(_EHPC_NODES_COMPLETE="complete_bash", **words, **variables)
    assert done.stderr == ""
    return done.stdout.split()


# -- terminals, pipes and watching ----------------------------------------------------------------


#: Makes the terminal on stdin the one that the program's Ctrl-C comes from, as a shell does.
ON_ITS_TERMINAL = """
import fcntl, os, sys, termios
os.setsid()
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""


#: A terminal of 100 columns.
SIZED = {"TERM": "xterm-256color", "COLUMNS": "100", "LINES": "40"}


class Terminal:
    """The command on a pseudo terminal, in a process of its own."""

    def __init__(self, environment, *arguments, **variables):
        self.own, theirs = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-c", ON_ITS_TERMINAL, SCRIPT, *arguments],
            env=environment | SIZED | variables,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
        )
        os.close(theirs)
        self.text = ""

    def read(self):
        """What is there by now."""
        while select.select([self.own], [], [], 0.05)[0]:
            try:
                got = os.read(self.own, 65536)
            except OSError:  # the other end is closed
                break
            if not got:
                break
            self.text += got.decode()
        return self.text

    def strike(self, key):
        os.write(self.own, key.encode())

    def end(self, number=None):
        if number:
            self.process.send_signal(number)
        until(lambda: (self.read(), self.process.poll() is not None)[1])
        self.read()
        os.close(self.own)
        return self.process.returncode


def test_colours_on_a_terminal_only(environment, run):
    terminal = Terminal(environment, "nodes", CLUSTER)
    assert terminal.end() == 0
    assert "\x1b[32mrunning" in terminal.text
    assert "\x1b[3" not in run("nodes", CLUSTER, terminal=True, **SIZED, NO_COLOR="1").stdout
    assert "\x1b" not in run("nodes", CLUSTER).stdout


COLOURS = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")
TABLES = [["clusters"], ["nodes", CLUSTER], ["images"], ["candidates", CLUSTER, "--all"]]


@pytest.mark.parametrize("columns", [100, 80, 40])
@pytest.mark.parametrize("arguments", TABLES)
def test_words_stay_whole_on_a_terminal(run, server, arguments, columns):
    """Headings too, and no line is longer than the terminal, which would break it anywhere."""
    world = server.emulator.world
    world.instances[iid(3)].status = "Running"
    world.node(iid(1)).host_name = "compute-of-another-group-of-us"
    world.images["centos_7_06.vhd"].name = "centos_7_06_of_other_group"
    shown = run(*arguments, terminal=True, **SIZED | {"COLUMNS": str(columns)}).stdout
    lines = COLOURS.sub("", shown).splitlines()
    assert max(map(len, lines)) <= columns
    assert set(run(*arguments).stdout.split()) == set(" ".join(lines).split())


def test_a_terminal_that_is_too_narrow_for_a_table_gets_a_block_a_row(run):
    narrow = SIZED | {"COLUMNS": "40", "NO_COLOR": "1"}
    shown = run("nodes", CLUSTER, terminal=True, **narrow).stdout
    first, second = COLOURS.sub("", shown).strip().split("\n\n")
    assert [line.split() for line in first.splitlines()][:3] == [
        ["INSTANCE", iid(1)],
        ["HOST", "compute1"],
        ["STATUS", "running"],
    ]
    assert second.split()[:2] == ["INSTANCE", iid(2)]


def test_nothing_is_cut_in_a_pipe(run, server):
    server.emulator.world.clusters[CLUSTER].name = "n" * 300
    (row,) = table(run("clusters", COLUMNS="40").stdout)
    assert row["NAME"] == "n" * 300


def test_a_terminal_that_knows_ascii_only(run, server):
    server.emulator.world.clusters[CLUSTER].name = "集群"
    assert f"{CLUSTER}  ??  " in run("clusters", PYTHONIOENCODING="ascii").stdout
    assert (
        json.loads(run("clusters", "--json", PYTHONIOENCODING="ascii").stdout)[0]["name"] == "集群"
    )
    run("--help", PYTHONIOENCODING="ascii")


def test_what_the_service_sends_can_t_steer_the_terminal(run, server):
    server.emulator.world.clusters[CLUSTER].name = "\x1b[2J[red]x[/red]\nq"
    out = run("clusters").stdout
    assert "\x1b" not in out
    assert "[red]x[/red] q" in out
    assert len(out.splitlines()) == 2


def test_watching_on_a_terminal_shows_bars_that_move(environment, server):
    attach(server, 3, pace={"reads": 12})
    terminal = Terminal(environment, "tasks", CLUSTER, "--watch", "--interval", "0.1")
    until(lambda: "Success" in terminal.read())
    assert "Processing" in terminal.text
    assert "━" in terminal.text
    assert terminal.end(signal.SIGINT) == 0
    assert "Traceback" not in terminal.text


@pytest.mark.parametrize("arguments", [[], pytest.param(["--json"], marks=pytest.mark.long)])
def test_the_key_ctrl_c_ends_watching_with_0(environment, server, arguments):
    """Struck on the terminal that the command has, and during a look: not a signal from somewhere."""
    terminal = Terminal(environment, "nodes", CLUSTER, "--watch", *arguments, "--interval", "0.1")
    until(lambda: "compute2" in terminal.read())
    server.emulator.faults.add({"kind": "slow", "action": "ListNodes", "seconds": 30})
    looks = len(server.emulator.journal.of("ListNodes"))
    until(lambda: len(server.emulator.journal.of("ListNodes")) > looks)
    terminal.strike("\x03")
    assert terminal.end() == 0
    assert "Traceback" not in terminal.text
    if not arguments:
        assert terminal.text.rstrip().endswith("\x1b[?25h"), "the cursor stays hidden"


def nothing():
    """Between two looks."""


def test_watching_clusters_shows_how_many_of_their_nodes_run(watch):
    shown = watch("clusters", between=[nothing], terminal=True, **SIZED).stdout
    assert "2/2" in shown
    assert "━" * 20 in shown


def test_watching_nodes_counts_those_that_run(watch, server):
    attach(server, 3, pace="held")
    all_end = partial(release, server.emulator.state, "all")
    shown = watch("nodes", CLUSTER, between=[all_end], terminal=True, **SIZED).stdout
    assert shown.index("2/3 running") < shown.index("3/3 running")


def test_watching_in_a_pipe_prints_changes_only(watch, server):
    def broken():
        server.emulator.world.node(iid(2)).status = "exception"

    done = watch("nodes", CLUSTER, between=[nothing, nothing, broken, nothing])
    assert done.stderr == ""
    first, second = (table(part) for part in done.stdout.split("\n\n"))
    assert [row["STATUS"] for row in first] == ["running", "running"]
    assert [row["STATUS"] for row in second] == ["running", "exception"]


def test_watching_as_json_is_a_line_a_change(watch, server):
    between = [lambda: attach(server, 3, pace={"reads": 6}), *[nothing] * 10]
    done = watch("tasks", CLUSTER, "--json", between=between, others_write=True)
    first, *lines = done.stdout.splitlines()
    assert json.loads(first) == []
    steps = [(task["step"], task["status"]) for (task,) in map(json.loads, lines)]
    assert steps == sorted(set(steps))
    assert steps[-1][1] == "Success"
    assert steps[0][1] == "Processing"


BROKEN = {"kind": "error", "code": "ServiceUnavailable", "times": None}


def test_watching_goes_on_while_no_answer_comes(environment, server):
    """The picture stays, with one line below it."""
    terminal = Terminal(environment, "nodes", CLUSTER, "--watch", "--interval", "0.1")
    until(lambda: "2/2 running" in terminal.read())
    server.emulator.faults.add(BROKEN)
    until(lambda: "no answer since " in terminal.read())
    terminal.text = ""
    looks = len(server.emulator.journal.entries)
    until(lambda: (terminal.read(), len(server.emulator.journal.entries) > looks + 3)[1])
    assert "trying again" not in terminal.text
    assert "2/2 running" in terminal.text
    since = set(re.findall(r"no answer since ([0-9:]{8}): \w+: ServiceUnav", terminal.text))
    assert len(since) == 1
    server.emulator.faults.clear()
    until(lambda: terminal.read().rpartition("no answer")[2].count("2/2 running") > 1)
    assert terminal.end(signal.SIGINT) == 0


def test_watching_ends_where_waiting_mends_nothing(watch, server):
    gone = {**BROKEN, "code": "ClusterNotFound", "status": 404}
    fault = partial(server.emulator.faults.add, gone)
    errors = watch("nodes", CLUSTER, between=[nothing, fault], code=1).stderr
    assert "ClusterNotFound" in errors
    assert len(errors.splitlines()) == 1


def look_at(answers):
    """A look that gives these answers, one after the other."""
    coming = iter(answers)

    def look():
        answer = next(coming)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    return look


@pytest.mark.parametrize("as_json", [False, True])
def test_watching_in_a_pipe_says_when_answers_cease_and_come_again(capsys, as_json):
    lost = NotSentError("ListQueues", "no connection to fake")
    rows = [lookup.Queue("workq", False)]
    answers = [rows, lost, lost, rows, lost, KeyboardInterrupt()]
    follow(look_at(answers), lookup.Queue, Outage(), as_json=as_json, seconds=0)
    out, errors = capsys.readouterr()
    assert len(out.splitlines()) == (1 if as_json else 2), "the rows are the same throughout"
    first, second, third = errors.splitlines()
    told = r"ehpc-nodes: no answer since [0-9:]{8}: ListQueues: no usable answer: no connection to fake"
    assert re.fullmatch(told, first)
    assert re.fullmatch(r"ehpc-nodes: answered again at [0-9:]{8}", second)
    assert re.fullmatch(told, third)


@pytest.mark.parametrize(
    "answers",
    [[NotSentError("A", "b")], [CertificateError("A", "b")], [[], CertificateError("A", "b")]],
    ids=["never seen", "never trusted", "not trusted any more"],
)
def test_watching_fails_where_nothing_was_seen_or_waiting_mends_nothing(answers):
    with pytest.raises(type(answers[-1])):
        follow(look_at(answers), lookup.Queue, Outage(), as_json=True, seconds=0)


def test_why_it_tries_again_is_said_on_a_terminal_only(run, server):
    for terminal in (True, False):
        server.emulator.faults.add({"kind": "throttle", "action": "ListClusters"})
        told = "trying again: ListClusters: Throttling.User"
        assert (told in run("clusters", terminal=terminal, **SIZED).stderr) is terminal


# -- the emulator ---------------------------------------------------------------------------------


def test_the_emulator_says_how_to_reach_it_and_does_what_it_says(run, environment):
    process = subprocess.Popen(
        [SCRIPT, "emulator"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout
        lines = [process.stdout.readline() for _ in range(9)]
        exports = dict(line.split()[1].split("=", 1) for line in lines if "export" in line)
        assert "ehpc-hz-demo" in run("clusters", **exports).stdout
        page = lines[1].split()[-1]
        with urlopen(page) as answer:
            assert answer.status == 200
    finally:
        process.send_signal(signal.SIGINT)
        rest = process.communicate(timeout=100)
    assert (process.returncode, rest) == (0, ("", ""))


def test_the_emulator_s_world_may_be_a_file(environment, tmp_path):
    (tmp_path / "w.json").write_text(json.dumps({"region": "cn-elsewhere"}))
    process = subprocess.Popen(
        [SCRIPT, "emulator", "--world", str(tmp_path / "w.json"), "--json"],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    told = json.loads(process.stdout.readline())
    process.terminate()
    assert process.wait(100) == 0
    process.stdout.close()
    assert told["environment"]["ALIBABA_CLOUD_REGION_ID"] == "cn-elsewhere"
    assert told["page"].startswith(told["url"])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--world", "none.yaml"], "No such file"),
        (["--world", "folder"], "Is a directory"),
        (["--port", "{taken}"], "in use; give another port, or none for a free one."),
    ],
)
def test_an_emulator_that_can_t_start(run, tmp_path, server, arguments, said):
    (tmp_path / "folder").mkdir()
    taken = server.url.rpartition(":")[2]
    line = one_line(run("emulator", *(a.format(taken=taken) for a in arguments), code=1))
    assert line.startswith("ehpc-nodes: The emulator cannot start: ")
    assert said in line
    assert not line.endswith("..")


@pytest.mark.parametrize("module", ["yaml", pytest.param("jinja2", marks=pytest.mark.long)])
def test_an_emulator_without_its_extra(environment, tmp_path, module):
    """No address of a page that can't be shown."""
    error = f"No module named {module!r}"
    (tmp_path / f"{module}.py").write_text(f"raise ModuleNotFoundError({error!r})")
    done = process(environment, SCRIPT, "emulator", PYTHONPATH=str(tmp_path))
    assert done.returncode == 1
    assert one_line(done) == (
        f"ehpc-nodes: The emulator needs its extra ({error}): pip install 'ehpc-nodes[emulator]'."
    )


def test_a_port_that_is_none_is_a_wrong_call(run):
    done = run("emulator", "--port", "80000", code=2)
    assert "Usage: ehpc-nodes emulator" in done.stderr
    assert "Invalid value for '--port'" in done.stderr


def test_line_ends_of_windows_around_arguments_are_left_off(run):
    there = run("nodes", CLUSTER, "--json").stdout
    region = "cn-hangzhou\r\n"
    asked = run("--region", region, "nodes", f"{CLUSTER}\r", "--json", ALIBABA_CLOUD_REGION_ID=" ")
    assert asked.stdout == there
