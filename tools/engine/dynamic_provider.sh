#!/bin/sh
# Starts the process that serves dynamic providers, as `pulumi-resource-pulumi-python` of the official
# archive does. The engine passes runtime.options of Pulumi.yaml as PULUMI_RUNTIME_…, and starts us in
# the project's folder. The same choice as in language_host.py: that virtualenv's Python, else
# PULUMI_PYTHON_CMD, else python3.
virtualenv="${PULUMI_RUNTIME_VIRTUALENV:-}"
if [ -z "$virtualenv" ]; then
    case "${PULUMI_RUNTIME_TOOLCHAIN:-}" in
        uv) virtualenv=.venv ;;
        poetry) virtualenv=$(poetry env info --path) ;;
    esac
fi
if [ -n "$virtualenv" ]; then
    python="${virtualenv%/}/bin/python"
    if [ ! -x "$python" ]; then
        echo "Pulumi.yaml's virtualenv $virtualenv has no bin/python (looked from $PWD)." >&2
        exit 1
    fi
    case "$python" in /*) ;; *) python="$PWD/$python" ;; esac
else
    python="${PULUMI_PYTHON_CMD:-python3}"
fi
exec "$python" -u -m pulumi.dynamic "$@" # exec: the engine's signals reach Python itself
