#!/bin/sh
# Installs what the tests need, or says exactly what to install where it may not.
set -eu

missing=""
for tool in redis-server nginx openssl curl; do
    command -v "$tool" >/dev/null 2>&1 || missing="$missing $tool"
done
[ -z "$missing" ] && exit 0

case "$(uname -s)" in
Darwin)
    if command -v brew >/dev/null 2>&1; then
        brew install $(echo "$missing" | sed 's/redis-server/redis/; s/openssl/openssl@3/')
        exit 0
    fi
    echo "The tests need:$missing. Install Homebrew (https://brew.sh), then: brew install redis nginx" >&2
    exit 1
    ;;
esac

sudo=""
if [ "$(id -u)" != 0 ]; then
    if command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then sudo="sudo"; else sudo="no"; fi
fi
if command -v apt-get >/dev/null 2>&1; then
    install="apt-get update -qq && apt-get install -y --no-install-recommends$missing"
elif command -v dnf >/dev/null 2>&1; then
    install="dnf install -y$(echo "$missing" | sed 's/redis-server/redis/')"
elif command -v apk >/dev/null 2>&1; then
    install="apk add$(echo "$missing" | sed 's/redis-server/redis/')"
else
    echo "The tests need:$missing. Install them with your system's package manager and run make test again." >&2
    exit 1
fi
if [ "$sudo" = "no" ]; then
    echo "The tests need:$missing. Run this as root and then make test again:" >&2
    echo "    $install" >&2
    exit 1
fi
echo "Installing what the tests need:$missing"
DEBIAN_FRONTEND=noninteractive $sudo sh -c "$install" >/dev/null
# The packages may start servers of their own; the tests start theirs and need none.
if command -v systemctl >/dev/null 2>&1; then $sudo systemctl stop redis-server nginx >/dev/null 2>&1 || true; fi
