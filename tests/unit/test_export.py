"""`palimpsest export`: what each tool reads back, by its own reader, is what the study has."""

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from export_example import COMMIT, DATA_COMMIT, FINALS, RUN, WATCHED, Study
from run_example import SIZES

from palimpsest.cli import main
from palimpsest.provenance.canonical import sha256_file

SIMNPO = RUN.of("simnpo", "default").path
ATTACKED = RUN.of("simnpo", "default").attacked("relearn").path
BLOCK = 32 * 1024
NAMES = [RUN.of("original").path, RUN.of("retrain").path, SIMNPO, ATTACKED]


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return Study(tmp_path_factory.mktemp("study") / "results")


def exported(study: Study, to: str, out: Path, *more: str) -> Path:
    assert main(["export", str(study.root), "--to", to, str(out), *more]) == 0
    return out


def test_tensorboard_reads_curves_settings_and_scores(study: Study, tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    out = exported(study, "tensorboard", tmp_path / "out")
    assert {path.parent.relative_to(out).as_posix() for path in out.rglob("events.out.*")} == set(NAMES)
    events = accumulator.EventAccumulator(str(out / SIMNPO))
    events.Reload()
    rates = [(event.step, event.value) for event in events.Scalars("train/learning_rate")]
    assert rates == [(1, pytest.approx(5e-6)), (2, pytest.approx(1e-5))]
    # A loss that is not finite is null in the log, and no point.
    assert [(event.step, event.value) for event in events.Scalars("train/forget_loss")] == [(1, -0.5)]
    watched = [(event.step, event.value) for event in events.Scalars("watched/tofu/model_utility")]
    assert watched == [(epoch, pytest.approx(scores["model_utility"])) for epoch, scores in enumerate(WATCHED)]
    assert events.Scalars("final/tofu/forget_quality")[0].value == pytest.approx(FINALS["simnpo"]["forget_quality"])
    hparams = pytest.importorskip("tensorboard.plugins.hparams.plugin_data_pb2").HParamsPluginData
    start = events.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    told = dict(hparams.FromString(start).session_start_info.hparams.items())
    assert told["training/forget_weight"].number_value == 0.1375 and told["loss/beta"].number_value == 2.5
    assert told["commit"].string_value == COMMIT and told["method"].string_value == "simnpo"


def test_mlflow_reads_runs_with_params_tags_and_history(study: Study, tmp_path: Path) -> None:
    tracking = pytest.importorskip("mlflow.tracking")
    out = exported(study, "mlflow", tmp_path / "out")
    client = tracking.MlflowClient(f"sqlite:///{out / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("example")
    runs = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
    assert set(runs) == set(NAMES)
    run = runs[SIMNPO]
    assert run.info.status == "FINISHED" and run.data.metrics["final/tofu/model_utility"] == FINALS["simnpo"]["model_utility"]
    assert run.data.params["training/forget_weight"] == "0.1375" and "training/max_steps" not in run.data.params
    tags = {"benchmark": "tofu", "split": "forget05", "model": "tiny", "seed": "0", "method": "simnpo", "variant": "default"}
    assert tags.items() | {("commit", COMMIT)} <= run.data.tags.items()
    history = client.get_metric_history(run.info.run_id, "watched/tofu/forget_quality")
    assert [(point.step, point.value) for point in history] == [(0, 1e-20), (1, 0.4)]
    assert runs[ATTACKED].data.tags["attack"] == "relearn"
    assert len(client.get_metric_history(runs[ATTACKED].info.run_id, "watched/tofu/forget_probability")) == 2


def test_wandb_reads_an_offline_run_per_model(study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb")
    from wandb.proto import wandb_internal_pb2

    for name in ("WANDB_CACHE_DIR", "WANDB_CONFIG_DIR", "WANDB_DATA_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    out = exported(study, "wandb", tmp_path / "out")
    found: dict[str, list[Any]] = {}
    for path in sorted(out.rglob("*.wandb")):
        records = [wandb_internal_pb2.Record.FromString(data) for data in logged(path.read_bytes())]
        found[next(record.run.display_name for record in records if record.HasField("run"))] = records
    assert set(found) == set(NAMES)
    config = {item.key: json.loads(item.value_json) for record in found[SIMNPO] for item in record.run.config.update}
    assert config["training/forget_weight"] == 0.1375 and config["commit"] == COMMIT
    history = [
        {"/".join(item.nested_key) or item.key: json.loads(item.value_json) for item in record.history.item}
        for record in found[SIMNPO]
        if record.HasField("history")
    ]
    watched = [(row["epoch"], row["watched/tofu/model_utility"]) for row in history if "watched/tofu/model_utility" in row]
    assert watched == [(epoch, scores["model_utility"]) for epoch, scores in enumerate(WATCHED)]
    assert all(b"secret-host" not in path.read_bytes() for path in out.rglob("*") if path.is_file())


def logged(content: bytes) -> Iterator[bytes]:
    """Yield the records of LevelDB's log format, in which the tool frames its protocol buffers; it has no Python reader."""
    assert content[:4] == b":W&B"
    place, record = 7, b""
    while place < len(content):
        # A record's part does not cross a block of 32 KiB: its header is not written where it would.
        if BLOCK - place % BLOCK < 7:
            place += BLOCK - place % BLOCK
            continue
        _, length, kind = struct.unpack_from("<IHB", content, place)
        record += content[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # whole, or the last part
            yield record
            record = b""


def test_samples_are_named_and_read_as_those_of_lm_eval(study: Study, tmp_path: Path) -> None:
    utils = pytest.importorskip("lm_eval.utils")
    out = exported(study, "lm-eval-samples", tmp_path / "out")
    folder = out / utils.sanitize_model_name(SIMNPO)
    names = sorted(path.name for path in folder.iterdir())
    assert names == [f"samples_tofu_{name}_2026-11-29T22-50-27.jsonl" for name in sorted(SIZES)]
    assert utils.get_file_datetime(names[0]) == "2026-11-29T22-50-27"
    samples = [json.loads(line) for line in (folder / names[0]).read_text(encoding="utf-8").splitlines()]
    assert [sample["doc_id"] for sample in samples] == list(range(SIZES["forget"]))
    first = samples[0]
    texts = {"id": "forget-00", "question": "forget question 0?", "answer": "answer 0 of many"}
    assert first["doc"] == {**texts, "paraphrased_answer": "the answer 0", "rouge_words": "rouge_score"}
    assert first["target"] == "answer 0 of many" and first["arguments"] == {"gen_args_0": {"arg_0": "forget question 0?"}}
    assert first["resps"] == [first["filtered_resps"]] and first["filtered_resps"][0].startswith("<b>said ")
    assert {"rouge_l_recall", "answer_nll", "extraction_strength"} <= set(first["metrics"]) <= set(first)
    assert first["doc_hash"] == utils.hash_string(json.dumps(first["doc"], indent=2, ensure_ascii=False))
    assert first["target_hash"] == utils.hash_string("answer 0 of many")
    again = exported(study, "lm-eval-samples", tmp_path / "again")
    assert files_of(out) == files_of(again)


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_card_has_the_hubs_metadata_and_the_scores_beside_retrain(study: Study, tmp_path: Path) -> None:
    from huggingface_hub import ModelCard

    out = exported(study, "card", tmp_path / "out", "--license", "apache-2.0")
    assert list(files_of(out)) == [f"{SIMNPO}/README.md"]
    card = ModelCard.load(out / SIMNPO / "README.md")
    data = card.data.to_dict()
    assert (data["base_model"], data["datasets"], data["license"]) == ("org/base", ["locuslab/TOFU"], "apache-2.0")
    assert data["library_name"] == "transformers" and {"unlearning", "palimpsest", "tofu", "simnpo"} == set(data["tags"])
    results = {result.metric_type: result for result in card.data.eval_results}
    assert results["forget_quality"].metric_value == 0.4 and results["forget_quality"].dataset_revision == DATA_COMMIT
    # The floor has no column in the report.
    assert set(results) == {"forget_quality", "model_utility", "forget_probability"}
    text = card.text
    assert "| tofu/forget_probability | nearest Retrain | 0.2 | 0.15 | 0.95 |" in text
    assert "| training/forget_weight | `0.1375` |" in text and "max_steps" not in text
    for told in (
        COMMIT,
        DATA_COMMIT,
        sha256_file(study.root / SIMNPO / "model/manifest.json"),
        "the warm-up is shortened.",
        "@article{fan2024simnpo,",
        "@article{maini2024tofu,",
    ):
        assert told in text
    assert "MIT" in text and "sha256 of model.safetensors" in text
    assert str(study.root.parent) not in text and "secret-host" not in text


def test_a_card_without_a_licence_names_none(study: Study, tmp_path: Path) -> None:
    from huggingface_hub import ModelCard

    card = ModelCard.load(exported(study, "card", tmp_path / "out") / SIMNPO / "README.md")
    assert "license" not in card.data.to_dict()


def test_a_base_in_a_folder_is_told_without_its_place(tmp_path: Path) -> None:
    from huggingface_hub import ModelCard

    base = {"kind": "pretrained", "name": "/secret/place/my-model", "revision": None}
    study = Study(tmp_path / "results", base=base)
    card = ModelCard.load(exported(study, "card", tmp_path / "out") / SIMNPO / "README.md")
    assert "base_model" not in card.data.to_dict()
    assert "| base | name | `my-model` |" in card.text and "secret" not in card.text


def test_an_export_that_fails_leaves_nothing(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: Any) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("palimpsest.export.samples.sha256_text", fail)
    assert_refused(capsys, ["export", str(study.root), "--to", "lm-eval-samples", str(tmp_path / "out")], "No space left")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("extra", ["tensorboard", "mlflow", "wandb"])
def test_a_missing_extra_is_one_line(
    study: Study, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, extra: str
) -> None:
    monkeypatch.setattr("palimpsest.export.commands.find_spec", lambda name: None)
    assert main(["export", str(study.root), "--to", extra, str(tmp_path / "out")]) == 2
    told = f"palimpsest export: --to {extra}: not installed; pip install 'palimpsest[{extra}]'\n"
    assert capsys.readouterr().err == told and not (tmp_path / "out").exists()


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    return Study(tmp_path / "results").root


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["{results}", "--to", "card", "{results}/out"], "/out: inside "),
        (["{results}", "--to", "card", "{results}"], "already exists; an export needs a new folder"),
        (["{results}", "--to", "card", "{out}", "--license", ""], "argument --license: empty"),
        (["{results}", "--to", "lm-eval-samples", "{out}", "--license", "mit"], "--license: not with --to lm-eval-samples"),
        (["{results}", "--to", "excel", "{out}"], "argument --to: invalid choice: 'excel'"),
        (["{results}", "{out}"], "the following arguments are required: --to"),
        (["{results}/nowhere", "--to", "card", "{out}"], "nowhere: no such folder of results"),
    ],
)
def test_what_is_wrong_is_one_line(broken: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str) -> None:
    given = [each.format(results=broken, out=broken.parent / "out") for each in arguments]
    assert_refused(capsys, ["export", *given], said)
    assert not (broken.parent / "out").exists()


def test_unfinished_and_broken_results_are_one_line(broken: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["export", str(broken), "--to", "lm-eval-samples", str(broken.parent / "out")]
    (broken / "tofu/tiny/forget05/seed0/original/model").rename(broken.parent / "away")
    assert_refused(capsys, command, "original/eval/tofu: made of model ")
    (broken / "summary/summary.parquet").unlink()
    assert_refused(capsys, command, "summary.parquet: missing; finish the study first")


def test_results_without_weights_have_no_card(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = Study(tmp_path / "results", kept=False).root
    assert_refused(capsys, ["export", str(root), "--to", "card", str(tmp_path / "out")], "no unlearned model with weights")


def assert_refused(capsys: pytest.CaptureFixture[str], command: list[str], said: str) -> None:
    try:
        code = main(command)
    except SystemExit as stop:
        code = int(str(stop.code))
    output = capsys.readouterr()
    assert code == 2 and output.out == "" and said in output.err and output.err.count("\n") == 1
