#!/usr/bin/env bash
# A base of Debian 12 with Python where no registry can be reached: base.tar for podman and docker, base.sif for apptainer.
# usage: base.sh FOLDER   (root; needs debootstrap)
set -euo pipefail
folder=$(realpath -m "$1")
work=$(mktemp -d /var/tmp/base.XXXXXX)
trap 'rm -rf --one-file-system "$work"' EXIT
mirror=$(awk '/^URIs:/ {print $2; exit}' /etc/apt/sources.list.d/debian.sources 2>/dev/null || true)
mirror=${mirror:-$(awk '$1 == "deb" {for (i = 2; i <= NF; i++) if ($i ~ /^http/) {print $i; exit}}' /etc/apt/sources.list)}
debootstrap --variant=minbase --include=python3,python3-venv,ca-certificates bookworm "$work/root" "$mirror" >"$work/log" 2>&1 ||
  { tail -20 "$work/log" >&2; exit 1; }
# Device nodes cannot be unpacked by an unprivileged build; the others are only weight.
for part in dev proc sys var/cache/apt var/lib/apt/lists usr/share/doc usr/share/man usr/share/locale; do
  find "$work/root/$part" -mindepth 1 -delete
done
mkdir -p "$folder"
tar -C "$work/root" -c . >"$folder/base.tar.partial"
mv "$folder/base.tar.partial" "$folder/base.tar"
! command -v apptainer >/dev/null || apptainer --quiet build --force "$folder/base.sif" "$work/root"
