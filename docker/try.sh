#!/bin/sh
# Tries the image and docker-compose.yml for real: builds the image, starts everything in a folder of its own, and walks through login,
# call, doctor, reload and stop. With Docker, or with Podman and podman-compose. Takes as long as a release build.
#
#   sh docker/try.sh                 with the images that the Dockerfile and the compose file name
#   RUST_IMAGE=… BASE_IMAGE=… REDIS_IMAGE=… sh docker/try.sh      with others, of a mirror say
#   HUFU_TRY_IMAGE=… sh docker/try.sh                             with an image that is there: nothing is built
#   BUILD_ARGS="--build-arg CARGO_MIRROR=…" sh docker/try.sh      for the build
#
# Where no registry is to be had, and this is root on Debian with debootstrap, it makes the base images from Debian's packages and the
# toolchain of this machine. The ports 8080, 8081 and 9001 of 127.0.0.1 must be free.
set -eu
cd "$(dirname "$0")/.."
root=$(pwd)

say() { printf '\n== %s\n' "$*"; }
fail() {
    printf '\ndocker/try.sh: %s\n' "$*" >&2
    exit 1
}

if docker info >/dev/null 2>&1 && docker compose version >/dev/null 2>&1; then
    engine=docker compose="docker compose"
elif podman info >/dev/null 2>&1 && command -v podman-compose >/dev/null 2>&1; then
    engine=podman compose=podman-compose
else
    fail "neither Docker with compose nor Podman with podman-compose is running here (Debian: apt-get install podman runc podman-compose)"
fi
say "$engine, $compose"

