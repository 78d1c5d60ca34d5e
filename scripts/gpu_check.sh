#!/bin/sh
# Check this machine's GPU without a network, most important first: docs/running/local-gpu.md
#   scripts/gpu_check.sh [--cpu] [--minutes 12] [--out DIR] [--data data/tofu] [PART ...]
# gpu-check/wheels may hold the wheels that this machine's Python lacks. PYTHON names another interpreter.
set -eu
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
python=${PYTHON:-$root/.venv/bin/python}
command -v "$python" >/dev/null || python=python3
site=$root/gpu-check/site
if [ ! -d "$site" ] && ls "$root"/gpu-check/wheels/*.whl >/dev/null 2>&1; then
  "$python" -m pip install --quiet --no-index --no-deps --target "$site.partial" "$root"/gpu-check/wheels/*.whl
  mv "$site.partial" "$site"
fi
export PYTHONPATH="$root/src:$site${PYTHONPATH:+:$PYTHONPATH}"
exec "$python" "$root/scripts/gpu_check.py" "$@"
