package ingress

import (
	"fmt"
	"html"
	"net/http"
	"strings"
)

// writePage answers with a status and a sentence. It names nothing of what is behind: anybody may read it.
func writePage(w http.ResponseWriter, v *visitor, status int, text string) {
	header := w.Header()
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Cache-Control", "no-store")
	header.Set("X-Request-Id", v.id)
	if status == http.StatusServiceUnavailable {
		header.Set("Retry-After", "1")
	}
	title := fmt.Sprintf("%d %s", status, http.StatusText(status))
	if !strings.Contains(v.Header.Get("Accept"), "text/html") {
		header.Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(status)
		fmt.Fprintf(w, "%s\n%s\n", title, text)
		return
	}
	header.Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	fmt.Fprintf(w, page, title, title, html.EscapeString(text), html.EscapeString(v.id))
}

const page = `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>%s</title>
<style>body{font:16px/1.5 system-ui,sans-serif;max-width:36em;margin:15vh auto;padding:0 1em;color-scheme:light dark}small{opacity:.6}</style></head>
<body><h1>%s</h1><p>%s</p><small>Request %s</small></body></html>
`
