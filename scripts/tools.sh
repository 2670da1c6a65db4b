#!/bin/sh
# Installs the named programs where apt and root are there; otherwise leaves it at
# saying which are missing.
missing=
for program; do
	command -v "$program" >/dev/null || missing="$missing $program"
done
[ -z "$missing" ] && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
	export DEBIAN_FRONTEND=noninteractive
	# shellcheck disable=SC2086 # a list of words
	{ apt-get update && apt-get install -y --no-install-recommends $missing; } >/tmp/hopblame-apt.log 2>&1 && exit 0
	echo "could not install$missing (see /tmp/hopblame-apt.log)" >&2
fi
echo "not installed:$missing — tests that use them will skip" >&2
