"""Record docs/pictures/terminal.svg: a change of the set, previewed and applied by the real CLI on the emulator.

The program is that of docs/start.md, with a stack, a backend and a Pulumi home in a folder that goes away.
What a run says of its own course only (how far it was when a line was drawn) is left out, and rows are cut at
the terminal's width, as the CLI does it on a screen.
"""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
import tempfile
from html import escape
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.terminal_theme import DIMMED_MONOKAI
from rich.text import Text

ROOT = Path(__file__).resolve().parents[2]
PICTURE = ROOT / "docs" / "pictures" / "terminal.svg"
WIDTH = 96
TITLE = "One instance goes, another comes: pulumi preview, then pulumi up"
SCRUBBED = re.compile(
    r"(PULUMI|ALIBABA|ALICLOUD|ALIYUN|ECS)_.*|ALIBABACLOUD_.*|.*_PROXY", re.IGNORECASE
)
#: Left out: the CLI's pulse, URNs, the stack's own rows, looks.
NOISE = re.compile(
    r"@ |\s+\[urn=|.*pulumi:pulumi:Stack|\s+--outputs|\s+[~+]? ?nodes: |.*looking at|\s*$"
)
#: A row of the update, with what goes on; the repeated diff in it is left out too.
ROW = re.compile(r" [~+ ]  pulumi-python:dynamic/ehpc:AttachedNodes compute (.*)")
DIFF = "[diff: ~instance_ids]; "


#: rich's own, without the font that it would fetch, and with words for those who don't see it.
FORMAT = re.sub(r"@font-face \{\{.*?\}\}\s*", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
FORMAT = FORMAT.replace("<svg ", '<svg role="img" aria-labelledby="title desc" ', 1)
FORMAT = re.sub(r"<!-- Generated with Rich.*?-->", "<!-- words -->", FORMAT)


def program() -> str:
    """The program of docs/start.md."""
    page = (ROOT / "docs" / "start.md").read_text()
    (found,) = re.findall(r"cat > __main__\.py <<'END'\n(.*?)\nEND\n", page, re.DOTALL)
    return str(found)


def run(pulumi: str, folder: Path, emulator: dict[str, str], *args: str) -> str:
    """What the CLI says, with its colours."""
    environment = {
        **{k: v for k, v in os.environ.items() if not SCRUBBED.fullmatch(k)},
        "PULUMI_HOME": str(folder / "home"),
        "PULUMI_BACKEND_URL": f"file://{folder}",
        "PULUMI_CONFIG_PASSPHRASE": "picture",
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "PULUMI_PYTHON_CMD": sys.executable,
        "ALIBABA_CLOUD_ACCESS_KEY_ID": emulator["access_key_id"],
        "ALIBABA_CLOUD_ACCESS_KEY_SECRET": emulator["access_key_secret"],
        "PATH": os.pathsep.join([str(Path(pulumi).parent), os.environ.get("PATH", "")]),
    }
    command = [pulumi, *args, "--non-interactive", "--color", "always"]
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise SystemExit(f"terminal: {' '.join(args)} failed:\n{done.stdout}")
    return done.stdout


def record(pulumi: str) -> list[tuple[str, str]]:
    """The commands with what they said."""
    serve = [sys.executable, "-m", "ehpc_nodes.emulator", "--port", "0"]
    with (
        tempfile.TemporaryDirectory() as made,
        subprocess.Popen(serve, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process,
    ):
        try:
            emulator = json.loads(process.stdout.readline() if process.stdout else "")
            folder = Path(made)
            (folder / "Pulumi.yaml").write_text("name: nodes\nruntime: python\n")
            (folder / "__main__.py").write_text(program())
            settings = {
                "ehpc:region": emulator["region"],
                "ehpc:endpoint": emulator["url"],
                "ehpc:ecsEndpoint": emulator["url"],
            }
            pairs = [word for k, v in settings.items() for word in ("--plaintext", f"{k}={v}")]
            run(pulumi, folder, emulator, "stack", "init", "dev")
            run(pulumi, folder, emulator, "config", "set-all", *pairs)
            run(pulumi, folder, emulator, "up", "--yes", "--skip-preview")
            (folder / "__main__.py").write_text(program().replace("00000000001", "00000000003"))
            return [
                ("pulumi preview --diff", run(pulumi, folder, emulator, "preview", "--diff")),
                ("pulumi up --yes", run(pulumi, folder, emulator, "up", "--yes", "--skip-preview")),
            ]
        finally:
            process.terminate()


def shown(said: str) -> list[Text]:
    """The lines to show: rows of progress once, and cut at the width."""
    lines: list[Text] = []
    told: set[str] = set()
    for raw in re.split(r"\S*(?:Diagnostics|Outputs):", said)[0].splitlines():
        line = Text().join(Text.from_ansi(raw).split(DIFF))
        row = ROW.match(line.plain)
        what = row[1].partition(") ")[2] if row else ""
        again = bool(row) and (not what or what in told) and " updated " not in line.plain
        if again or NOISE.match(line.plain):
            continue
        told.add(what)
        line.truncate(WIDTH if row else len(line), overflow="ellipsis")
        lines.append(line)
    return [*lines, *(Text.from_ansi(raw) for raw in said.splitlines()[-4:] if "Dur" in raw)]


def draw(recorded: list[tuple[str, str]]) -> str:
    """The picture."""
    lines = []
    for command, said in recorded:
        lines += [Text(f"$ {command}", "bold"), *shown(said), Text()]
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True)
    for line in lines[:-1]:
        console.print(line, highlight=False)
    drawn = console.export_svg(
        title="pulumi", theme=DIMMED_MONOKAI, code_format=FORMAT, unique_id="terminal"
    )
    words = escape("\n".join(line.plain for line in lines))
    return drawn.replace(
        "<!-- words -->", f'<title id="title">{TITLE}</title><desc id="desc">{words}</desc>'
    )


def engine() -> str:
    """The path of `pulumi`."""
    get = [sys.executable, str(ROOT / "tools" / "engine" / "get.py")]
    done = subprocess.run(get, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout.splitlines()[-1]


if __name__ == "__main__":
    PICTURE.write_text(draw(record(engine())))
    print(PICTURE)
