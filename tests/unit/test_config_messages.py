"""A mistake in a config is one line that says what, where and what is allowed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from example_study import CONFIG, changed

from palimpsest.errors import UserError
from palimpsest.methods import list_methods
from palimpsest.study.applied import open_study
from palimpsest.study.messages import UNQUOTED
from palimpsest.study.study import Study

TRAINING = (
    "learning_rate, epochs, batch_size, drop_last, weight_decay, adam_epsilon, warmup_epochs, schedule, max_grad_norm, "
    "tokens_per_pass, max_steps"
)
PUBLISHED = [{"source": "a paper", "scores": {"npo": {"forget_quality": 0.5}}}]
EVERY = (
    f"{TRAINING}, stop_epoch, draw, forget_weight, retain_weight, mean_over, retain_loss, retain_pairing, sharpness, gradients,"
    " start, reference"
)
METHODS = ", ".join(list_methods())
NPO = ("methods", "tofu/*/*/npo")
NAME = "is not a name: use letters, digits, . _ + -, and start with a letter or digit"


@pytest.fixture(autouse=True)
def _nothing_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A study looks at what is made already: nothing, whatever lies in the folder that the tests are run in."""
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("keys", "value", "line"),
    [
        # Numbers and other types.
        ((*NPO, "beta"), "1e-5", """methods: "tofu/*/*/npo": beta: '1e-5' is text; write 1.0e-5 for the number"""),
        ((*NPO, "beta"), "-2E4", """methods: "tofu/*/*/npo": beta: '-2E4' is text; write -2.0e+4 for the number"""),
        ((*NPO, "beta"), "0.1", f"""methods: "tofu/*/*/npo": beta: '0.1' is text; write a number {UNQUOTED}"""),
        (
            ("models", "tiny", "gradient_checkpointing"),
            "true",
            f"models: tiny: gradient_checkpointing: 'true' is text; write true {UNQUOTED}",
        ),
        ((*NPO, "epochs"), "ten", """methods: "tofu/*/*/npo": epochs: 'ten' is text; expected a number"""),
        ((*NPO, "epochs"), 1.5, 'methods: "tofu/*/*/npo": epochs: 1.5: input should be a valid integer'),
        ((*NPO, "epochs"), 0, 'methods: "tofu/*/*/npo": epochs: 0: input should be greater than or equal to 1'),
        ((*NPO, "beta"), True, 'methods: "tofu/*/*/npo": beta: True: input should be a valid number'),
        (NPO, 5, 'methods: "tofu/*/*/npo": 5 should be a mapping of keys to values'),
        (("study",), 1, "study: 1: input should be a valid string"),
        (("blocks", 0, "seeds"), [0, -1], "blocks[0]: seeds[1]: -1: input should be greater than or equal to 0"),
        (("blocks", 0, "seeds"), [], "blocks[0]: seeds: []: at least one is needed"),
        # Keys.
        (
            (*NPO, "bta"),
            0.1,
            f"""methods: "tofu/*/*/npo": unknown setting of npo 'bta'; did you mean beta? allowed: beta, {EVERY}""",
        ),
        (
            ("finetuning", "tofu/*/tiny", "epohcs"),
            3,
            f"""finetuning: "tofu/*/tiny": unknown key 'epohcs'; did you mean epochs? allowed: {TRAINING}, fact_lessons""",
        ),
        (
            ("attacks", "relearn-random", "training", "lr"),
            1.0,
            f"attacks: relearn-random: training: unknown key 'lr'; allowed: {TRAINING}",
        ),
        (
            ("models", "tiny", "lora"),
            {"rnk": 8},
            "models: tiny: lora: unknown key 'rnk'; did you mean rank? allowed: rank, alpha, dropout, target_modules, layers",
        ),
        (
            ("blocks", 0, "seed"),
            [0],
            "blocks[0]: unknown key 'seed'; did you mean seeds? "
            "allowed: benchmark, splits, models, seeds, methods, checkpoints, suites, judge, attacks, trajectories, keep",
        ),
        (("sources", "world"), {"kind": "folder"}, "sources: world: the key 'path' is missing"),
        (("sources", "world"), {"authors": 40}, "sources: world: the key 'kind' is missing"),
        # Selections.
        (
            (*NPO, "retain_loss"),
            "cee",
            """methods: "tofu/*/*/npo": retain_loss: unknown value 'cee'; did you mean ce? allowed: ce, kl, none, activations""",
        ),
        (
            ("suites", "tofu", "kind"),
            "tofy",
            "suites: tofu: unknown kind 'tofy'; did you mean tofu?"
            " allowed: documents, lume, muse, rwku, tofu, depth, lm-eval, prompting, sampling",
        ),
        # Methods and the settings of their losses.
        (("blocks", 0, "methods", 0), "gaa", f"blocks[0]: methods[0]: unknown method 'gaa'; did you mean ga? allowed: {METHODS}"),
        (
            ("methods", "tofu/*/*/nppo"),
            {},
            f"""methods: "tofu/*/*/nppo": unknown method 'nppo'; did you mean npo? allowed: {METHODS}""",
        ),
        ((*NPO, "gamma"), 0.1, f"""methods: "tofu/*/*/npo": unknown setting of npo 'gamma'; allowed: beta, {EVERY}"""),
        (
            ("methods", "tofu/*/tiny/*", "beta"),
            0.1,
            f"""methods: "tofu/*/tiny/*": unknown setting of ce-u 'beta'; allowed: skip_first, {EVERY}""",
        ),
        (
            ("variants", "tofu/*/*/npo"),
            {"soft": {"gamma": 1.0}},
            f"""variants: "tofu/*/*/npo": soft: unknown setting of npo 'gamma'; allowed: beta, {EVERY}""",
        ),
        (
            ("variants", "tofu/*/*/simnpo", "default"),
            {},
            'variants: "tofu/*/*/simnpo": default: default is the unchanged method; change it under methods',
        ),
        (
            ("blocks", 0, "methods", 0),
            {"simnpo": ["beta-9"]},
            "variants: tofu/forget10/tiny/simnpo has no variant 'beta-9'; allowed: default, selected, beta-2.5, weak",
        ),
        (
            ("methods", "tofu/*/*/rmu"),
            {"layer": 1.5},
            'methods: "tofu/*/*/rmu": layer: 1.5: input should be a valid integer',
        ),
        (
            ("methods", "tofu/*/*/rmu"),
            {"layer": -1},
            'methods: "tofu/*/*/rmu": layer: -1: input should be greater than or equal to 0',
        ),
        (
            ("methods", "tofu/*/*/task-vector"),
            {"beta": 1.0},
            """methods: "tofu/*/*/task-vector": unknown setting of task-vector 'beta'; allowed: alpha, start""",
        ),
        # Names that blocks and patterns give.
        (("blocks", 0, "benchmark"), "tfu", "blocks[0]: benchmark: unknown benchmark 'tfu'; did you mean tofu? allowed: tofu"),
        (("blocks", 0, "models"), ["tin"], "blocks[0]: models: unknown model 'tin'; did you mean tiny? allowed: tiny"),
        (("blocks", 0, "suites"), ["muse"], "blocks[0]: suites: unknown suite 'muse'; allowed: tofu, lm-eval"),
        (
            ("blocks", 1, "attacks"),
            ["relearn"],
            "blocks[1]: attacks: unknown attack 'relearn'; did you mean relearn-random? "
            "allowed: relearn-shortest, relearn-random",
        ),
        (
            ("blocks", 1, "suites"),
            ["lm-eval"],
            "blocks[1]: attacks: attacks are measured by a suite of kind tofu: add one to suites",
        ),
        (
            ("benchmarks", "tofu", "source"),
            "moon",
            "benchmarks: tofu: source: unknown source 'moon'; allowed: world, hub, folder",
        ),
        (("methods", "tofu/*/npo"), {}, 'methods: "tofu/*/npo": a pattern is benchmark/split/model/method, each a name or *'),
        (
            ("finetuning", "tofu/*/tniy"),
            {},
            """finetuning: "tofu/*/tniy": unknown model 'tniy'; did you mean tiny? allowed: tiny""",
        ),
        (("published", "tofu"), PUBLISHED, "published: tofu: a key is benchmark/split/model"),
        # Splits, as far as a config tells.
        (
            ("blocks", 0, "splits"),
            ["retain90"],
            "blocks[0]: splits: split 'retain90': the name must be forgetNN with NN from 01 to 99, for the last NN % "
            "of the authors",
        ),
        (
            ("blocks", 0, "splits"),
            ["forget03"],
            "blocks[0]: splits: split forget03: 3 % of 40 authors is not a whole number of authors",
        ),
        (
            ("benchmarks", "tofu", "split"),
            {"retain_authors": 37},
            "blocks[0]: splits: forget10 of 40 authors leaves 36 to retain, but 37 are requested",
        ),
        (
            ("sources", "world"),
            {"kind": "hub", "base_authors": 180},
            "sources: world: base_authors: 180: input should be less than or equal to 179",
        ),
        (
            ("benchmarks", "tofu", "source"),
            "hub",
            "sources: hub: base_authors: 0, but the base of a tiny model needs at least 1",
        ),
        # Names that become folders.
        (("study",), "../x", f"study: '../x' {NAME}"),
        (("models", "a b"), CONFIG["models"]["tiny"], f"""models: "a b": 'a b' {NAME}"""),
        (("attacks", ".."), CONFIG["attacks"]["relearn-random"], f"attacks: ..: '..' {NAME}"),
        (("blocks", 0, "methods", 0), {"simnpo": ["a/b"]}, f"blocks[0]: methods[0]: simnpo[0]: 'a/b' {NAME}"),
        (
            ("models", "splits"),
            CONFIG["models"]["tiny"],
            "models: splits: 'splits' is the name of a folder of the results; choose another name",
        ),
        # Data.
        (
            ("sources", "world"),
            {"kind": "folder", "path": "no/where", "base_authors": 5},
            "sources: world: path: there is no folder 'no/where': it should hold the files of TOFU",
        ),
        (
            ("sources", "world"),
            {"kind": "hub"},
            "sources: world: base_authors: 0, but the base of a tiny model needs at least 1",
        ),
    ],
)
def test_one_line(keys: Sequence[str | int], value: Any, line: str) -> None:
    with pytest.raises(UserError) as caught:
        Study(changed(keys, value))
    assert str(caught.value) == f"config: {line}"


