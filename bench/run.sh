#!/bin/sh
# CPU microseconds per request of an authenticated GET through Hufu, beside nginx that proxies the same request without any
# authentication, in one run: the proxy under test on core 0 with one worker, everything else on core 1. The quantity is user plus
# system time of the proxy's process over the counted seconds, divided by the requests: it survives noise that throughput does not.
#
#   ROUNDS=3 SECONDS_COUNTED=6 sh bench/run.sh
set -eu

rounds=${ROUNDS:-3}
counted=${SECONDS_COUNTED:-6}
for tool in nginx wrk redis-server curl taskset awk; do
    command -v "$tool" >/dev/null 2>&1 || {
        echo "bench skipped: $tool is missing (Debian: apt-get install nginx wrk redis-server curl util-linux gawk)"
        exit 0
    }
done
[ "$(getconf _NPROCESSORS_ONLN)" -ge 2 ] || { echo "bench skipped: it needs two cores"; exit 0; }

cd "$(dirname "$0")/.."
cargo build --release --locked --quiet
hufu=${CARGO_TARGET_DIR:-target}/release/hufu
work=$(mktemp -d)
pids=""
trap 'kill $pids 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$work"' EXIT INT TERM

# Ports that nobody listens on now.
port() { awk -v seed="$1$$" 'BEGIN { srand(seed); print 20000 + int(rand() * 20000) }'; }
up=$(port 1); plain=$(port 2); logged=$(port 3); redis=$(port 4); sandbox=$(port 5); gateway=$(port 6); admin=$(port 7)

on_core() { core=$1; shift; taskset -c "$core" "$@" & pids="$pids $!"; last=$!; }

nginx_conf() { # file, body of http
    mkdir -p "$work/$1"
    printf 'daemon off; master_process off; worker_processes 1; pid %s/pid; error_log %s/error.log;\nevents { worker_connections 4096; }\nhttp {\nclient_body_temp_path %s/b; proxy_temp_path %s/p; fastcgi_temp_path %s/f; uwsgi_temp_path %s/u; scgi_temp_path %s/s; keepalive_requests 100000000; keepalive_timeout 300s;\n%s\n}\n' \
        "$work/$1" "$work/$1" "$work/$1" "$work/$1" "$work/$1" "$work/$1" "$work/$1" "$2" >"$work/$1/nginx.conf"
}
body='{"id":1234567,"name":"hufu","items":[1,2,3,4,5,6,7,8,9,10],"note":"about one hundred bytes of JSON"}'
proxy="proxy_http_version 1.1; proxy_set_header Connection ''; proxy_pass http://up;"
upstream="upstream up { server 127.0.0.1:$up; keepalive 128; keepalive_requests 100000000; }"
nginx_conf up "access_log off; server { listen 127.0.0.1:$up backlog=1024; location / { default_type application/json; return 200 '$body'; } }"
nginx_conf plain "access_log off; $upstream server { listen 127.0.0.1:$plain backlog=1024; location / { $proxy } }"
nginx_conf logged "access_log $work/access.log combined buffer=64k; $upstream server { listen 127.0.0.1:$logged backlog=1024; location / { proxy_set_header Host \$host; proxy_set_header X-Real-IP \$remote_addr; proxy_set_header X-Forwarded-For \$proxy_add_x_forwarded_for; proxy_set_header X-Forwarded-Proto \$scheme; $proxy } }"

on_core 1 nginx -e "$work/up/error.log" -c "$work/up/nginx.conf"
on_core 0 nginx -e "$work/plain/error.log" -c "$work/plain/nginx.conf"; plain_pid=$last
on_core 0 nginx -e "$work/logged/error.log" -c "$work/logged/nginx.conf"; logged_pid=$last
on_core 1 redis-server --port "$redis" --bind 127.0.0.1 --save '' --appendonly no --daemonize no --logfile "$work/redis.log"
on_core 1 "$hufu" sandbox --listen "127.0.0.1:$sandbox" 2>"$work/sandbox.log"

