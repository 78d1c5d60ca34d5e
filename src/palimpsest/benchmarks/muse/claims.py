"""The paper's claims about SimNPO and NPO on MUSE."""

from palimpsest.names import ORIGINAL, RETRAIN
from palimpsest.report.claims import Claim, Pair, each
from palimpsest.report.facts import hardly_forgotten
from palimpsest.report.names import NPO, SIMNPO
from palimpsest.report.tables import Table

VERBATIM, KNOWN, KEPT, LEAK, LEAK_PUBLISHED = "verbmem_f", "knowmem_f", "knowmem_r", "privleak", "privleak_published"
# The split that is the data artefact itself; Original and Retrain belong to it.
FIRST = "forget"


def leak_of(table: Table) -> str:
    """Return which PrivLeak a table has: against the Retrain of the study, or else against a published one."""
    return LEAK if any(column.key == LEAK for column in table.columns) else LEAK_PUBLISHED


def _hardly(table: Table) -> str:
    # Where Original recites no more than Retrain there is nothing to forget.
    retrain, original = (table.value(role, VERBATIM) for role in (RETRAIN, ORIGINAL))
    goal = retrain if retrain is not None and original is not None and original > retrain else None
    return hardly_forgotten(table, VERBATIM, goal, "forgotten")


def _keeps(table: Table) -> Pair:
    return Pair(table.title, table.by_seed(SIMNPO, KEPT), table.by_seed(NPO, KEPT), but=_hardly(table))


def _leaks(table: Table) -> Pair:
    npo, simnpo = (table.by_seed(method, leak_of(table)).abs() for method in (NPO, SIMNPO))
    return Pair(table.title, npo, simnpo, but=_hardly(table))


NEARER, MORE_KEPT = "NPO's |PrivLeak| is further from 0 than SimNPO's", "SimNPO keeps more KnowMem on the retain set than NPO"
PRINTED = "Table 2, News"
CLAIMS = (
    Claim(NEARER, PRINTED, LEAK, printed=(108.91, 72.93), measure=each(_leaks), write="{:.1f}".format),
    Claim(MORE_KEPT, PRINTED, KEPT, printed=(39.65, 37.58), measure=each(_keeps)),
)
