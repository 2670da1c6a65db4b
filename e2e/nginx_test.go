package e2e

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"syscall"

	"github.com/hopblame/hopblame/topology"
)

// nginxHead is what every configuration begins with. Without root the workers can be
// nobody but the one user there is, who is called root in here; and every directory
// that nginx would make below /var must be elsewhere.
const nginxHead = `user root root;
daemon off;
worker_processes 2;
pid nginx.pid;
error_log stderr crit;
events { worker_connections 1024; }
http {
	access_log off;
	client_body_temp_path body;
	proxy_temp_path proxy;
	fastcgi_temp_path fastcgi;
	uwsgi_temp_path uwsgi;
	scgi_temp_path scgi;
`

// nginxConfig answers every request.
const nginxConfig = nginxHead + `	server {
		listen %s;
		location / { return 200 "%s\n"; }
	}
}
`

type nginx struct{ *program }

// Close ends it.
func (n nginx) Close() error {
	n.stop(syscall.SIGTERM)
	return nil
}

// serveWithNginx returns what starts nginx on a pool member, its files below a
// directory.
func serveWithNginx(dir string) func(context.Context, *topology.Host, netip.AddrPort) (io.Closer, error) {
	return func(ctx context.Context, at *topology.Host, address netip.AddrPort) (io.Closer, error) {
		own := filepath.Join(dir, at.Name())
		if err := os.Mkdir(own, 0o755); err != nil {
			return nil, err
		}
		config := filepath.Join(own, "nginx.conf")
		if err := os.WriteFile(config, fmt.Appendf(nil, nginxConfig, address, at.Name()), 0o644); err != nil {
			return nil, err
		}
		p, err := startProgram(ctx, at, address, own, nil, "nginx", "-p", own, "-c", config, "-e", "stderr")
		if err != nil {
			return nil, err
		}
		return nginx{p}, nil
	}
}
