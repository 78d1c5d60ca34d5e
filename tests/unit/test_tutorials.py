"""The commands of the tutorials; Snakemake only plans."""

import re
import shlex
import shutil
from pathlib import Path

import pytest
import yaml
from test_readme import run

from palimpsest.cli import main

ROOT = Path(__file__).resolve().parents[2]
TUTORIALS = ROOT / "docs" / "tutorials"


def commands_of(text: str) -> list[str]:
    """Return the commands of a page."""
    blocks = re.findall(r"```console\n(.*?)```", text, re.DOTALL)
    return [line.removeprefix("$ ") for block in blocks for line in block.splitlines()]


TEXT = (TUTORIALS / "forget-your-documents.md").read_text(encoding="utf-8")
COMMANDS = commands_of(TEXT)
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


def test_the_command_that_evaluates_a_checkpoint_has_these_options(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (command,) = commands_of((TUTORIALS / "evaluate-a-checkpoint.md").read_text(encoding="utf-8"))
    monkeypatch.chdir(tmp_path)
    assert main(shlex.split(command)[1:]) == 2
    assert "run this command in a checkout of Palimpsest" in capsys.readouterr().err


def test_tofu_on_one_gpu_names_a_study_that_asks_for_its_commits(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pin, install, plan, run_it = map(shlex.split, commands_of((TUTORIALS / "tofu-on-one-gpu.md").read_text(encoding="utf-8")))
    assert pin[-1] == plan[plan.index("--configfile") + 1] == run_it[-1]
    assert install[-1].strip(".[]") in (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    monkeypatch.chdir(ROOT)
    assert main(plan[1:]) == 2
    assert "for the Hub run `palimpsest pin FILE` once" in capsys.readouterr().err
