"""All code in README, docs and examples' pages: Python compiles and programs run, shell is shell, and the walks work as written."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from importlib import resources
from pathlib import Path
from textwrap import dedent

import pytest
import yaml

from ehpc_nodes.emulator import Emulator, EmulatorServer, World
from ehpc_nodes.testing.processes import scrubbed

ROOT = Path(__file__).parents[2]
#: Languages of blocks; `text` is for what isn't code.
LANGUAGES = {"python", "sh", "json", "yaml", "hcl", "text"}
BLOCK = re.compile(r"^( *)```(\S*)[^\n]*\n(.*?)^\1```$", re.DOTALL | re.MULTILINE)


def blocks():
    """Page and number, language, code of every fenced block."""
    places = ("*.md", "docs/*.md", "examples/*.md", "examples/*/*.md")
    for page in (page for place in places for page in sorted(ROOT.glob(place))):
        for number, (_, language, code) in enumerate(BLOCK.findall(page.read_text()), start=1):
            yield f"{page.relative_to(ROOT)}:{number}", language, dedent(code)


BLOCKS = list(blocks())
PYTHON = {name: code for name, language, code in BLOCKS if language == "python"}
SHELL = {name: code for name, language, code in BLOCKS if language == "sh"}
#: Programs and scripts; tests of users' programs are run where they are written.
PROGRAMS = {
    n: c
    for n, c in PYTHON.items()
    if re.search(r"^(from|import) ehpc", c, re.MULTILINE) and "def test_" not in c
}


def test_every_block_says_what_it_is():
    odd = {name: language for name, language, _ in BLOCKS if language not in LANGUAGES}
    # CONTRIBUTING's picture of the layers is drawn with letters
    assert odd == {name: "" for name in odd if name.startswith("CONTRIBUTING")}
    assert PROGRAMS
    assert SHELL


def shell_is_shell(script):
    done = subprocess.run(["bash", "-n"], input=script, text=True, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")  # an open here-document is a warning only


CHECKS = {
    "python": lambda code: compile(code, "block", "exec"),
    "sh": shell_is_shell,
    "json": json.loads,
    "yaml": yaml.safe_load,
}


@pytest.mark.parametrize(("name", "language", "code"), [b for b in BLOCKS if b[1] in CHECKS])
def test_code_is_of_its_language(name, language, code):
    CHECKS[language](code)


#: Runs programs, each in a fork of a process that has loaded the SDK: {name: program} -> {name: [code, output]}.
MOCKED = """
import json, os, pathlib, sys, tempfile, traceback
import pulumi, ehpc_nodes
from ehpc_nodes import AttachedNodes, lookup

class Mocks(pulumi.runtime.Mocks):
    made = []
    def new_resource(self, args):
        self.made.append(args)
        return args.resource_id or "id", args.inputs
    def call(self, args):
        return {}

def run(text, config):
    pulumi.runtime.set_mocks(Mocks(), project="docs", stack="test")
    pulumi.runtime.set_all_config(config)

    @pulumi.runtime.test
    def program():
        exec(compile(text, "program", "exec"), {"__name__": "__main__"})

    program()
    for made in Mocks.made:
        if made.typ == "pulumi-python:dynamic/ehpc:AttachedNodes":
            print("MADE", made.inputs.get("cluster_id") or made.resource_id)

def forked(text, config):
    with tempfile.TemporaryFile("w+") as out:
        sys.stdout.flush()
        child = os.fork()
        if not child:
            os.dup2(out.fileno(), 1)
            os.dup2(out.fileno(), 2)
            try:
                run(text, config)
                code = 0
            except BaseException:
                traceback.print_exc()
                code = 1
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
        _, status = os.waitpid(child, 0)
        out.seek(0)
        return os.waitstatus_to_exitcode(status), out.read()

programs, config = json.load(sys.stdin)
print(json.dumps({name: forked(text, config) for name, text in programs.items()}))
"""


@pytest.fixture(scope="module")
def documented():
    """An emulated cloud with the docs' cluster, as settings: for what a program looks up."""
    demo = (resources.files("ehpc_nodes.emulator") / "demo.yaml").read_text()
    world = World.from_dict(yaml.safe_load(demo.replace("ehpc-hz-demo", "ehpc-hz-FYUr32abcd")))
    with EmulatorServer(Emulator(world)) as server:
        yield {
            "ehpc:region": world.region,
            "ehpc:endpoint": server.url,
            "ehpc:ecsEndpoint": server.url,
            "ehpc:accessKeyId": server.access_key_id,
            "ehpc:accessKeySecret": server.access_key_secret,
            "docs:cluster": "ehpc-hz-FYUr32abcd",
            "docs:otherKeyId": "fake-other-id",
            "docs:otherKeySecret": "fake-other-secret",
            "docs:instances": '["i-bp1one", "i-bp1two"]',
        }


