"""What the audit says about codes that were accepted as equal."""

from palimpsest.audit.artefacts import Artefact
from palimpsest.audit.findings import short
from palimpsest.contract.equivalences import Equivalence, Equivalences


def describe_accepted(artefact: Artefact, known: Equivalences) -> str:
    """Return as which other codes the code of an artefact counts, and by which remakes; empty if there is none."""
    manifest = artefact.manifest
    return "; ".join(map(describe, known.evidence(manifest["stage"], manifest["code"])))


def describe(record: Equivalence) -> str:
    """Return what a record says, in one line: the two codes, and the artefacts that both made, or what revoked it."""
    codes = f"{record.stage}: code {short(record.made)} = {short(record.today)}"
    if record.contrary:
        return f"{codes} is revoked: made again, {', '.join(record.contrary)} came out with other bytes"
    return f"{codes} is accepted: both made the same bytes of {', '.join(record.artefacts)}"
