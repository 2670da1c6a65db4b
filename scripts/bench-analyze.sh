#!/bin/sh
# Times the analyzer and tcpdump on the same captures, in turns, and prints the
# ratio of their medians.
set -eu
program=$1
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
"$program" run firewall-drops-syn --requests "${REQUESTS:-100000}" --seed 7 --out "$dir/run" --json >"$dir/result.json"
grep -A5 '"timing_s"' "$dir/result.json"
now() { date +%s.%N; }
for round in 1 2 3 4 5; do
	a=$(now)
	"$program" analyze "$dir/run" --json >/dev/null
	b=$(now)
	for f in "$dir"/run/captures/*.pcapng; do tcpdump -r "$f" -w /dev/null 2>/dev/null; done
	c=$(now)
	echo "$round $a $b $c"
done | awk '
	{ h[NR] = $3 - $2; t[NR] = $4 - $3 }
	function median(v, n,    i, j, x) {
		for (i = 2; i <= n; i++) for (j = i; j > 1 && v[j] < v[j-1]; j--) { x = v[j]; v[j] = v[j-1]; v[j-1] = x }
		return v[int((n + 1) / 2)]
	}
	END {
		a = median(h, NR); b = median(t, NR)
		printf "analyze %.2f s, tcpdump -r -w /dev/null %.2f s (medians of %d), ratio %.2f\n", a, b, NR, a / b
	}'
