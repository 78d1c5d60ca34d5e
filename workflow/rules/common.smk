from functools import partial

from snakemake.settings.types import DeploymentMethod

from palimpsest.audit.status import refuse_stale_copies
from palimpsest.study import console, hooks, images, rules as ruling
from palimpsest.study.applied import open_study
from palimpsest.study.stages import Artefacts
from palimpsest.study.storage import open_storage, refuse_cache

console.install(workflow)
study = open_study(config, layers)
artefacts = Artefacts(study)
with one_line():
    refuse_cache(workflow)
STORAGE = open_storage(workflow, study)
of = partial(ruling.Rule, artefacts, storage=STORAGE)
ask = partial(ruling.resource, artefacts)

RESULTS = study.results
if workflow.is_main_process:
    refuse_stale_copies(artefacts, STORAGE)
DEPLOYED = workflow.deployment_settings.deployment_method
IMAGES = images.enter_containers(SOURCE.parent, config, RESULTS, apptainer=DeploymentMethod.APPTAINER in DEPLOYED)

shell.prefix(ruling.shell_prefix(SOURCE, RESULTS, deployed=bool(DEPLOYED), storage=STORAGE))
COMMAND = ruling.command(STORAGE)