def test_of_several_mistakes_the_first_is_told_and_the_others_are_counted() -> None:
    config = changed((*NPO, "epochs"), "1e-5")
    config["bloks"] = []
    with pytest.raises(UserError, match=r"^config: methods: .* \(and 1 more\)$"):
        Study(config)


def test_a_missing_folder_does_not_matter_once_its_data_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = changed(("sources", "world"), {"kind": "folder", "path": "gone", "base_authors": 5})
    made = tmp_path / "results/tofu/data/source.json"
    made.parent.mkdir(parents=True)
    # Data of another source are no stand-in.
    made.write_text('{"kind": "world"}')
    with pytest.raises(UserError, match="there is no folder 'gone'"):
        Study(config)
    made.write_text('{"kind": "folder", "files": {"full.json": "0"}}')
    assert Study(config).subjects


@pytest.mark.parametrize(
    ("keys", "value", "line"),
    [
        (("strengthening",), {}, "config: the key 'strengthening' is now called 'reinforcing'"),
        (("models", "tiny", "piece_tokens"), 64, "config: models: tiny: the key 'piece_tokens' is now called 'chunk_tokens'"),
        (
            ("models", "tiny", "pieces_per_text"),
            1,
            "config: models: tiny: the key 'pieces_per_text' is now called 'chunks_per_text'",
        ),
        (
            ("blocks", 0, "methods", 0),
            {"simnpo": ["chosen"]},
            "config: variants: tofu/forget10/tiny/simnpo: the variant 'chosen' is called 'selected' now",
        ),
    ],
)
def test_a_name_of_an_earlier_version_is_refused_with_its_new_name(keys: tuple[str | int, ...], value: object, line: str) -> None:
    with pytest.raises(UserError) as caught:
        Study(changed(keys, value))
    assert str(caught.value) == line


