"""The list of images, what a run in them is given, and the wrapper that starts each job."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from snakemake.deployment import singularity

from palimpsest.study.images import FAMILIES, OFFLINE, Image, enter_containers, find_containers, made_of, open_images, outside

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/running/containers.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^\$ (.*)$", PAGE, flags=re.MULTILINE)
Start = Callable[[str], list[str]]
TRAINING = "set -euo pipefail; export PYTHONPATH=src;  python -m palimpsest.launch --gpu {gpu} --spec '{spec}' --code 1"
# In the place of apptainer: says what it was given.
SHOW = '#!/bin/sh\nprintf "%s\\n" "$@"\nenv | grep APPTAINERENV_ || true\n'


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with its own list of images, of which each is there, and nothing of them in the environment."""
    for name in ("containers", "envs"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("images"))
    (tmp_path / "containers/images").mkdir()
    listed = {}
    for family in FAMILIES:
        (tmp_path / f"containers/images/{family}.sif").touch()
        listed[family] = {"path": f"containers/images/{family}.sif", "sha256": "0", "made_of": made_of(tmp_path, family)}
    (tmp_path / "containers/images.yaml").write_text(yaml.safe_dump(listed))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def edit(root: Path, family: str, entry: object) -> None:
    path = root / "containers/images.yaml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), family: entry}))


def refused(root: Path | None, capsys: pytest.CaptureFixture[str]) -> str:
    """Return the one line with which a run in containers ends."""
    with pytest.raises(SystemExit) as left:
        enter_containers(root, {}, "results", apptainer=True)
    assert left.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


def test_without_a_clone_there_are_no_images(capsys: pytest.CaptureFixture[str]) -> None:
    assert "run from a clone" in refused(None, capsys)


def test_rules_get_paths_that_do_not_move_with_the_repository(root: Path) -> None:
    assert find_containers(root).train == "containers/images/train.sif"


def test_an_image_that_is_not_there_is_one_line(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "containers/images/train.sif").unlink()
    assert "containers/images/train.sif" in (line := refused(root, capsys)) and line.endswith("make images")
    edit(root, "data", None)
    assert "of data" in refused(root, capsys)


@pytest.mark.parametrize("changed", ["envs/report.lock", "containers/install.sh", "containers/image.def"])
def test_an_image_of_other_files_is_one_line(root: Path, capsys: pytest.CaptureFixture[str], changed: str) -> None:
    with (root / changed).open("a") as file:
        file.write("# new\n")
    assert "does not match" in refused(root, capsys)


def test_an_image_of_a_registry_is_taken_at_its_word(root: Path) -> None:
    edit(root, "report", name := "docker://example.org/palimpsest-report@sha256:" + "0" * 64)
    with (root / "envs/report.lock").open("a") as file:
        file.write("# new\n")
    assert find_containers(root).report == name


def test_without_apptainer_no_image_is_looked_at(root: Path) -> None:
    shutil.rmtree(root / "containers")
    assert enter_containers(root, {}, "results", apptainer=False).train is None


def test_the_name_of_an_image_has_its_digest() -> None:
    for family, image in open_images(ROOT):
        if isinstance(image, Image):
            assert image.path == f"containers/images/{family}-{image.sha256[:12]}.sif"


def test_both_recipes_run_the_same_body_on_the_same_debian() -> None:
    texts = [(ROOT / "containers" / name).read_text(encoding="utf-8") for name in ("image.def", "Containerfile")]
    for part in ("debian:bookworm-slim", "sh /opt/palimpsest/install.sh", "PATH=/opt/venv/bin:", "PYTHONNOUSERSITE=1"):
        assert all(part in text for text in texts), part


