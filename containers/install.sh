#!/bin/sh
# What makes an image of a base with Debian: Python and the locked packages of one family. Both recipes run it, as root, inside.
# usage: install.sh FAMILY
set -eu
here=$(dirname "$0")
if ! python3 -c 'import venv, ensurepip' 2>/dev/null; then
  apt-get update
  apt-get install -y --no-install-recommends python3 python3-venv ca-certificates
  rm -rf /var/lib/apt/lists/*
fi
# What a build binds here stays out of the image: a site's certificates, and wheels that go before those of the index.
[ ! -s "$here/certificates.crt" ] || export PIP_CERT="$here/certificates.crt"
export PIP_FIND_LINKS="$here/wheels" PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
python3 -m venv /opt/venv
/opt/venv/bin/python -m pip install --quiet --requirement "$here/$1.lock"
/opt/venv/bin/python -m pip check
