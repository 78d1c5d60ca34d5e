#!/usr/bin/env bash
# Install Apptainer on Debian 12, which has no package of it. Needs root, and only Debian's archive.
# The package comes from sid and needs a newer glibc, which goes to /opt/apptainer and is used only by the package's two programs;
# no system library is replaced. `--podman` also installs podman and debootstrap, for images.py export and --no-registry.
set -euo pipefail
case "$#:${1:-}" in 0: | 1:--podman) ;; *) echo "install_apptainer.sh: $*: allowed is --podman, or nothing" >&2 && exit 2 ;; esac
export DEBIAN_FRONTEND=noninteractive
prefix=/opt/apptainer
keys=/usr/share/keyrings/debian-archive-keyring.gpg
architecture=$(dpkg --print-architecture)
triplet=$(uname -m)-linux-gnu
mirror=$(awk '/^URIs:/ {print $2; exit}' /etc/apt/sources.list.d/debian.sources 2>/dev/null || true)
mirror=${mirror:-$(awk '$1 == "deb" {for (i = 2; i <= NF; i++) if ($i ~ /^http/) {print $i; exit}}' /etc/apt/sources.list)}
packages() { apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends "$@" >/dev/null; }

[ -n "$(ls /var/lib/apt/lists/*_Packages* 2>/dev/null)" ] || apt-get update -qq
packages patchelf squashfs-tools squashfuse fuse-overlayfs uidmap
[ "${1:-}" != --podman ] || packages podman buildah runc debootstrap

# Packages of sid and trixie, through a separate apt that leaves the system's lists unchanged.
work=$(mktemp -d /var/tmp/apptainer.XXXXXX)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work"/{etc/apt/apt.conf.d,etc/apt/preferences.d,var/lib/apt/lists/partial,var/cache/apt/archives/partial,debs,program,libraries}
: >"$work/status"
for suite in trixie sid; do echo "deb [signed-by=$keys] $mirror $suite main"; done >"$work/etc/apt/sources.list"
cat >"$work/apt.conf" <<C
Dir "$work"; Dir::Etc "etc/apt"; Dir::State "var/lib/apt"; Dir::State::status "$work/status"; Dir::Cache "var/cache/apt";
Dir::Etc::trustedparts "/etc/apt/trusted.gpg.d"; APT::Architecture "$architecture"; APT::Sandbox::User "root";
Acquire::Languages "none"; Acquire::Check-Valid-Until "false"; Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
C
export APT_CONFIG="$work/apt.conf"
apt-get update -qq
cd "$work/debs"
apt-get download -qq apptainer/sid libc6/trixie libseccomp2/trixie libsqlite3-0/trixie zlib1g/trixie
dpkg-deb -x apptainer_*.deb "$work/program"
for deb in libc6_* libseccomp2_* libsqlite3-0_* zlib1g_*; do dpkg-deb -x "$deb" "$work/libraries"; done

rm -rf "$prefix"
mkdir -p "$prefix/lib"
cd "$work/libraries/usr/lib/$triplet"
cp -a {libc.so.6,libm.so.6,libresolv.so.2,libpthread.so.0,libdl.so.2,libnss_*.so.2,libseccomp.so.2*,libsqlite3.so.0*,libz.so.1*} ld-linux-*.so.* "$prefix/lib/"
loader=$(basename "$prefix"/lib/ld-linux-*.so.*)
for program in usr/bin/apptainer "usr/lib/$triplet/apptainer/bin/starter"; do
  patchelf --set-interpreter "$prefix/lib/$loader" --force-rpath --set-rpath "$prefix/lib" "$work/program/$program"
done
cp -a "$work/program/etc/apptainer" /etc/
cp -a "$work/program/usr/lib/$triplet/apptainer" "/usr/lib/$triplet/"
mkdir -p /var/lib/apptainer
cp -a "$work/program/var/lib/apptainer/." /var/lib/apptainer/
install -m755 "$work/program/usr/bin/apptainer" /usr/bin/apptainer

# A build as root uses --fakeroot too, so it needs subordinate ids.
for file in /etc/subuid /etc/subgid; do grep -q '^root:' $file || echo root:1000000:65536 >>$file; done
# Root in a container or a small virtual machine may lack CAP_SYS_RESOURCE (bit 24); then raise no limits.
if [ $((16#$(awk '/^CapEff/ {print $2}' /proc/self/status) >> 24 & 1)) = 0 ]; then
  apptainer config global --set "root default capabilities" file
  kept=$(apptainer capability avail 2>/dev/null | grep -oE '^CAP_[A-Z_]+' | grep -vx CAP_SYS_RESOURCE | paste -sd,)
  apptainer capability add --user root "$kept" >/dev/null 2>&1
  mkdir -p /etc/containers/containers.conf.d
  cat >/etc/containers/containers.conf.d/limits.conf <<C
[containers]
default_ulimits = ["nofile=16384:16384", "nproc=16384:16384"]
netns = "host"
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
C
fi
apptainer --version
