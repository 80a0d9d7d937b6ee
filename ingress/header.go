package ingress

import (
	"crypto/rand"
	"encoding/hex"
	"net"
	"net/http"
	"net/netip"
	"net/textproto"
	"strconv"
	"strings"
)

// rewrite makes the request that the backend sees of the client's.
func (v *visitor) rewrite(out *http.Request) {
	out.URL.RawQuery = v.URL.RawQuery // also what cannot be parsed: it is for the backend to refuse
	out.Host = v.Request.Host
	if v.route.host != "" {
		out.Host = v.route.host
	}
	if v.route.rewrite != "" {
		out.URL.Path, out.URL.RawPath = v.route.rewrite, ""
	}
	v.setForwarded(out.Header)
}

// setForwarded tells the backend of the client. What the client says of itself counts only behind a trusted proxy.
func (v *visitor) setForwarded(header http.Header) {
	given := v.Header
	if !v.trusted {
		removeForwarded(header)
		given = nil
	} else {
		header["Forwarded"] = given["Forwarded"]
	}
	chain := v.peer.String()
	if before := given.Values("X-Forwarded-For"); len(before) > 0 {
		chain = strings.Join(before, ", ") + ", " + chain
	}
	header.Set("X-Forwarded-For", chain)
	header.Set("X-Forwarded-Proto", v.scheme)
	header.Set("X-Forwarded-Host", first(given.Get("X-Forwarded-Host"), v.Request.Host))
	header.Set("X-Forwarded-Port", first(given.Get("X-Forwarded-Port"), v.port()))
	header.Set("X-Real-Ip", v.client.String())
	header.Set("X-Request-Id", v.id)
}

// removeForwarded removes every header that speaks of proxies, also in the spelling with underscores, which servers that speak
// CGI or WSGI take for the same.
func removeForwarded(header http.Header) {
	for name := range header {
		plain := textproto.CanonicalMIMEHeaderKey(strings.ReplaceAll(name, "_", "-"))
		if strings.HasPrefix(plain, "X-Forwarded-") || plain == "Forwarded" || plain == "X-Real-Ip" {
			delete(header, name)
		}
	}
}

// port is where the client is connected: what it names in Host, or what is published.
func (v *visitor) port() string {
	if _, port, err := net.SplitHostPort(v.Request.Host); err == nil {
		return port
	}
	if v.scheme == "https" {
		return "443"
	}
	return "80"
}

func portText(port int32) string { return strconv.Itoa(int(port)) }

func first(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// addressOf is the address in "IP:port"; zero if it is none.
func addressOf(remote string) netip.Addr {
	endpoint, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Addr{}
	}
	return endpoint.Addr().Unmap()
}

// clientOf is the last address of the chain that is no trusted proxy: those before it may be invented.
func clientOf(chains []string, peer netip.Addr, proxies []netip.Prefix) netip.Addr {
	client := peer
	words := strings.Split(strings.Join(chains, ","), ",")
	for i := len(words) - 1; i >= 0 && contains(proxies, client); i-- {
		ip, err := netip.ParseAddr(strings.TrimSpace(words[i]))
		if err != nil {
			break
		}
		client = ip.Unmap()
	}
	return client
}

// requestID keeps a client's, if it is one that may stand in a log, and else makes one up.
func requestID(given string) string {
	if given != "" && len(given) <= 128 && !strings.ContainsFunc(given, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' }) {
		return given
	}
	var id [16]byte
	_, _ = rand.Read(id[:]) // never fails
	return hex.EncodeToString(id[:])
}
