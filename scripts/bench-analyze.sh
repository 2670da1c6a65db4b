#!/bin/sh
# Times the analyzer and other readers on the same captures, in turns in one run, and
# prints the ratios of their medians. REQUESTS sets the size: 168,000 make ten million
# packets. tshark and tcptrace take minutes on that, so they read one of the files
# only, and the analyzer reads it once more by itself for the comparison.
set -eu
program=$1
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
"$program" run firewall-drops-syn --requests "${REQUESTS:-100000}" --seed 7 --out "$dir/run" --json >"$dir/result.json"
grep -A5 '"timing_s"' "$dir/result.json"
small=$dir/run/captures/server1-eth0.pcapng

now() { date +%s.%N; }
# timed NAME COMMAND…: prints NAME, seconds, peak KiB.
timed() {
	name=$1
	shift
	begin=$(now)
	if [ -x /usr/bin/time ]; then
		/usr/bin/time -o "$dir/peak" -f %M "$@" >/dev/null 2>&1
	else
		"$@" >/dev/null 2>&1
		echo 0 >"$dir/peak"
	fi
	echo "$name $begin $(now) $(tail -n 1 "$dir/peak")"
}
copy() { for f in "$dir"/run/captures/*.pcapng; do tcpdump -r "$f" -w /dev/null; done; }
peers() {
	command -v tshark >/dev/null && timed tshark tshark -r "$small" -T fields -e frame.number -e tcp.stream -e tcp.flags -e tcp.seq_raw
	command -v tcptrace >/dev/null && timed tcptrace tcptrace -n "$small.pcap"
	return 0
}
tcpdump -r "$small" -w "$small.pcap" 2>/dev/null # tcptrace reads no pcapng
for round in 1 2 3 4 5; do
	timed analyze "$program" analyze "$dir/run" --json
	begin=$(now)
	copy >/dev/null 2>&1
	echo "tcpdump $begin $(now) 0"
	[ "$round" -le 3 ] || continue
	timed analyze-one "$program" analyze "$small" --json
	peers
done | awk '
	{ n[$1]++; v[$1, n[$1]] = $3 - $2; if ($4 > peak[$1]) peak[$1] = $4 }
	function median(name,    i, j, x, s) {
		for (i = 1; i <= n[name]; i++) s[i] = v[name, i]
		for (i = 2; i <= n[name]; i++) for (j = i; j > 1 && s[j] < s[j-1]; j--) { x = s[j]; s[j] = s[j-1]; s[j-1] = x }
		return s[int((n[name] + 1) / 2)]
	}
	END {
		a = median("analyze"); t = median("tcpdump")
		printf "all points: analyze %.2f s, %d MiB at most; tcpdump -r -w /dev/null, one file after the other, %.2f s (medians of %d)\n", a, peak["analyze"] / 1024, t, n["analyze"]
		printf "ratio %.2f analyze/tcpdump\n", a / t
		one = median("analyze-one")
		printf "one file: analyze %.2f s (medians of %d)\n", one, n["analyze-one"]
		for (name in n) if (name == "tshark" || name == "tcptrace")
			printf "ratio %.3f analyze/%s (%s %.2f s, %d MiB)\n", one / median(name), name, name, median(name), peak[name] / 1024
	}'
