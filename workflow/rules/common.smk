from functools import partial

from snakemake.settings.types import DeploymentMethod

from palimpsest.config import hooks, images, jobs
from palimpsest.config.applied import open_study
from palimpsest.config.study import CHOICE, EXTERNAL, RUN, UNLEARNED

study = open_study(config, layers)
specs = jobs.Specs(study)
inputs = jobs.Inputs(study)
names = jobs.Names(study)
ask = partial(jobs.resource, study)

RESULTS = study.results
LOGS = f"{RESULTS}/logs"
BENCHMARKS = f"{RESULTS}/benchmarks"
DEPLOYED = workflow.deployment_settings.deployment_method
IMAGES = images.enter_containers(SOURCE.parent, config, RESULTS, apptainer=DeploymentMethod.APPTAINER in DEPLOYED)

shell.prefix(jobs.shell_prefix(SOURCE, RESULTS, deployed=bool(DEPLOYED)))


wildcard_constraints:
    benchmark=names.benchmark,
    split=names.split,
    model=names.model,
    seed=names.seed,
    role=names.role,
    start=names.start,
    reference=names.reference,
    method=names.method,
    variant=names.variant,
    attack=names.attack,
    external=names.external,
    subject=names.subject,
