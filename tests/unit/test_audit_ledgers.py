"""Two ledgers side by side, and the checks of an audit that need no study."""

from pathlib import Path
from typing import Any

import pytest

from palimpsest.audit.artefacts import Artefact
from palimpsest.audit.chain import source_of
from palimpsest.audit.compare import compare, format_comparison
from palimpsest.audit.ledger import Entry, Ledger, read_ledger, write_ledger
from palimpsest.audit.planned import open_project, read_command
from palimpsest.audit.surroundings import check_commit, check_environments
from palimpsest.errors import UserError


def entry(made: str, *inputs: str, **change: str) -> Entry:
    values = {"stage": "s", "spec": "p", "code": "c", "files": made} | change
    return Entry(manifest=made, inputs={f"i{number}": path for number, path in enumerate(inputs)}, **values)


def ledger(**artefacts: Entry) -> Ledger:
    return Ledger(commits={"abc": 1}, environments={"torch": {"2": 1}}, artefacts=artefacts)


FIRST = ledger(
    data=entry("d"), base=entry("b", "data"), model=entry("m", "base", "data"), table=entry("t", "model"), other=entry("o")
)


def test_a_ledger_survives_being_written(tmp_path: Path) -> None:
    path = tmp_path / "ledger.json"
    path.write_text(write_ledger(FIRST))
    assert read_ledger(path) == FIRST
    # An artefact a line.
    assert sum(line.startswith('"') and '"manifest":' in line for line in path.read_text().splitlines()) == 5


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "not a ledger"),
        ("[]", "not a ledger"),
        ('{"format":2}', "not a ledger"),
        ("\udcff", "not a ledger"),
        (None, "cannot be read"),
    ],
)
def test_what_is_no_ledger_is_one_line(tmp_path: Path, text: str | None, said: str) -> None:
    path = tmp_path / "ledger.json"
    if text is not None:
        path.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(UserError) as caught:
        read_ledger(path)
    assert str(caught.value).startswith(f"{path}: {said}")
    assert "\n" not in str(caught.value)


def test_an_edited_config_or_acceptance_is_no_agreement() -> None:
    first = FIRST.model_copy(update={"config": {"study": "s", "results": "a"}})
    assert compare(first, first.model_copy(update={"config": {"study": "s", "results": "b"}})).agrees
    for changed in ({"config": {"study": "t", "results": "a"}}, {"equivalences": [{"stage": "split"}]}):
        comparison = compare(first, first.model_copy(update=changed))
        assert not comparison.agrees
        assert format_comparison(comparison).splitlines()[1:] == [f"{name}: not the same" for name in changed]


def test_a_difference_is_traced_to_where_it_began() -> None:
    assert compare(FIRST, FIRST).agrees
    changed = {
        "base": entry("b2", "data", code="c2"),
        "model": entry("m2", "base", "data"),
        "table": entry("t2", "model", files="t"),
    }
    comparison = compare(FIRST, ledger(**(FIRST.artefacts | changed)))
    assert not comparison.agrees
    assert comparison.roots == {"base": 3}
    assert {each.path: each.own for each in comparison.differences}["base"] == ["code", "files"]
    assert {each.path: each.files for each in comparison.differences} == {"base": True, "model": True, "table": False}
    assert format_comparison(comparison).splitlines() == [
        "2 artefacts are the same",
        "3 differ, 2 of them in their files; the differences begin in:",
        "  base: its code and files, and 2 downstream",
        "code differs in stages: s",
    ]


def test_two_beginnings_are_both_named_and_what_is_in_one_alone_is_one() -> None:
    second = ledger(
        base=entry("b2", "data", spec="p2"),
        model=entry("m2", "base", "extra"),
        table=entry("t2", "model"),
        other=entry("o2"),
        extra=entry("e"),
    )
    comparison = compare(FIRST, second)
    assert (comparison.only_first, comparison.only_second) == (["data"], ["extra"])
    assert {each.path: each.roots for each in comparison.differences} == {
        "base": ["data"],
        "model": ["data", "extra"],
        "table": ["data", "extra"],
        "other": ["other"],
    }
    assert "other: its files" in format_comparison(comparison)


def test_a_ledger_that_goes_in_circles_ends() -> None:
    one = ledger(a=entry("1", "b"), b=entry("2", "a"))
    two = ledger(a=entry("3", "b"), b=entry("4", "a"))
    assert {each.path for each in compare(one, two).differences} == {"a", "b"}


def test_other_versions_and_commits_are_named() -> None:
    other = FIRST.model_copy(update={"environments": {"torch": {"3": 1}}, "commits": {"def": 1}})
    assert format_comparison(compare(FIRST, other)).splitlines()[1:] == [
        "torch: 2 in the first, 3 in the second",
        "commit: abc in the first, def in the second",
    ]


