"""What a config, a model, a file or a name can not do: leave the results, run code, write into a page."""

from __future__ import annotations

import ast
import io
import json
import pickle
import re
from pathlib import Path

import pandas as pd
import pytest
import torch
from example_study import CONFIG, changed
from html_page import Page
from report_example import PLAIN, block, numbers, spec, write_summary
from snakemake.io import regex_from_filepattern

from palimpsest.errors import UserError
from palimpsest.report import cost
from palimpsest.report.report import write_report
from palimpsest.study.rules import Rule
from palimpsest.study.stages import STAGES, Artefacts
from palimpsest.study.study import Study
from palimpsest.training.safe_loading import Known, load_checkpoint
from poison import Poison

SOURCE = Path(__file__).resolve().parents[2] / "src" / "palimpsest"

# Names.


@pytest.mark.parametrize("results", ["../out", "/tmp/out", "a/../b", "a//b", "..", "~/out", "-out", "a\n", "a b", "a/.b", ""])
def test_results_lie_below_the_working_directory(results: str) -> None:
    with pytest.raises(UserError, match=r"^config: results: "):
        Study(changed(("results",), results))


def test_no_wildcard_of_a_rule_matches_what_leaves_the_results() -> None:
    artefacts = Artefacts(Study(CONFIG))
    for stage, row in STAGES.items():
        pattern = regex_from_filepattern(Rule(artefacts, stage).outputs["manifest"])
        for name in re.findall(r"{(\w+)}", row.path):
            for text in ("..", "../x", "x/../..", "/etc", "tiny/../..", "", "~", "unlearn/../npo", "original/.."):
                filled = {each: text if each == name else "tofu" for each in re.findall(r"{(\w+)}", row.path)}
                assert not re.fullmatch(pattern, f"results/{row.path.format(**filled)}/manifest.json"), (stage, name, text)


# Code.

PICKLES = {"pickle", "cPickle", "joblib", "dill", "cloudpickle", "shelve", "marshal"}
RUNS_TEXT = {"eval", "exec", "compile", "__import__"}
NEVER_TRUE = {"allow_pickle", "trust_remote_code", "shell"}


def dangers(text: str) -> list[str]:
    """Return what in a module's code would run what it reads."""
    found = []
    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.Import(names=names):
                found += [f"import {alias.name}" for alias in names if alias.name in PICKLES]
            case ast.ImportFrom(module=str(module)) if module in PICKLES:
                found.append(f"import {module}")
            case ast.Call(func=function, keywords=keywords):
                name = ast.unparse(function)
                given = {keyword.arg: ast.unparse(keyword.value) for keyword in keywords}
                found += [f"{name}({key}={given[key]})" for key in NEVER_TRUE if given.get(key, "False") != "False"]
                if name in RUNS_TEXT or name in ("os.system", "os.popen", "yaml.load", "yaml.unsafe_load", "pd.read_pickle"):
                    found.append(f"{name}()")
                if name == "torch.load" and given.get("weights_only") != "True":
                    found.append(f"{name}()")
    return found


def test_no_module_runs_what_it_reads() -> None:
    found = {path.relative_to(SOURCE).as_posix(): dangers(path.read_text(encoding="utf-8")) for path in SOURCE.rglob("*.py")}
    # torch's checkpoints are pickles in part: this module reads them restricted.
    assert {name: what for name, what in found.items() if what} == {"training/safe_loading.py": ["import pickle"]}


@pytest.mark.parametrize(
    "code",
    [
        "import pickle",
        "from joblib import load",
        "eval(text)",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "np.load(path, allow_pickle=True)",
        "AutoModel.from_pretrained(name, trust_remote_code=True)",
        "subprocess.run(text, shell=True)",
        "yaml.load(text)",
    ],
)
def test_what_is_looked_for_is_found(code: str) -> None:
    assert dangers(code)


def loadings(tree: ast.Module) -> list[tuple[ast.Call, dict[str, str]]]:
    """Return each call of a `from_pretrained`, with its keywords; those of `**name` are in the dict of that name."""
    dicts: dict[str, dict[str, str]] = {}
    calls = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict):
            pairs = [
                (key, value)
                for key, value in zip(node.value.keys, node.value.values, strict=True)
                if isinstance(key, ast.Constant)
            ]
            dicts[ast.unparse(node.targets[0])] = {key.value: ast.unparse(value) for key, value in pairs}
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(".from_pretrained"):
            calls.append(node)
    found = []
    for call in calls:
        given: dict[str, str] = {}
        for keyword in call.keywords:
            value = ast.unparse(keyword.value)
            given |= {keyword.arg: value} if keyword.arg else dicts.get(value, {})
        found.append((call, given))
    return found


def test_every_loading_of_a_model_or_tokenizer_says_that_its_code_is_not_run() -> None:
    found = [each for path in SOURCE.rglob("*.py") for each in loadings(ast.parse(path.read_text(encoding="utf-8")))]
    loaded = {ast.unparse(call.func).partition(".")[0] for call, _ in found}
    assert {"AutoModelForCausalLM", "AutoTokenizer", "AutoConfig"} <= loaded
    for call, given in found:
        assert given.get("trust_remote_code") == "False", ast.unparse(call)


