#!/usr/bin/env bash
# Installs the Debian package on a booted Debian 12 of its own, and does there what operators do: see
# booted.py. The machine is a container of systemd-nspawn without a network, on a root that
# mmdebstrap makes from this machine's apt sources. Needs root and a cgroup that may be written.
#
#   tests/packaging/nspawn.sh [--root FILE] [--build-dir DIR]   (build/release)
#     --root FILE  a root made before, a .tar; made there if there is none
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(cd "$here/../.." && pwd)
. "$here/root.sh"

work=$(mktemp -d)
tar=
build_dir=$top/build/release
while [ $# -gt 0 ]; do
  case $1 in
    --root) tar=$(realpath -m "$2"); shift 2 ;;
    --build-dir) build_dir=$(realpath "$2"); shift 2 ;;
    *) sed -n '2,7s/^# \{0,1\}//p' "$0" >&2; exit 64 ;;
  esac
done
root=$work/penstock-$$

# What the package needs is there, so that it installs without a network; python3 is booted.py's.
make_machine() {
  local packages
  packages=$(awk '/^\[/ {inside = $0 == "[runtime]"; next} /^[^#]/ && inside' "$top/deploy/packages.txt")
  make_root "$1" --variant=apt --include=systemd,systemd-sysv,dbus,procps,python3,"$(paste -sd, <<<"$packages")"
}

# Straight into its folder, unless it is to be kept.
unpack_machine() {
  if [ -z "$tar" ]; then make_machine "$root"; return; fi
  [ -s "$tar" ] || make_machine "$tar"
  mkdir "$root"
  tar -C "$root" -xf "$tar"
}

# The same sources as two versions, so that the second is an upgrade.
make_packages() {
  mkdir -p "$root/packages/1" "$root/packages/2"
  cp "$("$top/deploy/deb.sh" --build-dir "$build_dir")" "$root/packages/1/"
  cp "$("$top/deploy/deb.sh" --build-dir "$build_dir" --revision 2)" "$root/packages/2/"
}

# The test is a service; the machine ends with it, and as it did.
install_test() {
  install -m 755 "$here/booted.py" "$root/booted.py"
  cat >"$root/etc/systemd/system/booted.service" <<EOF
[Unit]
After=multi-user.target
SuccessAction=exit-force
FailureAction=exit-force
FailureActionExitStatus=1
[Service]
Type=oneshot
TimeoutStartSec=300
ExecStart=/usr/bin/python3 -u /booted.py
StandardOutput=file:/booted.log
StandardError=inherit
Environment=HOME=/root
EOF
  mkdir -p "$root/etc/systemd/system/default.target.wants"
  ln -s ../booted.service "$root/etc/systemd/system/default.target.wants/"
  touch "$root/booted.log"
}

# Where systemd does not run, a machine has the cgroup that its nspawn is in: one of its own, in the
# hierarchies that systemd uses, be it the unified one or the two of old.
hierarchies=(/sys/fs/cgroup)
[ -e /sys/fs/cgroup/cgroup.controllers ] || hierarchies=(/sys/fs/cgroup/systemd /sys/fs/cgroup/unified)
own_cgroups=("${hierarchies[@]/%//penstock-$$}")

enter_cgroups() {
  local cgroup
  for cgroup in "${own_cgroups[@]}"; do
    mkdir "$cgroup"
    echo "$BASHPID" >"$cgroup/cgroup.procs"
  done
}

clean_up() {
  rm -rf "$work"
  if ! systemd_runs; then find "${own_cgroups[@]}" -depth -type d -exec rmdir {} + 2>/dev/null || true; fi
}
trap clean_up EXIT

systemd_runs() { [ -d /run/systemd/system ]; }

run_machine() {
  local options=(--quiet --boot --register=no --private-network --console=pipe --link-journal=no)
  if ! systemd_runs; then
    enter_cgroups
    options+=(--keep-unit)
  fi
  exec timeout 600 systemd-nspawn "${options[@]}" --directory="$root" </dev/null >"$work/console" 2>&1
}

boot() {
  tail -f -n +1 --pid=$$ "$root/booted.log" &
  local tail=$! status=0
  (run_machine) || status=$?
  kill "$tail"
  return $status
}

say "making the machine"; unpack_machine
say "making the packages"; make_packages
install_test
say "booting"
boot || { echo "the test failed with $?" >&2; cat "$work/console" >&2; exit 1; }
say "done"
