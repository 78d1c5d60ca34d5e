"""`palimpsest pin`: commits are written into a config in place, and nothing else of it changes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import yaml
from huggingface_hub import HfApi, constants
from local_hub import NOBODY, Hub, serving

from palimpsest import cli, hub
from palimpsest.errors import UserError
from palimpsest.study.study import load_config

MAIN, TAG, DATA, DIGITS = "a" * 40, "b" * 40, "c" * 40, "1" * 40
COMMITS = {
    "models/org/large": MAIN,
    "models/org/large/revision/v1": TAG,
    "models/org/digits": DIGITS,
    "datasets/org/news/revision/main": DATA,
    "datasets/org/asked/revision/main": DATA,
}
BEFORE = """\
# A study.
study: pins
models:
  large:
    kind: pretrained   # as published
    name: org/large   # the model
    tokenizer: {name: "org/large", revision: v1}

    original: {name: org/large}
    retrain:
      name: org/large
      revision: null  # not looked up
  digits: {kind: pretrained, name: org/digits, revision: null}
  pinned: {kind: pretrained, name: org/other, revision: ffffffffffffffffffffffffffffffffffffffff}
  folder: {kind: pretrained, name: models/own}
sources:
  news: {kind: muse-hub, repo: org/news, revision: 'main'}
suites:
  asked:
    kind: lm-eval
    datasets:
      org/asked: main
      org/other: ffffffffffffffffffffffffffffffffffffffff
    tasks: [name]
"""
AFTER = f"""\
# A study.
study: pins
models:
  large:
    kind: pretrained   # as published
    name: org/large   # the model
    revision: {MAIN}
    tokenizer: {{name: "org/large", revision: {TAG}}}

    original: {{name: org/large, revision: {MAIN}}}
    retrain:
      name: org/large
      revision: {MAIN}  # not looked up
  digits: {{kind: pretrained, name: org/digits, revision: "{DIGITS}"}}
  pinned: {{kind: pretrained, name: org/other, revision: ffffffffffffffffffffffffffffffffffffffff}}
  folder: {{kind: pretrained, name: models/own}}
sources:
  news: {{kind: muse-hub, repo: org/news, revision: '{DATA}'}}
suites:
  asked:
    kind: lm-eval
    datasets:
      org/asked: {DATA}
      org/other: ffffffffffffffffffffffffffffffffffffffff
    tasks: [name]
