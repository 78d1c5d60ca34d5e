from functools import partial

from snakemake.settings.types import DeploymentMethod

from palimpsest.audit.remaking import Remaking
from palimpsest.audit.status import accepted_codes, refuse_stale_copies
from palimpsest.study import console, hooks, images, rules as ruling, stages
from palimpsest.study.applied import open_study
from palimpsest.study.stages import Artefacts
from palimpsest.study.storage import open_storage, refuse_cache

console.install(workflow)
study = open_study(config, layers)
with one_line():
    refuse_cache(workflow)
    STORAGE = open_storage(workflow, study)
    artefacts = Artefacts(study, accepted_codes(study))
remaking = Remaking(artefacts, workflow)
of = partial(ruling.Rule, artefacts, plan=remaking.manifest, storage=STORAGE)
ask = partial(ruling.resource, artefacts)

RESULTS = study.results
ruling.refuse_prefix(workflow, RESULTS)
if workflow.is_main_process:
    refuse_stale_copies(artefacts, STORAGE)
DEPLOYED = workflow.deployment_settings.deployment_method
IMAGES = images.enter_containers(LIBRARY.clone, config, RESULTS, apptainer=DeploymentMethod.APPTAINER in DEPLOYED)
SETUP, SETUP_ONLINE = ruling.setups(workflow, LIBRARY, RESULTS, STORAGE)
COMMAND = ruling.command(STORAGE)
