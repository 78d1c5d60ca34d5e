"""The commands of the tutorials; Snakemake only plans."""

import re
import shlex
import shutil
import sys
from pathlib import Path

import pytest
import yaml
from test_readme import run

from palimpsest.cli import main

ROOT = Path(__file__).resolve().parents[2]
TUTORIALS = ROOT / "docs" / "tutorials"


def commands_of(text: str) -> list[str]:
    """Return the commands of a page."""
    blocks = [block.replace("\\\n", " ") for block in re.findall(r"```console\n(.*?)```", text, re.DOTALL)]
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


ADDED = (TUTORIALS / "add-a-method.md").read_text(encoding="utf-8")


def test_the_added_method_passes_its_test_and_its_study_is_planned(tmp_path: Path) -> None:
    method, test = re.findall(r"```python\n(.*?)```", ADDED, re.DOTALL)
    (study,) = re.findall(r"```yaml\n(.*?)```", ADDED, re.DOTALL)
    for name in ("src", "config", "workflow", "profiles"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("config.yaml", "Snakefile", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    paths = ("src/palimpsest/methods/fading_ga.py", "tests/unit/test_fading_ga.py", "fading.yaml")
    assert all(Path(path).name in ADDED for path in paths)
    for path, text in zip(paths, (method, test, study), strict=True):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text, encoding="utf-8")
    said = {}
    for command in commands_of(ADDED):
        program, *arguments = shlex.split(command)
        if program == "snakemake":
            arguments = [*dict.fromkeys([*arguments, "--dry-run"])]
        module = {"python": [], "palimpsest": ["-m", "palimpsest"], "snakemake": ["-m", "snakemake"]}[program]
        said[command] = run([sys.executable, *module, *arguments], tmp_path, source=tmp_path / "src")
    tested, listed, valid, shown, *planned = said.values()
    assert "2 passed" in tested
    assert "fading-ga" in listed and "Fading GA: Descent on the probability" in listed
    assert valid.startswith("fading: valid")
    assert re.search(r"^beta +0\.5 +fading\.yaml:\d+$", shown, re.MULTILINE)
    assert len(planned) == 2 and all("unlearn/fading-ga/slow" in text for text in planned)


def test_the_study_on_slurm_is_planned_and_its_needs_are_computed(tmp_path: Path) -> None:
    text = (TUTORIALS / "slurm.md").read_text(encoding="utf-8")
    partitions, table = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    (tmp_path / "partitions.yaml").write_text(partitions, encoding="utf-8")
    (tmp_path / "table1.yaml").write_text(table, encoding="utf-8")
    setup, activate, plan, *commands, audit = commands_of(text)
    snakemake, (planned, whole) = commands[:2], commands[2:]
    assert (setup, activate) == ("make setup", "source .venv/bin/activate")
    # The audit is run on a finished study, in tests/rules/test_audit.py.
    assert audit.startswith("palimpsest audit verify results")
    assert "GPU-hours" in run([sys.executable, "-m", *shlex.split(plan)], ROOT)
    # Without the KL retain loss and trajectories, two GPUs are enough for each job.
    alone = run([sys.executable, "-m", *shlex.split(planned.replace("table1.yaml", str(tmp_path / "table1.yaml")))], ROOT)
    assert "GPU-hours" in alone and "2, `fsdp`" in alone and "4, `fsdp`" not in alone
    assert shlex.split(whole)[: len(shlex.split(snakemake[1]))] == shlex.split(snakemake[1])
    for command in snakemake:
        arguments = shlex.split(command.replace("profiles/", f"{ROOT}/profiles/"))
        elsewhere = [
            "--directory",
            str(tmp_path),
            "--snakefile",
            str(ROOT / "Snakefile"),
            "--configfile",
            str(ROOT / "config.yaml"),
        ]
        assert "Job stats:" in run([*dict.fromkeys([*arguments, "--dry-run"]), *elsewhere], tmp_path)


@pytest.mark.parametrize(("page", "name"), [("workflow.md", "beta.yaml"), ("benchmarks.md", "tasks.yaml")])
def test_a_file_over_the_default_study_is_valid(page: str, name: str, tmp_path: Path) -> None:
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    (over,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    (tmp_path / name).write_text(over, encoding="utf-8")
    (tmp_path / "data").mkdir()
    (tmp_path / "data/riddles.jsonl").touch()
    command, *others = commands_of(text.partition(over)[2].partition("\n## ")[0])
    assert all(f"config.yaml {name}" in line for line in (command, *others))
    here = command.replace("config.yaml", str(ROOT / "config.yaml"))
    said = run([sys.executable, "-m", *shlex.split(here)], tmp_path)
    assert "valid;" in said or re.search(rf"^beta +0\.2 +\S*{name}:\d+$", said, re.MULTILINE)
