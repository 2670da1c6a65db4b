package serve

import (
	"net"
	"net/http"
	"net/netip"
	"path"
	"strings"
)

// policy is what a page may use: what this server serves, and no frame around it (CSP
// Level 3).
const policy = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; " +
	"base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

// reportPolicy leaves the rest to the report, which forbids itself everything that is not
// in it, see package page: two policies allow what both do.
const reportPolicy = "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// maxBody is more than any form has.
const maxBody = 16 << 10

// guard refuses what does not come from a page of this server, or from somebody who typed it.
//
// That nobody else reaches the loopback address does not keep other people's pages away: a
// browser on this machine asks for them. They can have names of their own resolve to
// 127.0.0.1, and are told by the Host header; they can send forms here, or have the browser
// ask for large files a hundred times, and are told by Sec-Fetch-Site, or by Origin (Fetch
// Metadata Request Headers, W3C). What is left to them is a link that somebody follows.
func (s *Server) guard(next http.Handler) http.Handler {
	refuse := func(status int, what string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { s.pages.refuse(w, status, what) })
	}
	sameSite := http.NewCrossOriginProtection()
	sameSite.SetDenyHandler(refuse(http.StatusForbidden, "cross-site"))
	next = sameSite.Handler(http.MaxBytesHandler(next, maxBody))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		switch {
		case !isLoopback(r.Host):
			refuse(http.StatusMisdirectedRequest, "foreign-host").ServeHTTP(w, r)
		case path.Clean(r.URL.Path) != r.URL.Path: // dots and doubled slashes: nobody links to such
			refuse(http.StatusNotFound, "no-page").ServeHTTP(w, r)
		case isEmbedded(r.Header):
			refuse(http.StatusForbidden, "cross-site").ServeHTTP(w, r)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// isEmbedded says whether a page of another site, or of another port, asks for something as
// a part of its own.
func isEmbedded(h http.Header) bool {
	site := h.Get("Sec-Fetch-Site")
	return (site == "cross-site" || site == "same-site") && h.Get("Sec-Fetch-Mode") != "navigate"
}

// isLoopback says whether a Host header names this machine and can name no other. The port
// may be another's: that of an ssh tunnel.
func isLoopback(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	ip, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return strings.EqualFold(host, "localhost") || err == nil && ip.IsLoopback()
}
