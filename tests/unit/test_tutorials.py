"""The commands of the tutorial, one after the other; Snakemake only plans."""

import re
import shlex
import shutil
from pathlib import Path

import yaml
from test_readme import run

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "tutorials" / "forget-your-documents.md").read_text(encoding="utf-8")
COMMANDS = [
    line.removeprefix("$ ") for block in re.findall(r"```console\n(.*?)```", TEXT, re.DOTALL) for line in block.splitlines()
]
SHIPPED, OWN = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)


def test_the_commands_lead_from_the_example_to_its_study(tmp_path: Path) -> None:
    for name in ("docs", "config"):
        shutil.copytree(ROOT / name, tmp_path / name)
    shutil.copy(ROOT / "config.yaml", tmp_path)
    (tmp_path / "my-documents.yaml").write_text(OWN, encoding="utf-8")
    planned = []
    for command in COMMANDS:
        arguments = shlex.split(command)
        if arguments[0] == "snakemake":
            said = run([*arguments, "--snakefile", str(ROOT / "Snakefile"), "--dry-run"], tmp_path)
            planned += re.findall(r"Writing (\S+)/report.html", said)
        elif arguments[:2] != ["pip", "install"]:
            assert arguments[0] in ("mkdir", "cp")
            run(arguments, tmp_path)
    assert planned == ["results-documents", "results-documents", "results-my-documents"]


def test_the_config_is_the_one_that_is_shipped() -> None:
    assert yaml.safe_load(SHIPPED) == yaml.safe_load((ROOT / "config/studies/documents.yaml").read_text(encoding="utf-8"))
