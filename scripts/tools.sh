#!/bin/sh
# Installs the named programs where apt and root are there; otherwise leaves it at
# saying which are missing. A package of another name is given as program:package.
missing=
for word; do
	program=${word%%:*}
	command -v "$program" >/dev/null || [ -x "/usr/sbin/$program" ] || missing="$missing ${word#*:}"
done
[ -z "$missing" ] && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
	export DEBIAN_FRONTEND=noninteractive
	# The tests start what they need in namespaces of their own; no service is to
	# run on this machine because of them (invoke-rc.d(8): 101 is "not allowed").
	policy=/usr/sbin/policy-rc.d
	if [ ! -e $policy ]; then
		trap 'rm -f $policy' EXIT
		trap 'exit 130' INT TERM
		printf '#!/bin/sh\nexit 101\n' >$policy && chmod 755 $policy
	fi
	# shellcheck disable=SC2086 # a list of words
	{ apt-get update && apt-get install -y --no-install-recommends $missing; } >/tmp/hopblame-apt.log 2>&1 && exit 0
	echo "could not install$missing (see /tmp/hopblame-apt.log)" >&2
fi
echo "not installed:$missing — tests that use them will skip" >&2
