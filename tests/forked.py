"""Python's command line in forks of one warm process: each its own process, seconds earlier."""

from __future__ import annotations

import atexit
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from palimpsest import warm
from palimpsest.warm import Command, Warm

# What Snakemake's command line imports, at once or later.
SNAKEMAKE = ("snakemake.cli", "snakemake.profiles", "snakemake.report.html_reporter", "snakemake.storage", "smart_open")


@cache
def server() -> Path:
    """Return the socket of the warm process, which starts once and ends with this one; it has also imported Snakemake."""
    process = Warm(*SNAKEMAKE)
    atexit.register(process.stop)
    return process.socket


def shell(site: Path | None = None) -> Path:
    """Return a file that makes `python` a fork in shells whose BASH_ENV names it; in `site` are packages that it has."""
    path = server().with_name(f"python{site or ''}.sh".replace("/", "-"))
    sites = f'PYTHONPATH="$PYTHONPATH":{shlex.quote(str(site))} ' if site else ""
    stand_in = shlex.join([sys.executable, "-PES", str(warm.__file__), str(server())])
    path.write_text(f'python() {{ {sites}{stand_in} "$@"; }}\n', encoding="utf-8")
    return path


def start(
    arguments: Sequence[str],
    env: Mapping[str, str],
    cwd: Path | None = None,
    said: int | None = None,
    errors: int | None = None,
) -> Command:
    """Start `python {arguments}`; its output goes to a file descriptor, or nowhere, and stderr to the same or to another."""
    with Path(os.devnull).open("r+") as nothing:
        said = nothing.fileno() if said is None else said
        errors = said if errors is None else errors
        return Command(server(), arguments, env, (cwd or Path()).absolute(), [nothing.fileno(), said, errors])


def run(
    arguments: Sequence[str], env: Mapping[str, str], cwd: Path | None = None, *, apart: bool = False
) -> subprocess.CompletedProcess[str]:
    """Run `python {arguments}` to its end; stderr is in stdout, or `apart` from it."""
    with tempfile.TemporaryFile("w+", encoding="utf-8") as said, tempfile.TemporaryFile("w+", encoding="utf-8") as errors:
        code = start(arguments, env, cwd, said.fileno(), errors.fileno() if apart else None).wait()
        for file in (said, errors):
            file.seek(0)
        return subprocess.CompletedProcess(list(arguments), code, said.read(), errors.read())
