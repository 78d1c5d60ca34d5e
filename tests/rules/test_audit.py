"""The audit of a finished study: silent where all is well, and each fault by its kind, path and reason."""

import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from checkout import ROOT, TINY, Checkout

from palimpsest.audit.compare import compare
from palimpsest.audit.explain import find_number, trace
from palimpsest.audit.ledger import derive_ledger
from palimpsest.errors import UserError
from palimpsest.provenance.canonical import canonical_json, sha256_file, sha256_text

RUN = "tofu/tiny/forget10/seed0"


def audit(checkout: Checkout, command: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run a command of the audit with the code of a checkout."""
    return checkout.palimpsest("audit", command, *arguments)


def found(checkout: Checkout, *arguments: object) -> set[tuple[str, str]]:
    """Return the kind and path of each finding of `verify`."""
    ran = audit(checkout, "verify", "results", "--json", *arguments)
    assert ran.returncode in (0, 1), ran.stderr
    findings = json.loads(ran.stdout)["findings"]
    return {(each["kind"], each["path"]) for each in findings}


def edit_json(path: Path, **values: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values, sort_keys=True, indent=1) + "\n")


def forge(path: Path, spec: Any, **values: Any) -> None:
    """Edit a manifest as one does who knows that its spec is hashed."""
    edit_json(path, spec=spec, spec_sha256=sha256_text(canonical_json(spec)), **values)


def test_a_finished_study_holds_and_every_command_of_the_docs_is_true(finished: Checkout, finished_once: Checkout) -> None:
    (finished.path / "other").symlink_to(finished_once.path)
    pages = ("docs/audit.md", "README.md", "docs/quick-start.md", "docs/tutorials/slurm.md")
    texts = [(ROOT / name).read_text(encoding="utf-8") for name in pages]
    commands = dict.fromkeys(
        match for text in texts for match in re.findall(r"(?:`|^\$ )palimpsest audit (\w+ [^`\n]+)", text, re.M)
    )
    said = {}
    for command in commands:
        name, *arguments = shlex.split(command)
        ran = audit(finished, name, *arguments)
        assert ran.returncode == 0, f"{command}: {ran.stdout}{ran.stderr}"
        said[name] = ran.stdout
    assert said.keys() == {"verify", "rerun", "explain", "compare", "freeze", "check", "crate"}
    assert re.fullmatch(r"results: 50 artefacts, \d+ files, .* MB: every byte traces to its source\n", said["verify"])
    assert len(said["rerun"].splitlines()) == 3
    assert all("(bitwise, " in line and line.endswith(" s): agrees") for line in said["rerun"].splitlines())
    assert said["compare"] == said["check"] == "50 artefacts are the same\n"
    assert (finished.path / "ledger.json").stat().st_size < 50_000


def test_the_page_of_the_audit_is_no_stranger_to_it_and_a_ledger_tells_what_changed(finished: Checkout) -> None:
    results = finished.path / "results"
    assert audit(finished, "freeze", "results").returncode == 0
    environment = results / RUN / "original/model/environment.json"
    edit_json(environment, commit=f"{'c' * 40}-dirty")
    ran = audit(finished, "verify", "results", "--out", "results")
    assert (ran.returncode, len(ran.stdout.splitlines())) == (1, 2)
    # With the page that was just written.
    assert audit(finished, "verify", "results", "--allow", "dirty-tree").returncode == 0
    assert json.loads((results / "audit.json").read_text())["sources"] == {"tofu/data": "made here (world), seed 0"}
    assert "1 finding in 50 artefacts" in (results / "audit.html").read_text()
    ran = audit(finished, "freeze", "results", "--out", "other.json")
    assert (ran.returncode, (finished.path / "other.json").exists()) == (1, False)
    assert "results with findings get no ledger" in ran.stderr
    model = results / RUN / "original/model"
    (model / "config.json").write_text("{}\n")
    edit_json(model / "manifest.json", code="0")
    ran = audit(finished, "check", "ledger.json")
    assert ran.returncode == 1
    assert f"tampered          {RUN}/original/model/config.json: sha256 is " in ran.stdout
    assert f"{RUN}/original/model: its code" in ran.stdout


def test_every_kind_of_fault_is_found_where_it_is(finished: Checkout) -> None:
    results = finished.path / "results"
    run = results / RUN
    with (run / "original/model/model.safetensors").open("r+b") as file:
        file.seek(5000)
        file.write(b"X")
    (run / "retrain/eval/tofu/items.parquet").unlink()
    forge(run / "unlearn/ga/default/model/manifest.json", spec={"method": "npo"})
    edit_json(run / "unlearn/npo/reference-0.1/model/manifest.json", spec={"method": "npo"})
    (run / "unlearn/npo/half/model/manifest.json").write_text("garbage")
    evaluated = run / "unlearn/simnpo/default/eval/tofu/manifest.json"
    edit_json(evaluated, inputs=json.loads(evaluated.read_text())["inputs"] | {"model": "0" * 64})
    (run / "link").symlink_to("/etc/passwd")
    (run / "unlearn/stray.txt").write_text("x")
    (run / "unlearn/.old.partial").mkdir()
    shutil.rmtree(run / "unlearn/rmu/default/eval/tofu")
    shutil.copytree(run / "unlearn/simnpo/default", run / "unlearn/simnpo/other")
    environment = run / "unlearn/rkld/default/model/environment.json"
    packages = json.loads(environment.read_text())["packages"]
    edit_json(environment, packages=packages | {"torch": "1.0"}, image="train.sif")
    (run / "unlearn/rkld/default/eval/tofu/environment.json").unlink()
    with (results / "summary.csv").open("a") as file:
        file.write("\n")
    base = results / "tofu/tiny/base/manifest.json"
    forge(base, spec={"model": {"kind": "pretrained", "name": "folder", "revision": None}}, inputs={})
    data = finished.path / ".snakemake/metadata/cmVzdWx0cy90b2Z1L2RhdGEvbWFuaWZlc3QuanNvbg=="
    data.unlink()
    assert found(finished) == {
        ("tampered", "summary.csv"),
        ("tampered", f"{RUN}/link"),
        ("tampered", f"{RUN}/original/model/model.safetensors"),
        ("tampered", f"{RUN}/unlearn/ga/default/model"),  # Snakemake remembers another spec
        ("tampered", f"{RUN}/unlearn/npo/half/model/manifest.json"),
        ("tampered", f"{RUN}/unlearn/npo/reference-0.1/model/manifest.json"),
        ("tampered", "tofu/tiny/base"),
        ("missing", f"{RUN}/retrain/eval/tofu/items.parquet"),
        ("missing", f"{RUN}/unlearn/rmu/default/eval/tofu"),
        ("missing", f"{RUN}/unlearn/rkld/default/eval/tofu/environment.json"),
        ("stale", "tofu/tiny/base"),
        ("stale", f"{RUN}/scores"),
        ("stale", f"{RUN}/unlearn/ga/default/model"),
        ("stale", f"{RUN}/unlearn/npo/half/eval/tofu"),
        ("stale", f"{RUN}/unlearn/simnpo/default/eval/tofu"),
        ("stale", f"{RUN}/unlearn/simnpo/other/eval/tofu"),  # a copy of that
        ("stale", f"{RUN}/unlearn/npo/reference-0.1/eval/tofu"),
        ("orphaned", f"{RUN}/unlearn/stray.txt"),
        ("orphaned", f"{RUN}/unlearn/.old.partial"),
        ("orphaned", f"{RUN}/unlearn/simnpo/other/model"),
        ("orphaned", f"{RUN}/unlearn/simnpo/other/eval/tofu"),
        ("orphaned", f"{RUN}/unlearn/simnpo/other/eval/lm-eval"),
        ("unpinned", "tofu/tiny/base"),
        ("unrecorded", "tofu/data"),
        ("mixed-environment", f"{RUN}/unlearn/rkld/default/model"),
    }


def test_what_is_stale_is_what_snakemake_would_make_anew_first(finished: Checkout) -> None:
    finished.edit("src/palimpsest/methods/npo.py", "-2 / self.beta", "-2.5 / self.beta")
    finished.edit("config/test/tiny.yaml", "alpha: 0.5", "alpha: 0.6")
    stale = found(finished, "--configfile", "config/test/tiny.yaml")
    models = {f"{RUN}/unlearn/{name}/model" for name in ("npo/default", "npo/half", "npo/reference-0.1", "task-vector/default")}
    # The report tells the settings.
    assert stale == {("stale", path) for path in models | {"report"}}
    jobs = finished.jobs(*TINY)
    assert (jobs["unlearn"], jobs["page"]) == (4, 1)


def test_an_artefact_that_is_made_again_by_name_leaves_no_mark_on_the_report(finished: Checkout) -> None:
    manifest = f"{RUN}/scores/manifest.json"
    (finished.path / "results" / manifest).unlink()
    ran = finished.snakemake(f"results/{manifest}", *TINY)
    assert ran.returncode == 0, ran.stdout
    assert found(finished) == set() and finished.jobs(*TINY) == {}


def test_a_forgery_that_its_manifest_covers_is_caught_by_making_it_again(finished: Checkout) -> None:
    report = finished.path / "results/report"
    page = report / "report.html"
    page.write_text(page.read_text().replace("Forgetting and utility", "Forgetting and futility"))
    manifest = json.loads((report / "manifest.json").read_text())
    manifest["files"]["report.html"] = {"sha256": sha256_file(page), "size": page.stat().st_size}
    edit_json(report / "manifest.json", **manifest)
    shutil.copy(page, finished.path / "results/report.html")
    assert found(finished) == set()
    ran = audit(finished, "rerun", "results", "--sample", 3, "--only", "report", "scores", "split")
    assert ran.returncode == 1
    lines = {line.partition(" ")[0]: line.partition(": ")[2] for line in ran.stdout.splitlines()}
    assert lines == {"report": "report.html: other bytes", f"{RUN}/scores": "agrees", "tofu/splits/forget10": "agrees"}


def test_a_number_is_followed_to_its_source(finished_once: Checkout) -> None:
    results = finished_once.path / "results"
    row = find_number(results, "forget_quality", {"method": "npo", "variant": "default", "suite": "tofu"})
    steps = trace(results, row)
    paths = [step.path for step in steps if not step.seen]
    assert paths[:4] == ["summary", f"{RUN}/scores", f"{RUN}/unlearn/npo/default/eval/tofu", f"{RUN}/unlearn/npo/default/model"]
    assert {f"{RUN}/retrain/eval/tofu", f"{RUN}/original/reference/plain", "tofu/tiny/base", "tofu/splits/forget10"} < set(paths)
    assert not any("simnpo" in path or "/ga/" in path for path in paths)
    assert [step.path for step in steps if step.source] and {step.source for step in steps if step.source} == {
        "made here (world), seed 0"
    }
    selected = trace(results, find_number(results, "model_utility", {"method": "simnpo", "variant": "selected"}))
    assert "tofu/tiny/forget10/selection/simnpo" in {step.path for step in selected}
    attacked = find_number(
        results, "forget_quality", {"method": "npo", "attack": "relearn-random", "epoch": "1", "suite": "tofu"}
    )
    assert f"{RUN}/unlearn/npo/default/attack/relearn-random" in {step.path for step in trace(results, attacked)}


@pytest.mark.parametrize(
    ("metric", "where", "said"),
    [
        ("forget_qualty", {}, "unknown metric 'forget_qualty'; did you mean forget_quality?"),
        ("forget_quality", {}, "numbers have the name forget_quality; select one with --where: method=ga, npo, "),
        ("forget_quality", {"methd": "npo"}, "--where: unknown column 'methd'; did you mean method?"),
        ("forget_quality", {"method": "nop"}, "--where: method=nop: no forget_quality has it; there are ga, npo, "),
    ],
)
def test_which_number_is_meant_has_to_be_clear(finished_once: Checkout, metric: str, where: dict[str, str], said: str) -> None:
    with pytest.raises(UserError) as caught:
        find_number(finished_once.path / "results", metric, where)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_two_runs_of_which_one_has_other_settings_part_where_these_begin(finished: Checkout, finished_once: Checkout) -> None:
    assert compare(derive_ledger(finished_once.path / "results"), derive_ledger(finished.path / "results")).agrees
    finished.edit("config/test/tiny.yaml", "alpha: 0.5", "alpha: 0.6")
    ran = finished.snakemake(*TINY)
    assert ran.returncode == 0, ran.stdout
    comparison = compare(derive_ledger(finished_once.path / "results"), derive_ledger(finished.path / "results"))
    model = f"{RUN}/unlearn/task-vector/default/model"
    behind = {
        *(f"{RUN}/unlearn/task-vector/default/eval/{suite}" for suite in ("tofu", "lm-eval")),
        f"{RUN}/scores",
        "summary",
        "report",
    }
    assert {each.path for each in comparison.differences} == {model} | behind
    assert comparison.roots[model] == 5
    assert not comparison.only_first and not comparison.only_second
