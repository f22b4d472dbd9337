#!/bin/sh
# Writes constraints.txt: exact versions of all that `.[dev]` needs, from a fresh environment, no addresses.
set -eu
cd "$(dirname "$0")/.."
fresh=$(mktemp -d)
trap 'rm -rf "$fresh"' EXIT
"${1:-python3}" -m venv "$fresh/venv"
"$fresh/venv/bin/python" -m pip install --quiet --disable-pip-version-check -e '.[dev]'
{
    echo '# Exact versions for CI and development, written by `make constraints`. What a user gets is'
    echo '# bounded by pyproject.toml only.'
    "$fresh/venv/bin/python" -m pip freeze --exclude-editable | grep -E '^[A-Za-z0-9._-]+==' | LC_ALL=C sort -f
} > "$fresh/constraints.txt"
mv "$fresh/constraints.txt" constraints.txt
