#!/bin/sh
# Runs all tests once as the present user and, when that is root, the ones that
# build labs once more as nobody. Says at the end what was skipped, and why.
set -u
go=$1
log=$(mktemp)
trap 'rm -f "$log"' EXIT

status=0
# Package by package, for a package that measures wants no other beside it. Within one,
# those tests that say so run in company (t.Parallel): most of their time is waiting for
# timeouts. Not in a large one where an analyzer is at work between the actors. What needs
# no lab keeps the processors busy, all of them. Of the specs those in the first IP version
# of a scenario; make e2e has all.
few=$("$go" list ./... | grep -E '/(scenarios|serve|internal/cli)(/|$)' | grep -v /mutation)
many=$("$go" list ./... | grep -E '/(topology|sim)(/|$)')
"$go" test -count=1 -timeout 10m -v $("$go" list ./... | grep -vE '/(topology|sim|scenarios|serve|internal/cli|e2e)(/|$)') ./scenarios/mutation >"$log" 2>&1 &&
	"$go" test -count=1 -p 1 -parallel 2 -timeout 10m -v $few >>"$log" 2>&1 &&
	"$go" test -count=1 -p 1 -parallel 8 -timeout 10m -v $many >>"$log" 2>&1 &&
	"$go" tool ginkgo -procs=4 --no-color -v --fail-on-empty --label-filter='!again' ./e2e >>"$log" 2>&1 &&
	"$go" test -count=1 -timeout 10m -v ./e2e/testkit >>"$log" 2>&1 && # Ginkgo wants no -parallel
	"$go" test -C examples/haproxy-suite -count=1 -v ./... -ginkgo.v -ginkgo.no-color >>"$log" 2>&1 || status=$?
if [ $status != 0 ]; then
	grep -vE '^=== |^ *--- PASS|^PASS$|no test files' "$log"
	# Last, where it is looked for first: a spec's own words stand before the suite's table.
	echo "what failed:"
	grep -E -A12 '^ *--- FAIL|^ *\[FAILED\] ' "$log" | grep -v '^ *--- PASS' | tail -n 60
	exit $status
fi
grep -E '^(ok|Ran [0-9]+ of)' "$log"
if [ "$(id -u)" = 0 ] && command -v setpriv >/dev/null; then
	echo "as nobody:"
	# What builds labs, listens, captures, counts and forges; not what only talks over
	# sockets, nor what puts the parts together, for that the specs do too.
	scripts/rootless.sh "$go" ./topology ./sim/capture ./sim/fault ./sim/firewall ./sim/ground ./sim/bigip ./internal/cli ./e2e || status=$?
fi
skipped=$(grep -E -A1 '^ *--- SKIP|\[SKIPPED\]' "$log" | grep -vE '^--$')
if [ -n "$skipped" ]; then
	echo "skipped:"
	echo "$skipped"
else
	echo "nothing was skipped"
fi
exit $status