def test_a_folder_that_no_block_needs_may_be_missing() -> None:
    assert Study(changed(("sources", "folder", "path"), "no/where")).subjects


def test_the_workflow_leaves_with_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        open_study(changed(("study",), "../x"))
    assert caught.value.code == 2
    assert capsys.readouterr().err == f"palimpsest: config: study: '../x' {NAME}\n"


@pytest.mark.parametrize(
    ("split", "retained", "line"),
    [
        ("forget20", None, "forget20: at most 20 of the 200 authors can be forgotten"),
        ("forget10", 81, "forget10 of 200 authors leaves 80 to retain, but 81 are requested"),
        ("forget05", 81, "forget05 of 200 authors leaves 80 to retain, but 81 are requested"),
        ("forget01", 80, None),
    ],
)
def test_splits_of_tofu(split: str, retained: int | None, line: str | None) -> None:
    check_split(split, {"retain_authors": retained}, line)


@pytest.mark.parametrize(
    ("skipped", "line"),
    [
        (10, None),
        (11, "forget05: at most 20 of the 200 authors can be forgotten, and skip_authors leaves out 11 of them"),
    ],
)
def test_authors_that_are_skipped_cannot_be_forgotten(skipped: int, line: str | None) -> None:
    check_split("forget05", {"skip_authors": skipped}, line)


def check_split(split: str, settings: dict[str, int | None], line: str | None) -> None:
    config = changed(("sources", "hub", "base_authors"), 100)
    config["benchmarks"]["tofu"] = {"kind": "tofu", "source": "hub", "split": settings}
    config["blocks"] = [config["blocks"][0] | {"splits": [split]}]
    if line is None:
        assert Study(config).subjects
    else:
        with pytest.raises(UserError) as caught:
            Study(config)
        assert str(caught.value) == f"config: blocks[0]: splits: {line}"
