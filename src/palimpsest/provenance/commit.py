"""The commit of the code, for the record of the environment."""

import os
import subprocess
from pathlib import Path

# Set by the workflow, because a container has no git; a job on another machine gets the commit where Snakemake was started.
COMMIT = "PALIMPSEST_COMMIT"
DIRTY = "-dirty"
# The code that affects results; the config is in the specs.
CODE = ("Snakefile", "containers", "envs", "src", "workflow")


def describe_commit(root: Path) -> str:
    """Return the commit of a repository's code, with `-dirty` appended if files differ from it; empty without git."""
    return os.environ.get(COMMIT) or _ask_git(root)


def _ask_git(root: Path) -> str:
    # Many jobs ask at the same time, so none may lock the index.
    git = ["git", "--no-optional-locks", "-C", str(root)]
    try:
        if Path(_say(*git, "rev-parse", "--show-toplevel").strip()).resolve() != root.resolve():
            return ""
        changed = _say(*git, "status", "--porcelain", "--untracked-files=all", "--", *CODE)
        return _say(*git, "rev-parse", "HEAD").strip() + (DIRTY if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return ""


def _say(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
