#!/bin/sh
# An analyzer for hopblame trial --analyzer 'examples/blame.sh {captures}': it blames the
# firewall for every RST that a client got, as everybody does at first.
tshark -r "$1/client-eth0.pcapng" -Y 'tcp.flags.reset==1 && tcp.srcport==8165' -T fields -e ip.dst -e tcp.dstport 2>/dev/null |
awk 'BEGIN { printf "{\"schema_version\":1,\"verdicts\":[" }
     { printf "%s{\"request\":{\"client\":\"%s:%s\"},\"hop\":\"firewall\",\"cause\":\"syn-dropped\",\"confidence\":0.9}", sep, $1, $2; sep = "," }
     END { print "]}" }'
