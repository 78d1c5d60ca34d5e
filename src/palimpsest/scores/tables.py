"""The tables behind a run's numbers: truth ratios, gradient weights, losses, samples, a prompt, the artefact of each number."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pandas as pd

from palimpsest.data.splits import spread
from palimpsest.errors import UserError
from palimpsest.evaluation.items import PROMPT_TABLE, WEIGHTS_TABLE, read_frame
from palimpsest.names import ORIGINAL
from palimpsest.provenance.manifest import MANIFEST, content_of, read_manifest
from palimpsest.scores.artefacts import Artefact, Measured
from palimpsest.scores.columns import (
    ARTEFACT_COLUMNS,
    EXAMPLE_COLUMNS,
    IDENTITY,
    LOSS_COLUMNS,
    PROMPT_COLUMNS,
    TRUTH_RATIO_COLUMNS,
    WEIGHT_COLUMNS,
    stack,
    stack_samples,
)
from palimpsest.scores.numbers import Scorer

Scorers = Mapping[str, Scorer]


def truth_ratios(measured: Iterable[Measured], scorers: Scorers) -> pd.DataFrame:
    """Return the truth ratio of every item of every finished model that was not attacked, with `TRUTH_RATIO_COLUMNS`."""
    parts = [
        of(scoring.read(scorers[suite].read(path), path)).assign(**each.identity, suite=suite)
        for each in measured
        if each.of == "evaluation" and not each.identity.get("attack")
        for suite, path in each.tables().items()
        if (of := (scoring := scorers[suite].scoring).truth_ratios)
    ]
    return stack(parts, TRUTH_RATIO_COLUMNS)


def weights(measured: Iterable[Measured]) -> pd.DataFrame:
    """Return the gradient weight of every forget item in every epoch of every trajectory, with `WEIGHT_COLUMNS`."""
    paths = [(each, each.directory / WEIGHTS_TABLE) for each in measured]
    return stack([read_frame(path).assign(**each.identity) for each, path in paths if path.exists()], WEIGHT_COLUMNS)


def losses(measured: Iterable[Measured], scorers: Scorers) -> pd.DataFrame:
    """Return the NLL of every forget answer in every epoch of every trajectory, with `LOSS_COLUMNS`."""
    parts = [
        of(scorers[suite].read(path)).assign(**each.identity, suite=suite)
        for each in measured
        if each.of == "trajectory"
        for suite, path in each.tables().items()
        if (of := scorers[suite].scoring.losses)
    ]
    return stack(parts, LOSS_COLUMNS)


def samples(measured: Iterable[Measured], scorers: Scorers) -> pd.DataFrame:
    """Return the answers of all models to all questions, with `SAMPLE_COLUMNS` and the numbers of each item."""
    parts = []
    for each in measured:
        for suite, path in each.tables().items() if each.of == "evaluation" else ():
            if (scoring := scorers[suite].scoring).examples:
                said = scoring.said(scorers[suite].read(path))
                if (again := said["id"].duplicated()).any():
                    raise UserError(f"{path}: item {said.loc[again, 'id'].iloc[0]} stands twice among the generated texts")
                texts = said[["set", "id", "question", "answer", "generation", *scoring.said_numbers]]
                parts.append(texts.assign(**{"attack": "", **each.identity}, suite=suite))
    return stack_samples(parts)


def examples(samples: pd.DataFrame, scorers: Scorers) -> pd.DataFrame:
    """Return the answers of all models to the same few questions on the forget and the retain set, with `EXAMPLE_COLUMNS`.

    The questions come from the suite that most models have; models without this suite have no examples.
    """
    own = samples[samples["attack"] == ""]
    counts = Counter(own[[*IDENTITY, "suite"]].drop_duplicates()["suite"])
    if not counts:
        return stack([], EXAMPLE_COLUMNS)
    scorer = scorers[min(counts, key=lambda name: (-counts[name], name))]
    tables = [table for _, table in own[own["suite"] == scorer.suite].groupby(IDENTITY, sort=False)]
    chosen: set[tuple[str, str]] = set()
    for name, (count, _) in scorer.scoring.examples.items():
        asked = [set(table.loc[table["set"] == name, "id"]) for table in tables]
        chosen |= {(name, id) for id in spread(sorted(set.intersection(*asked)), count)}
    shown_in = {name: shown for name, (_, shown) in scorer.scoring.examples.items()}
    parts = []
    for table in tables:
        rows = table[[item in chosen for item in zip(table["set"], table["id"], strict=True)]].sort_values(["set", "id"])
        parts.append(rows.assign(set=rows["set"].map(shown_in)))
    return stack(parts, EXAMPLE_COLUMNS)


def prompts(measured: Iterable[Measured]) -> pd.DataFrame:
    """Return the prompt that an evaluation of Original shows, in pieces, with `PROMPT_COLUMNS`."""
    paths = [(each, each.directory / PROMPT_TABLE) for each in measured if each.identity["method"] == ORIGINAL]
    shown = [(each, path) for each, path in paths if path.exists()][:1]
    return stack([read_frame(path).assign(**each.identity) for each, path in shown], PROMPT_COLUMNS)


def artefact_paths(artefacts: Sequence[Measured]) -> pd.DataFrame:
    """Return the folder of each number's artefact, relative to the results, with its content's hash and `ARTEFACT_COLUMNS`."""
    rows = [
        {"attack": ""}
        | each.identity
        | {"suite": suite, "manifest": (_below_results(each) / MANIFEST).as_posix(), "sha256": content}
        for each in artefacts
        for content in [content_of(read_manifest(each.directory / MANIFEST))]
        for suite in each.suites
    ]
    return stack([pd.DataFrame(rows, columns=ARTEFACT_COLUMNS)], ARTEFACT_COLUMNS)


def _below_results(artefact: Artefact) -> Path:
    """Return an artefact's folder relative to the results; it is below the folders of its benchmark and model."""
    parts, place = artefact.directory.parts, (artefact.identity["benchmark"], artefact.identity["model"])
    start = max(index for index in range(len(parts)) if parts[index : index + 2] == place)
    return Path(*parts[start:])
