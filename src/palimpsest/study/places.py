"""Where configs are: the study of a command that names none, the shipped studies, and what is merged under every study."""

from pathlib import Path

BASE = Path("config.yaml")
# Its copy for deployments, on which the studies in config/studies build.
COPY = Path("config/config.yaml")
# A copy of it, from which a deployment starts.
DEPLOYED = Path("config", "config.yaml")
STUDIES = Path("config", "studies")
DEFAULTS = Path(__file__).with_name("defaults.yaml")
