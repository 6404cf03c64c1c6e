#!/usr/bin/env bash
# Says, or installs, what is missing of the package sections named (deploy/packages.txt lists them).
#
#   deploy/packages.sh SECTION...            print the missing packages, one a line
#   deploy/packages.sh --install SECTION...  install them with apt-get
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
list=$here/packages.txt

usage() {
  echo "usage: $0 [--install] SECTION...   (sections: $(sed -n 's/^\[\(.*\)\]$/\1/p' "$list" | xargs))" >&2
  exit 64
}

# The packages of one section, one a line.
packages_of() {
  awk -v wanted="[$1]" '/^#/ || /^$/ {next} /^\[/ {inside = $0 == wanted; found = found || inside; next}
                        inside {print $1} END {exit !found}' "$list"
}

is_installed() {
  [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

missing_packages() {
  local section package
  for section in "$@"; do
    for package in $(packages_of "$section"); do
      is_installed "$package" || echo "$package"
    done
  done | sort -u
}

# Debian starts a service when its package is installed; ours must not take ports on this machine.
policy=/usr/sbin/policy-rc.d
keep_services_down() {
  [ -e "$policy" ] && return
  trap 'rm -f "$policy"' EXIT
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod 755 "$policy"
}

install_as_root() {
  echo "installing: $*"
  keep_services_down
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -q
  apt-get install -y -q --no-install-recommends "$@"
}

install=no
[ "${1:-}" = --install ] && { install=yes; shift; }
[ $# -gt 0 ] || usage
for section in "$@"; do
  packages_of "$section" >/dev/null || { echo "$0: no section [$section] in $list" >&2; usage; }
done

mapfile -t missing < <(missing_packages "$@")
[ ${#missing[@]} -gt 0 ] || exit 0
if [ $install = no ]; then
  printf '%s\n' "${missing[@]}"
elif [ "$(id -u)" = 0 ]; then
  install_as_root "${missing[@]}"
elif command -v sudo >/dev/null; then
  exec sudo "$here/packages.sh" --install "$@"
else
  echo "These Debian packages are missing; as root, run:" >&2
  echo "  apt-get update && apt-get install -y --no-install-recommends ${missing[*]}" >&2
  exit 1
fi
