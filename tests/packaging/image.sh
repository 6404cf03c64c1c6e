#!/usr/bin/env bash
# Builds the image of the Dockerfile and runs it, without a Docker engine: buildah with its chroot
# isolation, on a base made by mmdebstrap from this machine's apt sources. The build stage is
# replaced by a binary that is built already; all else is as the Dockerfile says. Needs root.
#
#   tests/packaging/image.sh [--base FILE] [BINARY]     (build/release/penstock)
#     --base FILE  a root file system made before (a tar); made there if there is none
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(cd "$here/../.." && pwd)
. "$here/root.sh"

base=
if [ "${1:-}" = --base ]; then base=$(realpath -m "$2"); shift 2; fi
binary=$(realpath "${1:-$top/build/release/penstock}")
work=$(mktemp -d)
: "${base:=$work/base.tar}"
store=(--root "$work/storage" --runroot "$work/run" --storage-driver vfs)

buildah() { command buildah "${store[@]}" "$@"; }

clean_up() {
  buildah umount --all >/dev/null 2>&1 || true
  rm -rf "$work"
}
trap clean_up EXIT

import_base() {
  local container
  container=$(buildah from scratch)
  buildah add --quiet "$container" "$base" / >/dev/null
  buildah commit --quiet --rm "$container" docker.io/library/debian:12-slim >/dev/null
}

build_image() {
  mkdir -p "$work/stage/out"
  install --strip "$binary" "$work/stage/out/penstock"
  buildah build --quiet --isolation chroot --pull=never --format docker --tag penstock \
    --build-context "build=$work/stage" "$top" >/dev/null
}

# The bytes of an image's files.
size_of() {
  local container folder
  container=$(buildah from --pull=never "$1")
  folder=$(buildah mount "$container")
  du --summarize --bytes --one-file-system "$folder" | cut -f1
  buildah rm "$container" >/dev/null
}

in_mebibytes() { awk -v bytes="$1" 'BEGIN {printf "%.1f MiB", bytes / 1048576}'; }

run_image() {
  local container
  container=$(buildah from --pull=never penstock)
  buildah inspect --type image penstock >"$work/image.json"
  unshare --mount-proc --net --pid --fork --kill-child \
    /usr/bin/python3 "$here/container.py" "$(buildah mount "$container")" "$work/image.json"
}

[ -s "$base" ] || { say "making the base"; make_root "$base" --variant=minbase; }
say "importing the base"; import_base
say "building the image"; build_image
say "running it"; run_image
of_base=$(size_of docker.io/library/debian:12-slim)
of_image=$(size_of penstock)
say "image: $(in_mebibytes $((of_image - of_base))) above its base of $(in_mebibytes "$of_base")"
