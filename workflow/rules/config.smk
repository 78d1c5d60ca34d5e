# Reads the config without Snakemake, which knows no defaults and no `extends`.
import sys
from pathlib import Path

# A clone has the library beside the workflow; for a workflow from git it is installed.
WORKFLOW = str(workflow.current_basedir)
if (SOURCE := Path(WORKFLOW).parents[1] / "src").is_dir():
    sys.path.insert(0, str(SOURCE))
REPOSITORY, _, REF = WORKFLOW.rpartition("workflow/rules")
SCHEME = "" if REPOSITORY.startswith("git+") else "git+https://"
INSTALL = f"pip install 'palimpsest[workflow] @ {SCHEME}{REPOSITORY[:-1]}{REF}'"

try:
    from palimpsest.study.library import open_library
    from palimpsest.study.messages import one_line
except ImportError as error:
    print(f"palimpsest: {error}: {INSTALL}", file=sys.stderr)
    sys.exit(2)

LIBRARY = open_library(workflow, INSTALL)

# Installed packages may add classes to the config, and importing such a package may fail.
with one_line():
    from palimpsest.study import files
    from palimpsest.study.places import BASE

    # As a module, the workflow gets its config from another workflow, which has read its own files.
    if workflow.modifier.skip_configfile:
        layers = files.module_layers(config, workflow.configfiles)
    else:
        named = workflow.overwrite_configfiles or [BASE]
        layers = files.read_layers(named, workflow.config_settings.config_args or ())
        workflow.configfiles = files.list_files(named)
    config = files.merge_layers(layers)
