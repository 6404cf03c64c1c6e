#!/usr/bin/env bash
# From a fresh Debian 12 machine to a proxied request: installs what is missing, builds penstock,
# starts it beside a TLS origin of its own, and shows that the second request reuses the first
# one's connection. Everything it starts, it stops.
#
#   deploy/quickstart.sh [--no-install] [--serve]
#     --no-install  only say what is missing
#     --serve       afterwards leave the proxy running here, with config/penstock.yaml
set -euo pipefail
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
install=yes
serve=no
for argument in "$@"; do
  case $argument in
    --no-install) install=no ;;
    --serve) serve=yes ;;
    -h|--help) sed -n '2,8s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) echo "$0: unknown option $argument (try --help)" >&2; exit 64 ;;
  esac
done

work=$(mktemp -d)
pids=()

stop_all() {
  local pid
  for pid in "${pids[@]}"; do kill -TERM "$pid" 2>/dev/null || true; done
  for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null || true; done
  pids=()
  rm -rf "$work"
}
trap stop_all EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

fail() { echo "quickstart: $*" >&2; exit 1; }

step() { printf '\n== %s\n' "$*"; }

install_packages() {
  local missing
  missing=$("$top/deploy/packages.sh" build quickstart)
  if [ -z "$missing" ]; then
    echo "nothing is missing"
    return
  fi
  printf 'missing Debian packages: %s\n' "$(echo "$missing" | xargs)"
  [ $install = yes ] || fail "not installing them (--no-install); deploy/packages.sh --install build quickstart does"
  "$top/deploy/packages.sh" --install build quickstart >"$work/apt.log" 2>&1 ||
    { tail -n 20 "$work/apt.log" >&2; fail "installing failed"; }
  echo "installed"
}

build() {
  (cd "$top" && cmake --preset release && cmake --build --preset release --target penstock) \
    >"$work/build.log" 2>&1 || { tail -n 40 "$work/build.log" >&2; fail "the build failed"; }
  "$top/build/release/penstock" --version | head -n 1
}

# A port where nobody answers; below the range that the kernel hands to outgoing connections.
free_port() {
  local port
  while :; do
    port=$((20000 + RANDOM % 10000))
    (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo "$port"; return; }
  done
}

# wait_for SECONDS COMMAND...: until the command succeeds.
wait_for() {
  local deadline=$((SECONDS + $1)); shift
  until "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt $deadline ] || return 1
    sleep 0.05
  done
}

make_certificates() {
  local curve=(-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2)
  openssl req -x509 "${curve[@]}" -subj '/CN=penstock quickstart CA' \
    -keyout "$work/ca.key" -out "$work/ca.pem" 2>/dev/null
  openssl req "${curve[@]}" -subj '/CN=api.test' -keyout "$work/api.key" -out "$work/api.csr" 2>/dev/null
  printf 'subjectAltName=DNS:api.test\nextendedKeyUsage=serverAuth\n' >"$work/api.ext"
  openssl x509 -req -in "$work/api.csr" -CA "$work/ca.pem" -CAkey "$work/ca.key" -CAcreateserial \
    -days 2 -extfile "$work/api.ext" -out "$work/api.pem" 2>/dev/null
}

write_origin_config() {
  cat >"$work/nginx.conf" <<NGINX
daemon off;
pid $work/nginx.pid;
error_log $work/nginx.log;
worker_processes 1;
events {}
http {
  access_log off;
  client_body_temp_path $work/body;
  proxy_temp_path $work/proxy;
  fastcgi_temp_path $work/fastcgi;
  uwsgi_temp_path $work/uwsgi;
  scgi_temp_path $work/scgi;
  server {
    listen 127.0.0.1:$1 ssl;
    server_name api.test;
    ssl_certificate $work/api.pem;
    ssl_certificate_key $work/api.key;
    ssl_protocols TLSv1.2 TLSv1.3;
    default_type text/plain;
    location / { return 200 "Hello from api.test: \$ssl_protocol, connection \$connection, request \$connection_requests on it\n"; }
  }
}
NGINX
}

