"""A judge of answers: its prompt, its verdicts, its requests over HTTP, its metrics, and its place in a study."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from example_study import CONFIG, changed, inputs, spec
from huggingface_hub import constants
from hypothesis import given
from hypothesis import strategies as st
from judge_server import Answer, Server, reply, serving

from palimpsest.benchmarks import suites
from palimpsest.errors import UserError
from palimpsest.evaluation.judging.api import Client
from palimpsest.evaluation.judging.scores import SCORING
from palimpsest.evaluation.judging.settings import Api
from palimpsest.evaluation.judging.verdicts import SCHEMA, fill, read_prompt, verdict
from palimpsest.evaluation.metric import Against, score
from palimpsest.planning import Plan
from palimpsest.study.rules import Rule, resource
from palimpsest.study.specs import spec_of
from palimpsest.study.stages import Artefacts, is_remote
from palimpsest.study.study import Study

KEY = "sk-judge-0123456789"
LOCAL = {"kind": "local", "model": "arbiter"}
REMOTE = {"kind": "api", "url": "https://judge.example/v1", "model": "big", "key": "JUDGE_KEY"}


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUDGE_KEY", KEY)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


# The prompt and the verdict.


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("yes", True),
        (" Yes.\n", True),
        ("**No**", False),
        ("no, it names another town", False),
        ("YES\nThe student names the town.", True),
        ("No\n\n", False),
        # No verdicts: other words first, both words, none, and words that only begin so.
        ("", None),
        ("I think yes", None),
        ("no doubt that it does", None),
        ("Yes. No, wait.", None),
        ("yes or no", None),
        ("notably", None),
        ("yesterday", None),
        ("<think>yes", None),
        ("1", None),
    ],
)
def test_a_verdict_is_the_first_word_alone(text: str, told: bool | None) -> None:
    assert verdict(text) is told


@given(st.text(alphabet="{}questionaswrg ", max_size=40), st.text(max_size=40), st.text(alphabet="{answer}\\1 ", max_size=40))
def test_texts_stand_in_the_prompt_as_they_are(question: str, answer: str, generation: str) -> None:
    assert fill("{question}|{answer}|{generation}", question, answer, generation) == f"{question}|{answer}|{generation}"


def test_the_prompt_has_each_place_once() -> None:
    assert [read_prompt().count(f"{{{name}}}") for name in ("question", "answer", "generation")] == [1, 1, 1]


@pytest.mark.parametrize("kind", [kind for kind, suite in suites.SETTINGS.items() if suite.judged])
def test_the_tables_of_judged_suites_have_the_texts(kind: str) -> None:
    names = set(suites.load(kind, "suite").SCHEMA.names)
    assert {"set", "id", "answer", "generation"} <= names and names & {"question", "prompt"}
    assert set(suites.SETTINGS[kind].judged.values()) == {"forget", "retain"}


# Requests.


def client(server: Server, **more: Any) -> Client:
    return Client(Api(url=server.url, model="big", **{"key": "JUDGE_KEY", "retries": 2, **more}), 8)


def refused(server: Server, **more: Any) -> str:
    with pytest.raises(UserError) as error:
        client(server, **more).ask("Is it so?")
    said = str(error.value)
    assert KEY not in said and "\n" not in said
    return said.replace(server.url, "URL")


def test_a_request_and_its_reply() -> None:
    with serving(reply("Yes.")) as server:
        assert client(server).ask("Is it so?") == ("Yes.", "judge-2026-01-01")
    body = {"model": "big", "messages": [{"role": "user", "content": "Is it so?"}], "temperature": 0, "max_tokens": 8}
    assert server.asked == [{"path": "/v1/chat/completions", "key": f"Bearer {KEY}", "body": body}]


def test_a_server_without_a_key_gets_none() -> None:
    with serving(reply("no")) as server:
        assert client(server, key=None).ask("?").text == "no"
    assert server.asked[0]["key"] is None


def test_a_reply_without_text_is_empty() -> None:
    with serving(reply(None)) as server:
        assert client(server).ask("?").text == ""


def test_a_busy_server_is_asked_again() -> None:
    busy = Answer(429, {"error": {"message": "slow down"}}, {"Retry-After": "0"})
    with serving(busy, Answer(503, "down", {"Retry-After": "0"}), reply("yes")) as server:
        assert client(server).ask("?").text == "yes"
    assert len(server.asked) == 3
    with serving(busy) as server:
        assert refused(server) == "URL/chat/completions: HTTP 429 (request 3 of 3); run snakemake again to ask for the rest"
    assert len(server.asked) == 3


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_is_asked_for_once(status: int) -> None:
    with serving(Answer(status, {"error": {"message": f"Incorrect API key provided: {KEY[:6]}"}})) as server:
        said = refused(server)
        assert said == f"URL/chat/completions: HTTP {status}: the server does not accept the key in JUDGE_KEY"
        assert KEY[:6] not in said
        assert refused(server, key=None).endswith("the server does not accept requests without a key; set `key`")
    assert len(server.asked) == 2


def test_other_errors_say_what_the_server_says() -> None:
    with serving(Answer(400, {"error": {"message": f"no model\n big for {KEY}"}}), Answer(404, "<html>", {})) as server:
        assert refused(server) == "URL/chat/completions: HTTP 400: no model big for ..."
        assert refused(server) == "URL/chat/completions: HTTP 404: Not Found"


def test_a_silent_server() -> None:
    with serving(Answer(wait=60)) as server:
        said = refused(server, timeout=0.1, retries=0)
        assert said == "URL/chat/completions: timed out (request 1 of 1); run snakemake again to ask for the rest"
    assert "Connection refused (request 1 of 1)" in refused(server, retries=0)


@pytest.mark.parametrize(
    ("body", "line"),
    [
        ("<html>", "the server sent no JSON; is it an OpenAI-compatible address?"),
        ("[" * 100_000, "the server sent no JSON; is it an OpenAI-compatible address?"),
        ({"model": "big"}, "the server sent no choices[0].message.content"),
        ({"choices": []}, "the server sent no choices[0].message.content"),
        ({"choices": [{"message": {"content": 1}}]}, "the server sent no choices[0].message.content"),
        ([], "the server sent no choices[0].message.content"),
    ],
)
def test_something_else_than_a_reply(body: Any, line: str) -> None:
    with serving(Answer(body=body)) as server:
        assert refused(server) == f"URL/chat/completions: {line}"
    assert len(server.asked) == 1


def test_the_key_goes_to_no_other_address() -> None:
    with serving(reply("yes")) as other, serving(Answer(302, "", {"Location": f"{other.url}/chat/completions"})) as server:
        assert refused(server) == "URL/chat/completions: HTTP 302: Found"
    assert not other.asked


@pytest.mark.parametrize("key", [None, "", f"{KEY}\n", "sk 1", "schlüssel"])
def test_a_variable_without_a_key(monkeypatch: pytest.MonkeyPatch, key: str | None) -> None:
    monkeypatch.delenv("JUDGE_KEY")
    if key is not None:
        monkeypatch.setenv("JUDGE_KEY", key)
    with pytest.raises(UserError, match=r"^judges: big: the environment variable JUDGE_KEY ") as error:
        Client(Api(**{name: value for name, value in REMOTE.items() if name != "kind"}), 8)
    assert not key or key.strip() not in str(error.value)


def test_without_a_network_nothing_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with serving(reply("yes")) as server:
        assert "HF_HUB_OFFLINE forbids the network; unset it, or use a judge of kind local" in refused(server)
    assert not server.asked


# The metrics.


def verdicts(**told: list[bool | None]) -> pd.DataFrame:
    rows = [dict.fromkeys(SCHEMA.names, "") | {"set": name, "told": each} for name, of in told.items() for each in of]
    return pd.DataFrame(rows).astype({"told": object})


def numbers(table: pd.DataFrame) -> dict[str, float]:
    return dict(score(SCORING.metrics, SCORING.read(table, "the table"), Against()))


def test_the_shares_are_of_the_answers_with_a_verdict() -> None:
    found = numbers(verdicts(forget=[True, False, False, None], retain=[True, True]))
    assert found["judged_forget"] == pytest.approx(1 / 3) and found["judged_retain"] == 1
    assert found["judged_without_verdict"] == 1
    assert found["judged_forget_low"] <= 1 / 3 <= found["judged_forget_high"]
    assert (found["judged_retain_low"], found["judged_retain_high"]) == (1, 1)


def test_without_verdicts_a_share_is_not_defined() -> None:
    found = numbers(verdicts(forget=[None, None]))
    assert found["judged_forget"] != found["judged_forget"] and "judged_retain" not in found
    assert "judged_without_verdict" not in numbers(verdicts(forget=[True]))
    with pytest.raises(UserError, match=r"^here: no column 'told'"):
        SCORING.read(verdicts(forget=[True]).drop(columns="told"), "here")


# The study.


def judged(judge: dict[str, Any], *blocks: int) -> dict[str, Any]:
    """Return the example with a judge in some blocks, and a further model that no block trains."""
    config = copy.deepcopy(CONFIG) | {"judges": {"careful": judge}}
    config["models"]["arbiter"] = {"kind": "tiny", "resources": {"mem": "7GB", "gpu": 1}}
    for number in blocks:
        config["blocks"][number]["judge"] = "careful"
    return config


def test_a_judge_that_no_block_uses_changes_nothing() -> None:
    plain, other = (Artefacts(Study(config)) for config in (CONFIG, judged(REMOTE)))
    assert plain.nodes == other.nodes
    for node in plain.nodes.values():
        assert plain.given(node) == other.given(node)
        assert spec_of(plain.study, node) == spec_of(other.study, node)
        assert "judge" not in spec_of(plain.study, node) and "judge" not in " ".join(plain.given(node))


def test_a_judge_adds_its_jobs_and_changes_only_what_reads_them() -> None:
    plain, study = Artefacts(Study(CONFIG)), Study(judged(LOCAL, 1))
    found = Artefacts(study)
    added = {path: node for path, node in found.nodes.items() if path not in plain.nodes}
    models = ["original", "retrain", "unlearn/npo/default", "unlearn/simnpo/default"]
    assert {*added} == {"tofu/arbiter/base", *(f"tofu/tiny/forget10/seed0/{model}/judged/tofu" for model in models)}
    run = "tofu/tiny/forget10/seed0"
    assert {path for path, node in plain.nodes.items() if plain.given(node) != found.given(node)} == {f"{run}/scores"}
    assert {path for path, node in plain.nodes.items() if spec_of(plain.study, node) != spec_of(study, node)} == {"report"}
    given = {"eval": f"{run}/retrain/eval/tofu", "judge": "tofu/arbiter/base"}
    assert inputs(study, f"{run}/retrain/judged/tofu") == given
    said = spec(study, f"{run}/retrain/judged/tofu")
    assert said["prompt"] == read_prompt() and said["sets"] == {"forget": "forget", "retain": "retain"}
    assert said["api"] is None and said["model"].keys() == {"prompt", "precision"}


def test_the_rules_of_both_kinds_of_judges() -> None:
    for judge, remote in ((LOCAL, False), (REMOTE, True)):
        found = Artefacts(Study(judged(judge, 1)))
        assert {is_remote(found.study, node) for node in found.of("judge")} == {remote}
        assert any(node.stage == "judge" for node in found.measured()) is not remote
        wildcards = {
            "benchmark": "tofu",
            "model": "tiny",
            "split": "forget10",
            "seed": "0",
            "subject": "original",
            "name": "tofu",
        }
        assert Rule(found, "judge").job(wildcards).startswith("palimpsest.stages.judge --spec ")
        if not remote:
            assert resource(found, "mem", "judge")(wildcards, 1) == "7GB"  # type: ignore[operator]
            assert resource(found, "gpu", "judge")(wildcards) == 1  # type: ignore[operator]
        assert ("judge" in {row.stage for row in Plan(found.study).rows()}) is not remote
        assert Plan(found.study).disk(1).peak > 0


def test_no_file_of_a_study_says_the_key() -> None:
    study = Study(judged(REMOTE, 1))
    said = [spec_of(study, node) for node in Artefacts(study).nodes.values()]
    assert not any(KEY in text for text in said)
    assert json.loads(said[-1])["study"]["judges"]["careful"].keys() >= {"url", "model", "prompt"}
    assert "JUDGE_KEY" not in said[-1]


def _with(judge: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return judged({**judge, **changes}, 1)


@pytest.mark.parametrize(
    ("config", "line"),
    [
        (changed(("blocks", 1, "judge"), "x"), "blocks[1]: judge: unknown judge 'x'; allowed: none are defined"),
        (_with(LOCAL, model="tin"), "judges: careful: model: unknown model 'tin'; did you mean tiny? allowed: tiny, arbiter"),
        (_with(REMOTE, url="judge.example"), "judges: careful: url: not an address: "),
        (_with(REMOTE, url="https://me:secret@judge.example"), "judges: careful: url: not an address: "),
        (_with(REMOTE, key=KEY), "judges: careful: key: not the name of an environment variable "),
        (_with({"kind": "api", "model": "big"}), "judges: careful: the key 'url' is missing"),
        (_with(REMOTE, kind="human"), "judges: careful: unknown kind 'human'; "),
    ],
)
def test_a_mistake_is_one_line(config: dict[str, Any], line: str) -> None:
    with pytest.raises(UserError) as error:
        Study(config)
    assert str(error.value).startswith(f"config: {line}")
    assert KEY not in str(error.value) and "secret" not in str(error.value) and "\n" not in str(error.value)


def test_a_judge_needs_answers_and_a_model_has_one_judge() -> None:
    config = judged(LOCAL, 1)
    config["blocks"][1] |= {"suites": ["lm-eval"], "attacks": []}
    with pytest.raises(UserError, match=r"blocks\[1\]: judge: no suite of the block asks questions for a judge; kinds .*tofu"):
        Study(config)
    config = judged(LOCAL, 0, 1)
    config["judges"]["other"] = LOCAL
    config["blocks"][0]["judge"] = "other"
    with pytest.raises(UserError, match="judge: two judges read the answers of one model, other and careful; use one"):
        Study(config)


def test_a_missing_folder_of_a_judge_is_found_before_any_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = judged(LOCAL, 1)
    config["models"]["arbiter"] = {"kind": "pretrained", "name": "nowhere/judge"}
    with pytest.raises(UserError, match="models: arbiter: name: there is no folder 'nowhere/judge'"):
        Study(config)
