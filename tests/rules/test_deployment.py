"""The page on deployment: its commands lead from a tag in git to a folder that runs, without a network."""

import os
import re
import shutil
import site
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from checkout import ROOT, clone
from test_dag import DEMO
from test_modules import git

PAGE = (ROOT / "docs/running/deployment.md").read_text(encoding="utf-8")
COMMANDS = [
    line.removeprefix("$ ") for block in re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()
]
HOOKS, HOST = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
(CONFIG,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
(TAG,) = set(re.findall(r"v\d+\.\d+\.\d+", PAGE))
TINY = "--configfile config/test/tiny.yaml --replace-workflow-config"
pytestmark = pytest.mark.slow


def environment(to: Path) -> Path:
    """Make what `python -m venv` makes, in which pip has installed what the library needs, but not the library."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(to)], check=True)
    (installed,) = to.glob("lib/python*/site-packages")
    for path in Path(site.getsitepackages()[0]).iterdir():
        if "palimpsest" not in path.name:
            (installed / path.name).symlink_to(path)
    for program, module in (("snakemake", "snakemake.cli"), ("snakedeploy", "snakedeploy.client")):
        script = to / "bin" / program
        script.write_text(f"#!{to}/bin/python\nimport sys\nfrom {module} import main\nsys.exit(main())\n", encoding="utf-8")
        script.chmod(0o755)
    return to


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder beside a repository with the tag, in which the page's commands have run."""
    pytest.importorskip("snakedeploy")
    place = tmp_path_factory.mktemp("deployed")
    repository = clone(place / "hosted/OWNER/palimpsest").path
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, repository)
    git(repository, "init", "--quiet")
    git(repository, "add", ".")
    git(repository, "commit", "--quiet", "--message", "release")
    git(repository, "tag", TAG)
    environment(place / "env")
    first, *commands = COMMANDS
    assert first == "python -m venv env"
    said = shell(place, *commands)
    assert said.count("This was a dry-run") == 2, said
    return place


def shell(place: Path, *commands: str) -> str:
    """Run commands as a user would, with the repository in place of its host, and return what they print."""
    hidden = ("PYTHONPATH", "VIRTUAL_ENV", "PALIMPSEST_")
    own = {name: value for name, value in os.environ.items() if not name.startswith(hidden)} | {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.file://{place}/hosted/.insteadOf",
        "GIT_CONFIG_VALUE_0": "https://github.com/",
        "XDG_CACHE_HOME": str(place / "cache"),
        "PIP_NO_DEPS": "1",
        "PIP_NO_BUILD_ISOLATION": "0",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "OMP_NUM_THREADS": "1",
    }
    script = "\n".join(["set -e", *commands])
    said = subprocess.run(["bash", "-c", script], cwd=place, env=own, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert said.returncode == 0, said.stdout
    return said.stdout


ACTIVATE = "source env/bin/activate"


def test_a_deployment_has_the_demo_and_runs_it(place: Path) -> None:
    deployed = place / "my-study"
    assert (deployed / "config/config.yaml").read_bytes() == (ROOT / "config.yaml").read_bytes()
    snakefile = deployed / "workflow/Snakefile"
    assert f'github("OWNER/palimpsest", path="workflow/Snakefile", tag="{TAG}")' in snakefile.read_text(encoding="utf-8")
    snakefile.write_text(snakefile.read_text(encoding="utf-8") + "\n\n" + HOOKS, encoding="utf-8")
    made = "results/tofu/tiny/base/manifest.json"
    said = shell(
        place, ACTIVATE, "cd my-study", f"snakemake --cores 2 {TINY} -- {made} results/tofu/splits/forget10/manifest.json"
    )
    assert "3 of 3 steps (100%) done" in said
    (record,) = {yaml.safe_load(path.read_text())["commit"] for path in (deployed / "results").rglob("environment.json")}
    assert record == git(place / "hosted/OWNER/palimpsest", "rev-parse", TAG)
    said = shell(place, ACTIVATE, "cd my-study", f"snakemake --cores 2 {TINY} -- {made}")
    assert "Nothing to be done" in said


def test_the_audit_works_in_a_deployment(place: Path) -> None:
    """What is made there agrees with its study; the rest is missing."""
    command = "palimpsest audit verify results --configfile config/test/tiny.yaml --json || true"
    found = yaml.safe_load(shell(place, ACTIVATE, "cd my-study", f"({command}) 2> /dev/null"))
    assert {finding["kind"] for finding in found["findings"]} == {"missing"}


def test_a_workflow_of_your_own_plans_both_studies(place: Path) -> None:
    (place / "Snakefile").write_text(HOST, encoding="utf-8")
    (place / "config.yaml").write_text(CONFIG, encoding="utf-8")
    said = shell(place, ACTIVATE, "snakemake --cores 2 --dry-run --quiet rules")
    counts = dict(re.findall(r"^(\w+) +(\d+)$", said, re.MULTILINE))
    assert counts["compare"] == "1" and counts["first_unlearn"] == counts["second_unlearn"] == f"{DEMO['unlearn']}", said