@pytest.mark.parametrize(
    "code",
    ["AutoModel.from_pretrained(name)", "how = {'revision': 'x'}\nAutoModel.from_pretrained(name, **how)"],
)
def test_a_loading_that_does_not_say_so_is_found(code: str) -> None:
    ((_, given),) = loadings(ast.parse(code))
    assert "trust_remote_code" not in given


# Checkpoints.


def test_a_value_in_a_checkpoint_is_plain_or_refused(tmp_path: Path) -> None:
    from torch.distributed.checkpoint.state_dict_saver import save

    state = {"weights": torch.ones(2), "rate": 0.5}
    save(state, checkpoint_id=tmp_path / "good")
    found = {"weights": torch.zeros(2), "rate": 0.0}
    load_checkpoint(found, tmp_path / "good")
    assert found["rate"] == 0.5 and found["weights"].tolist() == [1.0, 1.0]

    save({**state, "rate": Poison(tmp_path / "proof")}, checkpoint_id=tmp_path / "bad")
    with pytest.raises(UserError, match="bad: not a whole checkpoint of a training"):
        load_checkpoint({"weights": torch.zeros(2), "rate": 0.0}, tmp_path / "bad")
    assert not (tmp_path / "proof").exists()


def test_of_a_checkpoint_getattr_gives_members_of_enumerations_alone() -> None:
    """Some versions of Python pickle a member as getattr(class, name)."""
    # protocol 0: a global, the arguments as a tuple, a call
    member = b"cbuiltins\ngetattr\n(ctorch.distributed.checkpoint.metadata\n_MEM_FORMAT_ENCODING\nVTORCH_CHANNELS_LAST\ntR."
    assert Known(io.BytesIO(member)).load().name == "TORCH_CHANNELS_LAST"
    for wrong in (member.replace(b"VTORCH_CHANNELS_LAST", b"V__class__"), member.replace(b"_MEM_FORMAT_ENCODING", b"Metadata")):
        with pytest.raises(pickle.UnpicklingError, match="getattr of"):
            Known(io.BytesIO(wrong)).load()


@pytest.mark.parametrize("content", [b"", b"cut", pickle.dumps({"a": 1})[:-3]])
def test_a_checkpoint_whose_contents_are_damaged_is_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / ".metadata").write_bytes(content)
    with pytest.raises(UserError, match=r"not a whole checkpoint of a training .* delete that folder and run again"):
        load_checkpoint({"a": torch.zeros(1)}, tmp_path)


# Pages. What models, labels and questions say: test_report_page.py and test_report_texts.py.

HOSTILE = ("<script>alert(1)</script>", '"><img src=x onerror=alert(1)>')


def harmless(text: str) -> Page:
    page = Page(text)
    assert page.runs_its_own_scripts()
    assert not [attrs for _, attrs in page.tags if any(name.startswith("on") for name in attrs)]
    assert all(value.startswith("data:") for value in page.attributes("src"))
    return page


@pytest.mark.parametrize("hostile", HOSTILE)
def test_names_of_models_files_and_suites_are_text_on_the_report(tmp_path: Path, hostile: str) -> None:
    rows = [row | {"model": hostile, "suite": hostile} for row in numbers(PLAIN)]
    summary = write_summary(tmp_path / "summary", rows, answer=hostile, label=hostile, question=hostile)
    artefacts = pd.read_csv(summary / "artefacts.csv", keep_default_na=False)
    artefacts.assign(manifest=f"tofu/{hostile}/manifest.json").to_csv(summary / "artefacts.csv", index=False)
    (tmp_path / "out").mkdir()
    study = spec(block(model=hostile, suites=[hostile]), name=hostile, description=hostile, data={hostile: {hostile: hostile}})
    write_report(study, summary, tmp_path / "out")
    page = harmless((tmp_path / "out" / "report.html").read_text())
    assert page.text.count(hostile) > 10
    assert f"tofu/{hostile}/manifest.json" in page.text


@pytest.mark.parametrize("hostile", HOSTILE)
def test_names_are_text_on_the_page_of_costs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hostile: str) -> None:
    pd.DataFrame(numbers(PLAIN)).to_csv(tmp_path / "summary.csv", index=False)
    named = dict.fromkeys(("stage", "benchmark", "split", "model", "method", "variant", "attack"), hostile)
    jobs = [named | {"seed": 0, "file": hostile}]
    text = json.dumps({"study": hostile, "folder": str(tmp_path), "jobs": jobs})
    arguments = ["cost", "--spec", text, "--summary", str(tmp_path / "summary.csv"), "--out", str(tmp_path)]
    monkeypatch.setattr("sys.argv", arguments)
    assert cost.main() == 0
    assert hostile in harmless((tmp_path / "cost.html").read_text()).text