def test_programs_run_under_mocks(documented, tmp_path):
    (tmp_path / "instance_ids.json").write_text('["i-bp1one", "i-bp1two"]')  # `terraform output`
    done = subprocess.run(
        [sys.executable, "-c", MOCKED],
        input=json.dumps([PROGRAMS, documented]),
        cwd=tmp_path,
        env=scrubbed(os.environ),
        text=True,
        capture_output=True,
        check=True,
    )
    for name, (code, said) in json.loads(done.stdout).items():
        assert code == 0, f"{name}: {said}"
        made = re.findall(r"^MADE (.*)$", said, re.MULTILINE)
        assert len(made) == len(re.findall(r"AttachedNodes(?:\.get)?\(", PROGRAMS[name])), name
        assert set(made) <= {"ehpc-hz-FYUr32abcd"}, name


# -- walks -----------------------------------------------------------------------------------------


@pytest.fixture
def shell(pulumi_engine, tmp_path):
    """Runs a script as a person would type it, with this Python and the engine on the PATH."""
    bash = shutil.which("bash")
    places = [str(Path(sys.executable).parent), str(pulumi_engine.parent), os.environ["PATH"]]
    environment = {
        **scrubbed(os.environ),
        "PATH": os.pathsep.join(places),
        "PULUMI_HOME": str(tmp_path / "home"),
        "PULUMI_SKIP_UPDATE_CHECK": "true",
    }

    def run(script, **more):
        done = subprocess.run(
            [str(bash), "-euo", "pipefail", "-c", script],
            cwd=tmp_path,
            env={**environment, **more},
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=850,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        assert "Traceback" not in done.stdout
        return done.stdout

    return run


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


def asking(port):
    """Shell that prints the compute nodes and the account of harm, each as a line of JSON."""
    return f"""
python - <<'END'
import json
from urllib.request import urlopen
def ask(what):
    return json.load(urlopen("http://127.0.0.1:{port}/_emulator/" + what))
nodes = [n["id"] for n in ask("world")["clusters"][0]["nodes"] if n["roles"] == ["Compute"]]
print("ASKED", json.dumps([sorted(nodes), ask("harm")]))
END
"""


def asked(text):
    return [json.loads(line) for line in re.findall(r"^ASKED (.*)$", text, re.MULTILINE)]


def demo(*numbers):
    return [f"i-bp1demo{n:011d}" for n in numbers]


@pytest.mark.engine
def test_the_start_page_works_as_written(shell):
    port = free_port()
    steps = [code for name, code in SHELL.items() if name.startswith("docs/start.md")]
    assert "pip install" in steps.pop(0)  # done already: this Python has it
    script = "".join(
        step.replace("pulumi stack rm", f"{asking(port)}pulumi stack rm")
        + (asking(port) if step.endswith("pulumi up --yes\n") else "")
        for step in steps
    )
    text = shell(f"trap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n{script.replace('8642', port)}")
    (first, _), (second, _), (last, harm) = asked(text)
    assert (first, second, last) == (demo(1, 2), demo(2, 3), [])
    assert harm["disk_replacements"] == dict.fromkeys(demo(1, 2, 3), 1)
    assert harm["releases"] == []
    assert "attach 1 (system disk replaced by" in text


@pytest.mark.engine
def test_the_ten_lines_of_the_readme_work_as_written(shell, tmp_path):
    port = free_port()
    (script,) = [c for n, c in SHELL.items() if n.startswith("README.md") and "Pulumi.yaml" in c]
    for written, here in {
        "pip install ehpc-nodes\n": "",
        "ehpc-hz-FYUr32abcd": "ehpc-hz-demo",
        "i-bp16mxn6mt3t7ftkabcd": demo(1)[0],
        "ALIBABA_CLOUD_ACCESS_KEY_ID=… ALIBABA_CLOUD_ACCESS_KEY_SECRET=…": (
            "ALIBABA_CLOUD_ACCESS_KEY_ID=emulator-access-key-id"
            " ALIBABA_CLOUD_ACCESS_KEY_SECRET=emulator-access-key-secret"
        ),
        "pulumi up\n": (
            f"pulumi config set ehpc:endpoint http://127.0.0.1:{port}\n"
            f"pulumi config set ehpc:ecsEndpoint http://127.0.0.1:{port}\n"
            f"pulumi up --yes\n{asking(port)}"
        ),
    }.items():
        assert script.count(written) == 1, written
        script = script.replace(written, here)
    (tmp_path / "state").mkdir()
    text = shell(
        f"python -m ehpc_nodes.emulator --port {port} &\n"
        f"trap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n{script}",
        PULUMI_BACKEND_URL=f"file://{tmp_path / 'state'}",
        PULUMI_CONFIG_PASSPHRASE="try",
    )
    ((nodes, harm),) = asked(text)
    assert nodes == demo(1)
    assert harm["disk_replacements"] == {demo(1)[0]: 1}


#: Examples whose page is a walk, and the demo's instances that it leaves attached; pulumi-alicloud's needs its plugin.
WALKS = {
    "quickstart": [1],
    "queues": [1, 2],
    "stop-and-attach": [6],
    "automation": [],
    "adopt": [1],
    "terraform": [1, 2],
}
#: Those that replace a disk.
WIPED = {**WALKS, "automation": [1], "adopt": []}
#: What a page leaves to its reader: Terraform's configuration, and its credentials.
MACHINES = """
resource "terraform_data" "compute" {
  count = 2
  input = "i-bp1demo0000000000${count.index + 1}"
}

output "instance_ids" {
  value = terraform_data.compute[*].output
}
"""


@pytest.mark.engine
@pytest.mark.long
@pytest.mark.parametrize("name", WALKS)
def test_the_pages_of_examples_work_as_written(name, shell, tmp_path):
    """With the two blocks of the examples' first page: credentials, and the emulator once there is a stack."""
    if name == "terraform" and not shutil.which("terraform"):
        pytest.skip("no terraform on the PATH: https://developer.hashicorp.com/terraform/install")
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    (tmp_path / "examples" / "machines").mkdir()
    (tmp_path / "examples" / "machines" / "main.tf").write_text(MACHINES)
    port = free_port()
    first, emulated = (SHELL[f"examples/README.md:{number}"] for number in (1, 2))
    export, change = first.replace("cd quickstart", f"cd {name}").splitlines()
    assert export.startswith("export ALIBABA_CLOUD_ACCESS_KEY_ID=…")
    page = next(code for n, code in SHELL.items() if n.startswith(f"examples/{name}/README.md:"))
    page = page.replace("ehpc-hz-FYUr32abcd", "ehpc-hz-demo")
    page = page.replace("pulumi up\n", "pulumi up --yes\n")
    for number, written in enumerate(re.findall(r"i-bp1\w+", page), start=1):
        page = page.replace(written, demo((WALKS[name] or [1])[number - 1])[0])
    make, stack, rest = page.partition("pulumi config set ehpc:region cn-hangzhou\n")
    assert stack
    make = make.replace("pulumi stack init dev\n", "")  # in the block that starts the emulator, too
    before = SHELL["examples/adopt/README.md:2"] if name == "adopt" else ""  # a node to be adopted
    if name == "terraform":
        change = (
            f"cd machines; terraform init; export TF_CLI_ARGS_apply=-auto-approve; cd ..\n{change}"
        )
    script = "\n".join(
        [
            *("trap 'kill $(jobs -p) 2>/dev/null || true' EXIT", "cd examples", change),
            *(make, emulated.replace("8790", port), before.replace("8790", port)),
            *(stack, rest, asking(port)),
        ]
    )
    (tmp_path / "state").mkdir()
    text = shell(
        script, PULUMI_BACKEND_URL=f"file://{tmp_path / 'state'}", PULUMI_CONFIG_PASSPHRASE="try"
    )
    ((nodes, harm),) = asked(text)
    assert nodes == demo(*WALKS[name])
    assert harm["disk_replacements"] == dict.fromkeys(demo(*WIPED[name]), 1)
    assert harm["releases"] == []
