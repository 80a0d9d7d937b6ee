package status

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// policy lets the page load its own style, script, icon and data, and nothing else from anywhere.
const policy = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// guard stands before every route of the page: it sets the headers, and refuses what a page of another site could make
// a browser send.
func guard(next http.Handler, hosts []string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		secure(w.Header())
		switch {
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			w.Header().Set("Allow", "GET, HEAD")
			writeProblem(w, http.StatusMethodNotAllowed, "the page is read-only; use the podyard command")
		case !allowedHost(r.Host, hosts):
			writeProblem(w, http.StatusMisdirectedRequest, "this name is not one of the page's; open it by its address")
		case strings.HasPrefix(r.URL.Path, "/api/") && r.Header.Get("Sec-Fetch-Site") == "cross-site":
			writeProblem(w, http.StatusForbidden, "the API does not answer the pages of other sites")
		default:
			next.ServeHTTP(w, r)
		}
	})
}

func secure(h http.Header) {
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
	h.Set("Cache-Control", "no-store")
}

// allowedHost is the answer to DNS rebinding, where a foreign name is pointed at our address: only names that cannot be
// foreign are served. Those are loopback, the host of --listen, and, where that is every address, any plain address.
func allowedHost(host string, configured []string) bool {
	name := hostname(host)
	if name == "localhost" || strings.HasSuffix(name, ".localhost") {
		return true
	}
	addr, err := netip.ParseAddr(name)
	isAddress := err == nil
	if isAddress && addr.Unmap().IsLoopback() {
		return true
	}
	for _, c := range configured {
		c = hostname(c)
		if isAddress && unspecified(c) || name != "" && name == c {
			return true
		}
	}
	return false
}

// hostname takes the port, the brackets and a final dot off a host: "[::1]:8420" is "::1".
func hostname(host string) string {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

// unspecified reports whether listening there is listening on every address: "", "0.0.0.0", "::".
func unspecified(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "" || err == nil && addr.IsUnspecified()
}