def test_what_settings_name_outside_is_seen_inside(
    root: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    away, cache = tmp_path_factory.mktemp("away"), tmp_path_factory.mktemp("cache")
    (root / "linked").symlink_to(away)
    (root / "inside").mkdir()
    for name in ("HF_HUB_CACHE", "SSL_CERT_FILE", "TMPDIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(cache))
    log = tmp_path_factory.mktemp("logs") / "log.json"
    log.touch()
    config = {"sources": {"a": {"path": "linked"}, "b": {"path": "inside"}}, "blocks": [{"benchmark": "tofu"}]}
    config |= {"external": {"theirs": {"log": str(log), "source": "words " * 1000}}}
    assert set(outside(root, config, "results")) == {away, cache, log.parent}
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    assert set(outside(root, {}, str(root / "results"))) == {root / "src", root / "results", cache}


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Start:
    """A function that starts a job as Snakemake does, with the wrapper before a program that says what it was given."""
    program = tmp_path / "bin/apptainer"
    program.parent.mkdir(exist_ok=True)
    program.write_text(SHOW)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", os.pathsep.join([str(ROOT / "containers/bin"), str(program.parent), os.environ["PATH"]]))
    monkeypatch.delenv(OFFLINE, raising=False)
    monkeypatch.setattr(singularity.Singularity(), "binary", "apptainer")

    def run(job: str) -> list[str]:
        command = singularity.shellcmd("image.sif", job, args="--bind /data", shell_executable="/bin/bash")
        return subprocess.run(command, shell=True, check=True, capture_output=True, text=True).stdout.splitlines()

    return run


def given(lines: list[str]) -> list[str]:
    """Return the arguments among what the program says."""
    return [line for line in lines if not line.startswith("APPTAINERENV_")]


def test_a_job_gets_gpus_where_it_asks_for_some_and_no_network(start: Start) -> None:
    cut = ["--net", "--network", "none"]
    own = ["--home", str(Path.cwd()), "--bind", "/data", "image.sif", "bash", "-c"]
    job = TRAINING.format(gpu=0, spec="{}")
    assert given(start(job)) == ["--quiet", "exec", "--cleanenv", *cut, *own, job]
    job = TRAINING.format(gpu=2, spec="{}")
    assert given(start(job)) == ["--quiet", "exec", "--cleanenv", "--nv", *cut, *own, job]
    job = "export PYTHONPATH=src;  PALIMPSEST_NETWORK=yes python -m palimpsest.stages.data --spec '{}'"
    assert given(start(job)) == ["--quiet", "exec", "--cleanenv", *own, job]


def test_what_a_setting_says_changes_no_option(start: Start) -> None:
    job = TRAINING.format(gpu=0, spec="PALIMPSEST_NETWORK=yes --gpu 8")
    assert start(job)[2:6] == ["--cleanenv", "--net", "--network", "none"]


def test_a_command_too_long_for_an_argument_is_read_from_its_file(start: Start, tmp_path: Path) -> None:
    (tmp_path / "script.sh").write_text(TRAINING.format(gpu=1, spec="x" * 100_000))
    assert start(f'"/bin/bash" "{tmp_path / "script.sh"}"')[2:4] == ["--cleanenv", "--nv"]


def test_where_no_network_can_be_cut_the_run_says_so_and_goes_on(
    start: Start, root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bin/apptainer").write_text('#!/bin/sh\ncase "$*" in *--net*) exit 1 ;; esac\nprintf "%s\\n" "$@"\n')
    for name in ("APPTAINER_BIND", "HF_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.setenv(OFFLINE, "")
    monkeypatch.delenv(OFFLINE)
    enter_containers(root, {}, "results", apptainer=True)
    (line,) = capsys.readouterr().err.splitlines()
    assert "without a network" in line
    assert start(TRAINING.format(gpu=0, spec="{}"))[2:4] == ["--cleanenv", "--home"]
    # Once said is enough: the processes of the jobs inherit it.
    enter_containers(root, {}, "results", apptainer=True)
    assert not capsys.readouterr().err


def test_only_what_is_named_goes_inside(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = {"CUDA_VISIBLE_DEVICES": "1", "OMP_NUM_THREADS": "3", "HF_HOME": "/a b", "PALIMPSEST_X": "$(false)'", "TMPDIR": "/t"}
    for name, value in {**kept, "BASH_ENV": "/x", "PYTHONHOME": "/x", "LD_PRELOAD": "", "SECRET_TOKEN": "x"}.items():
        monkeypatch.setenv(name, value)
    lines = dict(line.split("=", 1) for line in start(TRAINING.format(gpu=0, spec="{}")) if line.startswith("APPTAINERENV_"))
    assert {f"APPTAINERENV_{name}": value for name, value in kept.items()}.items() <= lines.items()
    assert not [name for name in lines if name.endswith(("BASH_ENV", "PYTHONHOME", "LD_PRELOAD", "SECRET_TOKEN"))]


def test_a_job_of_another_workflow_passes_through(start: Start) -> None:
    lines = start("python -m theirs --gpu 1")
    assert lines == ["exec", "--home", str(Path.cwd()), "--bind", "/data", "image.sif", "bash", "-c", "python -m theirs --gpu 1"]


def test_all_else_passes_through(start: Start) -> None:
    said = subprocess.run(["apptainer", "pull", "--name", "x", "docker://y"], check=True, capture_output=True, text=True)
    assert said.stdout.splitlines() == ["pull", "--name", "x", "docker://y"]


@pytest.mark.parametrize("command", [command for command in COMMANDS if "images.py" in command])
def test_the_pages_commands_are_the_scripts(command: str) -> None:
    _, script, action, *arguments = shlex.split(command)
    # A family that is not there ends it before any work.
    unknown = [sys.executable, str(ROOT / script), action, "no-such-family", *arguments]
    said = subprocess.run(unknown, capture_output=True, text=True, check=False)
    assert said.returncode == 2 and said.stderr.startswith("images.py: unknown family: no-such-family"), said.stderr


def test_the_pages_run_is_planned_or_says_in_one_line_what_is_missing(tmp_path: Path) -> None:
    (command,) = [command for command in COMMANDS if command.startswith("snakemake")]
    place = ["--directory", str(tmp_path), "--snakefile", str(ROOT / "Snakefile"), "--configfile", str(ROOT / "config.yaml")]
    arguments = [sys.executable, "-m", *shlex.split(command), *place, "--dry-run"]
    said = subprocess.run(arguments, cwd=tmp_path, capture_output=True, text=True, check=False)
    if said.returncode:
        (line,) = [line for line in said.stderr.splitlines() if line.startswith("palimpsest: ")]
        assert said.returncode == 2 and line.endswith(("make images", "scripts/install_apptainer.sh)"))
    else:
        assert "This was a dry-run" in said.stdout + said.stderr


def test_the_pages_comparison_finds_another_byte_and_no_other_time(tmp_path: Path) -> None:
    (command,) = [command for command in COMMANDS if command.startswith("diff ")]
    for name in ("plain", "contained"):
        (tmp_path / name / "results/logs").mkdir(parents=True)
        (tmp_path / name / "results/manifest.json").write_text("{}")
        for own in ("environment.json", "cost.csv", "logs/a.log"):
            (tmp_path / name / "results" / own).write_text(name)
    here = tmp_path / "contained"
    assert subprocess.run(shlex.split(command), cwd=here, check=False).returncode == 0
    (here / "results/manifest.json").write_text("{ }")
    assert subprocess.run(shlex.split(command), cwd=here, check=False, capture_output=True).returncode == 1