"$hufu" keygen --env >"$work/.env"
cat >"$work/hufu.toml" <<TOML
server.listen = "127.0.0.1:$gateway"
server.workers = 1
admin.listen = "127.0.0.1:$admin"
log.format = "json"
store.url = "redis://127.0.0.1:$redis/0"
secrets.keys = ["\${HUFU_KEY}"]
secrets.naming_key = "\${HUFU_NAMING_KEY}"
[apps.bench]
appid = "wx0123456789abcdef"
secret = "bench"
base_url = "http://127.0.0.1:$sandbox"
[upstreams.up]
endpoints = ["http://127.0.0.1:$up"]
[[routes]]
path = "/api"
upstream = "up"
TOML
on_core 0 "$hufu" serve --config "$work/hufu.toml" >"$work/hufu-access.log" 2>"$work/hufu.log"; gateway_pid=$last

wait_for() { n=0; until curl -s -o /dev/null "$1"; do n=$((n + 1)); [ $n -lt 200 ] || { echo "bench: $1 does not answer"; cat "$work/hufu.log"; exit 1; }; sleep 0.05; done; }
for p in $up $plain $logged $sandbox; do wait_for "http://127.0.0.1:$p/"; done
wait_for "http://127.0.0.1:$admin/healthz"
code=$(curl -s "http://127.0.0.1:$sandbox/sandbox/code" -H 'Content-Type: application/json' -d '{"app":"wx0123456789abcdef","user":"bench"}' | sed 's/.*"code":"\([^"]*\)".*/\1/')
token=$(curl -s "http://127.0.0.1:$gateway/auth/login" -H 'Content-Type: application/json' -d "{\"code\":\"$code\"}" | sed 's/.*"token":"\([^"]*\)".*/\1/')
case $token in hufu_*) ;; *) echo "bench: no token: $token"; exit 1 ;; esac

ticks=$(getconf CLK_TCK)
cpu() { awk '{ sub(/^.*\) /, ""); print $12 + $13 }' "/proc/$1/stat"; }
measure() { # name, pid, port
    taskset -c 1 wrk -t1 -c64 -d2s -H "Authorization: Bearer $token" "http://127.0.0.1:$3/api/x" >/dev/null
    before=$(cpu "$2")
    taskset -c 1 wrk -t1 -c64 -d"${counted}s" --latency -H "Authorization: Bearer $token" "http://127.0.0.1:$3/api/x" >"$work/wrk"
    after=$(cpu "$2")
    awk -v name="$1" -v ticks="$ticks" -v used="$((after - before))" '
        /requests in/ { n = $1 } /^Requests\/sec/ { rps = $2 } /50%/ { p50 = $2 } /99%/ { p99 = $2 }
        /Non-2xx/ { bad = $NF } END { if (bad > 0) { print "bench: " bad " answers of " name " were errors" > "/dev/stderr"; exit 1 }
        printf "%s %.2f %.0f %s %s\n", name, used / ticks * 1e6 / n, rps, p50, p99 }' "$work/wrk" | tee -a "$work/rows"
}
echo "proxy CPU-us/request requests/s p50 p99 (round by round)"
round=1
while [ "$round" -le "$rounds" ]; do
    measure nginx "$plain_pid" "$plain"
    measure nginx+log+forwarded "$logged_pid" "$logged"
    measure hufu "$gateway_pid" "$gateway"
    round=$((round + 1))
done
awk '
    { v[$1, ++count[$1]] = $2; r[$1, count[$1]] = $3 }
    function median(name, a,   i, j, n, t, b) { n = count[name]; for (i = 1; i <= n; i++) b[i] = a[name, i]
        for (i = 1; i <= n; i++) for (j = i + 1; j <= n; j++) if (b[j] < b[i]) { t = b[i]; b[i] = b[j]; b[j] = t }
        return b[int((n + 1) / 2)] }
    END {
        printf "\nmedians of %d rounds (hufu: session looked up, identity headers, access line on)\n", count["hufu"]
        split("nginx nginx+log+forwarded hufu", names, " ")
        for (i = 1; i <= 3; i++) printf "%-22s %7.2f us/request %8.0f requests/s   %.2f x nginx\n", names[i], median(names[i], v), median(names[i], r), median(names[i], v) / median("nginx", v)
    }' "$work/rows"
awk '/VmRSS/ { printf "hufu resident memory: %.1f MiB\n", $2 / 1024 }' "/proc/$gateway_pid/status"