def test_results_are_called_as_snakemake_called_them(tmp_path: Path) -> None:
    stored = tmp_path / "disk" / "run42"
    stored.mkdir(parents=True)
    (stored / "run_config.yaml").write_text("results: deep/results\n")
    (tmp_path / "study" / "deep").mkdir(parents=True)
    link = tmp_path / "study" / "deep" / "results"
    link.symlink_to(stored)
    project = open_project(link, [])
    assert (project.workdir, project.called) == (tmp_path / "study", "deep/results")
    # Where they were copied to under another name they are called by it.
    project = open_project(stored, [])
    assert (project.workdir, project.called) == (tmp_path / "disk", "run42")
    (stored / "run_config.yaml").unlink()
    with pytest.raises(UserError, match=r"run_config\.yaml: there is no such config; give the study's with --configfile"):
        open_project(link, [])


@pytest.mark.parametrize("spec", ['\'{"a":"x y"}\'', '@<(printf %s \'{"a":"x y"}\')'], ids=["argument", "file"])
def test_a_stage_is_read_off_its_command(spec: str) -> None:
    text = (
        "PALIMPSEST_NETWORK=yes python -m palimpsest.launch --gpu 2 --parallel ddp palimpsest.stages.evaluate"
        f" --spec {spec}"
        " --code abc+palimpsest.evaluation.tofu --in eval:original=r/a/manifest.json"
        " --in eval:retrain=r/b/manifest.json --out r/c/manifest.json"
        " > r/logs/c.log 2>&1"
    )
    command = read_command(text)
    assert command is not None
    assert command.before == [
        "python",
        "-m",
        "palimpsest.launch",
        "--gpu",
        "2",
        "--parallel",
        "ddp",
        "palimpsest.stages.evaluate",
    ]
    assert (command.stage, command.spec, command.code) == ("evaluate", '{"a":"x y"}', "abc+palimpsest.evaluation.tofu")
    assert command.inputs == {"eval:original": Path("r/a/manifest.json"), "eval:retrain": Path("r/b/manifest.json")}
    assert read_command("cp a b") is None


def artefact(path: str, manifest: dict[str, Any], environment: dict[str, Any] | None = None) -> Artefact:
    made = Artefact(path, Path(path))
    made.__dict__.update(manifest=manifest, environment=environment)
    return made


@pytest.mark.parametrize(
    ("stage", "spec", "source"),
    [
        ("data", {"source": {"kind": "hub", "repo": "a/b", "revision": "f" * 40}}, "a/b at ffffffffffff"),
        ("data", {"source": {"kind": "folder", "path": "data/x"}}, "folder data/x, whose files are hashed in its source.json"),
        ("data", {"source": {"kind": "world", "seed": 3}}, "made here (world), seed 3"),
        ("palimpsest.benchmarks.markov.stages.draw", {"chains": {}, "seed": 2}, "made here (draw), seed 2"),
        ("base", {"model": {"kind": "pretrained", "name": "a/b", "revision": "e" * 40}}, "a/b at eeeeeeeeeeee"),
        ("base", {"model": {"kind": "pretrained", "name": "folder", "revision": None}}, None),
        ("base", {"model": {"package": "p", "file": "m.gguf", "sha256": "a" * 64}}, "p/m.gguf, sha256 aaaaaaaaaaaa"),
    ],
)
def test_a_source_is_what_a_hash_a_commit_or_code_holds_fast(stage: str, spec: dict[str, Any], source: str | None) -> None:
    assert source_of(artefact("a", {"stage": stage, "spec": spec, "inputs": {}})) == source


def test_the_odd_one_out_is_named_and_the_rest_is_not() -> None:
    usual = {"packages": {"torch": "2", "numpy": "1"}, "python": "3.11", "device": "cpu", "image": None, "processes": 1}
    made = {name: artefact(name, {"stage": "evaluate"}, usual) for name in "abc"}
    # A report has no torch, and other stages other images.
    made["report"] = artefact(
        "report", {"stage": "report"}, {"packages": {"numpy": "1"}, "python": "3.11", "image": "report.sif"}
    )
    assert list(check_environments(made)) == []
    made["c"] = artefact("c", {"stage": "evaluate"}, usual | {"packages": {"torch": "3", "numpy": "1"}, "device": "H100"})
    (finding,) = check_environments(made)
    assert (finding.path, finding.reason) == ("c", "torch 3, most have 2; device H100, most have cpu")


@pytest.mark.parametrize(
    ("commit", "reasons"),
    [
        ("f" * 40, []),
        (f"{'f' * 40}-dirty", ["made from a working tree that differed from commit ffffffffffff"]),
        (None, ["no commit is recorded: it was not made in a git checkout"]),
    ],
)
def test_only_a_clean_commit_holds_the_code(commit: str | None, reasons: list[str]) -> None:
    assert [finding.reason for finding in check_commit(artefact("a", {}, {"commit": commit}))] == reasons