start_origin() {
  local attempt
  for attempt in 1 2 3; do
    origin_port=$(free_port)
    write_origin_config "$origin_port"
    nginx -e "$work/nginx.log" -c "$work/nginx.conf" &
    pids=($!)
    wait_for 10 curl -fsS --noproxy '*' --cacert "$work/ca.pem" --resolve "api.test:$origin_port:127.0.0.1" \
      "https://api.test:$origin_port/" && return
    kill "${pids[0]}" 2>/dev/null || true
  done
  cat "$work/nginx.log" >&2
  fail "the origin did not start"
}

write_proxy_config() {
  cat >"$work/penstock.yaml" <<YAML
listeners:
  - address: 127.0.0.1:$proxy_port
admin:
  address: 127.0.0.1:$admin_port
access_log: {path: $work/access.log, only: all}
upstreams:
  - name: api
    hosts: [api.test]
    connect_to: 127.0.0.1:$origin_port
    tls: {ca_file: $work/ca.pem}
YAML
}

start_proxy() {
  local attempt
  for attempt in 1 2 3; do
    proxy_port=$(free_port)
    admin_port=$(free_port)
    [ "$proxy_port" != "$admin_port" ] || continue
    write_proxy_config
    "$top/build/release/penstock" run -c "$work/penstock.yaml" >"$work/penstock.log" 2>&1 &
    pids[1]=$!
    wait_for 10 curl -fsS --noproxy '*' "http://127.0.0.1:$admin_port/readyz" && return
    kill "${pids[1]}" 2>/dev/null || true
  done
  cat "$work/penstock.log" >&2
  fail "penstock did not become ready"
}

log_has_lines() { [ -f "$work/access.log" ] && [ "$(wc -l <"$work/access.log")" -ge "$1" ]; }

# field NAME LINE: the value of a number or a word in a line of the access log.
field() { sed -n "s/.*\"$1\":\"\{0,1\}\([^,\"}]*\).*/\1/p" <<<"$2"; }

show_phases() {
  local name value line=$1
  for name in queue resolve connect tls send wait receive; do
    value=$(field "${name}_ms" "$line")
    [ -n "$value" ] && printf '%s %s ms, ' "$name" "$value"
  done
  printf 'total %s ms: %s connection\n' "$(field total_ms "$line")" "$2"
}

# request NUMBER: sends it as an app would; leaves "new" or "reused" in $connection.
request() {
  local line
  echo "\$ http_proxy=http://127.0.0.1:$proxy_port curl http://api.test/orders/$1"
  env -u no_proxy -u NO_PROXY http_proxy="http://127.0.0.1:$proxy_port" \
    curl -fsS --max-time 20 "http://api.test/orders/$1" || { cat "$work/penstock.log" >&2; fail "request $1 failed"; }
  wait_for 5 log_has_lines "$1" || fail "request $1 is not in the access log"
  line=$(sed -n "$1p" "$work/access.log")
  connection=new
  [ "$(field reused "$line")" != true ] || connection=reused
  show_phases "$line" "$connection"
}

step "Packages"
install_packages
step "Build (cmake --preset release)"
build
step "A TLS origin, and penstock before it"
make_certificates
start_origin
start_proxy
echo "https://api.test is nginx on 127.0.0.1:$origin_port; the proxy listens on 127.0.0.1:$proxy_port"
step "Two requests; the app speaks plain http, penstock speaks TLS and verifies"
request 1
request 2
[ $connection = reused ] || fail "the second request did not reuse the connection"
stop_all
trap - EXIT

step "Your turn"
[ $serve = yes ] || echo "Start it:  build/release/penstock run -c config/penstock.yaml"
echo "Then write http:// where you wrote https:// (penstock adds TLS; https:// cannot be pooled):"
cat <<'LINES'
curl -x http://127.0.0.1:3128 http://www.debian.org/
export http_proxy=http://127.0.0.1:3128 HTTP_PROXY=http://127.0.0.1:3128
export NO_PROXY=localhost,127.0.0.1,::1 no_proxy=localhost,127.0.0.1,::1
LINES
[ $serve = no ] || exec "$top/build/release/penstock" run -c "$top/config/penstock.yaml"
