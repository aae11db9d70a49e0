#!/usr/bin/env bash
# Gets the test scripts of the mosquitto broker, version 2.0.11, from Debian's source package into .cache/mosquitto-scripts, once.
#
# Needs apt-get with Debian's keys, and tar; no root: lists and state of apt are private, the machine's own are not touched. apt
# checks the signature of the list and the sum of the file. Only the folder test/ is kept, and nothing of it belongs to this
# repository. Exits 0 where the scripts are there, else 1 with a line that says why not.
set -uo pipefail
cd "$(dirname "$0")/../../.."

version=2.0.11
target=.cache/mosquitto-scripts
[ -f "$target/$version" ] && exit 0

because() {
  echo "no mosquitto scripts: $*" >&2
  exit 1
}

command -v apt-get >/dev/null || because "apt-get is not installed"
mkdir -p .cache || because "no place for .cache"
work=$(mktemp -d "$PWD/.cache/mosquitto-scripts.XXXXXX") || because "no place for a folder in .cache"
trap 'rm -rf "$work"' EXIT

keys=/usr/share/keyrings/debian-archive-keyring.gpg
[ -f "$keys" ] && signed="[signed-by=$keys] " || signed=""
mkdir -p "$work/lists/partial" "$work/archives/partial" "$work/tree"
echo "deb-src ${signed}http://deb.debian.org/debian bookworm main" >"$work/sources.list"
apt=(
  apt-get -q
  -o Dir::Etc::sourcelist="$work/sources.list" -o Dir::Etc::sourceparts=-
  -o Dir::State="$work" -o Dir::State::lists="$work/lists" -o Dir::State::status="$work/status"
  -o Dir::Cache="$work" -o Dir::Cache::archives="$work/archives"
  -o APT::Sandbox::User= -o Debug::NoLocking=true -o Acquire::Languages=none
  -o Acquire::Retries=1 -o Acquire::http::Timeout=15 -o Acquire::https::Timeout=15 -o APT::Update::Error-Mode=any
)
touch "$work/status"
"${apt[@]}" update >"$work/log" 2>&1 || because "$(tail -n 1 "$work/log")"
(cd "$work" && "${apt[@]}" source --download-only --tar-only mosquitto >"$work/log" 2>&1) || because "$(tail -n 1 "$work/log")"
archive=$work/mosquitto_$version.orig.tar.gz
[ -f "$archive" ] || because "Debian has another version than $version now: $(cd "$work" && echo mosquitto_*)"
tar -xzf "$archive" -C "$work/tree" --strip-components=1 "mosquitto-$version/test" || because "the archive cannot be unpacked"
touch "$work/tree/$version"
# Two at once: the second finds the folder there.
mv -T "$work/tree" "$target" 2>/dev/null || [ -f "$target/$version" ] || { rm -rf "$target" && mv -T "$work/tree" "$target"; }
