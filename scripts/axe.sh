#!/bin/sh
# Gets axe-core, in the version that e2e/browser/package.json names, for the tests there.
# Nothing of it is run but in the browser.
cd "$(dirname "$0")/../e2e/browser" || exit
wanted=$(sed -n 's/.*"axe-core": "\([^"]*\)".*/\1/p' package.json)
grep -q "\"version\": \"$wanted\"" node_modules/axe-core/package.json 2>/dev/null && exit 0
if ! command -v npm >/dev/null; then
	echo "not installed: npm — axe-core cannot be got, and the tests do without it" >&2
	exit 0
fi
npm install --ignore-scripts --no-package-lock --no-audit --no-fund --silent ||
	echo "axe-core could not be got; the tests do without it" >&2
