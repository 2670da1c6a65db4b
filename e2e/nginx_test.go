package e2e

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"path/filepath"

	"github.com/hopblame/hopblame/e2e/testkit"
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

// serveWithNginx returns what starts nginx on a pool member, its files below a
// directory.
func serveWithNginx(dir string) func(context.Context, *topology.Host, netip.AddrPort) (io.Closer, error) {
	return func(ctx context.Context, at *topology.Host, address netip.AddrPort) (io.Closer, error) {
		p, err := testkit.Program{Name: "nginx", Args: []string{"-p", ".", "-c", "nginx.conf", "-e", "stderr"},
			Files: map[string]string{"nginx.conf": fmt.Sprintf(nginxConfig, address, at.Name())},
		}.Start(ctx, testkit.Place{Host: at, Listen: address, Dir: filepath.Join(dir, at.Name())})
		if err != nil {
			return nil, err // and no nil *Process, which would not be nil
		}
		return p, nil
	}
}
