from functools import partial

from snakemake.settings.types import DeploymentMethod

from palimpsest.audit.status import refuse_stale_copies
from palimpsest.study import console, hooks, images, rules as ruling
from palimpsest.study.applied import open_study
from palimpsest.study.stages import Artefacts

console.install(workflow)
study = open_study(config, layers)
artefacts = Artefacts(study)
of = partial(ruling.Rule, artefacts)
ask = partial(ruling.resource, artefacts)

RESULTS = study.results
ruling.refuse_prefix(workflow, RESULTS)
if workflow.is_main_process:
    refuse_stale_copies(artefacts)
DEPLOYED = workflow.deployment_settings.deployment_method
IMAGES = images.enter_containers(LIBRARY.clone, config, RESULTS, apptainer=DeploymentMethod.APPTAINER in DEPLOYED)
SETUP, SETUP_ONLINE = ruling.setups(workflow, LIBRARY, RESULTS)
