#!/bin/sh
# Builds the test binaries of the named packages and runs them as nobody, in the
# package's folder, as go test would.
set -eu
go=$1
shift
if [ "$(id -u)" != 0 ]; then
	exec "$go" test -timeout 20m "$@"
fi
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
chmod 755 "$dir"
mkdir -m 1777 "$dir/tmp"
root=$(pwd)
CGO_ENABLED=0 "$go" build -o "$dir/hopblame" ./cmd/hopblame
# The command is tried with the broken files that the scenarios' tests have.
mkdir -p "$dir/src/scenarios"
cp -r scenarios/testdata "$dir/src/scenarios/"
for package in $("$go" list -f '{{if or .TestGoFiles .XTestGoFiles}}{{.Dir}}{{end}}' "$@"); do
	binary=$dir/$(echo "${package#"$root"/}" | tr / -).test
	(cd "$package" && "$go" test -c -o "$binary" .)
	# The sources may be where nobody cannot look: tests find their data in a
	# copy of the package's folder.
	run="$binary -test.short -test.v -test.parallel 8 -test.timeout 20m"
	case $package in */e2e)
		CGO_ENABLED=0 "$go" build -o "$dir/ginkgo" github.com/onsi/ginkgo/v2/ginkgo
		# What asks nothing of the machine that root has and others may not has no such label.
		run="$dir/ginkgo -procs=4 --no-color -v --fail-on-empty --timeout=20m --label-filter=rootless $binary"
		;;
	esac
	mkdir -p "$dir/src/${package#"$root"/}"
	cp -r "$package/." "$dir/src/${package#"$root"/}/"
	(cd "$dir/src/${package#"$root"/}" && chmod -R a+rX "$dir/src" &&
		TMPDIR=$dir/tmp HOME=$dir/tmp HOPBLAME_PROGRAM=$dir/hopblame setpriv --reuid=65534 --regid=65534 --clear-groups $run >"$dir/log" 2>&1) ||
		{ cat "$dir/log"; echo "FAIL as nobody: ${package#"$root"/}"; exit 1; }
	echo "ok   ${package#"$root"/}"
	grep -E -A1 '^ *--- SKIP|\[SKIPPED\]' "$dir/log" || true
done
