"""`palimpsest list`, `show` and `validate`: what there is, which settings apply and why, and what is wrong where."""

from pathlib import Path

import pytest

from palimpsest.cli import main
from palimpsest.methods import list_methods

ROOT = Path(__file__).resolve().parents[2]
OVERLAY = """\
extends: config.yaml
study: mine
results: results-mine
methods:
  "tofu/*/tiny/simnpo": &shared {beta: 3.0, gamma: 0.5}
  "tofu/forget10/tiny/simnpo":
    <<: *shared
    beta: 2.0
grids:
  "tofu/*/*/npo": {beta: [0.05, 0.2]}
blocks:
  - {benchmark: tofu, splits: [forget10], models: [tiny], seeds: [0], suites: [tofu], methods: [simnpo, {npo: [grid, kl]}]}
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "config.yaml").write_text((ROOT / "config.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / "mine.yaml").write_text(OVERLAY, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def shown(capsys: pytest.CaptureFixture[str], key: str) -> dict[str, list[str]]:
    """Return the value and the origin of each setting that `show` prints."""
    assert main(["show", key, "--configfile", "mine.yaml"]) == 0
    return {name: rest for name, *rest in map(str.split, capsys.readouterr().out.splitlines())}


def test_a_setting_comes_from_the_most_specific_pattern_of_the_last_file(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = shown(capsys, "tofu/forget10/tiny/simnpo")
    assert settings["beta"] == ["2.0", "mine.yaml:8"]
    # A merged key has the line where it is written.
    assert settings["gamma"] == ["0.5", "mine.yaml:5"]
    assert settings["weight_decay"] == ["0.01", "default"]
    value, origin = settings["forget_weight"]
    path, line = origin.split(":")
    assert (value, path) == ("128.0", "config.yaml")
    assert "simnpo" in (here / path).read_text().splitlines()[int(line) - 1]


def test_variants_trials_and_fine_tuning_have_their_lines(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert shown(capsys, "tofu/forget10/tiny/npo/beta-0.05")["beta"] == ["0.05", "mine.yaml:10"]
    value, origin = shown(capsys, "tofu/forget10/tiny/npo/kl")["retain_loss"]
    path, line = origin.split(":")
    assert value == '"kl"' and "kl: {retain_loss: kl}" in Path(path).read_text().splitlines()[int(line) - 1]
    assert path.endswith("palimpsest/study/defaults.yaml")
    assert shown(capsys, "tofu/forget10/tiny")["epochs"][1].startswith("config.yaml:")


def test_what_is_not_in_the_study_is_one_line(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "tofu/forget10/tiny/simpo", "--configfile", "mine.yaml"]) == 2
    assert "'tofu/forget10/tiny/simpo'; did you mean tofu/forget10/tiny/simnpo?" in capsys.readouterr().err
    assert main(["show", "tofu/forget10/tiny/npo/gone", "--configfile", "mine.yaml"]) == 2
    assert "has no variant 'gone'" in capsys.readouterr().err
    assert main(["show", "tofu/forget10/tiny/npo/kl/more", "--configfile", "mine.yaml"]) == 2
    assert "a key has at most five parts" in capsys.readouterr().err


def test_what_a_run_selects_has_no_settings_before_it(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "mine.yaml").write_text(
        OVERLAY.replace("grid, kl", "selected, kl") + 'selections:\n  "tofu/*/*/npo": {seeds: [0], suite: tofu, epochs: all}\n'
    )
    assert main(["show", "tofu/forget10/tiny/npo/selected", "--configfile", "mine.yaml"]) == 2
    assert "a run selects its settings; the trials: beta-0.05, beta-0.2" in capsys.readouterr().err


def test_a_valid_config_is_said_to_be_so(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", "--configfile", "mine.yaml"]) == 0
    assert capsys.readouterr().out.startswith("mine: valid; ")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("beta: 2.0", "beta: -2.0", 'mine.yaml:8: methods: "tofu/forget10/tiny/simnpo": beta: -2.0: '),
        ("suites: [tofu]", "suites: [tufo]", "mine.yaml:12: blocks[0]: suites: unknown suite 'tufo'; "),
        ("[0.05, 0.2]", "[0.05, 0.05]", 'mine.yaml:10: grids: "tofu/*/*/npo": beta: '),
        (
            "[forget10]",
            "[forget05]",
            'mine.yaml:6: methods: "tofu/forget10/tiny/simnpo": in mine.yaml: the pattern matches nothing',
        ),
    ],
)
def test_an_error_names_file_and_line(here: Path, capsys: pytest.CaptureFixture[str], old: str, new: str, said: str) -> None:
    (here / "mine.yaml").write_text(OVERLAY.replace(old, new), encoding="utf-8")
    for command in ("validate", "plan"):
        assert main([command, "--configfile", "mine.yaml"]) == 2
        assert capsys.readouterr().err.startswith(f"palimpsest {command}: {said}")


def test_list_names_each_kind(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line.endswith(":") and not line.startswith(" ")] == [
        "methods:",
        "metrics:",
        "attacks:",
        "benchmarks:",
        "studies:",
    ]
    for name in (*list_methods(), "tofu: forget_quality", "relearn", "documents", "world"):
        assert any(line.strip().startswith(name) for line in lines), name
    assert main(["list", "methods"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1 + len(list_methods())
    assert main(["list", "method"]) == 2
    assert "unknown kind 'method'; did you mean methods?" in capsys.readouterr().err


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as done:
        main(["--version"])
    assert done.value.code == 0 and capsys.readouterr().out.startswith("palimpsest 0.")