"""


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "models/own").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with serving(Hub({}, commits=COMMITS)) as server:
        monkeypatch.setattr(hub, "HfApi", partial(HfApi, endpoint=server.url))
        yield


def pin(*names: str) -> int:
    return cli.main(["pin", *names])


@pytest.mark.usefixtures("known")
def test_commits_are_written_in_place(capsys: pytest.CaptureFixture[str]) -> None:
    for name, newline in (("config.yaml", "\n"), ("windows.yaml", "\r\n")):
        Path(name).write_text(BEFORE, newline=newline)
    assert pin() == 0 == pin("windows.yaml")
    said = capsys.readouterr().out.splitlines()
    assert said[:2] == [f"config.yaml:6: org/large is at {MAIN}", f"config.yaml:7: org/large is at {TAG}"]
    assert Path("config.yaml").read_bytes().decode() == AFTER
    assert Path("windows.yaml").read_bytes().decode() == AFTER.replace("\n", "\r\n")
    assert pin() == 0
    assert capsys.readouterr().out == "config.yaml: every repository has its commit\n"


@pytest.mark.usefixtures("known")
def test_a_config_is_replaced_whole_with_its_mode_and_its_link() -> None:
    Path("own.yaml").write_text(BEFORE)
    Path("own.yaml").chmod(0o640)
    Path("config.yaml").symlink_to("own.yaml")
    with Path("own.yaml").open() as opened:
        assert pin() == 0
        # Whoever has opened the old file reads all of it.
        assert opened.read() == BEFORE
    assert Path("config.yaml").is_symlink() and Path("own.yaml").read_text() == AFTER
    assert Path("own.yaml").stat().st_mode & 0o777 == 0o640
    assert {path.name for path in Path().iterdir()} == {"config.yaml", "own.yaml", "models"}


@pytest.mark.usefixtures("known")
def test_a_config_in_json_stays_json() -> None:
    config = {
        "models": {"large": {"kind": "pretrained", "name": "org/large", "tokenizer": {"name": "org/large", "revision": "v1"}}}
    }
    Path("config.json").write_text(json.dumps(config, indent="\t"))
    assert pin("config.json") == 0
    large = config["models"]["large"] | {"revision": MAIN, "tokenizer": {"name": "org/large", "revision": TAG}}
    assert json.loads(Path("config.json").read_text()) == {"models": {"large": large}}


@pytest.mark.usefixtures("known")
def test_files_are_changed_together_or_not_at_all(capsys: pytest.CaptureFixture[str]) -> None:
    Path("good.yaml").write_text("models: {large: {name: org/large}}\n")
    Path("bad.yaml").write_text("models:\n  large: {name: org/large, revision: v2}\n")
    assert pin("good.yaml", "bad.yaml") == 2
    assert capsys.readouterr().err.startswith("palimpsest pin: bad.yaml:2: org/large at v2: ")
    assert Path("good.yaml").read_text() == "models: {large: {name: org/large}}\n"


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (
            (403, "GatedRepo"),
            f"org/large: gated; request access at {constants.ENDPOINT}/org/large and log in with `hf auth login`",
        ),
        ((404, "RepoNotFound"), "org/large: the Hub has no such model, or it is private; check the name, or log in with "),
        ((404, "RevisionNotFound"), "org/large: the Hub has no such revision; it must be a branch, tag or commit of this model"),
        (None, "org/large: the Hub cannot be reached ("),
    ],
)
def test_what_the_hub_refuses_is_one_line(
    error: tuple[int, str] | None, line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("config.yaml").write_text(text := "models:\n  large:\n    name: org/large\n")
    with serving(Hub({}, error)) as server:
        monkeypatch.setattr(hub, "HfApi", partial(HfApi, endpoint=server.url if error else NOBODY))
        assert pin() == 2
    said = capsys.readouterr().err
    assert said.startswith(f"palimpsest pin: config.yaml:3: {line}") and said.count("\n") == 1
    assert Path("config.yaml").read_text() == text


def test_without_a_network_it_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    Path("config.yaml").write_text("models: {large: {name: org/large}}\n")
    assert pin() == 2
    assert capsys.readouterr().err == (
        "palimpsest pin: config.yaml:1: org/large: HF_HUB_OFFLINE forbids downloads; unset it once\n"
    )


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("models: {own: {name: ./gone}}", "config.yaml:1: there is no folder './gone', and this is no name on the Hub"),
        ("models: {own: {revision: main}}", "config.yaml:1: revision: name its name in this file too"),
        ("models:\n  a: {name: &n org/large}", "config.yaml:2: 'org/large' is an anchor or folded: write it as plain text"),
    ],
)
def test_what_cannot_be_edited_is_one_line(text: str, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("config.yaml").write_text(text)
    assert pin() == 2
    assert capsys.readouterr().err == f"palimpsest pin: {line}\n"


def test_what_is_no_repository_is_left_to_the_check_of_the_study(capsys: pytest.CaptureFixture[str]) -> None:
    text = "models: [{name: [x]}, {tiny: {kind: tiny}}]\nsources: main\nsuites: {a: {datasets: {b: [c]}}}\n"
    text += "other: {name: org/large}\n"
    text = text.replace(
        "[{name: [x]}, {tiny: {kind: tiny}}]", "[{name: [x]}, {tiny: {kind: tiny}}, {bare: {name: null}}, {more: {name: ~}}]"
    )
    Path("config.yaml").write_text(text)
    assert pin() == 0
    assert capsys.readouterr().out == "config.yaml: every repository has its commit\n"
    assert Path("config.yaml").read_text() == text


def test_a_branch_in_a_config_is_refused_with_the_command_that_pins_it() -> None:
    config = yaml.safe_load(
        "{study: x, description: x, results: x, sources: {}, benchmarks: {}, "
        "models: {large: {kind: pretrained, name: a/b, revision: main}}}"
    )
    config["blocks"] = [{"benchmark": "x", "splits": ["x"], "models": ["large"], "seeds": [0]}]
    with pytest.raises(UserError) as caught:
        load_config(config)
    assert str(caught.value) == (
        "config: models: large: revision: 'main': not a commit, which has 40 hex digits; `palimpsest pin FILE` looks it up"
    )
