#!/bin/sh
# Runs all tests once as the present user and, when that is root, the ones that
# build labs once more as nobody. Says at the end what was skipped, and why.
set -u
go=$1
log=$(mktemp)
trap 'rm -f "$log"' EXIT

status=0
# Package by package: two labs' worth of timing-sensitive tests would share two
# processors otherwise. The specs are made for company: two at a time.
"$go" test -count=1 -p 1 -timeout 10m -v $("$go" list ./... | grep -v '/e2e$') >"$log" 2>&1 &&
	"$go" tool ginkgo -procs=2 --no-color -v --fail-on-empty ./e2e >>"$log" 2>&1 &&
	"$go" test -C examples/haproxy-suite -count=1 -v ./... -ginkgo.v -ginkgo.no-color >>"$log" 2>&1 || status=$?
if [ $status != 0 ]; then
	grep -vE '^=== |^ *--- PASS|^PASS$|no test files' "$log"
	exit $status
fi
grep -E '^(ok|Ran [0-9]+ of)' "$log"
if [ "$(id -u)" = 0 ] && command -v setpriv >/dev/null; then
	echo "as nobody:"
	scripts/rootless.sh "$go" ./topology ./sim/... ./internal/cli ./e2e || status=$?
fi
skipped=$(grep -E -A1 '^ *--- SKIP|\[SKIPPED\]' "$log" | grep -vE '^--$')
if [ -n "$skipped" ]; then
	echo "skipped:"
	echo "$skipped"
else
	echo "nothing was skipped"
fi
exit $status
