"""Pruned models that are made again because something new reads them, without what was made of them."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

from palimpsest.audit.planned import is_planning
from palimpsest.audit.status import CURRENT, status
from palimpsest.contract.pruning import restore
from palimpsest.errors import BrokenArtefact
from palimpsest.provenance.manifest import MANIFEST, content_of, is_pruned, read_manifest
from palimpsest.study.stages import STAGES, Artefacts, Node


class Remaking:
    """What Snakemake is told of inputs whose weights were pruned.

    A job that has to run and reads such weights forces the job that makes them, as the option `--forcerun` does. What is current
    takes the manifest of a pruned model as ancient: the model made again has the same bytes, so nothing behind it runs.
    """

    def __init__(self, artefacts: Artefacts, workflow: Any) -> None:
        self._artefacts, self._workflow = artefacts, workflow
        self._results = Path(artefacts.study.results)
        self.forced: dict[str, str] = {}
        """The content of each model that is made again, by folder."""

    @cached_property
    def _pruned(self) -> dict[str, str]:
        """The content of the pruned models, by folder; none where jobs are only listed, or run by another process."""
        if is_planning() or not self._workflow.is_main_process:
            return {}
        makers = [node.path for node in self._artefacts.nodes.values() if STAGES[node.stage].has_weights]
        pruned = [path for path in makers if is_pruned(self._results / path)]
        for path in pruned:
            restore(self._results / path)
        return {path: content for path in pruned if (content := self._content(path))}

    @cached_property
    def _current(self) -> frozenset[str]:
        return frozenset(state.path for state in status(self._artefacts.study).of(*CURRENT))

    def manifest(self, reader: Node, given: Node) -> str:
        """Return the manifest of a reader's input for Snakemake."""
        from snakemake.io import ancient

        path = self._artefacts.manifest(given)
        if given.path not in self._pruned:
            return path
        if reader.path in self._current and not self._is_asked_for(reader):
            flagged: str = ancient(path)
            return flagged
        if given in self._artefacts.weights(reader):
            self._force(given)
        return path

    def _force(self, node: Node) -> None:
        """Have a pruned model made again, and the pruned ones that it is made of; one that is stale is made anyway."""
        if node.path in self._pruned.keys() & self._current and node.path not in self.forced:
            self.forced[node.path] = self._pruned[node.path]
            self._workflow.dag.forcefiles.add(self._artefacts.manifest(node))
            for given in self._artefacts.weights(node):
                self._force(given)

    def _is_asked_for(self, node: Node) -> bool:
        """Return whether the user forces a job, which then runs although its artefact is current."""
        dag = self._workflow.dag
        return self._artefacts.manifest(node) in dag.forcefiles or node.stage in {rule.name for rule in dag.forcerules}

    def changed(self) -> list[str]:
        """Return the models that have other bytes after they were made again, so that what was made of them is stale."""
        return [path for path, content in self.forced.items() if self._content(path) not in (content, None)]

    def is_finished(self) -> bool:
        """Return whether everything that the study asks for is there, and is current."""
        return not status(self._artefacts.study).of("stale", "missing")

    def _content(self, path: str) -> str | None:
        try:
            return content_of(read_manifest(self._results / path / MANIFEST))
        except BrokenArtefact:
            return None
