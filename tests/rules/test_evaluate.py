"""`palimpsest evaluate`: a model of one's own and a Retrain, from the command line to the scores."""

import subprocess
from pathlib import Path

import pytest
from checkout import Checkout
from test_pretrained import make_model

from palimpsest.cli import main


def evaluate(checkout: Checkout, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command on the fictional world."""
    world = checkout.path / "evaluate-world.yaml"
    world.write_text("suites: {small: {kind: tofu, max_items: 4, max_new_tokens: 4}}\n")
    place = ["--benchmark", "tofu", "--split", "forget10", "--suite", "small", "--cores", "2"]
    return checkout.palimpsest("evaluate", *arguments, *place, "--configfile", "config/test/tiny.yaml", world.name)


def test_a_model_is_judged_against_a_retrain(checkout: Checkout) -> None:
    for seed, name in enumerate(("theirs", "retrain")):
        make_model(checkout.path / "models" / name, seed)
    ran = evaluate(checkout, "models/theirs", "--retrain", "models/retrain")
    assert ran.returncode == 0, ran.stderr
    rows = dict(line.split(maxsplit=1) for line in ran.stdout.splitlines() if line.startswith(("KS", "forget probability")))
    assert rows["KS"].startswith("statistic") and float(rows["KS"].split()[1]) > 0
    # The log of an earlier evaluation serves as Retrain too, and nothing is evaluated again.
    log = "results-evaluate/tofu/given/forget10/seed0/given-retrain/eval/small"
    again = evaluate(checkout, "models/theirs", "--retrain", log)
    assert (again.returncode, again.stdout) == (0, ran.stdout), again.stderr
    alone = evaluate(checkout, "models/theirs")
    assert alone.returncode == 0 and "no log of Retrain was given" in alone.stdout


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["no/where", "--benchmark", "tofu"], "MODEL: no/where: there is no such folder; a model of the Hub is NAME@COMMIT"),
        (["org/name@main", "--benchmark", "tofu"], "MODEL: org/name@main: there is no such folder; a model of the Hub is NAME@"),
        (["src", "--benchmark", "tofo"], "--benchmark: unknown benchmark 'tofo'; did you mean tofu?"),
        (
            ["src", "--benchmark", "tofu", "--configfile", "config.yaml", "--like", "tini"],
            "--like: unknown model 'tini'; did you mean tiny?",
        ),
        (["src", "--benchmark", "wmdp"], "--suite: missing: kind wmdp has no suite of its own; name one of the config"),
        (
            ["src", "--benchmark", "muse"],
            "--data: missing: the config has no data of kind muse on the Hub; name a",
        ),
        (["src", "--benchmark", "muse", "--retrain", "x.json"], "--retrain: x.json: kind muse reads no logs; name a model"),
    ],
)
def test_one_line(
    checkout: Checkout, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str], line: str
) -> None:
    monkeypatch.chdir(checkout.path)
    assert main(["evaluate", *arguments, "--split", "forget10"]) == 2
    assert line in capsys.readouterr().err


def test_outside_a_checkout_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["evaluate", ".", "--benchmark", "tofu", "--split", "forget10"]) == 2
    assert "run this command in a checkout of Palimpsest" in capsys.readouterr().err
