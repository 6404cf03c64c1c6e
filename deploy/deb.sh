#!/usr/bin/env bash
# Makes the Debian package from a release build, and says where it lies. The same sources give the
# same bytes: every time in it is that of deploy/debian/changelog.
#
#   deploy/deb.sh [--build-dir DIR] [--revision N]   (build/release; that of the changelog)
#     --revision  a package of the same sources that is newer than the last
#   then: apt install ./build/release/penstock_*.deb
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

build_dir=build/release
revision=()
while [ $# -gt 0 ]; do
  case $1 in
    --build-dir) build_dir=$2; shift 2 ;;
    --revision) revision=(-D "CPACK_DEBIAN_PACKAGE_RELEASE=$2"); shift 2 ;;
    -h|--help) sed -n '2,7s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) echo "$0: unknown option $1 (try --help)" >&2; exit 64 ;;
  esac
done

deploy/packages.sh --install build
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(dpkg-parsechangelog -l deploy/debian/changelog -S Timestamp)}
umask 022
if [ ! -e "$build_dir" ]; then cmake --preset release -B "$build_dir" >&2; fi
if [ ! -f "$build_dir/CMakeCache.txt" ]; then
  echo "$0: $build_dir is not a folder that cmake has built in: name another one by --build-dir" >&2
  exit 64
fi
cmake --build "$build_dir" -j "$(nproc)" --target penstock >&2
cpack --config "$build_dir/CPackConfig.cmake" -B "$build_dir" "${revision[@]}" |
  sed -n 's/^CPack: - package: \(.*\) generated\.$/\1/p'
