#!/bin/sh
# Says in one line if Go is missing or older than go.mod asks for.
go=$1
want=$(sed -n 's/^go //p' go.mod)
have=$("$go" env GOVERSION 2>/dev/null | sed 's/^go//')
if [ -z "$have" ]; then
	echo "hopblame needs Go $want or newer, and '$go' was not found: install it" >&2
	exit 3
fi
if [ "$(printf '%s\n%s\n' "$want" "$have" | sort -V | head -n 1)" != "$want" ]; then
	echo "hopblame needs Go $want or newer, and this is $have (Debian 12's own is too old): install a newer one" >&2
	exit 3
fi