work=$(mktemp -d)
project=hufu-try
started=no
clean_up() {
    status=$?
    if [ "$started" = yes ]; then
        [ "$status" = 0 ] || (cd "$work" && $compose -p $project logs 2>&1 | tail -60) || true
        (cd "$work" && $compose -p $project down -v >"$work/down" 2>&1) || true
        # podman-compose leaves them.
        $engine network rm "${project}_front" "${project}_store" >/dev/null 2>&1 || true
    fi
    rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 1' INT TERM

# image NAME_OF_VARIABLE DEFAULT MAKER: the image that the variable names, or the default where it can be had, or one made here.
image() {
    eval "given=\${$1:-}"
    if [ -n "$given" ]; then
        echo "$given"
    elif $engine image inspect "$2" >/dev/null 2>&1 || $engine pull -q "$2" >/dev/null 2>&1; then
        echo "$2"
    else
        [ "$(id -u)" = 0 ] && command -v debootstrap >/dev/null 2>&1 || fail "$2 cannot be had: name another in $1, or be root with debootstrap"
        $engine image inspect "localhost/hufu-try-$3" >/dev/null 2>&1 || "make_$3" >&2
        echo "localhost/hufu-try-$3"
    fi
}

# A Debian with these packages.
debian() {
    debootstrap --variant=minbase --include="$1" bookworm "$work/$2" >"$work/log" 2>&1 || { tail -5 "$work/log" >&2 && fail "debootstrap"; }
    rm -rf "$work/$2/var/cache/apt/archives"/*.deb
    # Whom this machine trusts, where its network has an authority of its own.
    cp /etc/ssl/certs/ca-certificates.crt "$work/$2/etc/ssl/certs/ca-certificates.crt" 2>/dev/null || true
}

import() {
    tar -C "$work/$1" -c . | $engine import ${2:+-c "$2"} ${3:+-c "$3"} - "localhost/hufu-try-$1" >/dev/null
    rm -rf "${work:?}/$1"
}

make_base() {
    say "making a base image with debootstrap"
    debian ca-certificates base
    import base
}

make_rust() {
    say "making a Rust image of Debian and the toolchain of this machine"
    debian ca-certificates,gcc,libc6-dev rust
    cp -a "$(cd "$root" && rustc --print sysroot)/." "$work/rust/usr/local/"
    import rust "ENV CARGO_HOME=/usr/local/cargo"
}

make_redis() {
    say "making a Redis image of Debian's package"
    debian redis-server redis
    mkdir -p "$work/redis/data"
    chroot "$work/redis" chown redis:redis /data
    import redis "WORKDIR /data" "VOLUME /data"
}

redis=$(image REDIS_IMAGE redis:7.2-alpine redis)
if [ -n "${HUFU_TRY_IMAGE:-}" ]; then
    hufu=$HUFU_TRY_IMAGE
else
    rust=$(image RUST_IMAGE rust:1.95.0-slim-bookworm rust)
    base=$(image BASE_IMAGE debian:bookworm-slim base)
    hufu=hufu-try
    say "building $hufu of $rust and $base"
    # Built once: the training run of a guided build is make release's to try.
    # shellcheck disable=SC2086
    $engine build -t $hufu --build-arg RUST_IMAGE="$rust" --build-arg BASE_IMAGE="$base" --build-arg GUIDED=no ${BUILD_ARGS:-} .
fi

say "starting the compose file"
mkdir "$work/docker"
cp docker/hufu.toml "$work/docker/"
cp redis.conf "$work/"
sed "s|^  image: hufu\$|  image: $hufu|; /^  build: \.\$/d" docker-compose.yml >"$work/docker-compose.yml"
cd "$work"
# Who may not raise this limit here (without root, nobody may) takes the engine's own.
if [ "$(ulimit -Hn)" != unlimited ] && [ "$(ulimit -Hn)" -lt 65536 ]; then
    sed -i '/^    ulimits:$/,+1d' docker-compose.yml
fi
(umask 077 && $engine run --rm "$hufu" keygen --env >.env 2>/dev/null && $engine run --rm "$hufu" keygen --env --redis >>.env 2>/dev/null)
[ "$(grep -c '^HUFU_' .env)" = 3 ] || fail "keygen has not written three lines"
# podman-compose gives containers what this shell has, and reads .env for itself.
export REDIS_IMAGE="$redis"
started=yes
$compose -p $project up -d >"$work/log" 2>&1 || { cat "$work/log" >&2 && fail "compose up"; }

container() { $engine ps -a -q --filter "label=com.docker.compose.project=$project" --filter "label=com.docker.compose.service=$1" | head -1; }
gateway=$(container gateway)
[ -n "$gateway" ] || { cat "$work/log" >&2 && fail "there is no container for the gateway"; }

# wait_for WHAT COMMAND…: for a minute.
wait_for() {
    what=$1 tries=0
    shift
    until "$@" >"$work/answer" 2>&1; do
        tries=$((tries + 1))
        [ $tries -lt 120 ] || { cat "$work/answer" >&2 && fail "waited in vain for $what"; }
        sleep 0.5
    done
}
answers() { curl -sS -m 5 "$@" 2>&1; }
is_ready() { answers http://127.0.0.1:8081/readyz | grep -q '"status": *"ready"'; }
has_logged() { $engine logs "$gateway" 2>&1 | grep -q "$1"; }

say "ready"
wait_for "/readyz" is_ready
answers http://127.0.0.1:8081/readyz && echo
answers http://127.0.0.1:8081/metrics | grep '^hufu_build_info\|^hufu_connections' | head -3

say "the container's own health check"
if [ $engine = podman ]; then
    wait_for "the health check" podman healthcheck run "$gateway"
else
    is_healthy() { [ "$(docker inspect -f '{{.State.Health.Status}}' "$gateway")" = healthy ]; }
    wait_for "the health check" is_healthy
fi
echo healthy

say "login and call"
code=$(answers http://127.0.0.1:9001/sandbox/code -d '{"app":"wx0123456789abcdef","user":"alice"}' | sed 's/.*"code": *"\([^"]*\)".*/\1/')
token=$(answers http://127.0.0.1:8080/auth/login -H 'Content-Type: application/json' -d "{\"code\":\"$code\"}" | sed 's/.*"token": *"\([^"]*\)".*/\1/')
case $token in hufu_*) echo "a token of ${#token} characters" ;; *) fail "login: $token" ;; esac
answers http://127.0.0.1:8080/api/hello -H "Authorization: Bearer $token" | grep -i 'x-wx-openid' || fail "the backend got no X-WX-OPENID"
# Redis keeps what a restart must not lose in its volume.
$engine exec "$(container redis)" sh -c 'ls -d /data/appendonlydir' || fail "Redis writes elsewhere than to /data"

say "doctor"
$engine exec "$gateway" hufu doctor || fail "doctor"

say "reload"
[ "$(answers -o "$work/answer" -w '%{http_code}' http://127.0.0.1:8080/more)" = 404 ] || fail "/more is there already: $(cat "$work/answer")"
# As an editor does: a new file in the place of the old one.
{ cat docker/hufu.toml && printf '\n[[routes]]\npath = "/more"\nupstream = "api"\nauth = "none"\n'; } >docker/new
mv docker/new docker/hufu.toml
$engine exec "$gateway" hufu check || fail "check"
$engine kill -s HUP "$gateway" >/dev/null
wait_for "the reload" has_logged 'is in force.*routes: 2'
[ "$(answers -o "$work/answer" -w '%{http_code}' http://127.0.0.1:8080/more)" = 200 ] || fail "the new route is not in force: $(cat "$work/answer")"
$engine kill -s HUP "$gateway" >/dev/null
wait_for "the word on a reload without a change" has_logged 'the very same bytes'
echo "in force, and a reload without a change is told as one"

say "stop"
$engine stop -t 60 "$gateway" >/dev/null
[ "$($engine inspect -f '{{.State.ExitCode}}' "$gateway")" = 0 ] || fail "the gateway ended with $($engine inspect -f '{{.State.ExitCode}}' "$gateway")"
has_logged drained || fail "the gateway has not drained"
echo "drained, exit code 0"
say "all of it works"
