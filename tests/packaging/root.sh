# Sourced: makes the root of a small Debian 12 from this machine's apt sources.

# The sources that this machine's Debian comes from.
debian_sources() {
  local file
  for file in /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list; do
    if [ -s "$file" ]; then echo "$file"; return; fi
  done
}

# make_root TARGET [OPTION of mmdebstrap]...: a folder, or a file where the name ends in .tar; without
# documentation and translations, as Debian's own slim images are. Nobody misses it after a crash.
make_root() {
  local target=$1 sources folder options=("${@:2}" --dpkgopt=force-unsafe-io)
  sources=$(debian_sources)
  for folder in doc man info locale; do
    options+=(--dpkgopt="path-exclude=/usr/share/$folder/*")
  done
  mmdebstrap --quiet "${options[@]}" bookworm "$target" ${sources:+"$sources"}
}

say() { printf '%4d s  %s\n' "$SECONDS" "$*"; }
